/**
 * A tree made of trees: the root of a system, an initramfs, a compiler with its tools. What goes where is data, and the
 * script that lays it out is generated (system/tree/words). It refuses, with the owners named, what two parts hold at one
 * path (E_TREE_COLLISION), what comes nowhere (E_TREE_UNUSED), and services that runsv could not start (E_TREE_SERVICE).
 * Licence and proofs follow from the parts.
 */
import { Fault } from "../fault/fault.ts";
import { allOf } from "./licence.ts";
import { builtByAnvilCc, exists, isStatic, isStaticPie, noBuildPaths, noSetId, type Proof } from "./proof.ts";
import {
  folderOf,
  proofsOf,
  recipe,
  type CpioArchive,
  type Recipe,
  type RecipeFields,
  type Root,
  type Versions,
} from "./recipe.ts";

export type Part = Recipe | CpioArchive;

/** A file or folder of the project, by its path, or a text. */
export type Content = string | { readonly from: string; readonly wins: true } | Text;

interface Text {
  readonly text: string;
  readonly executable?: true;
  readonly wins?: true;
}

export interface TreeFields {
  /** What it is made of: all of each, or what `only` picks. */
  readonly from: readonly Part[];
  /**
   * By the folder name of a part: paths of what is wanted of it. `*` is any text within a name, `**` any number of names;
   * a folder stands for all that is in it. Each has to match something.
   */
  readonly only?: Readonly<Record<string, readonly [string, ...string[]]>>;
  /** By the folder name of a part: the folder of the tree in which it is put, instead of the top. */
  readonly at?: Readonly<Record<string, string>>;
  /** Where files and folders come to that a part has elsewhere: path in the tree → path in the tree. */
  readonly moves?: Readonly<Record<string, string>>;
  /** Where two parts hold a path, these have it. Each has to win at least one. */
  readonly wins?: readonly Part[];
  /** Path in the tree → what is there. "." is the top, for a folder. */
  readonly files?: Readonly<Record<string, Content>>;
  /** Path in the tree → where the link leads. */
  readonly links?: Readonly<Record<string, string>>;
  /** Folders that are there, empty or not. */
  readonly folders?: readonly string[];
  /** Name of a service → its folder, or its script `run`. */
  readonly services?: Readonly<Record<string, Content>>;
  /** Where services stand: `etc/service` in a system, `service` in an ingot. */
  readonly serviceFolder?: "etc/service" | "service";
}

export type TreeRecipeFields = TreeFields & {
  readonly name: string;
  readonly folder?: string;
  /** Licences of what is in no part; `Apache-2.0`, that of the project, is added where it has files of the project. */
  readonly licences?: readonly string[];
  /** Shell text that runs in the finished tree, at /out. */
  readonly after?: string;
  /** In addition to those that follow from the parts. */
  readonly proves?: readonly Proof[];
} & ({ readonly seed: Exclude<Root, Recipe> } | { readonly root: Root });

const WORDS = "system/tree/words";

/** Throws E_TREE_FIELDS for fields that do not go together. */
export function tree(fields: TreeRecipeFields): Recipe {
  const { name, folder, licences = [], after = "", proves = [] } = fields;
  const common = {
    name,
    ...(folder === undefined ? {} : { folder }),
    licence: treeLicence(fields, licences),
    files: treeFiles(fields),
    inputs: fields.from,
    script: `${treeScript(fields, "/out")}${after === "" ? "" : `cd /out\n${after}`}`,
    proves: (versions: Versions): readonly [Proof, ...Proof[]] => [...derivedProofs(fields.from, versions), ...proves],
  };
  const root: Pick<RecipeFields & { root: Root }, "root"> = { root: "root" in fields ? fields.root : fields.seed };
  return recipe({ ...common, ...root });
}

/** The files that a recipe needs in which `treeScript` runs. */
export function treeFiles({ files = {}, services = {} }: TreeFields): string[] {
  const named = [...Object.values(files), ...Object.values(services)].flatMap((content) => sourceOf(content) ?? []);
  return [WORDS, ...new Set(named)];
}

function treeLicence({ from, ...fields }: TreeFields, more: readonly string[]): string {
  const ours = treeFiles({ from, ...fields }).length > 1 || texts(fields).length > 0 ? ["Apache-2.0"] : [];
  return allOf(...from.map(licenceOf), ...more, ...ours);
}

function licenceOf(part: Part): string {
  if (part.kind === "step") return part.licence;
  if (part.tree.kind === "seed") throw new Error(`the licence of ${part.tree.name} is not known`);
  return licenceOf(part.tree);
}

/** What holds for each part holds for all of them together. */
function derivedProofs(from: readonly Part[], versions: Versions): [Proof, ...Proof[]] {
  const proven = new Set(
    from.flatMap((part) => (part.kind === "step" ? proofsOf(part, versions).map(({ check }) => check) : [])),
  );
  const linked = proven.has("static") ? [isStatic("**")] : proven.has("static-pie") ? [isStaticPie("**")] : [];
  // of Rust's programs their own recipes say by which compilers they were made
  const compiled = proven.has("built-by-anvil-cc") && !proven.has("rust-by-anvil-cc") ? [builtByAnvilCc()] : [];
  return [exists("*"), ...linked, ...compiled, noBuildPaths(), noSetId()];
}

/** Bash that lays the tree out in a folder that is there; the parts are inputs of the recipe, its files `treeFiles`. */
export function treeScript(fields: TreeFields, into: string): string {
  check(fields);
  const { from, only = {}, at = {}, moves = {}, wins = [], files = {}, links = {}, folders = [] } = fields;
  const { services = {}, serviceFolder = "etc/service" } = fields;
  const winners = [
    ...wins.map(folderOf),
    ...entries({ ...files, ...services }).flatMap(([path, content]) => winnerOf(content, path)),
  ];
  return [
    `. /files/${WORDS}\n`,
    words("into", into),
    winners.length === 0 ? "" : words("wins", ...winners),
    ...entries(moves).map(([before, after]) => words("move", before, after)),
    folders.length === 0 ? "" : words("folder", ...folders),
    ...entries(links).map(([path, target]) => words("link", path, target)),
    ...from.map((part) => {
      const name = folderOf(part);
      return words("part", name, at[name] ?? ".", ...(only[name] ?? []));
    }),
    ...entries(files).map(([path, content]) => fileWords(path, content)),
    ...entries(services).map(([name, content]) => {
      const source = sourceOf(content);
      if (source !== undefined) return words("service", serviceFolder, name, source);
      return fileWords(`${serviceFolder}/${name}/run`, content);
    }),
    "lay_out\n",
  ].join("");
}

function fileWords(path: string, content: Content): string {
  const source = sourceOf(content);
  if (source !== undefined) return words("file", path, source);
  const { text, executable } = content as Text;
  return words("text", path, executable === true ? "755" : "644", text);
}

function sourceOf(content: Content): string | undefined {
  if (typeof content === "string") return content;
  return "from" in content ? content.from : undefined;
}

function winnerOf(content: Content, path: string): string[] {
  if (typeof content === "string" || content.wins !== true) return [];
  return [sourceOf(content) ?? `text of ${path}`];
}

const texts = ({ files = {}, services = {} }: Pick<TreeFields, "files" | "services">): Content[] =>
  [...Object.values(files), ...Object.values(services)].filter((content) => sourceOf(content) === undefined);

const entries = <T>(record: Readonly<Record<string, T>>): [string, T][] => Object.entries(record);

/** One word of the script with its arguments. */
function words(word: string, ...args: readonly string[]): string {
  return `${[word, ...args.map(quote)].join(" ")}\n`;
}

const quote = (text: string): string =>
  /^[A-Za-z0-9@%+=:,./_-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

/** No folder above itself, none above the tree. */
export const PATH = /^(?!.*(?:^|\/)\.{1,2}(?:\/|$))[^/\0\n]+(?:\/[^/\0\n]+)*$/;
export const PATTERN = /^[A-Za-z0-9@%+=:,._*-]+(?:\/[A-Za-z0-9@%+=:,._*-]+)*$/;

function check({ from, only = {}, at = {}, moves = {}, wins = [], files = {}, links = {}, ...rest }: TreeFields): void {
  const { folders = [], services = {} } = rest;
  const names = from.map(folderOf);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw wrong(`two parts of the tree are called ${twice}`);
  for (const name of [...Object.keys(only), ...Object.keys(at)])
    if (!names.includes(name)) throw wrong(`${name} is no part of the tree: ${names.join(", ")}`);
  for (const winner of wins)
    if (!from.includes(winner)) throw wrong(`${winner.name} cannot win: it is no part of the tree`);
  const paths = [...Object.values(at), ...Object.keys(moves), ...Object.values(moves), ...Object.keys(files)];
  for (const path of [...paths, ...Object.keys(links), ...folders])
    if (path !== "." && !PATH.test(path)) throw wrong(`"${path}" is no path in a tree`);
  for (const pattern of Object.values(only).flat())
    if (!PATTERN.test(pattern)) throw wrong(`"${pattern}" is no path or pattern`);
  for (const name of Object.keys(services))
    if (!/^[a-z0-9][a-z0-9-]*$/.test(name)) throw wrong(`"${name}" is no name of a service`);
}

const wrong = (message: string): Fault =>
  new Fault("E_TREE_FIELDS", message, { hint: "docs/recipes.md describes the fields of a tree" });
