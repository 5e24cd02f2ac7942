/** What `anvil.image.ts` may say, and what becomes of it in the plan. */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, test } from "node:test";
import { catalogueOf } from "../../recipes/catalogue.ts";
import { busybox } from "../../recipes/busybox.ts";
import { kernelOf } from "../../recipes/image.ts";
import { linux } from "../../recipes/linux.ts";
import { lz4 } from "../../recipes/lz4.ts";
import { Fault } from "../../src/fault/fault.ts";
import { evaluate, type Evaluation, versionsOf } from "../../src/forge/evaluate.ts";
import type { StepDerivation } from "../../src/recipe/derivation.ts";
import { image, MiB, own, type ImageFields } from "../../src/recipe/image.ts";
import { exists } from "../../src/recipe/proof.ts";
import { pinned, recipe, type Recipe } from "../../src/recipe/recipe.ts";
import { stepScript } from "../../src/recipe/step.ts";
import { seedBase } from "../../recipes/seed.ts";
import { loadChannel } from "../../src/source/channel.ts";
import { projectRoot, temporaryFolder } from "../forge/rig.ts";

const KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM1UExYwUwEiltx5y++zsDgs5ZeSqm9G56bqwXt0fxIQ";
const channel = await loadChannel(projectRoot, "debian");
const folder = temporaryFolder({ after });
mkdirSync(path.join(folder, "web"));
for (const name of ["motd", "web/run"]) writeFileSync(path.join(folder, name), "#!/bin/sh\n");
chmodSync(path.join(folder, "web/run"), 0o755);

function plan(fields: ImageFields, place = folder): Evaluation {
  const made = catalogueOf(image(fields)).image.make({ rootLogin: true, trust: [], logins: [] });
  return evaluate([made], { project: projectRoot, own: place, channel, pins: new Map() });
}

function stepOf({ nodes }: Evaluation, name: string): StepDerivation {
  const found = [...nodes.values()].find(({ derivation }) => derivation.kind === "step" && derivation.name === name);
  return found?.derivation as StepDerivation;
}

function refusal(act: () => unknown): Fault {
  try {
    act();
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

test("all that is wrong is told at once, each with its place and with what is wanted", () => {
  const fault = refusal(() =>
    image({
      name: "My NAS",
      pakages: [],
      packages: ["lz4", { from: lz4, only: ["/usr"] }],
      files: { "/etc/motd": "motd", "etc/x": { txt: "" } },
      services: { "Web Server": "web" },
      kernel: { EXFAT_FS: true, CONFIG_A: "m\n" },
      users: { Ada: {}, bob: { keys: ["ssh-dss AAAA"], uid: 12 } },
      network: { address: "192.168.1.300/24", dns: "192.168.1.1" },
      limits: { root: 1, iso: "40MB" },
    } as never),
  );
  assert.equal(fault.code, "E_IMAGE");
  const places = fault.details.map((line) => line.split(": ")[0]);
  assert.deepEqual(places, [
    "pakages",
    "name",
    "packages[0]",
    "packages[1].only[0]",
    "files",
    'files["etc/x"].txt',
    'files["etc/x"].from',
    "services",
    "kernel",
    'kernel["CONFIG_A"]',
    "users",
    'users["bob"].keys[0]',
    'users["bob"].uid',
    "network.address",
    "network.dns",
    "limits.iso",
    "limits.root",
  ]);
  assert.match(fault.details[0] ?? "", /there is no such field; there are name, hostName, packages/);
  assert.match(fault.details[13] ?? "", /192\.168\.1\.10\/24, is wanted, not "192\.168\.1\.300\/24"/);
});

test("a recipe that lacks what every recipe has is refused before it is made", () => {
  const { details } = refusal(() =>
    image({ name: "a", packages: [recipe({ name: "No Name", licence: "GPL v2", proves: [] } as never)] }),
  );
  assert.deepEqual(details, [
    "packages[0] (No Name): its name is none",
    'packages[0] (No Name): its licence is no SPDX expression: "GPL v2"',
    "packages[0] (No Name): it has no seed: seedBase is meant",
    "packages[0] (No Name): it has no script",
    "packages[0] (No Name): it proves nothing",
  ]);
});

test("fields that do not go together are refused: users of the system, numbers that two have, names of its own services", () => {
  const faults = (fields: Partial<ImageFields>): readonly string[] =>
    refusal(() => image({ name: "a", ...fields })).details;
  assert.match(faults({ users: { daemon: {} } }).join(), /daemon is a user of the system/);
  assert.match(faults({ users: { a: { uid: 2000 }, b: { uid: 2000 } } }).join(), /two have one number/);
  assert.match(faults({ users: { a: { uid: 0 } } }).join(), /only root has the number 0/);
  const network = { address: "10.0.0.2/8" };
  assert.match(
    faults({ network, services: { network: "web" } }).join(),
    /services: network is .* of the field network/,
  );
});

test("an image without anything of its own is the plain system but for its name", () => {
  const plain = catalogueOf().image.make({ rootLogin: true, trust: [], logins: [] });
  const { nodes } = evaluate([plain], { project: projectRoot, channel, pins: new Map() });
  const own = plan({ name: "mine" });
  const changed = [...own.nodes].filter(([key]) => !nodes.has(key)).map(([, { derivation }]) => derivation.name);
  assert.deepEqual(changed.sort(), ["iso", "pool-guest", "pool-guest-tree", "pool-image", "rootfs"]);
  assert.match(stepOf(own, "rootfs").script, /echo 'VARIANT_ID=mine' >> etc\/os-release/);
});

test("packages, files and services of the folder come into the root, and where the folder is makes no difference", () => {
  const fields: ImageFields = {
    name: "mine",
    packages: [{ from: lz4, only: ["usr/bin"] }],
    files: { "etc/motd": { from: "motd", wins: true } },
    services: { web: "web" },
  };
  const root = stepOf(plan(fields), "rootfs");
  assert.ok(root.mounts.some(({ at }) => at === "/in/lz4"));
  assert.deepEqual(
    root.files.filter(({ at }) => at.startsWith("/files/@image/")).map(({ at, executable }) => [at, executable]),
    [
      ["/files/@image/motd", false],
      ["/files/@image/web/run", true],
    ],
  );
  for (const line of [
    "part lz4 . usr/bin\n",
    "file etc/motd @image/motd\n",
    "service etc/service web @image/web\n",
    "text etc/hostname 644 'mine\n'\n",
  ])
    assert.ok(root.script.includes(line), `${line} in\n${root.script}`);
  const other = temporaryFolder({ after });
  mkdirSync(path.join(other, "web"));
  for (const name of ["motd", "web/run"]) writeFileSync(path.join(other, name), "#!/bin/sh\n");
  chmodSync(path.join(other, "web/run"), 0o755);
  assert.deepEqual(plan(fields, other).targets, plan(fields).targets);
  const missing = refusal(() => plan({ name: "mine", files: { "etc/x": "absent" } }));
  assert.equal(missing.code, "E_MISSING_FILE");
  assert.equal(missing.message, `${path.join(folder, "absent")} does not exist`);
});

test("users have accounts, keys of their own and home folders; with a key of another than root, sshd looks there", () => {
  const script = (users: ImageFields["users"]): string =>
    stepOf(plan({ name: "mine", ...(users === undefined ? {} : { users }) }), "rootfs").script;
  const two = script({ ada: { keys: [`${KEY} ada@there`] }, data: { uid: 1000, shell: "/bin/false" } });
  assert.match(two, /^echo 'ada:x:1001:1001:ada:\/home\/ada:\/bin\/sh' >> etc\/passwd$/m);
  assert.match(two, /^echo 'data:x:1000:1000:data:\/home\/data:\/bin\/false' >> etc\/passwd$/m);
  assert.match(two, /^text home\/ada\/\.ssh\/authorized_keys 644 'ssh-ed25519 [A-Za-z0-9+/]+\n'$/m);
  assert.match(two, /^service etc\/service ssh system\/services\/ssh\/run$/m);
  assert.doesNotMatch(two, /ada@there/);
  const none = script({ data: {} });
  assert.doesNotMatch(none, /\bssh\b/);
  assert.match(none, /^service etc\/service home system\/services\/home\/run$/m);
});

test("a fixed address takes the place of DHCP", () => {
  const network = { address: "10.1.2.3/16", gateway: "10.1.0.1", dns: ["10.1.0.1", "10.1.0.2"] };
  const { script } = stepOf(plan({ name: "mine", network }), "rootfs");
  assert.match(script, /^wins .*\bsystem\/services\/network\/run\b/m);
  const [, text = ""] = /^text etc\/anvil\/network 644 '([\s\S]*?)\nservice /m.exec(script) ?? [];
  for (const line of ["interface=eth0", "address=10.1.2.3/16", "gateway=10.1.0.1"]) assert.ok(text.includes(line));
});

test("kernel options are merged into the fragment, each in the place of its line there; the plain kernel stays as it was", () => {
  assert.equal(kernelOf({ name: "mine" }), linux);
  const own = kernelOf({
    name: "mine",
    kernel: { CONFIG_EXFAT_FS: true, CONFIG_HZ_250: false, CONFIG_NR_CPUS: 8, CONFIG_X: "a" },
  });
  assert.notEqual(own.name, linux.name);
  const script = stepScript(own, versionsOf(channel));
  const [, head = ""] = /^(grep -vE [\s\S]*?END_OF_OPTIONS\n)configure_kernel/m.exec(script) ?? [];
  const lines = 'CONFIG_EXFAT_FS=y\n# CONFIG_HZ_250 is not set\nCONFIG_NR_CPUS=8\nCONFIG_X="a"\n';
  assert.ok(head.includes(`<<'END_OF_OPTIONS'\n${lines}END_OF_OPTIONS\n`), head);
  const [, pattern = ""] = /grep -vE '(.*?)'/.exec(head) ?? [];
  const fragment = readFileSync(path.join(projectRoot, "system/kernel/config"), "utf8").split("\n");
  const left = fragment.filter((line) => new RegExp(pattern).test(line));
  assert.deepEqual(left.map((line) => line.split(" ")[0]).sort(), ["CONFIG_HZ_250=y", "CONFIG_NR_CPUS=256"]);
  assert.match(script, /check-config merge "\$VERSION" \/build\/fragment /);
});

test("limits are proofs of the results, and the size of the pool", () => {
  const evaluation = plan({ name: "mine", limits: { iso: 1234, kernel: 5678, root: 80 * MiB } });
  const limit = (name: string): number | undefined =>
    stepOf(evaluation, name).proves.flatMap((proof) => (proof.check === "at-most" ? [proof.bytes] : []))[0];
  assert.equal(limit("iso"), 1234);
  assert.equal(limit("linux-of-image"), 5678);
  assert.match(stepOf(evaluation, "pool-image").script, new RegExp(`IMAGE_SIZE=${80 * MiB}`));
});

const pin = { version: "2.1", urls: ["https://example.org/hello-2.1.tar.gz"], sha256: "ab".repeat(32), licence: "MIT" };
const hello = (name = "hello", source = pinned("hello", pin)): Recipe =>
  recipe({
    name,
    licence: "MIT",
    source,
    files: [own("motd")],
    seed: seedBase,
    script: (versions) => `echo ${versions.of(source.component)}\n`,
    proves: [exists("usr/bin/hello")],
  });

test("a package of one's own brings its source: version, place and hash", () => {
  const evaluation = plan({ name: "mine", packages: [hello()] });
  const fetch = [...evaluation.nodes.values()].find(
    ({ derivation }) => derivation.name === "hello" && derivation.kind === "fetch",
  );
  assert.ok(fetch?.derivation.kind === "fetch");
  assert.deepEqual(
    [fetch.derivation.version, fetch.derivation.urls, fetch.derivation.sha256],
    ["2.1", pin.urls, pin.sha256],
  );
  const step = stepOf(evaluation, "hello");
  assert.equal(step.version, "2.1");
  assert.match(step.script, /echo 2\.1/);
  assert.equal(step.files[0]?.at, "/files/@image/motd");
  assert.equal(evaluation.channel.components["hello"]?.licence, "MIT");
  assert.equal("hello" in channel.components, false);
});

test("a pin that is none is refused, and so is another one for what is pinned already", () => {
  const wrong = refusal(() => pinned("Hello", { version: "1 2", sha256: "ab", licence: "GPL v2" }));
  assert.equal(wrong.code, "E_IMAGE");
  assert.equal(wrong.details.length, 5);
  const taken = refusal(() => plan({ name: "mine", packages: [hello("hello", pinned("zlib", pin))] }));
  assert.equal(taken.code, "E_IMAGE_SOURCE");
  const other = hello("other", pinned("hello", { ...pin, version: "2.2" }));
  assert.equal(refusal(() => plan({ name: "mine", packages: [hello(), other] })).code, "E_IMAGE_SOURCE");
});

test("a package that the system has already is refused by name", () => {
  const fault = refusal(() => plan({ name: "mine", packages: [busybox] }));
  assert.equal(fault.code, "E_TREE_FIELDS");
  assert.equal(fault.message, "two parts of the tree are called busybox");
});
