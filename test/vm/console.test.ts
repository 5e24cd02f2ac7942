import assert from "node:assert/strict";
import { type ChildProcess } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { Console } from "../../src/vm/console.ts";
import { Fault } from "../../src/fault/fault.ts";
import { killLaunched } from "../../src/vm/launcher.ts";
import { faultOf, scratch } from "./guest.ts";
import { launcher } from "./launcher.ts";

/** What comes from the shell, as pieces that go to the console. */
type Disturbance = (bytes: Buffer) => Iterable<Buffer | string>;

interface Line {
  readonly console: Console;
  /** Visible to the shell under the same path. */
  readonly folder: string;
  /** Writes to the console as another program of the guest would. */
  readonly say: (text: string) => void;
  /** Cuts the connection. */
  readonly cut: () => void;
}

interface ShellOptions {
  readonly disturb?: Disturbance;
  /** The program behind the line. Default: sh. */
  readonly program?: (folder: string) => string[];
}

/** A console whose other end is a real shell behind a terminal line that echoes, and that `disturb` may spoil. */
async function shell(t: TestContext, options: ShellOptions = {}): Promise<Line> {
  const { disturb = (bytes: Buffer): Buffer[] => [bytes], program = (): string[] => ["sh"] } = options;
  const folder = scratch(t);
  launcher.handOver([folder]);
  const [name = "sh", ...args] = program(folder);
  const child: ChildProcess = launcher.start(name, args, [{ path: folder, writable: true }], {
    stdio: ["pipe", "pipe", "pipe"],
  });
  t.after(() => killLaunched(child));
  let client: Socket | undefined;
  const send = (piece: Buffer | string): void => {
    // a terminal turns line feeds into two characters
    client?.write(Buffer.from(Buffer.from(piece).toString("latin1").replaceAll("\n", "\r\n"), "latin1"));
  };
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (bytes: Buffer) => {
      for (const piece of disturb(bytes)) send(piece);
    });
  }
  const server = createServer((socket) => {
    client = socket;
    socket.on("data", (typed: Buffer) => {
      send(typed);
      child.stdin?.write(typed);
    });
  });
  const socket = path.join(folder, "console.sock");
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  const console = new Console({
    label: "the console of a test",
    socket,
    timeScale: 1,
    log: undefined,
    evidence: () => ["the last line"],
    whyClosed: () => Promise.resolve(new Fault("E_QEMU_EXIT", "the machine went away")),
  });
  t.after(() => {
    console.close();
    server.close();
  });
  return { console, folder, say: send, cut: () => client?.destroy() };
}

test("a command's output and status come back as they are", async (t) => {
  const { console } = await shell(t);
  const cases: [string, number, string][] = [
    ["true", 0, ""],
    ["echo hello", 0, "hello\n"],
    ["printf 'no end'; exit 3", 3, "no end"],
    ["printf '\\n\\n two\\n\\n'", 0, "\n\n two\n\n"],
    ["echo out; echo err >&2; false", 1, "out\nerr\n"],
    [`echo "it's" '$HOME' \\\\ "\`echo sub\`" "ünïcödé €"`, 0, "it's $HOME \\ sub ünïcödé €\n"],
    ["cat", 0, ""],
    ["for i in 1 2\ndo\n  echo $i\ndone", 0, "1\n2\n"],
    ["cat <<'END'\nhere $x\nEND", 0, "here $x\n"],
    ["kill -9 $(sh -c 'echo $PPID')", 137, ""],
    ["# only a comment", 0, ""],
  ];
  for (const [command, status, output] of cases) {
    const result = await console.run(command);
    if (command.startsWith("kill")) assert.equal(result.status, status);
    else assert.deepEqual(result, { status, output }, command);
  }
});

test("a syntax error, an unknown program and a changed folder end with their command", async (t) => {
  const { console } = await shell(t);
  assert.notEqual((await console.run("if then (")).status, 0);
  assert.equal((await console.run("no-such-program-here")).status, 127);
  assert.equal(await console.succeed("cd /usr; x=1; pwd"), "/usr\n");
  assert.equal(await console.succeed('echo "[$x]"'), "[]\n");
});

test("long commands and long outputs go through", async (t) => {
  const { console } = await shell(t);
  const text = "0123456789abcdef".repeat(8192);
  assert.equal(await console.succeed(`echo '${text}'`), `${text}\n`);
  const numbers = Array.from({ length: 100_000 }, (_, index) => `${index + 1}\n`).join("");
  assert.equal(await console.succeed("seq 1 100000"), numbers);
});

test("commands of several callers run one after the other", async (t) => {
  const { console, folder } = await shell(t);
  const file = path.join(folder, "order");
  const numbers = [1, 2, 3, 4, 5];
  const outputs = await Promise.all(numbers.map((n) => console.succeed(`echo ${n} >>${file}; echo ${n}`)));
  assert.deepEqual(outputs, ["1\n", "2\n", "3\n", "4\n", "5\n"]);
  assert.equal(readFileSync(file, "utf8"), "1\n2\n3\n4\n5\n");
});

test("a command that must succeed and does not is a fault with its output", async (t) => {
  const { console } = await shell(t);
  const fault = await faultOf(console.succeed("echo why; exit 7"));
  assert.equal(fault.code, "E_COMMAND");
  assert.equal(fault.message, "a command on the console of a test ended with status 7: echo why; exit 7");
  assert.deepEqual(fault.details, ["why"]);
});

test("kernel messages in the middle of everything are not taken for output", async (t) => {
  const disturb: Disturbance = function* (bytes) {
    for (let at = 0; at < bytes.length; at += 16) {
      yield bytes.subarray(at, at + 16);
      // the greeting is short and has to come through whole
      if (bytes.length > 100) yield `[${String(at).padStart(5)}.123456] usb 1-1: new device [a:b]\n`;
    }
  };
  const { console } = await shell(t, { disturb });
  assert.equal(await console.succeed("seq 1 1000"), Array.from({ length: 1000 }, (_, n) => `${n + 1}\n`).join(""));
});

for (const place of ["middle", "end"] as const) {
  test(`a frame that was damaged at its ${place} is asked for again, and the command is not run again`, async (t) => {
    let damaged = 0;
    const disturb: Disturbance = (bytes) => {
      if (bytes.length < 2000 || damaged++ > 0) return [bytes];
      const cut = place === "middle" ? 1000 : bytes.length - 8;
      return [bytes.subarray(0, cut), "Out of memory: Killed process\n", bytes.subarray(cut)];
    };
    const { console, folder } = await shell(t, { disturb });
    const file = path.join(folder, "runs");
    const output = await console.succeed(`echo run >>${file}; seq 1 1000`);
    assert.equal(output.length, 3893);
    assert.equal(damaged, 2);
    assert.equal(readFileSync(file, "utf8"), "run\n");
  });
}

test("a console on which something else writes all the time is reported", async (t) => {
  // the greeting holds no colon, a frame does
  const disturb: Disturbance = (bytes) => [bytes.toString("latin1").replace(/:(.)/, ":x$1")];
  const { console } = await shell(t, { disturb });
  assert.equal((await faultOf(console.run("echo hello"))).code, "E_CONSOLE_GARBLED");
});

test("after a timeout the next command gets its own answer", async (t) => {
  const { console, folder } = await shell(t);
  const go = path.join(folder, "go");
  await console.ready();
  const command = `while [ ! -e ${go} ]; do sleep 0.01; done\necho late`;
  const fault = await faultOf(console.run(command, { timeoutMs: 200 }));
  assert.equal(fault.code, "E_VM_TIMEOUT");
  assert.match(
    fault.message,
    /^waited 0\.2 s in vain for the end of "while .*; do sleep .*" on the console of a test$/,
  );
  assert.deepEqual(fault.details, ["the last line"]);
  writeFileSync(go, "");
  assert.equal(await console.succeed("echo early"), "early\n");
});

test("text that is no frame can be awaited", async (t) => {
  const { console, say } = await shell(t);
  await console.ready();
  const mark = console.mark();
  const login = console.waitFor(/^(\w+) login: $/, { after: mark });
  say("\nanvil login: ");
  assert.equal((await login)[1], "anvil");
  const fault = await faultOf(console.waitFor(/never/, { timeoutMs: 50 }));
  assert.equal(fault.message, "waited 0.1 s in vain for /never/ on the console of a test");
});

test("a shell that does not answer is a timeout, and one that comes late is found", async (t) => {
  const login = (flag: string): string[] => ["sh", "-c", `while [ ! -e ${flag} ]; do read -r line; done; exec sh`];
  const { console, folder } = await shell(t, { program: (folder) => login(path.join(folder, "flag")) });
  const fault = await faultOf(console.run("true", { timeoutMs: 100 }));
  assert.equal(fault.message, "waited 0.1 s in vain for a shell's answer on the console of a test");
  writeFileSync(path.join(folder, "flag"), "");
  assert.equal(await console.succeed("echo late"), "late\n");
});

test("a connection that ends is told with what ended it, and the console can be used again", async (t) => {
  const line = await shell(t);
  await line.console.ready();
  const cut = faultOf(line.console.run("sleep 100"));
  await line.console.waitFor(/_anvil_f=/); // the echo of what makes the shell run it
  line.cut();
  assert.equal((await cut).message, "the machine went away");
  assert.equal((await faultOf(line.console.run("true", { timeoutMs: 100 }))).code, "E_VM_TIMEOUT");

  const closed = await shell(t);
  await closed.console.ready();
  const pending = faultOf(closed.console.run("sleep 1"));
  closed.console.close();
  assert.equal((await pending).code, "E_CONSOLE_CLOSED");
  assert.equal(await closed.console.succeed("echo again"), "again\n");
});

test("a reset of the guest ends the command that ran there", async (t) => {
  const { console } = await shell(t);
  const fault = faultOf(console.run("sleep 100"));
  await console.waitFor(/_anvil_f=/);
  console.forget();
  assert.equal((await fault).code, "E_CONSOLE_CLOSED");
  assert.equal((await fault).message, "the guest was reset while a command ran on the console of a test");
});

test("a console that nothing serves is a fault", async (t) => {
  const console = new Console({
    label: "the console of a test",
    socket: path.join(scratch(t), "missing"),
    timeScale: 1,
    log: undefined,
    evidence: () => [],
  });
  assert.equal((await faultOf(console.run("true"))).code, "E_CONSOLE_CLOSED");
});
