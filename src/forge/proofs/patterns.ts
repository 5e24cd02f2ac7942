/** Patterns of proofs, and links in the tree that they are looked for in. */
import path from "node:path";
import type { Tree, TreeEntry } from "../tree.ts";

/**
 * A pattern of src/recipe/proof.ts as a regular expression over paths: `*` is any text without "/", `**` any text, and
 * `**` with its "/" may also be nothing, so that `lib/**` + `/x.a` finds `lib/x.a`.
 */
export function globToRegExp(pattern: string): RegExp {
  const source = pattern.replace(/\*\*\/|\*\*|\*|[\\^$.|?+()[\]{}]/g, (token) => {
    if (token === "**/") return "(?:.*/)?";
    if (token === "**") return ".*";
    if (token === "*") return "[^/]*";
    return `\\${token}`;
  });
  return new RegExp(`^${source}$`, "s");
}

/** What a pattern matches, links as links. */
export function matching(pattern: string, tree: Tree): TreeEntry[] {
  const expression = globToRegExp(pattern);
  return [...tree.entries.values()].filter((entry) => expression.test(entry.path));
}

/** The entry that a path leads to with the output as root, or undefined: dangling, in a loop, or not in the output. */
export function resolve(tree: Tree, start: string): TreeEntry | undefined {
  const todo = start.split("/");
  let at = "";
  for (let steps = 0; todo.length > 0; steps++) {
    if (steps > 1000) return undefined;
    const name = todo.shift();
    if (name === undefined || name === "" || name === ".") continue;
    if (name === "..") {
      at = path.posix.dirname(at) === "." ? "" : path.posix.dirname(at);
      continue;
    }
    const entry = tree.entries.get(at === "" ? name : `${at}/${name}`);
    if (entry === undefined) return undefined;
    if (entry.kind === "link") {
      if (entry.target.startsWith("/")) at = "";
      todo.unshift(...entry.target.split("/"));
    } else {
      at = entry.path;
    }
  }
  return tree.entries.get(at);
}

/** The regular files that a pattern matches, links followed, each once. */
export function matchingFiles(pattern: string, tree: Tree): TreeEntry[] {
  const files = new Map<string, TreeEntry>();
  for (const entry of matching(pattern, tree)) {
    const file = resolve(tree, entry.path);
    if (file?.kind === "file") files.set(file.path, file);
  }
  return [...files.values()];
}
