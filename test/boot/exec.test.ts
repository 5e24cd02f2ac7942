/** `anvil-exec` and the host's side of it, over pipes as with SSH: bytes, streams, signals, and lines that break. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import path from "node:path";
import { PassThrough, Readable, Writable } from "node:stream";
import { test, type TestContext } from "node:test";
import { anvilExec } from "../../recipes/anvil-exec.ts";
import { carry } from "../../src/inject/exec.ts";
import type { Transport } from "../../src/inject/transport.ts";
import { Fault } from "../../src/fault/fault.ts";
import { output, scratch } from "./monolith.ts";

const TOKEN = "0123456789abcdef";

/** All that was written, or only its hash. */
class Sink extends Writable {
  readonly hash = createHash("sha256");
  bytes = 0;
  text = "";
  #wake = (): void => undefined;

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.hash.update(chunk);
    this.bytes += chunk.length;
    if (this.bytes < 1 << 16) this.text += chunk.toString("latin1");
    this.#wake();
    done();
  }

  async until(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.text)) await new Promise<void>((resolve) => (this.#wake = resolve));
  }
}

interface Line extends Transport {
  /** As when the host is gone: nothing is said any more. */
  cut(): void;
  readonly ended: Promise<number | null>;
}

async function line(t: TestContext, command: string, stale = ""): Promise<Line> {
  const program = path.join(await output(anvilExec), "usr/sbin/anvil-exec");
  const child = spawn("/bin/sh", ["-c", `printf '${stale}'; exec "$@"`, "sh", program, "--stdio", TOKEN, command], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  t.after(() => child.kill("SIGKILL"));
  child.stdin.on("error", () => undefined);
  const cut = (): void => {
    child.stdin.destroy();
    child.stdout.destroy();
  };
  const ended = once(child, "exit").then(([status]) => status as number | null);
  const whyEnded = (): Promise<Fault> => Promise.resolve(new Fault("E_EXEC_LOST", "the line has ended"));
  return { input: child.stdout, output: child.stdin, whyEnded, close: cut, cut, ended };
}

interface Running {
  readonly status: Promise<number>;
  readonly out: Sink;
  readonly errors: Sink;
}

function run(transport: Transport, input: Readable): Running {
  const [out, errors] = [new Sink(), new Sink()];
  const status = carry({ transport, token: TOKEN, patience: 60_000, to: "it", input, output: out, errors });
  status.catch(() => undefined);
  return { status, out, errors };
}

const nothing = (): Readable => Readable.from([]);

test("64 MB of any bytes go in and come back unchanged", async (t) => {
  const SIZE = 64 << 20;
  const block = randomBytes(1 << 20);
  const sent = createHash("sha256");
  const input = Readable.from(
    (function* () {
      for (let at = 0; at < SIZE; at += block.length) {
        block.writeUInt32LE(at, 0);
        const piece = Buffer.from(block);
        sent.update(piece);
        yield piece;
      }
    })(),
  );
  const { status, out } = run(await line(t, "cat"), input);
  assert.equal(await status, 0);
  assert.equal(out.bytes, SIZE);
  assert.equal(out.hash.digest("hex"), sent.digest("hex"));
});

test("output comes before the input has ended, errors are apart, and the status is the command's", async (t) => {
  const input = new PassThrough();
  const { status, out, errors } = run(
    await line(t, "read word; echo got $word; echo complaint >&2; cat; exit 7", "rest of an earlier host\\000H"),
    input,
  );
  input.write("first\n");
  await out.until(/^got first\n$/);
  input.end("last");
  assert.equal(await status, 7);
  assert.deepEqual([out.text, errors.text], ["got first\nlast", "complaint\n"]);
});

test("a command that ends does not wait for its input, nor for what it left in the background", async (t) => {
  const { status, out } = run(await line(t, "sleep 1000 & echo done"), new PassThrough());
  assert.equal(await status, 0);
  assert.equal(out.text, "done\n");
});

test("a command that reads nothing takes no more input than the window", async (t) => {
  let taken = 0;
  const input = new Readable({
    read() {
      taken += 1 << 16;
      this.push(Buffer.alloc(1 << 16));
    },
  });
  const { status, out } = run(
    await line(t, "trap 'exit 3' INT; exec 0<&-; echo up; while :; do sleep 0.1; done"),
    input,
  );
  await out.until(/up/);
  process.emit("SIGINT", "SIGINT");
  assert.equal(await status, 3);
  assert.ok(taken < 4 << 20, String(taken));
});

test("a signal reaches the command though its input is full", async (t) => {
  const input = Readable.from(
    (function* () {
      for (;;) yield Buffer.alloc(1 << 16);
    })(),
  );
  const { status, errors } = run(
    await line(t, "trap 'echo caught >&2; exit 5' INT; echo up >&2; while :; do sleep 0.1; done"),
    input,
  );
  await errors.until(/up/);
  process.emit("SIGINT", "SIGINT");
  assert.equal(await status, 5);
  assert.equal(errors.text, "up\ncaught\n");
});

test("a line that breaks is not the end of the input: the command is interrupted", async (t) => {
  const file = path.join(scratch(t), "what");
  const there = await line(
    t,
    `trap 'echo interrupted >${file}; exit 1' INT; echo up; while read -r word; do :; done; echo complete >${file}`,
  );
  const { status, out } = run(
    there,
    Readable.from(["one\n"]).on("end", () => undefined),
  );
  void status;
  await out.until(/up/);
  // a host that was killed has not said that its input ended
  there.cut();
  assert.equal(await there.ended, 1);
  assert.equal(readFileSync(file, "utf8"), "interrupted\n");
});

test("when nobody reads the output any more the command learns it", async (t) => {
  const reader = new Writable({
    write(_chunk, _encoding, done) {
      done(Object.assign(new Error("broken pipe"), { code: "EPIPE" }));
    },
  });
  const transport = await line(t, "while :; do echo word; done");
  const status = carry({
    transport,
    token: TOKEN,
    patience: 60_000,
    to: "it",
    input: nothing(),
    output: reader,
    errors: new Sink(),
  });
  assert.equal(await status, 128 + 13);
});

test("input that cannot be read is no end of it", async (t) => {
  const input = new Readable({
    read() {
      this.destroy(new Error("EISDIR"));
    },
  });
  const { status } = run(await line(t, "trap 'exit 9' INT; cat >/dev/null; exit 0"), input);
  await assert.rejects(status, { code: "E_NO_SUCH_FILE" });
});
