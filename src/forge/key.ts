/** Keys: SHA-256 of canonical JSON (object members sorted by name, no white space, undefined members left out). */
import { createHash } from "node:crypto";
import type { Derivation, Digest, Key } from "../recipe/derivation.ts";

export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (value !== null && typeof value === "object") {
    const members = Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`);
    return `{${members.join(",")}}`;
  }
  return JSON.stringify(value);
}

export function sha256(bytes: string | Uint8Array): Digest {
  return createHash("sha256").update(bytes).digest("hex") as Digest;
}

/**
 * The key of a derivation. What only says where to read (URLs, the project path of a file, a display name of a pinned
 * download) is left out; a change of `engine` rebuilds everything.
 */
export function keyOf(derivation: Derivation): Key {
  return sha256(canonicalJson({ engine: 1, ...keyed(derivation) })) as string as Key;
}

function keyed(derivation: Derivation): object {
  switch (derivation.kind) {
    case "fetch":
      return derivation.sha256 === undefined
        ? { kind: "fetch", name: derivation.name, version: derivation.version }
        : { kind: "fetch", sha256: derivation.sha256 };
    case "step": {
      // proofs decide what may enter the store, so they are part of the key
      const files = derivation.files.map(({ at, sha256, executable }) => ({ at, sha256, executable }));
      return { ...derivation, licence: undefined, files };
    }
    default:
      return derivation;
  }
}
