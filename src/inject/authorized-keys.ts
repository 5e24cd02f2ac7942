/** The file with the SSH public keys of those who may log in as root, in the form of OpenSSH's authorized_keys. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { errno, Fault, reasonOf } from "../fault/fault.ts";

const TYPES = [
  "ssh-ed25519",
  "sk-ssh-ed25519@openssh.com",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "sk-ecdsa-sha2-nistp256@openssh.com",
  "ssh-rsa",
];

/**
 * Type and key of each line, sorted; none without the file. Comments are left out: they name people and machines, and
 * what a system is made of should not depend on them. Throws E_KEY_FORMAT, for options of a key as well.
 */
export function readAuthorizedKeys(file: string): string[] {
  const keys = linesOf(file).map((line, index) => {
    const text = line.trim();
    return text === "" || text.startsWith("#") ? [] : [parseKey(text, `${file}:${index + 1}`)];
  });
  return [...new Set(keys.flat())].sort();
}

/** Type and fingerprint of a key, as `ssh-keygen -l` shows it. */
export function fingerprint(login: string): string {
  const [type = "", key = ""] = login.split(" ");
  const hash = createHash("sha256").update(Buffer.from(key, "base64")).digest("base64");
  return `${type} SHA256:${hash.replace(/=+$/, "")}`;
}

function linesOf(file: string): string[] {
  try {
    return readFileSync(file, "utf8").split("\n");
  } catch (error) {
    if (errno(error) === "ENOENT") return [];
    throw new Fault("E_KEY_PERMISSIONS", `${file} cannot be read: ${reasonOf(error)}`, {
      hint: "correct its permissions",
      cause: error,
    });
  }
}

function parseKey(line: string, place: string): string {
  const [type = "", key = ""] = line.split(/\s+/);
  if (TYPES.includes(type) && isOf(type, key)) return `${type} ${key}`;
  throw new Fault("E_KEY_FORMAT", `${place} is not an SSH public key`, {
    details: [`a line is a type (${TYPES.join(", ")}), the key in base64, and a comment if you like; no options`],
    hint: "copy the line from a file such as ~/.ssh/id_ed25519.pub",
  });
}

/** The key itself begins with its type, RFC 4253, section 6.6. */
function isOf(type: string, key: string): boolean {
  const bytes = Buffer.from(key, "base64");
  const head = Buffer.alloc(4 + type.length);
  head.writeUInt32BE(type.length);
  head.write(type, 4, "latin1");
  return bytes.toString("base64") === key && bytes.length > head.length && bytes.subarray(0, head.length).equals(head);
}
