/** OpenPGP signatures of the Debian archive (RFC 9580, section 7: cleartext signatures). */
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { readCleartextMessage, readKey, readKeys, verify, type Key } from "openpgp";
import { Fault } from "../fault/fault.ts";

export interface Keyring {
  readonly keys: readonly Key[];
}

/**
 * The Debian archive keys of the first of the given roots that has any: `usr/share/keyrings/debian-archive-*.gpg` below
 * "/" or below the tree of an unpacked `debian-archive-keyring`. Throws E_KEYRING when there is none.
 */
export async function debianKeyring(...roots: readonly string[]): Promise<Keyring> {
  const folders = roots.map((root) => path.join(root, "usr/share/keyrings"));
  for (const folder of folders) {
    const names = await readdir(folder).catch(() => []);
    const rings = names.filter((name) => /^debian-archive-(?!removed).*\.(?:gpg|pgp|asc)$/.test(name)).sort();
    const keys = await Promise.all(rings.map((name) => keysOf(path.join(folder, name))));
    if (keys.flat().length > 0) return { keys: keys.flat() };
  }
  throw new Fault("E_KEYRING", "there is no keyring of the Debian archive to check signatures with", {
    details: folders.map((folder) => `looked for debian-archive-*.gpg in ${folder}`),
    hint: "install the package debian-archive-keyring",
  });
}

async function keysOf(file: string): Promise<Key[]> {
  const bytes = await readFile(file);
  try {
    return bytes.subarray(0, 5).toString("latin1") === "-----"
      ? await readKeys({ armoredKeys: bytes.toString("latin1") })
      : await readKeys({ binaryKeys: bytes });
  } catch (cause) {
    throw new Fault("E_KEYRING", `${file} is not an OpenPGP keyring`, { cause });
  }
}

/** A keyring of armored public keys, such as those that an upstream author publishes. */
export async function keyringOf(...armored: readonly string[]): Promise<Keyring> {
  return { keys: await Promise.all(armored.map((armoredKey) => readKey({ armoredKey }))) };
}

export interface SignedText {
  readonly text: string;
  /** Key ids (hex, upper case) of the signatures that are good. */
  readonly signedBy: readonly string[];
}

/**
 * The text of a cleartext-signed message. Throws E_SIGNATURE unless at least one signature is good and made by a key
 * of the ring; further signatures by unknown keys do no harm (Debian signs with the keys of two releases).
 */
export async function verifyCleartext(signed: string, keyring: Keyring, what: string): Promise<SignedText> {
  const message = await readCleartextMessage({ cleartextMessage: signed }).catch((cause: unknown) => {
    throw new Fault("E_SIGNATURE", `${what} is not a signed text`, { cause });
  });
  const { data, signatures } = await verify({ message, verificationKeys: [...keyring.keys] });
  const signedBy: string[] = [];
  const details: string[] = [];
  for (const signature of signatures) {
    const id = signature.keyID.toHex().toUpperCase();
    await signature.verified.then(
      () => signedBy.push(id),
      (error: unknown) => details.push(`key ${id}: ${error instanceof Error ? error.message : String(error)}`),
    );
  }
  if (signedBy.length > 0) return { text: data, signedBy };
  throw new Fault("E_SIGNATURE", `no signature of ${what} is good`, {
    details,
    hint: "the mirror may be broken, or the package debian-archive-keyring on this machine too old",
  });
}
