/**
 * The pair of ed25519 keys (RFC 8032) that ingots are signed with. The private one is a PKCS #8 PEM file that only its
 * owner can read; a public one is written as 64 hex digits and a newline, as the Monolith has it in /etc/anvil/trust.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify, type KeyObject } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { errno, Fault, reasonOf } from "../fault/fault.ts";
import { makeFolder } from "../host/make-folder.ts";
import { createFile, replaceFile } from "../host/replace-file.ts";
import { blake2b } from "./manifest.ts";

export interface KeyPaths {
  /** The private key. */
  readonly own: string;
  /** True when the user has named it: then it is never made. */
  readonly named: boolean;
  /** Public keys of others, `<name>.pub`, whose ingots are accepted too. */
  readonly trusted: string;
  /** SSH public keys of those who may log in to new systems. */
  readonly logins: string;
}

/** `ANVIL_KEY`, else below `$XDG_CONFIG_HOME/anvil` or `~/.config/anvil`. */
export function keyPaths(env: Readonly<Record<string, string | undefined>>, home: string): KeyPaths {
  const folder = path.resolve(env["XDG_CONFIG_HOME"] || path.join(home, ".config"), "anvil");
  const named = env["ANVIL_KEY"] ?? "";
  return {
    own: named === "" ? path.join(folder, "ingot-key.pem") : path.resolve(named),
    named: named !== "",
    trusted: path.join(folder, "trust"),
    logins: path.join(folder, "authorized_keys"),
  };
}

export class SigningKey {
  /** 64 hex digits. */
  readonly public: string;
  readonly #private: KeyObject;

  constructor(key: KeyObject) {
    this.#private = key;
    // the last 32 bytes of a SubjectPublicKeyInfo are the key itself, RFC 8410
    this.public = createPublicKey(key).export({ type: "spki", format: "der" }).subarray(-32).toString("hex");
  }

  /** Signature of a manifest, 128 hex digits. */
  sign(manifest: Uint8Array): string {
    return sign(null, signedText(manifest), this.#private).toString("hex");
  }

  get pem(): string {
    return this.#private.export({ type: "pkcs8", format: "pem" }).toString();
  }
}

/** What a signature covers: a sentence that says what for, and the manifest. */
export function signedText(manifest: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from("AnvilOS ingot manifest, version 1\n"), manifest]);
}

export function isSignedBy(publicKey: string, manifest: Uint8Array, signature: string): boolean {
  const der = Buffer.from(`302a300506032b6570032100${publicKey}`, "hex");
  const key = createPublicKey({ key: der, format: "der", type: "spki" });
  return verify(null, signedText(manifest), key, Buffer.from(signature, "hex"));
}

/** How a public key is called: 16 hex digits of its hash. */
export function keyId(publicKey: string): string {
  return blake2b(Buffer.from(publicKey, "hex")).slice(0, 16);
}

export function newKey(): SigningKey {
  return new SigningKey(generateKeyPairSync("ed25519").privateKey);
}

/** Undefined when there is none. Throws E_KEY_PERMISSIONS and E_KEY_FORMAT, and E_NO_KEY for a named one. */
export function readKey({ own, named }: KeyPaths): SigningKey | undefined {
  try {
    refuseExposed(own);
    return parseKey(readFileSync(own, "utf8"), own);
  } catch (error) {
    if (errno(error) !== "ENOENT") throw error instanceof Fault ? error : unreadable(own, error);
    if (named) throw new Fault("E_NO_KEY", `there is no ${own}`, { hint: "correct ANVIL_KEY" });
    return undefined;
  }
}

/** The key. Throws E_NO_KEY when there is none. */
export function requireKey(paths: KeyPaths): SigningKey {
  const key = readKey(paths);
  if (key !== undefined) return key;
  throw new Fault("E_NO_KEY", "you have no key to sign ingots with", {
    hint: "`anvil forge` makes one with the ISO that accepts its ingots; `anvil key new` makes one alone",
  });
}

/** The key, made if there is none yet. Two processes that make it at once get the same one. */
export function ensureKey(paths: KeyPaths): SigningKey {
  return readKey(paths) ?? saveKey(newKey(), paths) ?? ensureKey(paths);
}

/** Writes a key where none is; undefined when there is one. */
export function saveKey(key: SigningKey, { own }: KeyPaths): SigningKey | undefined {
  try {
    makeFolder(path.dirname(own), 0o700);
    return createFile(own, key.pem, { mode: 0o600, flush: true }) ? key : undefined;
  } catch (error) {
    throw unreadable(own, error);
  }
}

/** Throws E_KEY_FORMAT for what is not an ed25519 key. */
export function parseKey(pem: string, file: string): SigningKey {
  let key: KeyObject | undefined;
  try {
    key = createPrivateKey(pem);
  } catch {
    // said below
  }
  if (key?.asymmetricKeyType === "ed25519") return new SigningKey(key);
  throw new Fault("E_KEY_FORMAT", `${file} holds no private ed25519 key`, {
    details: [key === undefined ? "expected a PEM file with PKCS #8" : `it is of type ${key.asymmetricKeyType}`],
    hint: "restore it, or move it away: `anvil key new` makes another, which only ISOs forged with it accept",
  });
}

function refuseExposed(file: string): void {
  const { mode, uid } = statSync(file);
  const user = process.getuid?.() ?? uid;
  if ((mode & 0o077) === 0 && uid === user) return;
  const why = uid === user ? `its mode is ${(mode & 0o777).toString(8).padStart(4, "0")}` : `user ${uid} owns it`;
  throw new Fault("E_KEY_PERMISSIONS", `others than you can use the key in ${file}`, {
    details: [why],
    hint: `chmod 600 ${file}   and a new key if it may have been read`,
  });
}

function unreadable(file: string, cause: unknown): Fault {
  return new Fault("E_KEY_PERMISSIONS", `${file} cannot be read or written: ${reasonOf(cause)}`, {
    hint: "correct its permissions, or name another file with ANVIL_KEY",
    cause,
  });
}

/** A public key's text: 64 hex digits. Throws E_KEY_FORMAT. */
export function parsePublicKey(text: string, file: string): string {
  const digits = text.trim();
  if (/^[0-9a-f]{64}$/.test(digits)) return digits;
  throw new Fault("E_KEY_FORMAT", `${file} holds no public key`, { hint: "a public key is 64 hex digits on a line" });
}

/** Public keys whose ingots a new ISO accepts: one's own, if there is one, and those of others, in a fixed order. */
export function trustedKeys(paths: KeyPaths): string[] {
  const own = readKey(paths)?.public;
  const others = trustedFiles(paths).map((file) => parsePublicKey(readFileSync(file, "utf8"), file));
  return [...new Set([...(own === undefined ? [] : [own]), ...others])].sort();
}

/** Files with public keys of others. */
export function trustedFiles({ trusted }: KeyPaths): string[] {
  try {
    return readdirSync(trusted)
      .filter((name) => name.endsWith(".pub"))
      .sort()
      .map((name) => path.join(trusted, name));
  } catch (error) {
    if (errno(error) === "ENOENT") return [];
    throw error;
  }
}

/** Accepts the ingots of another key from the next ISO on. */
export function trustKey(publicKey: string, { trusted }: KeyPaths): string {
  const file = path.join(trusted, `${keyId(publicKey)}.pub`);
  makeFolder(trusted, 0o700);
  replaceFile(file, `${publicKey}\n`);
  return file;
}
