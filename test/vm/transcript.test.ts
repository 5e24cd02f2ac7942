import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "../../src/fault/fault.ts";
import { guestSeconds, Transcript } from "../../src/vm/transcript.ts";
import { faultOf } from "./guest.ts";

function transcript(): Transcript {
  return new Transcript({ label: "a port", timeScale: 1, evidence: () => ["evidence"], log: "/a/log" });
}

const append = (to: Transcript, text: string): void => to.append(Buffer.from(text));

test("text that has come already is found, and so is text that comes later", async () => {
  const text = transcript();
  append(text, "first line\r\nsecond");
  assert.equal((await text.waitFor(/^first (\w+)$/))[1], "line");
  assert.ok(await text.waitFor(/^second$/));
  const later = text.waitFor(/third/);
  append(text, " line\r\nthi");
  append(text, "rd");
  assert.ok(await later);
});

test("a line that arrives in pieces is one line, however it is cut", async () => {
  const whole = Buffer.from("größer \x1b[1;32m€\x1b[0m\r\nnext\r\n");
  for (let cut = 0; cut <= whole.length; cut++) {
    const text = transcript();
    const wait = text.waitFor(/^größer €$/);
    text.append(whole.subarray(0, cut));
    text.append(whole.subarray(cut));
    await wait;
    assert.deepEqual(text.lines(), ["größer €", "next"]);
  }
});

test("a wait after a mark does not see what came before it, not even on the same line", async () => {
  const text = transcript();
  append(text, "one # ");
  const after = text.mark();
  const wait = text.waitFor(/# $/, { after });
  append(text, "ls\r\nfile\r\n");
  append(text, "two # ");
  assert.ok(await wait);
  assert.equal((await text.waitFor(/^ls$/, { after }))[0], "ls");
});

test("a global or sticky pattern matches like any other", async () => {
  const text = transcript();
  const pattern = /needle/gy;
  pattern.lastIndex = 3;
  append(text, "hay\nneedle\n");
  assert.ok(await text.waitFor(pattern));
});

test("a timeout says what was awaited and shows the evidence and the log", async () => {
  const fault = await faultOf(transcript().waitFor(/a|b/i, { timeoutMs: 20 }));
  assert.deepEqual(
    { ...fault, message: fault.message },
    {
      name: "Fault",
      code: "E_VM_TIMEOUT",
      message: "waited 0.0 s in vain for /a|b/i on a port",
      details: ["evidence"],
      hint: undefined,
      log: "/a/log",
    },
  );
  const named = await faultOf(transcript().waitFor(/x/, { timeoutMs: 20, awaited: "the end" }));
  assert.match(named.message, /in vain for the end$/);
});

test("the end refuses what is awaited, but not what has come", async () => {
  const text = transcript();
  append(text, "there\n");
  const wait = faultOf(text.waitFor(/never/));
  const why = new Fault("E_QEMU_EXIT", "over");
  text.end(why);
  assert.equal(await wait, why);
  assert.equal(await faultOf(text.waitFor(/never/)), why);
  assert.ok(await text.waitFor(/there/));
});

test("a chatty guest does not fill the memory, and marks stay true", async () => {
  const text = transcript();
  append(text, "early\n");
  const line = "x".repeat(1023) + "\n";
  for (let i = 0; i < 20 * 1024; i++) append(text, line);
  assert.ok(text.lines().length <= 9 * 1024, String(text.lines().length));
  const after = text.mark();
  append(text, "late\n");
  assert.ok(await text.waitFor(/^late$/, { after }));
  assert.ok(await text.waitFor(/late/));
  assert.equal((await faultOf(text.waitFor(/early/, { timeoutMs: 1 }))).code, "E_VM_TIMEOUT");
  append(text, "y".repeat(1 << 20));
  assert.ok(text.lines().every((kept) => kept.length <= 1 << 20));
});

test("the tail leaves empty lines and control characters out", () => {
  const text = transcript();
  append(text, "\x1b[2J\x1b[01;01H\x1b[=3h\r\n \r\none\r\n\r\n\x07two\x00\r\nthree");
  assert.deepEqual(text.tail(2), ["two", "three"]);
  assert.deepEqual(text.tail(), ["one", "two", "three"]);
});

test("kernel time is read from the first stamped line that matches", () => {
  const lines = [
    "init without a stamp",
    "[    0.000000] Linux version 6.12.95",
    "[   12.345678] Run /init as init process",
    "[   13.000001] init again",
    "[ 1234.500000][    T1] with a task",
  ];
  assert.equal(guestSeconds(lines, /init/), 12.345678);
  assert.equal(guestSeconds(lines, /Linux version/), 0);
  assert.equal(guestSeconds(lines, /with a task/), 1234.5);
  assert.equal(guestSeconds(lines, /absent/), undefined);
});
