/**
 * APT's settings (apt.conf(5)), as far as they say how a machine reaches the network. Read in APT's order: the file that
 * APT_CONFIG names, the parts in `apt.conf.d/`, `apt.conf`. What is said later wins.
 */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";

/** Values by name in small letters, with `::` between the parts: `acquire::http::proxy`. */
export type AptSettings = ReadonlyMap<string, string>;

/** The settings of an APT folder such as `/etc/apt`. Files that are absent or cannot be read say nothing. */
export function aptSettings(folder: string, env: Readonly<NodeJS.ProcessEnv>): AptSettings {
  const found = new Map<string, string>();
  const named = env["APT_CONFIG"];
  const parts = names(path.join(folder, "apt.conf.d")).filter(isPart).sort();
  const files = [
    ...(named ? [named] : []),
    ...parts.map((name) => path.join(folder, "apt.conf.d", name)),
    path.join(folder, "apt.conf"),
  ];
  for (const file of files) parseAptSettings(textOf(file), found);
  return found;
}

/** APT reads parts without an ending or with `.conf`, of letters, digits, `_`, `-` and `.`. */
const isPart = (name: string): boolean => /^[\w-]+$|^[\w.-]+\.conf$/.test(name);

function names(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

/**
 * Adds what a text says: `Acquire::http::Proxy "…";` and the same in nested braces. `#clear <name>` removes a name and all
 * below it. Lists, `#include` and what is malformed are passed over.
 */
export function parseAptSettings(text: string, into: Map<string, string>): void {
  const scopes: string[] = [];
  let words: string[] = [];
  for (const token of tokens(text)) {
    if (token === "{") {
      scopes.push(words[0] ?? "");
      words = [];
    } else if (token === "}") {
      scopes.pop();
      words = [];
    } else if (token === ";") {
      statement(scopes, words, into);
      words = [];
    } else words.push(token);
  }
}

function statement(scopes: readonly string[], words: readonly string[], into: Map<string, string>): void {
  const [name, value] = words;
  if (name === undefined) return;
  if (name === "#clear" && value !== undefined) {
    const gone = fullName(scopes, value);
    for (const each of [...into.keys()]) if (each === gone || each.startsWith(`${gone}::`)) into.delete(each);
  } else if (value !== undefined && !name.startsWith("#")) into.set(fullName(scopes, name), value);
}

function fullName(scopes: readonly string[], name: string): string {
  return [...scopes, name]
    .filter((part) => part !== "")
    .join("::")
    .toLowerCase();
}

/** Words, quoted strings without their quotes, and the signs `{`, `}` and `;`; comments are left out. */
function* tokens(text: string): Generator<string> {
  const token = /\/\/.*|\/\*[\s\S]*?\*\/|#(?!clear\b|include\b).*|"((?:[^"\\]|\\.)*)"|[{};]|[^\s{};"]+/g;
  for (const match of text.matchAll(token)) {
    const [whole, quoted] = match;
    if (quoted !== undefined) yield quoted;
    else if (!/^(?:\/\/|\/\*|#(?!clear$|include$))/.test(whole)) yield whole;
  }
}
