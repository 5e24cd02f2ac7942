import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { readAuthorizedKeys } from "../../src/inject/authorized-keys.ts";
import { temporaryFolder } from "../forge/rig.ts";

const ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c";
const ECDSA =
  "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg=";

test("keys come without their comments, each once, in an order of their own", (t) => {
  const file = path.join(temporaryFolder(t), "authorized_keys");
  assert.deepEqual(readAuthorizedKeys(file), []);
  writeFileSync(file, `# who may\n${ED25519} me@here\n\n  ${ECDSA}\r\n${ED25519} me@elsewhere\n`);
  assert.deepEqual(readAuthorizedKeys(file), [ECDSA, ED25519]);
});

test("what is not a key is refused, with its line", (t) => {
  const file = path.join(temporaryFolder(t), "authorized_keys");
  const base64 = ED25519.split(" ")[1] ?? "";
  const wrong = [
    base64,
    `restrict ${ED25519}`,
    `command="reboot" ${ED25519}`,
    `ssh-rsa ${base64}`,
    `${ED25519}!`,
    ED25519.slice(0, 30),
    "-----BEGIN OPENSSH PRIVATE KEY-----",
    "ssh-dss AAAA",
  ];
  for (const line of wrong) {
    writeFileSync(file, `${ECDSA}\n${line}\n`);
    assert.throws(() => readAuthorizedKeys(file), {
      code: "E_KEY_FORMAT",
      message: `${file}:2 is not an SSH public key`,
    });
  }
});
