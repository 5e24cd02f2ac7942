import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import {
  ensureKey,
  isSignedBy,
  keyId,
  keyPaths,
  newKey,
  parseKey,
  readKey,
  saveKey,
  trustedKeys,
  trustKey,
} from "../../src/inject/key-file.ts";
import { temporaryFolder } from "../forge/rig.ts";

test("the key is where the environment says", () => {
  assert.equal(keyPaths({}, "/home/me").own, "/home/me/.config/anvil/ingot-key.pem");
  assert.equal(keyPaths({ XDG_CONFIG_HOME: "/etc/me" }, "/home/me").own, "/etc/me/anvil/ingot-key.pem");
  const named = keyPaths({ ANVIL_KEY: "/keys/a.pem", XDG_CONFIG_HOME: "/etc/me" }, "/home/me");
  assert.deepEqual(named, {
    own: "/keys/a.pem",
    named: true,
    trusted: "/etc/me/anvil/trust",
    logins: "/etc/me/anvil/authorized_keys",
  });
});

test("a key is made once, for its owner's eyes only, and is the same ever after", (t) => {
  const paths = keyPaths({}, temporaryFolder(t));
  assert.equal(readKey(paths), undefined);
  const key = ensureKey(paths);
  assert.equal(statSync(paths.own).mode & 0o777, 0o600);
  assert.equal(ensureKey(paths).public, key.public);
  assert.equal(parseKey(readFileSync(paths.own, "utf8"), "it").public, key.public);
  assert.equal(saveKey(newKey(), paths), undefined, "never replaced");
  assert.equal(readKey(paths)?.public, key.public);
});

test("a signature fits its manifest and its key, and nothing else", () => {
  const [key, other] = [newKey(), newKey()];
  const manifest = Buffer.from("anvil-ingot 1\n");
  const signature = key.sign(manifest);
  assert.match(signature, /^[0-9a-f]{128}$/);
  assert.equal(isSignedBy(key.public, manifest, signature), true);
  assert.equal(isSignedBy(other.public, manifest, signature), false);
  assert.equal(isSignedBy(key.public, Buffer.from("anvil-ingot 2\n"), signature), false);
});

test("a public key and its id are those of RFC 8032 and BLAKE2b", () => {
  // RFC 8032, 7.1, test 1: the secret key after the PKCS #8 head of RFC 8410
  const der = `302e020100300506032b6570042204209d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60`;
  const pem = `-----BEGIN PRIVATE KEY-----\n${Buffer.from(der, "hex").toString("base64")}\n-----END PRIVATE KEY-----\n`;
  const key = parseKey(pem, "it");
  assert.equal(key.public, "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
  assert.match(keyId(key.public), /^[0-9a-f]{16}$/);
});

test("a key that others can read is refused, with the way out", (t) => {
  const paths = keyPaths({}, temporaryFolder(t));
  ensureKey(paths);
  chmodSync(paths.own, 0o640);
  assert.throws(() => readKey(paths), { code: "E_KEY_PERMISSIONS", details: ["its mode is 0640"] });
  chmodSync(paths.own, 0o400);
  assert.ok(readKey(paths) !== undefined);
});

test("what is no ed25519 key is refused and not replaced", (t) => {
  const paths = keyPaths({}, temporaryFolder(t));
  mkdirSync(path.dirname(paths.own), { recursive: true });
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
  for (const text of ["", "nonsense\n", rsa.export({ type: "pkcs8", format: "pem" }).toString()]) {
    writeFileSync(paths.own, text, { mode: 0o600 });
    assert.throws(() => ensureKey(paths), { code: "E_KEY_FORMAT" });
    assert.equal(readFileSync(paths.own, "utf8"), text);
  }
});

test("a key that ANVIL_KEY names is never made", (t) => {
  const file = path.join(temporaryFolder(t), "named.pem");
  assert.throws(() => ensureKey(keyPaths({ ANVIL_KEY: file }, "/")), { code: "E_NO_KEY" });
  assert.equal(existsSync(file), false);
});

test("an ISO trusts one's own key and those taken over, in a fixed order", (t) => {
  const paths = keyPaths({}, temporaryFolder(t));
  assert.deepEqual(trustedKeys(paths), []);
  const publics = [newKey().public, newKey().public, ensureKey(paths).public];
  for (const each of publics.slice(0, 2)) trustKey(each, paths);
  assert.deepEqual(trustedKeys(paths), [...publics].sort());
  writeFileSync(path.join(paths.trusted, "broken.pub"), "no key\n");
  assert.throws(() => trustedKeys(paths), { code: "E_KEY_FORMAT" });
});
