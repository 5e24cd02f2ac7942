/** Carries out the proofs of a recipe (src/recipe/proof.ts) on an output before it enters the store. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { open, readFile } from "node:fs/promises";
import path from "node:path";
import { errno, Fault } from "../fault/fault.ts";
import { arMembers, isAr } from "../format/ar.ts";
import { part, type ByteSource } from "../format/byte-source.ts";
import { isElf, readElf, type Elf } from "../format/elf.ts";
import { FormatError } from "../format/format-error.ts";
import type { Proof } from "../recipe/proof.ts";
import { readTree, type Tree, type TreeEntry } from "./tree.ts";

export interface ProofResult {
  readonly proof: Proof;
  readonly ok: boolean;
  /** One line: what was found, or the first things that are wrong. */
  readonly detail: string;
}

export interface ProofTools {
  /** Runs a command in the sandbox, where the output is mounted at /out; `output` is stdout and stderr. */
  readonly run: (argv: readonly string[]) => Promise<{ readonly status: number; readonly output: string }>;
  /** Absolute path of the store on this machine. */
  readonly storePath: string;
}

/**
 * The result of every proof, in order; a failed one does not stop the others. Reads below `outDir` only: links are
 * followed as if `outDir` were the root. A proof whose pattern matches nothing fails. Throws E_OUTPUT_FILE_TYPE for a
 * tree that holds anything but files, folders and links, and what readTree throws.
 */
export async function prove(proofs: readonly Proof[], outDir: string, tools: ProofTools): Promise<ProofResult[]> {
  const tree = readTree(outDir);
  refuseSpecialFiles(tree);
  const results: ProofResult[] = [];
  for (const proof of proofs) {
    const verdict = await carryOut(proof, tree, tools);
    results.push({ proof, ...verdict });
  }
  return results;
}

function refuseSpecialFiles(tree: Tree): void {
  const special = [...tree.entries.values()].filter(({ kind }) => kind === "other").map((entry) => entry.path);
  if (special.length === 0) return;
  throw new Fault("E_OUTPUT_FILE_TYPE", "a socket, pipe or device node cannot be stored", {
    details: special.slice(0, 10),
    hint: "remove it in the recipe's script",
  });
}

interface Verdict {
  readonly ok: boolean;
  readonly detail: string;
}

function carryOut(proof: Proof, tree: Tree, tools: ProofTools): Promise<Verdict> | Verdict {
  switch (proof.check) {
    case "exists":
      return proveExists(proof.paths, tree);
    case "static":
      return proveElf(proof.paths, tree, notStatic);
    case "static-pie":
      return proveElf(proof.paths, tree, notStaticPie);
    case "built-by-anvil-cc":
      return proveCompiler(proof.paths, tree);
    case "rust-by-anvil-cc":
      return proveCompiler(proof.paths, tree, rust);
    case "no-build-paths":
      return proveNoBuildPaths(proof.except, tree, tools.storePath);
    case "runs":
      return proveRuns(proof, tree, tools);
    case "contains":
      return proveContains(proof.path, proof.matches, tree);
    case "lacks":
      return proveLacks(proof.path, proof.matches, tree);
    case "at-most":
      return proveAtMost(proof.path, proof.bytes, tree);
  }
}

/** No complaint is a pass; of several the first five are shown. */
function verdict(complaints: readonly string[], found: string): Verdict {
  if (complaints.length === 0) return { ok: true, detail: found };
  const shown = complaints.slice(0, 5).join("; ");
  return { ok: false, detail: complaints.length > 5 ? `${shown}; and ${complaints.length - 5} more` : shown };
}

// Patterns and links

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

function matching(pattern: string, tree: Tree): TreeEntry[] {
  const expression = globToRegExp(pattern);
  return [...tree.entries.values()].filter((entry) => expression.test(entry.path));
}

/** The entry that a path leads to with the output as root, or undefined: dangling, in a loop, or not in the output. */
function resolve(tree: Tree, start: string): TreeEntry | undefined {
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
function matchingFiles(pattern: string, tree: Tree): TreeEntry[] {
  const files = new Map<string, TreeEntry>();
  for (const entry of matching(pattern, tree)) {
    const file = resolve(tree, entry.path);
    if (file?.kind === "file") files.set(file.path, file);
  }
  return [...files.values()];
}

// exists, contains, lacks, at-most, runs

function proveExists(patterns: readonly string[], tree: Tree): Verdict {
  let found = 0;
  const complaints: string[] = [];
  for (const pattern of patterns) {
    const entries = matching(pattern, tree);
    found += entries.length;
    if (entries.length === 0) complaints.push(`nothing is at ${pattern}`);
    for (const entry of entries) {
      // an absolute target may be delivered by another output; a relative one must be here
      const dangling =
        entry.kind === "link" && !entry.target.startsWith("/") && resolve(tree, entry.path) === undefined;
      if (dangling) complaints.push(`${entry.path} is a link to ${entry.target}, which is not in the output`);
    }
  }
  if (patterns.length === 0) complaints.push("no path is given");
  return verdict(complaints, `${found} found`);
}

/** Larger files are not searched for lines: they are not text. */
const textLimit = 64 << 20;

async function proveContains(pattern: string, matches: string, tree: Tree): Promise<Verdict> {
  const files = matchingFiles(pattern, tree);
  const expression = new RegExp(matches);
  const complaints: string[] = files.length === 0 ? [`no file is at ${pattern}`] : [];
  let found = "";
  for (const file of files) {
    if (file.size > textLimit) {
      complaints.push(`${file.path} has ${file.size} bytes, too many to search for a line`);
      continue;
    }
    const text = await readText(tree, file, "utf8");
    if (text === undefined) {
      complaints.push(`${file.path} is not readable`);
      continue;
    }
    const line = text.split("\n").find((candidate) => expression.test(candidate));
    if (line === undefined) complaints.push(`no line of ${file.path} matches /${matches}/`);
    else found = line;
  }
  return verdict(complaints, found.trim());
}

/** Every file as bytes, one character each: what is compressed inside it is not seen. */
async function proveLacks(pattern: string, matches: string, tree: Tree): Promise<Verdict> {
  const files = matchingFiles(pattern, tree);
  const expression = new RegExp(matches);
  const complaints: string[] = files.length === 0 ? [`no file is at ${pattern}`] : [];
  for (const file of files) {
    const text = await readText(tree, file, "latin1");
    const hit = text === undefined ? undefined : expression.exec(text)?.[0];
    if (text === undefined) complaints.push(`${file.path} is not readable`);
    else if (hit !== undefined) complaints.push(`${file.path} holds “${hit}”`);
  }
  return verdict(complaints, `${files.length} file${files.length === 1 ? "" : "s"} searched`);
}

async function readText(tree: Tree, file: TreeEntry, encoding: "utf8" | "latin1"): Promise<string | undefined> {
  try {
    return await readFile(path.join(tree.dir, file.path), encoding);
  } catch (error) {
    if (errno(error) === "EACCES") return undefined;
    throw error;
  }
}

function proveAtMost(pattern: string, bytes: number, tree: Tree): Verdict {
  const files = matchingFiles(pattern, tree);
  const complaints: string[] = files.length === 0 ? [`no file is at ${pattern}`] : [];
  for (const file of files) {
    if (file.size > bytes) complaints.push(`${file.path} has ${file.size} bytes, ${file.size - bytes} too many`);
  }
  return verdict(complaints, files.map((file) => `${file.path} has ${file.size} bytes`).join("; "));
}

async function proveRuns(proof: Proof & { check: "runs" }, tree: Tree, tools: ProofTools): Promise<Verdict> {
  if (resolve(tree, proof.path)?.kind !== "file") return { ok: false, detail: `no program is at ${proof.path}` };
  const { status, output } = await tools.run([`/out/${proof.path}`, ...proof.args]);
  // "m": a pattern with ^ and $ means a line of the output, as in "contains"
  const match = new RegExp(proof.matches, "m").exec(output);
  const excerpt = output.trim().split("\n").slice(0, 3).join(" / ").slice(0, 300);
  if (status !== 0) return { ok: false, detail: `exits with ${status}: ${excerpt}` };
  if (match === null) return { ok: false, detail: `prints no /${proof.matches}/: ${excerpt}` };
  return { ok: true, detail: match[0].trim() };
}

// ELF files

/** Opens a file for reading its headers; `use` must not keep the source. */
function withFile<T>(tree: Tree, file: TreeEntry, use: (source: ByteSource) => T): T {
  const descriptor = openSync(path.join(tree.dir, file.path), "r");
  try {
    return use({
      size: fstatSync(descriptor).size,
      read: (offset, length) => {
        const bytes = new Uint8Array(length);
        let filled = 0;
        while (filled < length) {
          const count = readSync(descriptor, bytes, filled, length - filled, offset + filled);
          if (count === 0) throw new FormatError("the file became shorter while it was read");
          filled += count;
        }
        return bytes;
      },
    });
  } finally {
    closeSync(descriptor);
  }
}

/** What `judge` says of a file, with a malformed file as a complaint too. */
function examine(tree: Tree, file: TreeEntry, judge: (source: ByteSource) => readonly string[]): string[] {
  try {
    return withFile(tree, file, judge).map((complaint) => `${file.path}${complaint}`);
  } catch (error) {
    if (error instanceof FormatError) return [`${file.path} cannot be read as ELF: ${error.message}`];
    if (errno(error) === "EACCES") return [`${file.path} is not readable`];
    throw error;
  }
}

/** Programs and libraries of every pattern, judged; other files are passed over. */
function proveElf(patterns: readonly string[], tree: Tree, judge: (elf: Elf) => string[]): Verdict {
  const complaints: string[] = patterns.length === 0 ? ["no path is given"] : [];
  let total = 0;
  for (const pattern of patterns) {
    let found = 0;
    for (const file of matchingFiles(pattern, tree)) {
      const wrong = examine(tree, file, (source) => {
        if (!isElf(source)) return [];
        found++;
        const elf = readElf(source);
        const linked = elf.type === "executable" || elf.type === "shared";
        if (!linked) found--;
        return linked ? judge(elf).map((complaint) => ` ${complaint}`) : [];
      });
      complaints.push(...wrong);
    }
    if (found === 0) complaints.push(`no linked ELF file is at ${pattern}`);
    total += found;
  }
  return verdict(complaints, `${total} ELF file${total === 1 ? "" : "s"}`);
}

function notStatic(elf: Elf): string[] {
  const wrong: string[] = [];
  if (elf.interpreter !== undefined) wrong.push(`asks for the loader ${elf.interpreter}`);
  const needed = elf.dynamic?.needed ?? [];
  if (needed.length > 0) wrong.push(`needs ${needed.join(", ")}`);
  return wrong;
}

function notStaticPie(elf: Elf): string[] {
  const wrong = notStatic(elf);
  if (elf.type !== "shared") wrong.push("is not position-independent");
  if (!elf.relro) wrong.push("has no PT_GNU_RELRO");
  if (elf.executableStack) wrong.push("has an executable stack");
  return wrong;
}

const anvilCc = /^GCC: \(ANVIL-CC/;
const rust = /^rustc version \d/;
/** What linkers and assemblers write: no compiler. */
const neutral = /^(Linker: |GNU ld |GNU gold |GNU AS )/;

interface Testimony {
  /** ELF files and archive members that were read. */
  readonly objects: number;
  /** How many of them say that ANVIL-CC compiled them. */
  readonly anvil: number;
  readonly complaints: readonly string[];
}

/** Objects that were assembled by hand say nothing, so every pattern must also find something that does. */
function proveCompiler(patterns: readonly string[], tree: Tree, beside?: RegExp): Verdict {
  const complaints: string[] = patterns.length === 0 ? ["no path is given"] : [];
  let total = 0;
  for (const pattern of patterns) {
    let objects = 0;
    let anvil = 0;
    const before = complaints.length;
    for (const file of matchingFiles(pattern, tree)) {
      const wrong = examine(tree, file, (source) => {
        const testimony = isElf(source) ? hearObject(source, beside) : isAr(source) ? hearArchive(source) : undefined;
        objects += testimony?.objects ?? 0;
        anvil += testimony?.anvil ?? 0;
        return testimony?.complaints ?? [];
      });
      complaints.push(...wrong);
    }
    if (objects === 0) complaints.push(`no ELF file is at ${pattern}`);
    else if (anvil === 0 && complaints.length === before) complaints.push(`nothing at ${pattern} says who compiled it`);
    total += objects;
  }
  return verdict(complaints, `${total} ELF file${total === 1 ? "" : "s"}`);
}

function hearArchive(archive: ByteSource): Testimony {
  const complaints: string[] = [];
  let objects = 0;
  let anvil = 0;
  for (const { name, offset, size } of arMembers(archive)) {
    const source = part(archive, offset, size, name);
    if (!isElf(source)) continue;
    const testimony = hearObject(source);
    objects++;
    anvil += testimony.anvil;
    complaints.push(...testimony.complaints.map((complaint) => `(${name})${complaint}`));
  }
  // a library whose comments were stripped off looks as if it were all assembly
  if (objects > 0 && anvil === 0 && complaints.length === 0)
    complaints.push(" has no member that says who compiled it");
  return { objects, anvil, complaints };
}

/** @param beside another compiler that there must be, too */
function hearObject(source: ByteSource, beside?: RegExp): Testimony {
  const elf = readElf(source);
  const compilers = elf.comments.filter((comment) => !neutral.test(comment));
  const foreign = compilers.filter((comment) => !anvilCc.test(comment) && beside?.test(comment) !== true);
  // an object that was assembled by hand has neither a comment nor the name of a source file
  const assembled = elf.type === "relocatable" && !elf.namesSourceFile;
  const complaints: string[] = [];
  if (foreign.length > 0) complaints.push(` was compiled by ${foreign.join(" and ")}`);
  else if (beside !== undefined && !compilers.some((comment) => beside.test(comment)))
    complaints.push(` does not name ${beside.source}`);
  else if (beside !== undefined && !compilers.some((comment) => anvilCc.test(comment)))
    complaints.push(" does not name ANVIL-CC");
  else if (compilers.length === 0 && !assembled) complaints.push(" does not say who compiled it");
  return { objects: 1, anvil: compilers.length > foreign.length ? 1 : 0, complaints };
}

// Build paths

const chunkSize = 1 << 20;
/** Bytes around a hit that decide whether it is one and that are shown. */
const context = 40;
const shown = 60;

interface Needle {
  readonly bytes: Buffer;
  /** Where a longer path may end with the same text, as in `linux/in/`. */
  readonly atPathStart: boolean;
  /** What must follow, for a needle so short that compressed data holds it by chance. */
  readonly followedBy: RegExp;
}

/**
 * Looks at the bytes of every regular file and the target of every link. What is inside a compressed file is not seen.
 * `/in/` counts only with a name of two letters or more behind it.
 */
async function proveNoBuildPaths(except: readonly string[], tree: Tree, storePath: string): Promise<Verdict> {
  const exceptions = except.map(globToRegExp);
  const needles = buildPathNeedles(storePath);
  const files = [...tree.entries.values()].filter((entry) => entry.kind === "file" || entry.kind === "link");
  const complaints: string[] = [];
  let looked = 0;
  for (const file of files) {
    if (exceptions.some((expression) => expression.test(file.path))) continue;
    looked++;
    if (file.kind === "link") {
      const hit = findIn(Buffer.from(file.target), needles);
      if (hit !== undefined) complaints.push(`${file.path} leads to “${hit}”`);
    } else {
      complaints.push(...(await searchFile(tree, file, needles)));
    }
  }
  if (looked === 0) complaints.push("there is no file to search");
  return verdict(complaints, `${looked} files searched`);
}

function buildPathNeedles(storePath: string): Needle[] {
  const needles: Needle[] = ["/build/", "/deps/", "/tools/", "/out/"].map((text) => {
    return { bytes: Buffer.from(text), atPathStart: true, followedBy: /^/ };
  });
  needles.push({ bytes: Buffer.from("/in/"), atPathStart: true, followedBy: /^[A-Za-z0-9._+-]{2}/ });
  const store = storePath.replace(/\/+$/, "");
  if (store !== "") needles.push({ bytes: Buffer.from(store), atPathStart: false, followedBy: /^/ });
  return needles;
}

async function searchFile(tree: Tree, file: TreeEntry, needles: readonly Needle[]): Promise<string[]> {
  try {
    const hit = await findInFile(tree, file, needles);
    return hit === undefined ? [] : [`${file.path} holds “${hit}”`];
  } catch (error) {
    if (errno(error) === "EACCES") return [`${file.path} is not readable`];
    throw error;
  }
}

async function findInFile(
  tree: Tree,
  { path: name, size }: TreeEntry,
  needles: readonly Needle[],
): Promise<string | undefined> {
  const tail = Math.max(...needles.map((needle) => needle.bytes.length)) + shown;
  const window = Buffer.allocUnsafe(Math.min(context + chunkSize + tail, size + 1));
  const handle = await open(path.join(tree.dir, name), "r");
  try {
    // windows overlap: a hit is taken in the chunk where it starts, with its surroundings from both neighbours
    for (let chunk = 0; ; chunk += chunkSize) {
      const from = Math.max(0, chunk - context);
      const length = Math.min(chunk - from + chunkSize + tail, window.length);
      let filled = 0;
      while (filled < length) {
        const { bytesRead } = await handle.read(window, filled, length - filled, from + filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      const hit = findIn(window.subarray(0, filled), needles, chunk - from, chunk - from + chunkSize);
      if (hit !== undefined) return hit;
      if (filled < length) return undefined;
    }
  } finally {
    await handle.close();
  }
}

/** The text around the first hit that starts at `from` or later and before `to`. */
function findIn(bytes: Buffer, needles: readonly Needle[], from = 0, to = bytes.length): string | undefined {
  for (const needle of needles) {
    for (let at = bytes.indexOf(needle.bytes, from); at >= 0 && at < to; at = bytes.indexOf(needle.bytes, at + 1)) {
      const end = at + needle.bytes.length;
      const before = bytes.toString("latin1", Math.max(0, at - context), at);
      const after = bytes.toString("latin1", end, end + shown);
      if (needle.atPathStart && !startsPath(before)) continue;
      if (!needle.followedBy.test(after)) continue;
      return (
        (/[\x20-\x7e]*$/.exec(before)?.[0] ?? "") + needle.bytes.toString() + (/^[\x20-\x7e]*/.exec(after)?.[0] ?? "")
      );
    }
  }
  return undefined;
}

/** Options of compilers and linkers to which a path is appended without a gap. */
const joinedOption = /(?:^|[^A-Za-z0-9._-])-(?:I|L|B|R|F|T|o|isystem|idirafter|iquote|include|imacros)$/;

/**
 * False when the text before a "/" is the beginning of the path: a name, a variable such as `$(srctree)` or
 * `${prefix}`, a wildcard, `~` or another slash.
 */
function startsPath(before: string): boolean {
  return !/[A-Za-z0-9._\-/)\]}>*~+@%$]$/.test(before) || joinedOption.test(before);
}
