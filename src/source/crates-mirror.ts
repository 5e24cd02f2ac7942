/**
 * Where Rust crates are downloaded from: the command line, the environment, the machine's cargo configuration, in which
 * a registry stands in for the usual one (doc.rust-lang.org/cargo: "Source Replacement", "Registries", "Index Format"), or
 * the registry that a cargo knows by itself.
 */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { Fault } from "../fault/fault.ts";
import { download } from "./fetch.ts";

export interface CrateMirrorChoice {
  /** `--crates-mirror`, given any number of times. */
  readonly flags: readonly string[];
  /** ANVIL_CRATES_MIRROR: URLs separated by commas. */
  readonly environment: string | undefined;
  /** Folder of cargo's configuration: ~/.cargo. */
  readonly cargoHome: string;
  /** The download template of cargo's own registry, asked for when nothing else names one. */
  readonly cargo: () => Promise<string>;
}

/**
 * Download templates, best first. The flags win over the environment, that over cargo's configuration, and that over the
 * registry of cargo itself. A URL with a marker such as `{crate}` is a template; any other is the root of a sparse index,
 * whose `config.json` names one. Throws E_USAGE for a given URL that is not http or https, E_FETCH, and what `cargo`
 * throws.
 */
export async function crateMirrors(choice: CrateMirrorChoice): Promise<string[]> {
  const named = await namedRegistries(choice);
  return named ?? [await choice.cargo()];
}

/** As crateMirrors, but undefined when nothing names a registry. */
export async function namedRegistries(choice: Omit<CrateMirrorChoice, "cargo">): Promise<string[] | undefined> {
  const fromEnvironment = (choice.environment ?? "").split(",").filter((url) => url.trim() !== "");
  if (choice.flags.length > 0) return templates(choice.flags, "--crates-mirror");
  if (fromEnvironment.length > 0) return templates(fromEnvironment, "ANVIL_CRATES_MIRROR");
  const configured = await configuredRegistry(choice.cargoHome);
  return configured === undefined ? undefined : templates([configured], `cargo's configuration in ${choice.cargoHome}`);
}

const marker = /\{(?:crate|version|prefix|lowerprefix|sha256-checksum)\}/;

async function templates(urls: readonly string[], where: string): Promise<string[]> {
  const found: string[] = [];
  for (const text of urls) {
    const url = text.trim().replace(/^sparse\+/, "");
    if (!URL.canParse(url) || !/^https?:\/\//.test(url))
      throw new Fault("E_USAGE", `${where}: "${text}" is not an http or https URL`);
    found.push(marker.test(url) ? url : await templateOf(url));
  }
  return [...new Set(found)];
}

/** The `dl` of a sparse index. */
async function templateOf(index: string): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), "anvil-index-"));
  try {
    const url = `${index.replace(/\/+$/, "")}/config.json`;
    const to = path.join(folder, "config.json");
    await download({ urls: [url], to, name: "the configuration of a registry", limit: MOST_CONFIGURATION });
    return templateIn(await readFile(to, "utf8"), url);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Bytes: it is one small object. */
const MOST_CONFIGURATION = 1 << 20;

/** The `dl` in the `config.json` of an index. Throws E_FETCH when there is none over HTTP. */
export function templateIn(text: string, where: string): string {
  const { dl } = parseIndex(text);
  if (typeof dl === "string" && /^https?:\/\//.test(dl)) return dl;
  throw new Fault("E_FETCH", `${where} names no place of downloads`, { hint: "it may not be a sparse index" });
}

function parseIndex(text: string): { readonly dl?: unknown } {
  try {
    return (JSON.parse(text) ?? {}) as { readonly dl?: unknown };
  } catch {
    return {};
  }
}

/** The place of one crate. Without a marker the template ends as the index format says. */
export function crateUrl(
  template: string,
  { crate, version, sha256 }: { readonly crate: string; readonly version: string; readonly sha256: string },
): string {
  const whole = marker.test(template) ? template : `${template.replace(/\/+$/, "")}/{crate}/{version}/download`;
  return whole
    .replaceAll("{crate}", crate)
    .replaceAll("{version}", version)
    .replaceAll("{prefix}", prefix(crate))
    .replaceAll("{lowerprefix}", prefix(crate.toLowerCase()))
    .replaceAll("{sha256-checksum}", sha256);
}

function prefix(crate: string): string {
  if (crate.length <= 2) return String(crate.length);
  if (crate.length === 3) return `3/${crate.slice(0, 1)}`;
  return `${crate.slice(0, 2)}/${crate.slice(2, 4)}`;
}

/** The index that takes the place of the usual registry; undefined when the configuration names none over HTTP. */
export async function configuredRegistry(cargoHome: string): Promise<string | undefined> {
  for (const name of ["config.toml", "config"]) {
    const text = await readFile(path.join(cargoHome, name), "utf8").catch(() => undefined);
    if (text !== undefined) return replacement(tables(text));
  }
  return undefined;
}

type Tables = ReadonlyMap<string, ReadonlyMap<string, string>>;

/** `[a.b]` tables of strings; what else TOML can say is passed over. */
function tables(text: string): Tables {
  const found = new Map<string, Map<string, string>>();
  let table = new Map<string, string>();
  for (const line of text.split("\n")) {
    const header = /^\s*\[\s*([^\]]+?)\s*\]/.exec(line)?.[1];
    if (header !== undefined) {
      const name = header.replaceAll(/["'\s]/g, "");
      table = found.get(name) ?? new Map<string, string>();
      found.set(name, table);
      continue;
    }
    const [, key, double, single] = /^\s*([\w-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/.exec(line) ?? [];
    const value = double ?? single;
    if (key !== undefined && value !== undefined) table.set(key, value);
  }
  return found;
}

function replacement(found: Tables): string | undefined {
  const seen = new Set<string>();
  let name: string | undefined = found.get("source.crates-io")?.get("replace-with");
  while (name !== undefined && !seen.has(name)) {
    seen.add(name);
    const source = found.get(`source.${name}`);
    const url = source?.get("registry") ?? found.get(`registries.${name}`)?.get("index");
    if (url !== undefined && /^sparse\+https?:\/\//.test(url)) return url;
    name = source?.get("replace-with");
  }
  return undefined;
}
