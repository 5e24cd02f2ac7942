import { readFileSync } from "node:fs";
import path from "node:path";
import { Fault } from "../fault/fault.ts";
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
import { parse, usage, type Command } from "./command.ts";
import { print } from "./print.ts";

const help = `
usage: anvil key [show] [--json]
       anvil key new
       anvil key export
       anvil key import <file>

The pair of ed25519 keys that your ingots are signed with. The first \`anvil forge\` of an ISO makes it; the ISO accepts
the ingots of the keys that are here when it is forged, and no others.

  show            where the key is, its id, and the keys of others that new ISOs accept (the default)
  new             makes a key; an existing one is never replaced
  export          prints the public key: 64 hex digits
  import <file>   takes over a private key (PEM), or the public key of somebody else, to accept their ingots

  --json          with show: {file, id, public, trusted: [{file, id, public}]}

The private key is \`ingot-key.pem\` in $XDG_CONFIG_HOME/anvil or ~/.config/anvil; ANVIL_KEY=<file> names another.
To accept a key of somebody else no more, delete its file, which \`show\` names.

The file \`authorized_keys\` beside the key has the SSH public keys, one per line, of those who may log in as root. A system
that is forged with such keys runs an SSH server; one that is forged without has none.

examples:
  anvil key export > mine.pub
  anvil key import colleague.pub && anvil forge

exit status: 0 done, 1 failed, 2 wrong usage
`;

export const command: Command = {
  summary: "show, make, export or import the key for ingots",
  help,
  run(args, project) {
    const { values, positionals } = parse(args, help, { json: { type: "boolean", default: false } });
    const [action = "show", file, ...more] = positionals;
    if (more.length > 0 || (action === "import") !== (file !== undefined))
      throw usage(action === "import" ? "name one file" : `"${file}" means nothing here`, help);
    print(act(action, file ?? "", values.json, project.keys));
    return Promise.resolve(0);
  },
};

function act(action: string, file: string, json: boolean, keys: KeyPaths): string {
  switch (action) {
    case "show":
      return json ? `${JSON.stringify(facts(keys), null, 1)}\n` : describe(keys);
    case "new":
      return kept(newKey(), keys);
    case "export":
      return `${requireKey(keys).public}\n`;
    case "import":
      return importKey(path.resolve(file), keys);
    default:
      throw usage(`"${action}" is none of show, new, export, import`, help);
  }
}

interface KeyFacts {
  readonly file: string;
  readonly id: string;
  readonly public: string;
}

function facts(keys: KeyPaths): KeyFacts & { readonly trusted: readonly KeyFacts[] } {
  const of = (file: string, publicKey: string): KeyFacts => ({ file, id: keyId(publicKey), public: publicKey });
  const trusted = trustedFiles(keys).map((file) => of(file, parsePublicKey(readFileSync(file, "utf8"), file)));
  return { ...of(keys.own, requireKey(keys).public), trusted };
}

function describe(keys: KeyPaths): string {
  const { trusted, ...own } = facts(keys);
  const lines = [
    `key ${own.id}  ${own.file}`,
    `  public  ${own.public}`,
    ...trusted.map(({ id, file }) => `also accepted: ${id}  ${file}`),
  ];
  return `${lines.join("\n")}\n`;
}

function kept(key: SigningKey, paths: KeyPaths): string {
  if (saveKey(key, paths) === undefined)
    throw new Fault("E_KEY_EXISTS", `there is a key in ${paths.own}`, {
      hint: "move it away first; systems that trust it accept no ingots of another one",
    });
  return `key ${keyId(key.public)}  ${paths.own}\n`;
}

function importKey(file: string, keys: KeyPaths): string {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    throw new Fault("E_NO_SUCH_FILE", `cannot read ${file}: ${(cause as Error).message}`, { cause });
  }
  if (text.includes("PRIVATE KEY")) return kept(parseKey(text, file), keys);
  const publicKey = parsePublicKey(text, file);
  return `accepted from the next ISO on: ${keyId(publicKey)}  ${trustKey(publicKey, keys)}\n`;
}
