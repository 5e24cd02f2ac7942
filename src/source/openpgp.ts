/**
 * OpenPGP signatures (RFC 9580): those of the Debian archive (section 7: cleartext signatures), and those that authors put
 * beside what they publish.
 */
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import type { Readable } from "node:stream";
import {
  createMessage,
  enums,
  readCleartextMessage,
  readKey,
  readKeys,
  readSignature,
  verify,
  type Key,
  type SignaturePacket,
} from "openpgp";
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

/** A public key of an author. */
export type PublicKey = Key;

/** The keys in a text, which may hold several armored blocks. Throws what is wrong with it. */
export async function publicKeys(armored: string): Promise<PublicKey[]> {
  const blocks =
    armored.match(/^-----BEGIN PGP PUBLIC KEY BLOCK-----$[^]*?^-----END PGP PUBLIC KEY BLOCK-----$/gm) ?? [];
  // the library reads the first block only
  return (await Promise.all(blocks.map((armoredKeys) => readKeys({ armoredKeys })))).flat();
}

/** Of the primary key, hex, upper case. */
export const fingerprintOf = (key: PublicKey): string => key.getFingerprint().toUpperCase();

/** What a signature is worth. `key` is the fingerprint of the primary key. */
export type Verdict =
  | { readonly state: "good"; readonly key: string; readonly created: Date }
  /** The bytes are what the key signed, but by what is known here the key had expired by then. */
  | { readonly state: "late"; readonly key: string; readonly created: Date; readonly expired: Date | undefined }
  /** Made by an algorithm that somebody else could have used as well. */
  | { readonly state: "weak"; readonly key: string; readonly why: string }
  | { readonly state: "bad"; readonly why: readonly string[] };

/** Bytes of a detached signature, or of a few. */
export const MOST_SIGNATURE = 1 << 16;

/**
 * What a detached signature, armored or not, says of the data: the best of what it holds by one of the keys. The data are
 * read once for each signature by a known key.
 */
export async function judgeDetached(
  data: () => Readable | Promise<Readable>,
  signature: Buffer,
  keys: readonly PublicKey[],
): Promise<Verdict> {
  const read = await readDetached(signature).catch((error: unknown) => (error as Error).message);
  if (typeof read === "string") return { state: "bad", why: [`it is no signature: ${read}`] };
  const packets = [...read.packets];
  return judge(packets, enums.signature.binary, keys, async (date) => {
    const message = await createMessage({ binary: webStream(await data()) });
    const result = await verify({
      message,
      signature: read,
      verificationKeys: [...keys],
      format: "binary",
      ...at(date),
    });
    return { results: result.signatures, drained: drain(result.data as ReadableStream<Uint8Array>) };
  });
}

/** What the signatures of a cleartext-signed message say of its text. Throws E_SIGNATURE for what is no such message. */
export async function judgeCleartext(
  signed: string,
  keys: readonly PublicKey[],
  what: string,
): Promise<{ readonly text: string; readonly verdict: Verdict }> {
  const message = await readCleartextMessage({ cleartextMessage: signed }).catch((cause: unknown) => {
    throw new Fault("E_SIGNATURE", `${what} is not a signed text`, { cause });
  });
  const { data, signatures } = await verify({ message, verificationKeys: [...keys] });
  const packets = await Promise.all(signatures.map(async (each) => (await each.signature).packets[0]));
  const verdict = await judge(
    packets.filter((packet) => packet !== undefined),
    enums.signature.text,
    keys,
    async (date) => {
      const again = await verify({ message, verificationKeys: [...keys], ...at(date) });
      return { results: again.signatures, drained: Promise.resolve() };
    },
  );
  return { text: data, verdict };
}

/**
 * Self-signatures that were renewed after a release was signed do not make the key unknown at that time: then the key is
 * looked at as of the newest of them.
 */
const at = (date: Date): { date: Date; config: { allowInsecureVerificationWithReformattedKeys: true } } => ({
  date,
  config: { allowInsecureVerificationWithReformattedKeys: true },
});

interface Verification {
  /** In the order of the packets. */
  readonly results: readonly { readonly verified: Promise<true> }[];
  /** Done when the data were read to their end. */
  readonly drained: Promise<void>;
}

async function judge(
  packets: readonly SignaturePacket[],
  type: enums.signature,
  keys: readonly PublicKey[],
  verifyAt: (date: Date) => Promise<Verification>,
): Promise<Verdict> {
  const verdicts: Verdict[] = [];
  for (const [index, packet] of packets.entries()) {
    const key = keys.find((each) => each.getKeys(packet.issuerKeyID).length > 0);
    const id = packet.issuerKeyID.toHex().toUpperCase();
    const created = packet.created ?? new Date(0);
    if (key === undefined) {
      verdicts.push({ state: "bad", why: [`key ${id}: not one of those that may sign this`] });
    } else if (packet.signatureType !== type) {
      verdicts.push({ state: "bad", why: [`key ${id}: a signature of another kind`] });
    } else if (created.getTime() > Date.now()) {
      verdicts.push({ state: "bad", why: [`key ${id}: signed in the future, on ${day(created)}`] });
    } else {
      verdicts.push(await judgeOne(index, packet, key, verifyAt));
    }
  }
  for (const state of ["good", "late", "weak"] as const) {
    const found = verdicts.find((verdict) => verdict.state === state);
    if (found !== undefined) return found;
  }
  const why = verdicts.flatMap((verdict) => (verdict.state === "bad" ? verdict.why : []));
  return { state: "bad", why: why.length > 0 ? why : ["there is no signature in it"] };
}

async function judgeOne(
  index: number,
  packet: SignaturePacket,
  key: PublicKey,
  verifyAt: (date: Date) => Promise<Verification>,
): Promise<Verdict> {
  const created = packet.created ?? new Date(0);
  const { results, drained } = await verifyAt(newest([created, ...selfSignatures(key, packet)]));
  const [verified] = await Promise.allSettled([results[index]?.verified, drained]);
  const fingerprint = fingerprintOf(key);
  if (verified.status === "fulfilled" && verified.value === true) return { state: "good", key: fingerprint, created };
  const why = verified.status === "rejected" ? (verified.reason as Error).message : "it was not looked at";
  // the library looks at the bytes first, and at the key only when they are what it signed
  if (/key is expired/i.test(why)) {
    const until = await key.getExpirationTime();
    return { state: "late", key: fingerprint, created, expired: until instanceof Date ? until : undefined };
  }
  if (/too weak|Insecure (?:message )?hash/i.test(why)) return { state: "weak", key: fingerprint, why };
  return { state: "bad", why: [`key ${packet.issuerKeyID.toHex().toUpperCase()}: ${why}`] };
}

/** When the primary key and the subkey of a signature were last confirmed by their owner. */
function selfSignatures(key: PublicKey, { issuerKeyID }: SignaturePacket): Date[] {
  const bindings = key.getSubkeys(issuerKeyID).flatMap((subkey) => subkey.bindingSignatures);
  const own = key.users.flatMap((user) => user.selfCertifications);
  return [...own, ...bindings].flatMap(({ created }) => (created === null ? [] : [created]));
}

const newest = (dates: readonly Date[]): Date => new Date(Math.max(...dates.map((date) => date.getTime())));

export const day = (date: Date): string => date.toISOString().slice(0, 10);

const readDetached = (signature: Buffer): ReturnType<typeof readSignature> =>
  signature.subarray(0, 5).toString("latin1") === "-----"
    ? readSignature({ armoredSignature: signature.toString("latin1") })
    : readSignature({ binarySignature: signature });

/** The library hashes what it is given while somebody reads it. */
async function drain(stream: ReadableStream<Uint8Array>): Promise<void> {
  const reader = stream.getReader();
  while (!(await reader.read()).done);
}

/** Not `Readable.toWeb`, whose types are those of another library. */
function webStream(data: Readable): ReadableStream<Uint8Array> {
  const chunks = data[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  return new ReadableStream({
    async pull(controller) {
      const next = await chunks.next();
      if (next.done === true) controller.close();
      else controller.enqueue(next.value);
    },
    cancel() {
      data.destroy();
    },
  });
}
