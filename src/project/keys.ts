/** The key that ingots are signed with, and the keys of others. */
import { readFileSync } from "node:fs";
import { Fault, reasonOf } from "../fault/fault.ts";
import {
  keyId,
  newKey,
  parseKey,
  parsePublicKey,
  requireKey,
  saveKey,
  trustedFiles,
  trustKey,
  type KeyPaths,
  type SigningKey,
} from "../inject/key-file.ts";

export interface KeyFacts {
  readonly file: string;
  readonly id: string;
  readonly public: string;
}

/** One's own key, and those of others that new images accept. Throws E_NO_KEY, E_KEY_FORMAT, E_KEY_PERMISSIONS. */
export function keyFacts(keys: KeyPaths): KeyFacts & { readonly trusted: readonly KeyFacts[] } {
  const own = factsOf(keys.own, requireKey(keys).public);
  return { ...own, trusted: trustedFiles(keys).map((file) => factsOf(file, parsePublicKey(read(file), file))) };
}

/** Makes a key where none is. Throws E_KEY_EXISTS. */
export function makeKey(keys: KeyPaths): KeyFacts {
  return keep(newKey(), keys);
}

/**
 * Takes over a private key where none is, or accepts the public key of somebody else. Throws E_NO_SUCH_FILE, E_KEY_FORMAT,
 * E_KEY_EXISTS.
 */
export function importKey(file: string, keys: KeyPaths): KeyFacts & { readonly kind: "own" | "trusted" } {
  const text = read(file);
  if (text.includes("PRIVATE KEY")) return { kind: "own", ...keep(parseKey(text, file), keys) };
  const publicKey = parsePublicKey(text, file);
  return { kind: "trusted", ...factsOf(trustKey(publicKey, keys), publicKey) };
}

const factsOf = (file: string, publicKey: string): KeyFacts => ({ file, id: keyId(publicKey), public: publicKey });

function keep(key: SigningKey, keys: KeyPaths): KeyFacts {
  if (saveKey(key, keys) !== undefined) return factsOf(keys.own, key.public);
  throw new Fault("E_KEY_EXISTS", `there is a key in ${keys.own}`, {
    hint: "move it away first; systems that trust it accept no ingots of another one",
  });
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new Fault("E_NO_SUCH_FILE", `cannot read ${file}: ${reasonOf(cause)}`, { cause });
  }
}
