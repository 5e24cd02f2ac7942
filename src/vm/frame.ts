/**
 * How a command goes to a shell on a terminal, and how its answer comes back. The command goes in as base64 in short
 * lines; it runs in a subshell with an empty standard input; output and status come back as base64 between markers:
 *
 *     <m1><m2>:<length>:<base64 of output, newline, status>:<m2><m1>
 *
 * A terminal's echo never holds a whole marker, because the halves stand apart in what is sent. Kernel messages hold a
 * bracketed time stamp, which a frame never does, and are cut out. What slips through fails the length.
 * Needs of the guest: a POSIX shell and `base64` with `-d` and `-w 0`, as busybox and coreutils have it.
 */
import { randomBytes } from "node:crypto";

export interface CommandResult {
  /** Exit status, 128 + signal for a killed command. */
  readonly status: number;
  /** Standard output and standard error as they came, UTF-8, line ends as the command wrote them. */
  readonly output: string;
}

/** Two random halves of a marker. */
export type Halves = readonly [string, string];

/** A terminal's line holds 4095 characters (N_TTY_BUF_SIZE in the kernel's drivers/tty/n_tty.c). */
const CHUNK = 1024;

export function newHalves(): Halves {
  return [randomBytes(6).toString("hex"), randomBytes(6).toString("hex")];
}

/** The lines that make a shell run `command` and send the frame. */
export function commandLines(command: string, halves: Halves): string {
  const encoded = Buffer.from(command).toString("base64");
  const lines = ["_anvil_c="];
  for (let at = 0; at < encoded.length; at += CHUNK)
    lines.push(`_anvil_c=\${_anvil_c}${encoded.slice(at, at + CHUNK)}`);
  lines.push(
    `_anvil_f=$( { (eval "$(printf %s "$_anvil_c" | base64 -d)") </dev/null 2>&1; printf '\\n%s' "$?"; } | base64 -w 0)`,
    repeatLine(halves),
  );
  return lines.join("\n") + "\n";
}

/** The line that makes the shell send the frame of its last command, once more if need be. */
export function repeatLine([first, second]: Halves): string {
  return `printf '\\n%s%s:%s:%s:%s%s\\n' ${first} ${second} "\${#_anvil_f}" "$_anvil_f" ${second} ${first}\n`;
}

/** Lines that quieten a terminal's echo and prompts and answer with the marker on a line. */
export function greetingLine([first, second]: Halves): string {
  return `\nstty -echo 2>/dev/null; PS1=; PS2=; printf '\\n%s%s\\n' ${first} ${second}\n`;
}

/** How much of what came last must be shown to `endsFrame`: a marker, cut apart by the longest kernel messages. */
export const END_WINDOW = 8192;

/** True when the end of a frame is in `recent`. */
export function endsFrame(recent: string, halves: Halves): boolean {
  return withoutKernel(recent).includes(endMarker(halves));
}

function endMarker([first, second]: Halves): string {
  return second + first;
}

/** Cuts out kernel messages (`[   12.345678] text`) and line ends, but no blanks: they keep an echo from being a marker. */
function withoutKernel(received: string): string {
  return received.replace(/\[ *\d+\.\d+\][^\n]*(?:\n|$)/g, "").replace(/[\r\n]/g, "");
}

/**
 * Reads the last frame in `received`, one character per byte, which holds its end marker. Undefined when the frame is
 * damaged.
 */
export function readFrame(received: string, halves: Halves): CommandResult | undefined {
  const clean = withoutKernel(received);
  const end = clean.lastIndexOf(endMarker(halves));
  const begin = clean.lastIndexOf(halves.join(""), end - 1);
  if (begin === -1 || end === -1) return undefined;
  const body = clean.slice(begin + halves.join("").length, end);
  const [, length, encoded] = /^:(\d+):([A-Za-z0-9+/]*=*):$/.exec(body) ?? [];
  if (encoded === undefined || encoded.length !== Number(length)) return undefined;
  const bytes = Buffer.from(encoded, "base64");
  const cut = bytes.lastIndexOf("\n");
  const status = bytes.toString("latin1", cut + 1);
  return cut === -1 || !/^\d+$/.test(status)
    ? undefined
    : { status: Number(status), output: bytes.toString("utf8", 0, cut) };
}
