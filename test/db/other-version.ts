/** Ingots of the database as later versions would be: what the forge made of it, with changes, by the hand of the user. */
import { createPrivateKey } from "node:crypto";
import { lstatSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { db } from "../../recipes/ingots/db.ts";
import { requireKey } from "../../src/inject/key-file.ts";
import { ingotFile, makeIngot, type Tree } from "../boot/ingot.ts";
import { output } from "../boot/monolith.ts";
import { project } from "../this-project.ts";

/** Writes the ingot and returns its name. */
export async function otherVersion(folder: string, version: string, changes: Tree): Promise<string> {
  const [body, ...trees] = await Promise.all([db.body, ...db.trees].map(output));
  const tree = Object.assign({}, ...trees.map((each) => contents(each)), changes) as Tree;
  const manifest = readFileSync(path.join(body ?? "", "manifest"), "utf8");
  const facts = manifest.split("\n").filter((line) => /^(service|health|data)\b/.test(line));
  const secret = createPrivateKey(readFileSync(project.keys.own));
  const file = path.join(folder, `db-${version}.ingot`);
  const ingot = makeIngot({ name: "db", version, facts, tree });
  writeFileSync(file, ingotFile(ingot, { secret, publicKey: requireKey(project.keys).public }));
  return file;
}

function contents(top: string, below = ""): Tree {
  const entries = readdirSync(path.join(top, below)).map((name): Tree => {
    const at = path.join(below, name);
    const full = path.join(top, at);
    const stat = lstatSync(full);
    if (stat.isDirectory()) return contents(top, at);
    return { [at]: stat.isSymbolicLink() ? { to: readlinkSync(full) } : readFileSync(full) };
  });
  return Object.assign({}, ...entries) as Tree;
}
