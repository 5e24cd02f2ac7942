import assert from "node:assert/strict";
import { test } from "node:test";
import { frame } from "../../src/inject/frames.ts";
import { refuseOtherMajor } from "../../src/inject/other-major.ts";
import { GREETING, Peer, success } from "./peer.ts";

const never = new AbortController().signal;

/** A system that holds these ingots: name, version, key, state, bytes. */
function holding(...lines: readonly string[]): Peer {
  return new Peer(({ type }, peer) => {
    if (type === "H") peer.say(GREETING);
    if (type === "C") peer.say(...lines.map((line) => frame("L", line)), success(""));
  });
}

test("an ingot of another major version than the active one, whose data it would find, is refused before it is sent", async () => {
  const peer = holding("tools 1.10.0 aa active 10", "db 15.18 bb previous 10", "db 15.19 cc active 10");
  await assert.rejects(refuseOtherMajor({ name: "db", version: "16.15" }, peer, never), {
    code: "E_INGOT_MAJOR",
    message: "the peer has db 15.19, this is 16.15",
    hint: /anvil ingot remove db --data, .*docs\/db\.md.*anvil channel/,
  });
  assert.equal(peer.sent.at(-1)?.body.toString(), "list");
  assert.equal(peer.closed, 1);
});

test("another version of the same major, or the first one, goes on", async () => {
  await refuseOtherMajor({ name: "db", version: "15.20" }, holding("db 15.19 cc active 10"), never);
  await refuseOtherMajor({ name: "db", version: "16.15" }, holding("db 15.19 cc previous 10"), never);
  await refuseOtherMajor({ name: "db", version: "16.15" }, holding("tools 1.10.0 aa active 10"), never);
  await refuseOtherMajor({ name: "db", version: "16.15" }, holding(), never);
});
