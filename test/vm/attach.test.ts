import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { attach, type AttachOptions } from "../../src/vm/attach.ts";
import type { Machine } from "../../src/vm/machine.ts";
import { bootGuest } from "./guest.ts";

/** A terminal that remembers its modes. */
class Terminal extends PassThrough {
  readonly isTTY = true;
  readonly modes: boolean[] = [];
  setRawMode(raw: boolean): this {
    this.modes.push(raw);
    return this;
  }
}

class Screen extends PassThrough {
  text = "";
  constructor() {
    super();
    this.on("data", (bytes: Buffer) => (this.text += bytes.toString()));
  }
}

interface Attached {
  readonly input: Terminal;
  readonly screen: Screen;
  readonly result: ReturnType<typeof attach>;
}

function attached(machine: Machine, options: Partial<AttachOptions> = {}): Attached {
  const input = new Terminal();
  const screen = new Screen();
  return { input, screen, result: attach(machine, { input, output: screen, ...options }) };
}

test("the first line names the key, what came before is shown, and typing reaches the guest", async (t) => {
  const machine = await bootGuest(t);
  const { input, screen, result } = attached(machine);
  const lines = screen.text.split("\r\n");
  assert.equal(lines[0], "[serial port of guest; Ctrl-] powers the machine off and leaves]");
  assert.ok(lines.includes("[    0.250000] test guest ready"));
  assert.deepEqual(input.modes, [true]);
  const mark = machine.serial.mark();
  input.write("ANV");
  input.write("IL");
  await machine.serial.waitForLog(/anvil/, { after: mark });
  assert.match(screen.text, /anvil$/);
  input.write("o");
  assert.deepEqual(await result, { left: "guest", exit: { reason: "guest-shutdown", status: 0, signal: null } });
  assert.match(screen.text, /\r\n\[guest has ended: guest-shutdown\]\r\n$/);
  assert.deepEqual(input.modes, [true, false]);
});

test("control characters but the key go to the guest", async (t) => {
  const machine = await bootGuest(t);
  const { input, result } = attached(machine, { leaveKey: "\x18" });
  const mark = machine.serial.mark();
  // the guest answers with the other case: Ctrl-C + 32 is "#", Ctrl-] + 32 is "="
  input.write("\x03\x1d");
  await machine.serial.waitForLog(/#=$/, { after: mark });
  input.write("\x18");
  assert.equal((await result).left, "key");
});

test("the key presses the power button, and what is typed with it or after it does not arrive", async (t) => {
  const machine = await bootGuest(t);
  const { input, screen, result } = attached(machine);
  input.write("\x1dZZZ");
  input.write("ZZZ");
  const { left, exit } = await result;
  assert.equal(left, "key");
  assert.equal(exit.reason, "guest-shutdown");
  assert.match(screen.text, /\[powering off; Ctrl-\] again ends guest at once\]/);
  assert.match(screen.text, /power button/);
  assert.doesNotMatch(screen.text, /z/);
  assert.deepEqual(input.modes, [true, false]);
});

test("the key pressed twice ends a guest that hangs", async (t) => {
  const machine = await bootGuest(t);
  const { input, screen, result } = attached(machine);
  await machine.serial.write("h");
  await machine.serial.waitForLog(/^stopped$/);
  input.write("\x1d\x1d");
  assert.deepEqual((await result).left, "key");
  assert.match(screen.text, /guest has ended: killed/);
});

test("a guest that does not shut itself down in time is ended", async (t) => {
  const machine = await bootGuest(t);
  const { input, screen, result } = attached(machine, { graceMs: 200 });
  await machine.serial.write("h");
  await machine.serial.waitForLog(/^stopped$/);
  input.write("\x1d");
  assert.equal((await result).exit.reason, "killed");
  assert.match(screen.text, /the guest does not shut itself down; ending it/);
});

test("pipes work: the end of the input does not end the machine", async (t) => {
  const machine = await bootGuest(t);
  const input = new PassThrough();
  const screen = new Screen();
  const result = attach(machine, { input, output: screen });
  const mark = machine.serial.mark();
  input.end("ABC");
  await machine.serial.waitForLog(/abc/, { after: mark });
  await machine.serial.write("o");
  assert.equal((await result).left, "guest");
});

test("a closed output ends the machine", async (t) => {
  const machine = await bootGuest(t);
  const { screen, result } = attached(machine);
  screen.destroy(new Error("EPIPE"));
  const { left, exit } = await result;
  assert.equal(left, "output closed");
  assert.equal(exit.reason, "killed");
});

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  test(`${signal} restores the terminal and ends the machine`, async (t) => {
    const machine = await bootGuest(t);
    const before = process.listenerCount(signal);
    const { input, result } = attached(machine);
    process.kill(process.pid, signal);
    assert.equal((await result).left, signal);
    assert.deepEqual(input.modes, [true, false]);
    assert.equal(process.listenerCount(signal), before);
  });
}

test("a machine that has ended already is left at once, with all that it said", async (t) => {
  const machine = await bootGuest(t);
  await machine.kill();
  const { input, screen, result } = attached(machine);
  assert.equal((await result).exit.reason, "killed");
  assert.match(screen.text, /test guest ready/);
  assert.deepEqual(input.modes, [true, false]);
});
