/** The checked shape of channel files: what is wrong is named with its JSON path. */
import { Fault } from "../fault/fault.ts";
import type { Channel, Component, Crate, Package, Patches, Place, Proven, Release } from "../recipe/channel.ts";

/** Checks the shape of a channel file without its seeds. `file` is what messages call it. Throws E_CHANNEL. */
export function checkChannel(value: unknown, file: string): Omit<Channel, "seeds"> {
  const at = new Checker(file, "$", value);
  at.only(
    "name",
    "description",
    "default",
    "proven",
    "unproven",
    "epoch",
    "suites",
    "places",
    "releases",
    "components",
  );
  const standard = at.optional("default")?.yes();
  const proven = at.optional("proven");
  const unproven = at.optional("unproven")?.text();
  if (proven !== undefined && unproven !== undefined)
    throw wrong(file, "$.unproven", 'nothing beside "proven"', unproven);
  const suites = at.optional("suites")?.each((date) => date.matching(utc, "a date such as 2026-07-11T10:16:37Z"));
  const places = at.optional("places")?.each((place) => checkPlace(place));
  const releases = at.optional("releases")?.each((release) => checkRelease(release));
  return {
    name: at.get("name").text(),
    description: at.get("description").text(),
    ...(standard !== undefined && { default: standard }),
    ...(proven !== undefined && { proven: checkProven(proven) }),
    ...(unproven !== undefined && { unproven }),
    epoch: at.get("epoch").count(),
    ...(suites !== undefined && { suites }),
    ...(places !== undefined && { places }),
    ...(releases !== undefined && { releases }),
    components: at.get("components").each((component) => checkComponent(component)),
  };
}

const utc = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

function checkProven(at: Checker): Proven {
  at.only("date", "pins", "built", "result");
  const built = at.get("built").list((name) => name.matching(/^[a-z][a-z0-9-]*$/, "the name of a recipe"));
  if (built.length === 0) throw wrong(at.file, `${at.path}.built`, "at least one recipe", []);
  return {
    date: at.get("date").matching(/^\d{4}-\d{2}-\d{2}$/, "a day: YYYY-MM-DD"),
    pins: at.get("pins").sha256(),
    built,
    result: at.get("result").text(),
  };
}

function checkPlace(at: Checker): Place {
  at.only("package", "suites", "area", "series", "licence");
  const suites = at.get("suites").list((suite) => suite.matching(/^[a-z][a-z0-9-]*$/, "the name of a suite"));
  if (suites.length === 0) throw wrong(at.file, `${at.path}.suites`, "at least one suite", []);
  const area = at.optional("area")?.oneOf("main", "contrib");
  const series = at.optional("series")?.text();
  return {
    package: at.get("package").text(),
    suites,
    ...(area !== undefined && { area }),
    ...(series !== undefined && { series }),
    licence: at.get("licence").text(),
  };
}

function checkRelease(at: Checker): Release {
  at.only("list", "entry", "series", "urls", "signature", "sums", "licence");
  const series = at.optional("series")?.text();
  const urls = at.get("urls").list((url) => {
    url.template(series);
    return url.url();
  });
  if (urls.length === 0) throw wrong(at.file, `${at.path}.urls`, "at least one address", []);
  const entry = at.optional("entry")?.template(series);
  const signature = at.optional("signature");
  const sums = at.optional("sums");
  return {
    list: at.get("list").url(),
    ...(entry !== undefined && { entry }),
    ...(series !== undefined && { series }),
    urls,
    ...(signature !== undefined && { signature: checkSignature(signature, series) }),
    ...(sums !== undefined && { sums: checkSums(sums, series) }),
    licence: at.get("licence").text(),
  };
}

function checkSignature(at: Checker, series: string | undefined): NonNullable<Release["signature"]> {
  at.only("url", "of", "keys");
  const of = at.optional("of")?.oneOf("unpacked");
  at.get("url").template(series);
  return { url: at.get("url").url(), ...(of !== undefined && { of }), keys: fingerprints(at.get("keys")) };
}

function checkSums(at: Checker, series: string | undefined): NonNullable<Release["sums"]> {
  at.only("url", "keys");
  const keys = at.optional("keys");
  at.get("url").names(series);
  return { url: at.get("url").url(), ...(keys !== undefined && { keys: fingerprints(keys) }) };
}

function fingerprints(at: Checker): string[] {
  const keys = at.list((key) => key.matching(fingerprint, "the fingerprint of a key: 40 or 64 hex digits in capitals"));
  if (keys.length === 0) throw wrong(at.file, at.path, "at least one fingerprint", []);
  return keys;
}

/** Of a key of version 4, or of version 6 (RFC 9580, 5.5.4). */
const fingerprint = /^(?:[0-9A-F]{40}|[0-9A-F]{64})$/;

/** Checks the shape of `channels/seed.json`: package lists by seed name. Throws E_CHANNEL. */
export function checkSeeds(value: unknown, file: string): Channel["seeds"] {
  return new Checker(file, "$", value).each((list) => list.list((entry) => checkPackage(entry)));
}

/** Checks the shape of `channels/crates.json`: crates by list name. Throws E_CHANNEL. */
export function checkCrates(value: unknown, file: string): NonNullable<Channel["crates"]> {
  return new Checker(file, "$", value).each((list) => list.list((entry) => checkCrate(entry)));
}

function checkCrate(at: Checker): Crate {
  at.only("crate", "version", "sha256");
  return {
    crate: at.get("crate").matching(/^[A-Za-z0-9_-]+$/, "the name of a crate"),
    version: at.get("version").matching(/^[0-9A-Za-z.+-]+$/, "a version"),
    sha256: at.get("sha256").sha256(),
  };
}

function checkComponent(at: Checker): Component {
  at.only("version", "archive", "urls", "sha256", "size", "verified", "signedBy", "unverified", "licence", "patches");
  const archive = at.optional("archive")?.archivePath();
  const urls = at.optional("urls")?.list((url) => url.url());
  const sha256 = at.optional("sha256")?.sha256();
  const size = at.optional("size")?.count();
  const signedBy = at.optional("signedBy")?.matching(fingerprint, "the fingerprint of a key");
  const unverified = at.optional("unverified")?.text();
  const patches = at.optional("patches")?.list((each) => checkPatches(each));
  if (archive === undefined && (urls === undefined || urls.length === 0)) {
    throw wrong(at.file, at.path, '"archive" or "urls"', at.value);
  }
  if (sha256 === undefined && unverified === undefined) {
    throw wrong(at.file, `${at.path}.sha256`, 'a SHA-256 in hex, or "unverified" with the reason', undefined);
  }
  return {
    version: at.get("version").text(),
    ...(archive !== undefined && { archive }),
    ...(urls !== undefined && { urls }),
    ...(sha256 !== undefined && { sha256 }),
    ...(size !== undefined && { size }),
    verified: at.get("verified").oneOf("signed", "recorded"),
    ...(signedBy !== undefined && { signedBy }),
    ...(unverified !== undefined && { unverified }),
    licence: at.get("licence").text(),
    ...(patches !== undefined && { patches }),
  };
}

function checkPatches(at: Checker): Patches {
  at.only("archive", "sha256", "size", "verified", "files");
  const files = at.get("files").list((file) => file.archivePath());
  if (files.length === 0) throw wrong(at.file, `${at.path}.files`, "at least one name", []);
  return {
    archive: at.get("archive").archivePath(),
    sha256: at.get("sha256").sha256(),
    size: at.get("size").count(),
    verified: at.get("verified").oneOf("signed", "recorded"),
    files,
  };
}

function checkPackage(at: Checker): Package {
  at.only("package", "version", "archive", "sha256", "size", "verified");
  const verified = at.optional("verified")?.oneOf("signed", "recorded");
  return {
    package: at.get("package").text(),
    version: at.get("version").text(),
    archive: at.get("archive").archivePath(),
    sha256: at.get("sha256").sha256(),
    size: at.get("size").count(),
    ...(verified !== undefined && { verified }),
  };
}

/** A place in a JSON document, which knows its path for the message. */
export class Checker {
  constructor(
    readonly file: string,
    readonly path: string,
    readonly value: unknown,
  ) {}

  get(key: string): Checker {
    return new Checker(this.file, `${this.path}.${key}`, this.object()[key]);
  }

  optional(key: string): Checker | undefined {
    return this.object()[key] === undefined ? undefined : this.get(key);
  }

  /** Refuses keys that mean nothing, so that a typing error does not pass as an absent value. */
  only(...keys: readonly string[]): void {
    for (const key of Object.keys(this.object())) {
      if (!keys.includes(key)) throw wrong(this.file, `${this.path}.${key}`, `one of ${keys.join(", ")}`, key);
    }
  }

  each<T>(check: (at: Checker) => T): Record<string, T> {
    return Object.fromEntries(Object.keys(this.object()).map((key) => [key, check(this.get(key))]));
  }

  list<T>(check: (at: Checker) => T): T[] {
    if (!Array.isArray(this.value)) throw this.expected("a list");
    return this.value.map((value, index) => check(new Checker(this.file, `${this.path}[${index}]`, value)));
  }

  text(): string {
    if (typeof this.value !== "string" || this.value === "") throw this.expected("a text");
    return this.value;
  }

  matching(form: RegExp, what: string): string {
    if (!form.test(this.text())) throw this.expected(what);
    return this.text();
  }

  /** A mark that is there or not. */
  yes(): true {
    if (this.value !== true) throw this.expected("true, or nothing");
    return true;
  }

  count(): number {
    if (!Number.isSafeInteger(this.value) || (this.value as number) < 0) throw this.expected("a whole number");
    return this.value as number;
  }

  truth(): true {
    if (this.value !== true) throw this.expected("true, or nothing");
    return true;
  }

  sha256(): string {
    if (!/^[0-9a-f]{64}$/.test(this.text())) throw this.expected("64 lower-case hex digits");
    return this.text();
  }

  oneOf<const T extends string>(...choices: readonly T[]): T {
    const found = choices.find((choice) => choice === this.value);
    if (found === undefined) throw this.expected(choices.map((choice) => `"${choice}"`).join(" or "));
    return found;
  }

  /** A path below a mirror's root: it is joined to a URL and its last part becomes a file name. */
  archivePath(): string {
    if (!/^[A-Za-z0-9][A-Za-z0-9+._~-]*(?:\/[A-Za-z0-9][A-Za-z0-9+._~-]*)+$/.test(this.text())) {
      throw this.expected("a path below an archive's root");
    }
    return this.text();
  }

  url(): string {
    const url = URL.canParse(this.text()) ? new URL(this.text()) : undefined;
    if (url === undefined || !["http:", "https:"].includes(url.protocol)) throw this.expected("an http or https URL");
    return this.text();
  }

  /** A text in which a version has its place. */
  template(series: string | undefined): string {
    if (!/\{[^}]*\}/.test(this.names(series))) throw this.expected('a text with "{version}" or "{rest}" in it');
    return this.text();
  }

  /** A text that has no other names of places than those of a version. */
  names(series: string | undefined): string {
    for (const [name] of this.text().matchAll(/\{[^}]*\}?/g)) {
      if (name === "{version}" || (name === "{rest}" && series !== undefined)) continue;
      throw this.expected('no other name than "{version}" and, beside a "series", "{rest}"');
    }
    return this.text();
  }

  private object(): Record<string, unknown> {
    if (typeof this.value !== "object" || this.value === null || Array.isArray(this.value)) {
      throw this.expected("an object");
    }
    return this.value as Record<string, unknown>;
  }

  private expected(what: string): Fault {
    return wrong(this.file, this.path, what, this.value);
  }
}

export function wrong(file: string, where: string, expected: string, found: unknown): Fault {
  const shown = found === undefined ? "nothing" : JSON.stringify(found);
  return new Fault("E_CHANNEL", `${file} is wrong at ${where}`, {
    details: [`expected ${expected}`, `found    ${shown.length > 80 ? `${shown.slice(0, 80)}…` : shown}`],
  });
}
