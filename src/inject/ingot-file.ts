/** Signed ingots: a body from the store with a fresh signature, or an ingot file. docs/ingots.md, "The file". */
import { open, rename, rm, type FileHandle } from "node:fs/promises";
import path from "node:path";
import { errno, Fault, reasonOf } from "../fault/fault.ts";
import { draftOf } from "../host/replace-file.ts";
import type { SigningKey } from "./key-file.ts";
import { blake2b, ingotKey, MANIFEST_LIMIT, parseManifest, type Manifest } from "./manifest.ts";

const HEAD = /^ANVIL-INGOT 1 ([1-9][0-9]{0,7}) ([0-9a-f]{128})\n/;
const LONGEST_HEAD = 160;

export class Ingot {
  readonly manifest: Manifest;
  /** The manifest as it is signed. */
  readonly bytes: Buffer;
  readonly signature: string;
  /** 64 hex digits. */
  readonly key: string;
  /** Bytes of all chunks as stored. */
  readonly stored: number;
  readonly #payload: FileHandle;
  readonly #label: string;
  /** Where each chunk begins in the file. */
  readonly #offsets: readonly number[];

  private constructor(bytes: Buffer, signature: string, payload: FileHandle, start: number, label: string) {
    this.manifest = parseManifest(bytes);
    this.bytes = bytes;
    this.signature = signature;
    this.key = ingotKey(bytes);
    this.#payload = payload;
    this.#label = label;
    const offsets: number[] = [];
    let end = start;
    for (const { stored } of this.manifest.chunks) {
      offsets.push(end);
      end += stored;
    }
    this.#offsets = offsets;
    this.stored = end - start;
  }

  /** Signs a body: a folder with `manifest` and `payload`. */
  static async ofBody(folder: string, key: SigningKey): Promise<Ingot> {
    const manifest = await readAll(path.join(folder, "manifest"));
    return Ingot.#over(path.join(folder, "payload"), (payload, file) =>
      Promise.resolve(new Ingot(manifest, key.sign(manifest), payload, 0, file)),
    );
  }

  /** Opens an ingot file. Throws E_NO_SUCH_FILE, E_INGOT_FILE when it is none or not whole, E_INGOT_MANIFEST. */
  static ofFile(file: string): Promise<Ingot> {
    return Ingot.#over(file, async (handle) => {
      const start = Buffer.alloc(LONGEST_HEAD);
      await handle.read(start, 0, LONGEST_HEAD, 0);
      const [line, length, signature] = HEAD.exec(start.toString("latin1")) ?? [];
      if (line === undefined || signature === undefined || Number(length) > MANIFEST_LIMIT)
        throw new Fault("E_INGOT_FILE", `${file} is no ingot`, {
          hint: "`anvil ingot export <name>` makes one of what `anvil inject` knows",
        });
      const bytes = await readExactly(handle, Number(length), line.length, file);
      return new Ingot(bytes, signature, handle, line.length + bytes.length, file);
    });
  }

  static async #over(file: string, make: (handle: FileHandle, file: string) => Promise<Ingot>): Promise<Ingot> {
    const handle = await openFile(file);
    try {
      if (!(await handle.stat()).isFile()) throw new Fault("E_INGOT_FILE", `${file} is not a file`);
      const ingot = await make(handle, file);
      await ingot.#checkLength();
      return ingot;
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  async #checkLength(): Promise<void> {
    const { size } = await this.#payload.stat();
    const whole = (this.#offsets[0] ?? 0) + this.stored;
    if (size !== whole)
      throw new Fault("E_INGOT_FILE", `${this.#label} has ${size} bytes instead of ${whole}`, {
        hint: "it was not copied whole: copy or export it again",
      });
  }

  /** `tools-1.10.0-0123456789ab.ingot` */
  get fileName(): string {
    const { name, version } = this.manifest;
    return `${name}-${version}-${this.key.slice(0, 12)}.ingot`;
  }

  /** The first line of the file and the manifest: what is sent first. */
  get head(): Buffer {
    const line = `ANVIL-INGOT 1 ${this.bytes.length} ${this.signature}\n`;
    return Buffer.concat([Buffer.from(line), this.bytes]);
  }

  /** The stored bytes of a chunk, after a look at their hash. Throws E_INGOT_CHUNK. */
  async chunk(index: number): Promise<Buffer> {
    const { stored, hash } = this.manifest.chunks[index] as Manifest["chunks"][number];
    const bytes = await readExactly(this.#payload, stored, this.#offsets[index] as number, this.#label);
    if (blake2b(bytes) === hash) return bytes;
    throw new Fault("E_INGOT_CHUNK", `chunk ${index} in ${this.#label} is damaged`, {
      hint: "copy or export it again; `anvil verify` looks for damage in the store",
    });
  }

  /** Writes the ingot file, whole or not at all. */
  async writeTo(file: string, signal: AbortSignal): Promise<void> {
    const draft = draftOf(file);
    try {
      const to = await openFile(draft, "wx");
      try {
        await to.appendFile(this.head);
        for (const index of this.manifest.chunks.keys()) {
          if (signal.aborted) throw new Fault("E_INTERRUPTED", "interrupted");
          await to.appendFile(await this.chunk(index));
        }
        await to.sync();
      } finally {
        await to.close();
      }
      await rename(draft, file);
    } finally {
      await rm(draft, { force: true });
    }
  }

  close(): Promise<void> {
    return this.#payload.close();
  }
}

async function openFile(file: string, flags = "r"): Promise<FileHandle> {
  try {
    return await open(file, flags);
  } catch (cause) {
    throw new Fault("E_NO_SUCH_FILE", `cannot open ${file}: ${reasonOf(cause)}`, { cause });
  }
}

async function readAll(file: string): Promise<Buffer> {
  const handle = await openFile(file);
  try {
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}

async function readExactly(handle: FileHandle, length: number, position: number, label: string): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  for (let at = 0; at < length;) {
    const { bytesRead } = await handle.read(bytes, at, length - at, position + at).catch((cause: unknown) => {
      throw errno(cause) === undefined ? cause : new Fault("E_INGOT_FILE", `cannot read ${label}`, { cause });
    });
    if (bytesRead === 0)
      throw new Fault("E_INGOT_FILE", `${label} ends too early`, { hint: "copy or export it again" });
    at += bytesRead;
  }
  return bytes;
}
