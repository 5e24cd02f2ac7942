/** Source archives for tests: made here, pinned in a channel, served by the test. */
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import type { Component } from "../../src/recipe/channel.ts";
import { buildTar, type TarItem } from "../format/tar-builder.ts";

export interface Source {
  readonly bytes: Buffer;
  /** Below a mirror's root. */
  readonly archive: string;
  readonly pin: Component & { readonly sha256: string };
}

export const sha256Of = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

/** The pin of bytes that are called `pool/<name>.orig.tar.gz`. */
export function sourceOf(name: string, bytes: Buffer): Source {
  const archive = `pool/${name}_1.0.orig.tar.gz`;
  const sha256 = sha256Of(bytes);
  return {
    bytes,
    archive,
    pin: { version: "1.0", archive, sha256, size: bytes.length, verified: "recorded", licence: "0BSD" },
  };
}

/** A compressed archive with the items below one top folder, as upstream makes them. */
export async function tarball(name: string, items: readonly TarItem[]): Promise<Source> {
  const top = { name: `${name}-1.0/`, type: "directory" as const };
  const inside = items.map((item) => ({ ...item, name: `${name}-1.0/${item.name}` }));
  return sourceOf(name, gzipSync(await buildTar([top, ...inside])));
}
