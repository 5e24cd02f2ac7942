/** Ingots made by hand, and a host that speaks the protocol of docs/ingots.md frame by frame, also wrongly. */
import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { connect, type Socket } from "node:net";
import type { Machine } from "../../src/vm/machine.ts";

export const CHUNK = 4 << 20;

/** Files with their contents; a link is `{ to }`. What ends in neither is made: the folders. */
export type Tree = Readonly<Record<string, string | Buffer | { readonly to: string }>>;

export interface IngotFields {
  readonly name?: string;
  readonly version?: string;
  readonly arch?: string;
  /** Lines between date and the first file. */
  readonly facts?: readonly string[];
  readonly tree: Tree;
}

export interface Ingot {
  readonly manifest: string;
  readonly chunks: readonly Buffer[];
  /** As on disk and screen: 32 digits. */
  readonly key: string;
  /** The head line for this manifest, signed. */
  head(by: Signer): string;
}

export interface Signer {
  readonly secret: KeyObject;
  /** 64 digits. */
  readonly publicKey: string;
}

export function newSigner(): Signer {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const der = publicKey.export({ format: "der", type: "spki" });
  return { secret: privateKey, publicKey: der.subarray(-32).toString("hex") };
}

const blake2b = (bytes: Buffer | string): string => createHash("blake2b512").update(bytes).digest("hex");

export const keyId = (publicKey: string): string => blake2b(Buffer.from(publicKey, "hex")).slice(0, 16);

export function makeIngot({ name = "demo", version = "1.0", arch = "x86_64", facts = [], tree }: IngotFields): Ingot {
  const folders = Object.keys(tree).flatMap((file) =>
    [...file.matchAll(/\//g)].map(({ index }) => file.slice(0, index)),
  );
  const lines: string[] = [];
  const contents: Buffer[] = [];
  for (const at of [...new Set([...folders, ...Object.keys(tree)])].sort(bytewise)) {
    const entry = tree[at];
    if (entry === undefined) lines.push(`dir 755 ${at}`);
    else if (typeof entry === "object" && "to" in entry) lines.push(`link ${entry.to} ${at}`);
    else {
      const content = Buffer.from(entry as Buffer);
      const mode = /^(#!|\x7fELF)/.test(content.toString("latin1", 0, 4)) ? 755 : 644;
      lines.push(`file ${mode} ${content.length} ${blake2b(content)} ${at}`);
      contents.push(content);
    }
  }
  const payload = Buffer.concat(contents);
  const pieces = Array.from({ length: Math.ceil(payload.length / CHUNK) }, (_, index) =>
    payload.subarray(index * CHUNK, (index + 1) * CHUNK),
  );
  const chunks = pieces.map(plainFrame);
  const chunkLines = chunks.map((chunk, index) => `chunk ${pieces[index]?.length} ${chunk.length} ${blake2b(chunk)}`);
  const head = ["anvil-ingot 1", `name ${name}`, `version ${version}`, `arch ${arch}`, "date 1752228000", ...facts];
  return signable([...head, ...lines, ...chunkLines, "end", ""].join("\n"), chunks);
}

/** Any text as the manifest of an ingot. */
export function signable(manifest: string, chunks: readonly Buffer[] = []): Ingot {
  const bytes = Buffer.from(manifest);
  const head = ({ secret }: Signer): string => {
    const signature = sign(null, Buffer.from(`AnvilOS ingot manifest, version 1\n${manifest}`), secret);
    return `ANVIL-INGOT 1 ${bytes.length} ${signature.toString("hex")}\n`;
  };
  return { manifest, chunks, key: blake2b(bytes).slice(0, 32), head };
}

/** The ingot as a file. */
export function ingotFile(ingot: Ingot, by: Signer): Buffer {
  return Buffer.concat([Buffer.from(ingot.head(by) + ingot.manifest), ...ingot.chunks]);
}

function bytewise(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** A zstd frame of raw blocks (RFC 8878): Node 20 has no compressor. */
function plainFrame(bytes: Buffer): Buffer {
  const BLOCK = 128 << 10;
  const parts = [Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xa0]), u32(bytes.length)];
  for (let at = 0; at < bytes.length; at += BLOCK) {
    const block = bytes.subarray(at, at + BLOCK);
    const last = at + BLOCK >= bytes.length ? 1 : 0;
    parts.push(u32(last | (block.length << 3)).subarray(0, 3), block);
  }
  return Buffer.concat(parts);
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

export interface Frame {
  readonly type: string;
  readonly body: Buffer;
}

/** What the agent answered at the end. */
export interface Outcome {
  readonly code: string | undefined;
  /** The lines of R or E. */
  readonly text: string;
  /** Texts of the frames P and L before it. */
  readonly progress: readonly string[];
  readonly lines: readonly string[];
  /** Of the frames B. */
  readonly bytes: Buffer;
}

const PATIENCE_MS = 180_000;
const GREETING_MS = 20_000;
const GREETINGS = 10;

export class Host {
  readonly #machine: Machine;
  #socket: Socket | undefined;
  #received = Buffer.alloc(0);
  #wake: (() => void) | undefined;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /**
   * A new connection and greeting; the lines of the agent's answer. Frames of an earlier connection are passed over. An
   * agent that does not answer is greeted again: it was just started, or took the greeting for the rest of a frame.
   */
  async greet(): Promise<string> {
    await this.connect();
    for (let attempt = 0; ; attempt++) {
      this.send("H", "1");
      try {
        for (;;) {
          const { type, body } = await this.#frame(GREETING_MS);
          if (type === "H") return body.toString();
        }
      } catch (error) {
        if (attempt === GREETINGS) throw error;
      }
    }
  }

  async connect(): Promise<void> {
    this.close();
    const path = this.#machine.ingot;
    assert.ok(path !== undefined);
    const socket = connect(path);
    this.#socket = socket;
    this.#received = Buffer.alloc(0);
    socket.on("data", (bytes) => {
      this.#received = Buffer.concat([this.#received, bytes]);
      this.#wake?.();
    });
    socket.on("error", () => undefined);
    await new Promise((resolve) => socket.once("connect", resolve));
  }

  close(): void {
    this.#socket?.destroy();
  }

  send(type: string, ...body: readonly (string | Buffer)[]): void {
    const bytes = Buffer.concat(body.map((part) => Buffer.from(part as Buffer)));
    this.raw(Buffer.concat([u32(bytes.length + 1), Buffer.from(type), bytes]));
  }

  raw(bytes: Buffer): void {
    this.#socket?.write(bytes);
  }

  /** The next frame but answers to greetings that were repeated. */
  async next(): Promise<Frame> {
    for (;;) {
      const frame = await this.#frame(PATIENCE_MS);
      if (frame.type !== "H") return frame;
    }
  }

  /** Rejects when no whole frame comes within the limit. */
  async #frame(limitMs: number): Promise<Frame> {
    for (;;) {
      const length = this.#received.length < 4 ? Infinity : this.#received.readUInt32LE() + 4;
      if (this.#received.length >= length) {
        const frame = { type: this.#received.toString("latin1", 4, 5), body: this.#received.subarray(5, length) };
        this.#received = this.#received.subarray(length);
        return frame;
      }
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error("the agent says nothing")), limitMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** A command other than `add`. */
  async command(text: string): Promise<Outcome> {
    this.send("C", text);
    return this.outcome();
  }

  /** Reads until R or E. */
  async outcome(): Promise<Outcome> {
    const progress: string[] = [];
    const lines: string[] = [];
    const pieces: Buffer[] = [];
    for (;;) {
      const { type, body } = await this.next();
      const text = body.toString();
      if (type === "P") progress.push(text);
      else if (type === "L") lines.push(text);
      else if (type === "B") pieces.push(body);
      else if (type === "R" || type === "E") return outcomeOf(type, text, { progress, lines, pieces });
    }
  }

  /** The command `add` with head and manifest. */
  offer(ingot: Ingot, by: Signer, allowDowngrade = false): void {
    this.send("C", allowDowngrade ? "add allow-downgrade" : "add");
    this.send("M", ingot.head(by), ingot.manifest);
  }

  /** As `offer`, and waits for the number of the first chunk that is wanted. */
  async begin(ingot: Ingot, by: Signer): Promise<number> {
    this.offer(ingot, by);
    for (;;) {
      const { type, body } = await this.next();
      if (type === "W") return body.readUInt32LE();
      assert.equal(type, "P", body.toString());
    }
  }

  /** Sends these chunks, each after the one before was acknowledged. */
  async chunks(ingot: Ingot, from: number, to: number): Promise<void> {
    for (let index = from; index < to; index++) {
      this.send("D", u32(index), ingot.chunks[index] as Buffer);
      const { type, body } = await this.next();
      assert.equal(type, "A", body.toString());
      assert.equal(body.readUInt32LE(), index);
    }
  }

  /** All of it. Chunks go out as the window allows. */
  async add(ingot: Ingot, by: Signer, allowDowngrade = false): Promise<Outcome> {
    this.offer(ingot, by, allowDowngrade);
    const progress: string[] = [];
    let [sent, window, acknowledged] = [0, 0, 0];
    for (;;) {
      const { type, body } = await this.next();
      if (type === "W")
        [sent, acknowledged, window] = [body.readUInt32LE(0), body.readUInt32LE(0), body.readUInt32LE(4)];
      else if (type === "A") acknowledged = body.readUInt32LE() + 1;
      else if (type === "P") progress.push(body.toString());
      else {
        assert.ok(type === "R" || type === "E", type);
        return outcomeOf(type, body.toString(), { progress, lines: [], pieces: [] });
      }
      for (; sent < ingot.chunks.length && sent < acknowledged + window; sent++)
        this.send("D", u32(sent), ingot.chunks[sent] as Buffer);
    }
  }
}

function outcomeOf(
  type: string,
  text: string,
  { pieces, ...said }: Pick<Outcome, "progress" | "lines"> & { readonly pieces: readonly Buffer[] },
): Outcome {
  const code = type === "E" ? /^E_\w+/.exec(text)?.[0] : undefined;
  return { code, text, ...said, bytes: Buffer.concat(pieces) };
}

/** The value of a line `word value`. */
export function value(text: string, word: string): string | undefined {
  return new RegExp(`^${word} (.*)$`, "m").exec(text)?.[1];
}
