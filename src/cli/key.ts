import path from "node:path";
import { requireKey } from "../inject/key-file.ts";
import { importKey, keyFacts, makeKey, type KeyFacts } from "../project/keys.ts";
import { command as define } from "./command.ts";
import { flag } from "./options.ts";

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

export const command = define({
  summary: "show, make, export or import the key for ingots",
  help,
  options: { json: flag },
  actions: { show: [0, 0], new: [0, 0], export: [0, 0], import: [1, 1] },
  usually: "show",
  run({ action, words: [file = ""], project: { keys } }) {
    switch (action) {
      case "show": {
        const facts = keyFacts(keys);
        return { text: shown(facts), document: facts };
      }
      case "new":
        return { text: [titleOf(makeKey(keys))] };
      case "export":
        return { text: [requireKey(keys).public] };
      case "import": {
        const { kind, ...key } = importKey(path.resolve(file), keys);
        return { text: [kind === "own" ? titleOf(key) : `accepted from the next ISO on: ${key.id}  ${key.file}`] };
      }
    }
  },
});

const titleOf = ({ id, file }: Pick<KeyFacts, "id" | "file">): string => `key ${id}  ${file}`;

function shown({ trusted, ...own }: ReturnType<typeof keyFacts>): string[] {
  return [titleOf(own), `  public  ${own.public}`, ...trusted.map(({ id, file }) => `also accepted: ${id}  ${file}`)];
}
