import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { Client } from "../../src/inject/client.ts";
import type { InjectEvent } from "../../src/inject/events.ts";
import { frame, FrameReader } from "../../src/inject/frames.ts";
import { inject } from "../../src/inject/inject.ts";
import type { Ingot } from "../../src/inject/ingot-file.ts";
import { temporaryFolder, type Cleanup } from "../forge/rig.ts";
import { acknowledged, GREETING, Peer, progress, refusal, success, wanted } from "./peer.ts";
import { sampleIngot, storedChunks } from "./samples.ts";

const never = new AbortController().signal;

async function sample(t: Cleanup): Promise<Ingot> {
  const ingot = await sampleIngot(path.join(temporaryFolder(t), "body"));
  t.after(() => void ingot.close());
  return ingot;
}

function send(ingot: Ingot, peer: Peer, signal = never): { done: Promise<unknown>; events: InjectEvent[] } {
  const events: InjectEvent[] = [];
  const on = (event: InjectEvent): void => void events.push(event);
  return { done: inject(ingot, peer, { allowDowngrade: false, signal, on }), events };
}

test("an ingot goes over: greeting, command, manifest, chunks within the window, result", async (t) => {
  const ingot = await sample(t);
  let unacknowledged = 0;
  const peer = new Peer(({ type, body }, peer) => {
    if (type === "H") peer.say(GREETING);
    if (type === "M") peer.say(progress("receive"), wanted(0, 2));
    if (type !== "D") return;
    unacknowledged++;
    assert.ok(unacknowledged <= 2, "no more on the way than the window allows");
    setImmediate(() => {
      unacknowledged--;
      peer.say(acknowledged(body.readUInt32LE()));
      if (body.readUInt32LE() === 2) peer.say(progress("prove"), success("key abc\ntime-hash 12\n"));
    });
  });
  const { done, events } = send(ingot, peer);
  assert.deepEqual(await done, { key: "abc", "time-hash": "12" });
  assert.equal(peer.letters, "HCMDDD");
  assert.equal(peer.sent[1]?.body.toString(), "add");
  assert.deepEqual(peer.sent[2]?.body, ingot.head);
  assert.deepEqual(
    peer.sent.slice(3).map(({ body }) => body.subarray(4)),
    storedChunks,
  );
  assert.deepEqual(
    events.map((event) =>
      event.type === "phase" ? event.phase : event.type === "progress" ? event.bytes : event.type,
    ),
    ["connect", "system", "ingot", "receive", 0, 5, 15, 28, "prove", "injected"],
  );
  assert.equal(peer.closed, 1);
});

test("after a break only what is missing is sent", async (t) => {
  const ingot = await sample(t);
  const peer = new Peer(({ type }, peer) => {
    if (type === "H") peer.say(GREETING);
    if (type === "M") peer.say(wanted(2, 8));
    if (type === "D") peer.say(acknowledged(2), success("key abc\n"));
  });
  const { done, events } = send(ingot, peer);
  await done;
  assert.deepEqual(
    peer.sent.filter(({ type }) => type === "D").map(({ body }) => body.readUInt32LE()),
    [2],
  );
  assert.deepEqual(events.at(-1), { t: events.at(-1)?.t, type: "injected", sent: 13, facts: { key: "abc" } });
});

test("a refusal comes as a fault with its code, its details and its way out", async (t) => {
  const peer = new Peer(({ type }, peer) => {
    if (type === "H") peer.say(GREETING);
    if (type === "M")
      peer.say(refusal("E_INGOT_SPACE the pool is full\nfree 10 MB\nneeded 20 MB\nhint: remove something\n"));
  });
  await assert.rejects(send(await sample(t), peer).done, {
    code: "E_INGOT_SPACE",
    message: "the pool is full",
    details: ["free 10 MB", "needed 20 MB"],
    hint: "remove something",
  });
  assert.equal(peer.closed, 1);
});

test("a command gives its lines and its facts", async () => {
  const peer = new Peer(({ type }, peer) => {
    if (type === "H") peer.say(GREETING);
    if (type === "C")
      peer.say(frame("L", "tools 4.4.1"), progress("busy"), frame("L", "cc 14.2"), success("kept no\n"));
  });
  const client = await Client.open(peer, never);
  assert.deepEqual(client.system, {
    arch: "x86_64",
    system: "0123456789ab",
    pool: "memory",
    kept: false,
    trust: ["00112233"],
    free: 1000,
  });
  const lines: string[] = [];
  assert.deepEqual(await client.command(["verify", "tools"], (line) => lines.push(line)), { kept: "no" });
  assert.deepEqual(lines, ["tools 4.4.1", "cc 14.2"]);
  assert.equal(peer.sent.at(-1)?.body.toString(), "verify tools");
});

test("a file of an ingot's data comes in pieces", async () => {
  const peer = new Peer(({ type }, peer) => {
    if (type === "H") peer.say(GREETING);
    if (type === "C") peer.say(frame("B", "half a "), frame("B", "line"), success("size 21\n"));
  });
  const client = await Client.open(peer, never);
  const pieces: string[] = [];
  assert.equal(await client.get("db", "a log%/1", 10, (bytes) => pieces.push(bytes.toString())), 21);
  assert.deepEqual(pieces, ["half a ", "line"]);
  assert.equal(peer.sent.at(-1)?.body.toString(), "get db a%20log%25/1 10");
});

test("what was meant for an earlier host is passed over, however it is cut", () => {
  const stale = Buffer.concat([acknowledged(7).subarray(3), progress("prove"), Buffer.from("protocol 1")]);
  const all = Buffer.concat([stale, GREETING, success("done")]);
  for (let cut = 0; cut <= all.length; cut++) {
    const reader = new FrameReader();
    const frames = [...reader.push(all.subarray(0, cut)), ...reader.push(all.subarray(cut))];
    assert.deepEqual(
      frames.map(({ type }) => type),
      ["H", "R"],
      `cut at ${cut}`,
    );
  }
});

test("a greeting that was lost is sent again, and answers to both are taken", async () => {
  const peer = new Peer(({ type }, peer) => {
    if (type === "H" && peer.sent.length === 2) peer.say(GREETING, GREETING);
    if (type === "C") peer.say(success(""));
  }, 0.01);
  const client = await Client.open(peer, never);
  assert.deepEqual(await client.command(["list"], () => undefined), {});
});

test("a line that stays silent is opened anew", async () => {
  const peer = new Peer((_, peer) => peer.opened === 2 && peer.say(GREETING), 0.001, [3_000, 30_000]);
  await Client.open(peer, never);
  assert.deepEqual([peer.opened, peer.closed], [2, 1]);
});

test("a refusal of the greeting is believed when it comes again", async () => {
  const refuse = refusal("E_INGOT_TRUST x.pub is no public key\n");
  const old = new Peer((_, peer) => peer.say(refuse.subarray(2), refuse, GREETING));
  assert.equal((await Client.open(old, never)).system.pool, "memory");
  const peer = new Peer((_, peer) => peer.say(refuse), 0.01);
  await assert.rejects(Client.open(peer, never), { code: "E_INGOT_TRUST", message: "x.pub is no public key" });
});

test("an end that does not answer, falls silent or hangs up is said", async (t) => {
  const ingot = await sample(t);
  await assert.rejects(Client.open(new Peer(() => undefined, 0.001), never), {
    code: "E_INGOT_LOST",
    message: "the peer does not answer",
  });
  const silent = new Peer(({ type }, peer) => type === "H" && peer.say(GREETING), 0.001);
  await assert.rejects(send(ingot, silent).done, { code: "E_INGOT_LOST", message: /silent/ });
  const dying = new Peer(({ type }, peer) => {
    if (type === "H") peer.say(GREETING);
    if (type === "M") peer.say(wanted(0, 1));
    if (type === "D") peer.hangUp();
  });
  await assert.rejects(send(ingot, dying).done, { code: "E_INGOT_LOST", message: "the peer has gone" });
  assert.equal(dying.closed, 1);
});

test("a signal ends it at any point", async (t) => {
  const ingot = await sample(t);
  for (const at of ["H", "M", "D"]) {
    const controller = new AbortController();
    const peer = new Peer(({ type }, peer) => {
      if (type === at) controller.abort();
      else if (type === "H") peer.say(GREETING);
      else if (type === "M") peer.say(wanted(0, 1));
    });
    await assert.rejects(send(ingot, peer, controller.signal).done, { code: "E_INTERRUPTED" }, at);
    assert.equal(peer.closed, 1);
  }
});

test("nonsense of the other end is refused and not believed", async (t) => {
  const ingot = await sample(t);
  const answers: readonly [what: string, ...frames: Buffer[]][] = [
    ["an acknowledgement of nothing", wanted(3, 1), acknowledged(3)],
    ["an acknowledgement of another chunk", wanted(0, 1), acknowledged(1)],
    ["more chunks than there are", wanted(4, 1)],
    ["no window", wanted(0, 0)],
    ["a frame of the wrong size", frame("W", "abc")],
    ["an unknown frame", frame("Z", "?")],
    ["an error without a code", refusal("it went wrong")],
    ["an endless frame", Buffer.from([0xff, 0xff, 0xff, 0x7f, 0x52])],
    ["an empty frame", Buffer.from([0, 0, 0, 0, 0x52])],
  ];
  for (const [what, ...frames] of answers) {
    const peer = new Peer(({ type }, peer) => {
      if (type === "H") peer.say(GREETING);
      if (type === "M") peer.say(...frames);
    });
    await assert.rejects(send(ingot, peer).done, { code: "E_INGOT_PROTOCOL" }, what);
  }
  const newer = new Peer((_, peer) => peer.say(frame("H", "protocol 2\n")));
  await assert.rejects(send(ingot, newer).done, { code: "E_INGOT_PROTOCOL", message: /version 2/ });
});
