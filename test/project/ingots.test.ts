/** Which of two ingots with one name a channel makes: told by the components that it pins. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Channel, Component } from "../../src/recipe/channel.ts";
import { componentsOf } from "../../src/project/targets.ts";
import { loadChannel } from "../../src/source/channel.ts";
import { project } from "../this-project.ts";

const targets = await project.targets();
const debian = await loadChannel(project.root, "debian");
const pin: Component = {
  version: "1.14.4",
  urls: ["https://example.invalid/firecracker.tar.gz"],
  sha256: "0".repeat(64),
  verified: "recorded",
  licence: "Apache-2.0",
};
const withPins = (firecracker: Component, http: Component): Channel => ({
  ...debian,
  components: { ...debian.components, firecracker, "micro-http": http },
});

test("a channel without Firecracker's source has an ingot vmm without it", () => {
  const { body } = targets.ingot("vmm", debian);
  assert.ok(!componentsOf([body]).includes("firecracker"));
  assert.ok(targets.of(debian).every((target) => !componentsOf([target]).includes("firecracker")));
});

test("a channel that pins its source has an ingot vmm with anvil-vmm and Firecracker", () => {
  const channel = withPins(pin, pin);
  const { body, name, trees } = targets.ingot("vmm", channel);
  assert.equal(name, "vmm");
  assert.ok(componentsOf([body]).includes("firecracker") && componentsOf([body]).includes("micro-http"));
  assert.deepEqual(
    trees.map((tree) => tree.name).filter((tree) => /^(?:anvil-vmm|firecracker)$/.test(tree)),
    ["anvil-vmm", "firecracker"],
  );
  assert.equal(targets.ingotBodies(channel).filter(({ name }) => name.startsWith("ingot-vmm")).length, 1);
});

test("a doubtful pin is not taken unasked: the ingot is the one without, unless every such pin is accepted", () => {
  const channel = withPins({ ...pin, unverified: "found on a wall" }, { ...pin, unverified: "so was this" });
  const plain = targets.ingot("vmm", debian);
  assert.equal(targets.ingot("vmm", channel), plain);
  assert.equal(targets.ingot("vmm", channel, new Set(["firecracker"])), plain);
  assert.notEqual(targets.ingot("vmm", channel, new Set(["firecracker", "micro-http"])), plain);
});
