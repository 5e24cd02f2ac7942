/**
 * Heads of entries in a tar archive, as GNU tar writes them: what GNU's, busybox' and bsd's tar read alike, names of any
 * length included. The same entry has the same bytes everywhere: owner 0, no names of owners, no time but the one given.
 */

export interface TarHead {
  /** Relative, without "." and "..", separated by "/"; a folder without a slash at its end. */
  readonly name: string;
  readonly kind: "file" | "folder" | "link";
  /** Of a file. */
  readonly executable?: boolean;
  /** Bytes of a file. */
  readonly size?: number;
  /** Of a symbolic link. */
  readonly target?: string;
  /** Seconds since 1970. */
  readonly time: number;
}

const BLOCK = 512;

/** The most bytes of a name or a target that the head itself has room for. */
const NAME_ROOM = 100;

const TYPES = { file: "0", link: "2", folder: "5", longTarget: "K", longName: "L" } as const;

/** What stands before an entry's content. */
export function tarHead({ name, kind, executable = false, size = 0, target = "", time }: TarHead): Buffer {
  const full = Buffer.from(kind === "folder" ? `${name}/` : name);
  const leads = Buffer.from(target);
  const mode = kind === "link" ? 0o777 : kind === "folder" || executable ? 0o755 : 0o644;
  return Buffer.concat([
    leads.length > NAME_ROOM ? longer(TYPES.longTarget, leads) : Buffer.alloc(0),
    full.length > NAME_ROOM ? longer(TYPES.longName, full) : Buffer.alloc(0),
    block({ name: full, mode, size, time, type: TYPES[kind], target: leads }),
  ]);
}

/** What stands behind a content of so many bytes. */
export function tarPadding(size: number): Buffer {
  return Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK);
}

/** What an archive ends with. */
export const TAR_END = Buffer.alloc(2 * BLOCK);

/** An entry that gives the next one its name or its target. */
function longer(type: string, text: Buffer): Buffer {
  const content = Buffer.concat([text, Buffer.alloc(1)]);
  const head = { name: Buffer.from("././@LongLink"), mode: 0o644, size: content.length, time: 0, type };
  return Buffer.concat([block({ ...head, target: Buffer.alloc(0) }), content, tarPadding(content.length)]);
}

interface Fields {
  readonly name: Buffer;
  readonly mode: number;
  readonly size: number;
  readonly time: number;
  readonly type: string;
  readonly target: Buffer;
}

function block({ name, mode, size, time, type, target }: Fields): Buffer {
  const head = Buffer.alloc(BLOCK);
  name.copy(head, 0, 0, NAME_ROOM);
  number(head, 100, 8, mode);
  number(head, 108, 8, 0);
  number(head, 116, 8, 0);
  number(head, 124, 12, size);
  number(head, 136, 12, time);
  head.write(" ".repeat(8), 148, "latin1");
  head.write(type, 156, "latin1");
  target.copy(head, 157, 0, NAME_ROOM);
  head.write("ustar  \0", 257, "latin1");
  const sum = head.reduce((total, byte) => total + byte, 0);
  head.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return head;
}

/** In octal digits, or where they do not do in base 256. */
function number(head: Buffer, at: number, room: number, value: number): void {
  const digits = value.toString(8).padStart(room - 1, "0");
  if (digits.length < room) {
    head.write(digits, at, "latin1");
    return;
  }
  head.writeUInt8(0x80, at);
  head.writeBigUInt64BE(BigInt(value), at + room - 8);
}
