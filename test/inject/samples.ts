/** Ingots for the tests: made by hand, of bytes that are no zstd frames, which the host does not look into. */
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { newKey } from "../../src/inject/key-file.ts";
import { Ingot } from "../../src/inject/ingot-file.ts";
import { blake2b, CHUNK_SIZE, writeManifest, type Manifest } from "../../src/inject/manifest.ts";

export const signer = newKey();

/** Stored bytes of the chunks. */
export const storedChunks = ["first", "the second", "and the third"].map((text) => Buffer.from(text));

const hash = blake2b(Buffer.from("anything"));

export const sampleManifest: Manifest = {
  name: "sample",
  version: "1.2~rc3",
  arch: "x86_64",
  date: 1_700_000_000,
  needs: [
    { ingot: "other", atLeast: "4.4" },
    { ingot: "third", atLeast: undefined },
  ],
  services: ["clock"],
  health: { seconds: 30, program: "usr/bin/check" },
  data: true,
  proofs: ["static-PIE ELF with RELRO: usr/bin/*", "runs: usr/bin/check =~ /^fine$/"],
  entries: [
    { kind: "dir", path: "service" },
    { kind: "dir", path: "service/clock" },
    { kind: "file", path: "service/clock/run", executable: true, size: 100, hash },
    { kind: "dir", path: "usr" },
    { kind: "dir", path: "usr/bin" },
    { kind: "file", path: "usr/bin-2", executable: false, size: 0, hash },
    { kind: "file", path: "usr/bin/check", executable: true, size: 2 * CHUNK_SIZE, hash },
    { kind: "link", path: "usr/bin/tab\t", target: "../a b%" },
  ],
  chunks: storedChunks.map((bytes, index) => ({
    size: index < 2 ? CHUNK_SIZE : 100,
    stored: bytes.length,
    hash: blake2b(bytes),
  })),
};

/** Writes a body into a folder, as a recipe has it in its output. */
export function writeBody(folder: string, manifest = sampleManifest): string {
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, "manifest"), writeManifest(manifest));
  writeFileSync(path.join(folder, "payload"), Buffer.concat(storedChunks));
  return folder;
}

export function sampleIngot(folder: string): Promise<Ingot> {
  return Ingot.ofBody(writeBody(folder), signer);
}
