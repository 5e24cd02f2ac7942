/** A person's session with a program of the guest, on the second virtio console. A shell on the first one starts it. */
import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { Fault } from "../fault/fault.ts";

const TTY = "/dev/hvc1";
/** Process id of the session's shell, so that the next session can end one whose host has gone. */
const PID_FILE = "/run/anvil/session.pid";

export interface SessionOptions {
  /** Runs text of shell on the first console; throws when its status is not 0. That console is free in between. */
  readonly shell: (text: string) => Promise<unknown>;
  /** Path of the unix socket of the second console. */
  readonly socket: string;
  /** Text of shell. */
  readonly command: string;
  readonly input: Readable & { setRawMode?(raw: boolean): unknown };
  readonly output: Writable & { readonly rows?: number; readonly columns?: number };
}

/**
 * Joins a terminal to a program; the terminal is raw meanwhile, and as before afterwards. Resolves with the program's
 * exit status. Throws what `shell` throws, E_CONSOLE_CLOSED when the machine ends meanwhile.
 */
export async function runSession({ shell, socket, command, input, output }: SessionOptions): Promise<number> {
  const marker = randomBytes(12).toString("hex");
  const line = await connected(socket);
  const size = (): string => `stty -F ${TTY} rows ${orElse(output.rows, 24)} cols ${orElse(output.columns, 80)}`;
  const resize = (): void => void shell(size()).catch(() => undefined);
  const type = (bytes: Buffer | string): void => void line.write(bytes);
  const restore = (): void => void input.setRawMode?.(false);
  try {
    const ended = follow(line, marker, (bytes) => output.write(bytes));
    // what waits for the start below must not be reported as unhandled
    ended.catch(() => undefined);
    await shell(start(command, marker, size()));
    input.setRawMode?.(true);
    process.on("exit", restore);
    input.on("data", type);
    output.on("resize", resize);
    return await ended;
  } finally {
    restore();
    process.off("exit", restore);
    input.off("data", type);
    input.pause();
    output.off("resize", resize);
    line.destroy();
  }
}

/** The program has the terminal as its own; markers around what it writes are written by its shell, never typed. */
function start(command: string, marker: string, size: string): string {
  const term = (process.env["TERM"] ?? "vt100").replace(/[^\w.-]/g, "");
  const script = `\
echo $$ >${PID_FILE}
exec <${TTY} >${TTY} 2>&1
stty sane
${size}
export TERM=${term === "" ? "vt100" : term} HOME=/root
printf '${marker}('
(${command})
printf '${marker})%s;' $?
rm -f ${PID_FILE}`;
  const quoted = `'${script.replaceAll("'", `'\\''`)}'`;
  return `[ -c ${TTY} ] || exit 1
[ ! -e ${PID_FILE} ] || kill -HUP -$(cat ${PID_FILE}) 2>/dev/null
. /etc/profile
setsid sh -c ${quoted} >/dev/null 2>&1 </dev/null &`;
}

/** Passes on what comes between the markers; the status that stands after the second one. */
function follow(line: Socket, marker: string, show: (bytes: Buffer) => void): Promise<number> {
  const [begin, end] = [Buffer.from(`${marker}(`), Buffer.from(`${marker})`)];
  let rest: Buffer = Buffer.alloc(0);
  let begun = false;
  return new Promise((resolve, reject) => {
    line.on("data", (bytes) => {
      rest = Buffer.concat([rest, bytes]);
      if (!begun) {
        const at = rest.indexOf(begin);
        if (at === -1) return;
        begun = true;
        rest = rest.subarray(at + begin.length);
      }
      const at = rest.indexOf(end);
      // the beginning of the marker may be what came last
      const whole = at === -1 ? rest.length - partOf(rest, end) : at;
      if (whole > 0) show(rest.subarray(0, whole));
      rest = rest.subarray(whole);
      const status = /^(\d+);/.exec(rest.subarray(end.length).toString("latin1"))?.[1];
      if (at !== -1 && status !== undefined) resolve(Number(status));
    });
    line.on("close", () => reject(new Fault("E_CONSOLE_CLOSED", "the machine has ended, or the session's console")));
  });
}

/** A terminal that does not know its size says 0. */
function orElse(size: number | undefined, usual: number): number {
  return size === undefined || size === 0 ? usual : size;
}

/** How many bytes at the end of `text` are the beginning of `marker`. */
function partOf(text: Buffer, marker: Buffer): number {
  for (let length = Math.min(text.length, marker.length - 1); length > 0; length--)
    if (text.subarray(text.length - length).equals(marker.subarray(0, length))) return length;
  return 0;
}

function connected(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once("connect", () => resolve(socket));
    socket.once("error", () => reject(new Fault("E_CONSOLE_CLOSED", "nothing serves the session's console")));
  });
}
