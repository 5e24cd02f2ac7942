/**
 * Licences as SPDX expressions (SPDX 2.3, annex D): identifiers, WITH, AND, OR, brackets. Whether an identifier is one of
 * SPDX's list is not looked at.
 */

/** What holds for a thing that consists of all of these: each licence once. Throws an Error for what is no expression. */
export function allOf(...licences: readonly string[]): string {
  const terms = licences.flatMap((licence) => termsOf(licence));
  return [...new Set(terms)].sort((a, b) => (a < b ? -1 : 1)).join(" AND ");
}

/** Whether it is an expression. */
export function isLicence(text: string): boolean {
  try {
    return termsOf(text).length > 0;
  } catch {
    return false;
  }
}

/** What stands between the outermost ANDs; what has an OR outside of brackets is given some. */
function termsOf(licence: string): string[] {
  const words = licence.match(/[()]|[^\s()]+/g) ?? [];
  const reader = { words, at: 0 };
  const found = readAny(reader);
  if (reader.at < words.length || words.length === 0) throw new Error(`"${licence}" is no SPDX expression`);
  return found;
}

interface Reader {
  readonly words: readonly string[];
  at: number;
}

/** AND binds tighter than OR. */
function readAny(reader: Reader): string[] {
  const choices = [readAll(reader)];
  while (reader.words[reader.at] === "OR") {
    reader.at++;
    choices.push(readAll(reader));
  }
  const [only] = choices;
  return choices.length === 1 && only !== undefined
    ? only
    : [`(${choices.map((all) => all.join(" AND ")).join(" OR ")})`];
}

function readAll(reader: Reader): string[] {
  const terms = readOne(reader);
  while (reader.words[reader.at] === "AND") {
    reader.at++;
    terms.push(...readOne(reader));
  }
  return terms;
}

function readOne(reader: Reader): string[] {
  const word = reader.words[reader.at++] ?? "";
  if (word === "(") {
    const inner = readAny(reader);
    if (reader.words[reader.at++] !== ")") throw new Error("a bracket is not closed");
    return inner;
  }
  if (!isName(word)) throw new Error(`"${word}" is no licence`);
  if (reader.words[reader.at] !== "WITH") return [word];
  const exception = reader.words[reader.at + 1] ?? "";
  if (!isName(exception)) throw new Error(`"${exception}" is no exception of a licence`);
  reader.at += 2;
  return [`${word} WITH ${exception}`];
}

const IDENTIFIER = /^(?:(?:DocumentRef-[A-Za-z0-9.-]+:)?LicenseRef-[A-Za-z0-9.-]+|[A-Za-z0-9][A-Za-z0-9.-]*\+?)$/;
const isName = (text: string): boolean => IDENTIFIER.test(text) && !/^(?:AND|OR|WITH)$/.test(text);
