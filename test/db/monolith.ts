/** What the tests of ANVIL-DB share: a machine that `anvil boot` started in another process, and `anvil` beside it. */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { connect } from "node:net";
import path from "node:path";
import { PassThrough, Writable } from "node:stream";
import { text } from "node:stream/consumers";
import type { TestContext } from "node:test";
import { Console } from "../../src/vm/console.ts";
import { Qmp } from "../../src/vm/qmp.ts";
import { runSession } from "../../src/vm/session.ts";
import { findMachine, type MachineState } from "../../src/vm/state.ts";
import { monolith } from "../boot/monolith.ts";
import { project } from "../this-project.ts";

const anvil = path.join(project.root, "bin/anvil");
const LONG = { timeoutMs: 600_000 };

/** Of PostgreSQL in the channel that is tested. */
export async function majorVersion(): Promise<number> {
  const { channel } = await project.selectChannel("auto");
  return Number.parseInt(channel.components["postgresql"]?.version ?? "", 10);
}

export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A person at a terminal, with a program of the Monolith. */
export class Terminal {
  readonly ended: Promise<number>;
  readonly #input = new PassThrough();
  readonly #limit: number;
  #written = "";
  #seen = 0;
  #wake = (): void => undefined;

  constructor({ console: socket = "", session = "", timeScale }: MachineState, command: string) {
    const console = new Console({ label: "the console", timeScale, evidence: () => [], log: undefined, socket });
    const output = new Writable({
      write: (bytes: Buffer, _encoding, done) => {
        this.#written += bytes.toString("latin1");
        this.#wake();
        done();
      },
    });
    this.#limit = LONG.timeoutMs * timeScale;
    this.ended = runSession({
      shell: (text) => console.succeed(text),
      socket: session,
      command,
      input: this.#input,
      output,
    }).finally(() => console.close());
  }

  type(keys: string): void {
    this.#input.write(keys);
  }

  /** Waits until the program has written this, after what was awaited before. */
  async await(said: string): Promise<void> {
    let fail: (error: unknown) => void = () => undefined;
    const failed = new Promise<never>((_resolve, reject) => (fail = reject));
    failed.catch(() => undefined);
    const missing = (): void =>
      fail(new Error(`"${said}" did not come after ${JSON.stringify(this.#written.slice(this.#seen))}`));
    const timer = setTimeout(missing, this.#limit);
    this.ended.then(missing, fail);
    try {
      while (!this.#written.includes(said, this.#seen))
        await Promise.race([failed, new Promise<void>((resolve) => (this.#wake = resolve))]);
    } finally {
      clearTimeout(timer);
    }
    this.#seen = this.#written.indexOf(said, this.#seen) + said.length;
  }
}

export class Monolith {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;

  private constructor(name: string, child: ChildProcess, ended: Promise<number | null>) {
    this.name = name;
    this.#child = child;
    this.#ended = ended;
  }

  /** Boots the ISO, or the disk when a system is installed on it. The machine has ended when the test has. */
  static async boot(t: TestContext, name: string, args: readonly string[] = []): Promise<Monolith> {
    const { iso } = await monolith();
    const child = spawn(process.execPath, [anvil, "boot", "--iso", iso, "--name", name, "--memory", "2048", ...args]);
    t.after(() => child.kill("SIGKILL"));
    const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
    await new Promise<void>((resolve, reject) => {
      child.stdout.on("data", (bytes: Buffer) => bytes.includes("[serial port of") && resolve());
      void ended.then((status) => reject(new Error(`anvil boot ended with ${status}`)));
    });
    return new Monolith(name, child, ended);
  }

  /** A root shell's output. The line is free for others afterwards. */
  async inside(command: string): Promise<string> {
    const { console: socket = "", timeScale } = await findMachine(project.store.paths.top, this.name);
    const console = new Console({ label: "the console", timeScale, evidence: () => [], log: undefined, socket });
    try {
      return (await console.succeed(`. /etc/profile; ${command}`, LONG)).trim();
    } finally {
      console.close();
    }
  }

  /** The line of `inside` is taken until it has ended. */
  async terminal(command: string): Promise<Terminal> {
    return new Terminal(await findMachine(project.store.paths.top, this.name), command);
  }

  async run(args: readonly string[], input = ""): Promise<Ended> {
    const end = args.indexOf("--");
    const own = end === -1 ? args : args.slice(0, end);
    const others = end === -1 ? [] : args.slice(end);
    const child = spawn(process.execPath, [anvil, ...own, "--machine", this.name, ...others]);
    const status = new Promise<number | null>((resolve) => child.on("close", resolve));
    child.stdin.end(input);
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
    return { status: await status, stdout, stderr };
  }

  async succeed(...args: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await this.run(args);
    assert.equal(status, 0, `${args.join(" ")}\n${stdout}\n${stderr}`);
    return stdout.trim();
  }

  async refused(code: string, ...args: readonly string[]): Promise<void> {
    const { status, stderr } = await this.run(args);
    assert.match(stderr, new RegExp(`^${code} {2}`), args.join(" "));
    assert.equal(status, code === "E_USAGE" ? 2 : 1);
  }

  /** Bare values. */
  async sql(cluster: string, command: string): Promise<string> {
    const { status, stdout, stderr } = await this.run(
      ["db", "psql", cluster, "--", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1"],
      command,
    );
    assert.equal(status, 0, `${command}\n${stdout}\n${stderr}`);
    return stdout.trim();
  }

  /** The number, outside of its own namespace, of the first process of a cluster's server. */
  async server(cluster: string): Promise<string> {
    const lines = [
      `set -- $(cat /run/anvil-db/.service/${cluster}/supervise/pid)`,
      // the first process of the namespace, then the server, which it started first
      "for generation in 1 2; do set -- $(pgrep -o -P $1); done",
      "echo $1",
    ];
    return this.inside(lines.join("\n"));
  }

  /** What a program prints that a superuser has the server of a cluster run. */
  async program(cluster: string, script: string): Promise<string> {
    const said = "create temp table said (line text); copy said from program $program$ { ";
    const end = "\n} 2>&1; true $program$ (format csv, delimiter e'\\x01', quote e'\\x02'); select * from said";
    return this.sql(cluster, said + script + end);
  }

  /** A port of this host that leads to one in the machine. */
  async forward(port: number): Promise<number> {
    const { qmp } = await findMachine(project.store.paths.top, this.name);
    const socket = connect(qmp);
    await new Promise((resolve) => socket.once("connect", resolve));
    const control = await Qmp.over(socket, 60_000);
    await control.human(`hostfwd_add tcp:127.0.0.1:0-:${port}`);
    const forwards = await control.human("info usernet");
    socket.destroy();
    const [, here] =
      new RegExp(`TCP\\[HOST_FORWARD\\]\\s+\\d+\\s+127\\.0\\.0\\.1\\s+(\\d+)\\s+\\S+\\s+${port}`).exec(forwards) ?? [];
    assert.ok(here !== undefined, forwards);
    return Number(here);
  }

  /** As a power cut does. */
  async kill(): Promise<void> {
    process.kill((await findMachine(project.store.paths.top, this.name)).process.pid, "SIGKILL");
    await this.#ended;
  }

  async powerOff(): Promise<void> {
    this.#child.stdin?.write("\x1d");
    assert.equal(await this.#ended, 0);
  }
}
