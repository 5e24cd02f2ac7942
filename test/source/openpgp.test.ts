import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import {
  createCleartextMessage,
  createMessage,
  enums,
  generateKey,
  readKey,
  readPrivateKey,
  reformatKey,
  revokeKey,
  sign,
  type PartialConfig,
  type PrivateKey,
} from "openpgp";
import {
  fingerprintOf,
  judgeCleartext,
  judgeDetached,
  publicKeys,
  type PublicKey,
  type Verdict,
} from "../../src/source/openpgp.ts";
import { dsa, sha1 } from "./old-signatures.ts";

const text = "the bytes of an archive";
const on = (day: string): Date => new Date(`${day}T12:00:00Z`);

type Options = Partial<Parameters<typeof generateKey>[0]>;

async function newKey(options: Options = {}): Promise<PrivateKey> {
  const made = await generateKey({
    userIDs: [{ name: "Author" }],
    date: on("2020-01-01"),
    ...options,
    format: "armored",
  });
  return readPrivateKey({ armoredKey: made.privateKey });
}

interface Signing {
  readonly date?: Date;
  readonly config?: PartialConfig;
  readonly armored?: boolean;
}

async function signature(
  key: PrivateKey,
  { date = on("2021-01-01"), config, armored = true }: Signing = {},
): Promise<Buffer> {
  const message = await createMessage({ binary: new Uint8Array(Buffer.from(text)) });
  const options = { message, signingKeys: key, detached: true, date, ...(config && { config }) };
  if (armored) return Buffer.from(String(await sign({ ...options, format: "armored" })));
  return Buffer.from((await sign({ ...options, format: "binary" })) as Uint8Array);
}

const judge = (signed: Buffer, keys: readonly PublicKey[], data: string = text): Promise<Verdict> =>
  judgeDetached(() => Readable.from([Buffer.from(data.slice(0, 5)), Buffer.from(data.slice(5))]), signed, keys);

/** A key as it is after its owner renewed its self-signature. */
async function renewed(key: PrivateKey, date: Date, seconds = 0): Promise<PublicKey> {
  const { publicKey } = await reformatKey({
    privateKey: key,
    userIDs: [{ name: "Author" }],
    keyExpirationTime: seconds,
    date,
    format: "object",
  });
  return publicKey;
}

const YEAR = 365 * 86_400;

test("a detached signature is good, armored or not, by a primary key or a subkey, of every usual kind", async () => {
  const kinds: Options[] = [
    { type: "rsa", rsaBits: 2048 },
    { type: "ecc", curve: "ed25519Legacy" },
    { type: "curve25519" },
    { type: "ecc", curve: "nistP256" },
    { type: "ecc", subkeys: [{ sign: true }] },
  ];
  for (const kind of kinds) {
    const key = await newKey(kind);
    for (const armored of [true, false]) {
      const verdict = await judge(await signature(key, { armored }), [await newKey(), key.toPublic()]);
      assert.deepEqual(verdict, { state: "good", key: fingerprintOf(key), created: on("2021-01-01") });
    }
  }
});

test("a signature of other bytes, by another key, or of a text is bad; so is what is no signature", async () => {
  const key = await newKey();
  const keys = [key.toPublic()];
  const good = await signature(key);
  const bad = async (verdict: Promise<Verdict>, why: RegExp): Promise<void> => {
    const found = await verdict;
    assert.equal(found.state, "bad", JSON.stringify(found));
    assert.match(found.state === "bad" ? found.why.join() : "", why);
  };
  await bad(judge(good, keys, `${text}!`), /digest did not match/);
  await bad(judge(good, [(await newKey()).toPublic()]), /not one of those that may sign this/);
  await bad(judge(Buffer.from("<html>not found</html>"), keys), /no signature/);
  await bad(judge(Buffer.from("-----BEGIN PGP SIGNATURE-----\n"), keys), /no signature/);
  await bad(judge(await signature(key, { date: on("2099-01-01") }), keys), /signed in the future, on 2099-01-01/);
  const message = await createMessage({ text });
  const ofText = (await sign({ message, signingKeys: key, detached: true, date: on("2021-01-01") })) as string;
  await bad(judge(Buffer.from(ofText), keys), /of another kind/);
});

test("of several signatures one by a listed key is enough", async () => {
  const [key, other] = await Promise.all([newKey(), newKey()]);
  const message = await createMessage({ binary: new Uint8Array(Buffer.from(text)) });
  const both = (await sign({ message, signingKeys: [other, key], detached: true, date: on("2021-01-01") })) as string;
  assert.equal((await judge(Buffer.from(both), [key.toPublic()])).state, "good");
});

test("a key that has expired since is good for what it signed before, and late for the rest", async () => {
  const key = await newKey();
  const expired = await renewed(key, on("2020-01-02"), 2 * YEAR);
  assert.equal((await judge(await signature(key, { date: on("2021-06-01") }), [expired])).state, "good");
  const late = await judge(await signature(key, { date: on("2023-06-01") }), [expired]);
  assert.deepEqual(late, {
    state: "late",
    key: fingerprintOf(key),
    created: on("2023-06-01"),
    expired: new Date(key.getCreationTime().getTime() + 2 * YEAR * 1000),
  });
  assert.equal((await judge(await signature(key, { date: on("2023-06-01") }), [expired], "other bytes")).state, "bad");
});

test("a self-signature that was renewed later does not make older signatures bad", async () => {
  const key = await newKey();
  assert.equal((await judge(await signature(key), [await renewed(key, on("2024-01-01"))])).state, "good");
  const soon = await renewed(key, on("2024-01-01"), 5 * YEAR);
  assert.equal((await judge(await signature(key), [soon])).state, "good");
});

test("a revoked key is good for nothing if it was stolen, and for what is older if it was retired", async () => {
  const key = await newKey();
  const revoked = async (flag: enums.reasonForRevocation, date: Date): Promise<PublicKey> =>
    (await revokeKey({ key, reasonForRevocation: { flag }, date, format: "object" })).publicKey;
  const stolen = await revoked(enums.reasonForRevocation.keyCompromised, on("2023-01-01"));
  const retired = await revoked(enums.reasonForRevocation.keyRetired, on("2023-01-01"));
  const before = await signature(key, { date: on("2022-01-01") });
  const after = await signature(key, { date: on("2024-01-01") });
  assert.equal((await judge(before, [stolen])).state, "bad");
  assert.equal((await judge(after, [stolen])).state, "bad");
  assert.equal((await judge(before, [retired])).state, "good");
  const verdict = await judge(after, [retired]);
  assert.match(verdict.state === "bad" ? verdict.why.join() : verdict.state, /revoked/);
});

test("SHA-1, DSA and short keys are too weak to count", async () => {
  const weak = async ({ key, signature: armored }: typeof sha1): Promise<Verdict> =>
    judge(Buffer.from(armored), await publicKeys(key));
  const [made] = await publicKeys(sha1.key);
  assert.ok(made !== undefined);
  assert.deepEqual(await weak(sha1), {
    state: "weak",
    key: fingerprintOf(made),
    why: "Insecure message hash algorithm: SHA1",
  });
  assert.equal((await weak(dsa)).state, "weak");
  assert.equal((await judge(Buffer.from(sha1.signature), [made], "other bytes")).state, "bad");
  const config: PartialConfig = { minRSABits: 1023 };
  const key = await newKey({ type: "rsa", rsaBits: 1024, config });
  assert.equal((await judge(await signature(key, { config }), [key.toPublic()])).state, "weak");
  assert.equal((await judge(await signature(key, { config }), [key.toPublic()], "other bytes")).state, "bad");
});

test("a cleartext message counts by the same rules, and only its signed text is handed on", async () => {
  const [key, other] = await Promise.all([newKey(), newKey()]);
  const message = await createCleartextMessage({ text: "abc  linux.tar.xz" });
  const signed = await sign({ message, signingKeys: [other, key], date: on("2021-01-01") });
  const inside = `not signed\n${signed}\nnor this`;
  const good = await judgeCleartext(inside, [key.toPublic()], "sums");
  assert.deepEqual([good.text, good.verdict.state], ["abc  linux.tar.xz", "good"]);
  const late = await judgeCleartext(signed, [await renewed(key, on("2020-01-02"), YEAR / 2)], "sums");
  assert.equal(late.verdict.state, "late");
  const changed = await judgeCleartext(signed.replace("abc", "abd"), [key.toPublic()], "sums");
  assert.equal(changed.verdict.state, "bad");
  await assert.rejects(judgeCleartext("abc  linux.tar.xz", [key.toPublic()], "sums"), { code: "E_SIGNATURE" });
});

test("a file may hold several keys, each in an armor of its own", async () => {
  const keys = await Promise.all([newKey(), newKey()]);
  const armored = keys.map((key) => key.toPublic().armor()).join("\nComment between them\n");
  assert.deepEqual((await publicKeys(armored)).map(fingerprintOf), keys.map(fingerprintOf));
  assert.deepEqual(await publicKeys("nothing"), []);
  assert.equal(fingerprintOf(await readKey({ armoredKey: keys[0].toPublic().armor() })), fingerprintOf(keys[0]));
});
