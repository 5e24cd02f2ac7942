/** Cargo's lock and manifests, as far as it takes to say which packages a program is made of, and what is to be downloaded. */
import { FormatError } from "./format-error.ts";

interface Package {
  readonly id: string;
  readonly name: string;
  /** Of the workspace: then its manifest says which dependencies are only those of tests, or not asked for. */
  readonly own: boolean;
  /** `name`, or as much of `name version (source)` as tells it from others. */
  readonly dependencies: readonly string[];
}

/** Packages of a `Cargo.lock` (versions 3 and 4). */
export function readLock(text: string): Package[] {
  return blocksOf(text).map((block) => {
    const list = /^dependencies = \[([^\]]*)\]/m.exec(block)?.[1] ?? "";
    const name = memberOf(block, "name") ?? "";
    return {
      id: `${name} ${memberOf(block, "version") ?? ""}`,
      name,
      own: memberOf(block, "source") === undefined,
      dependencies: [...list.matchAll(/"([^"]+)"/g)].map(([, dependency]) => dependency ?? ""),
    };
  });
}

/** The text of each package. */
const blocksOf = (text: string): string[] => text.split(/^\[\[package\]\]$/m).slice(1);

const memberOf = (block: string, name: string): string | undefined =>
  new RegExp(`^${name} = "(.*)"$`, "m").exec(block)?.[1];

/** A package that a registry has, with the SHA-256 of its `.crate` file. */
export interface LockedCrate {
  readonly crate: string;
  readonly version: string;
  readonly sha256: string;
}

/**
 * The packages of a `Cargo.lock` (versions 3 and 4) that come from a registry. Those of the workspace have no source; those of
 * repositories have no checksum and are left out, so a build that wants one has to bring it. Throws FormatError for names,
 * versions and checksums that are none, for a package of a registry without a checksum, and for a second registry.
 */
export function lockedCrates(text: string): LockedCrate[] {
  const version = /^version = (\d+)$/m.exec(text)?.[1];
  if (version !== "3" && version !== "4")
    throw new FormatError(`is of version ${version ?? "1 or 2"}, and only 3 and 4 are known`);
  const registries = new Set<string>();
  const crates = new Map<string, LockedCrate>();
  for (const block of blocksOf(text)) {
    const [crate = "", version = ""] = [memberOf(block, "name"), memberOf(block, "version")];
    const source = memberOf(block, "source");
    const sha256 = memberOf(block, "checksum");
    if (source === undefined || source.startsWith("git+")) continue;
    // they become names of files
    if (!/^[A-Za-z0-9_-]+$/.test(crate) || !/^\d[0-9A-Za-z.+-]*$/.test(version))
      throw new FormatError(`names a package ${JSON.stringify(crate)} of version ${JSON.stringify(version)}`);
    if (sha256 === undefined || !/^[0-9a-f]{64}$/.test(sha256))
      throw new FormatError(`has no checksum of ${crate} ${version}`);
    const known = crates.get(`${crate} ${version}`);
    if (known !== undefined && known.sha256 !== sha256)
      throw new FormatError(`has two checksums of ${crate} ${version}`);
    registries.add(source);
    crates.set(`${crate} ${version}`, { crate, version, sha256 });
  }
  if (registries.size > 1) throw new FormatError(`names several registries: ${[...registries].join(", ")}`);
  return [...crates.values()];
}

/** Names of the packages that a manifest always builds with: neither those of tests nor optional ones. */
export function dependenciesOf(manifest: string): Set<string> {
  const names = new Set<string>();
  const sections = manifest.split(/^(?=\[)/m);
  for (const section of sections) {
    const [, single] = /^\[(?:target\..*\.)?(?:build-)?dependencies(?:\.([\w-]+))?\]/.exec(section) ?? [];
    if (single !== undefined) {
      if (!/^optional = true/m.test(section)) names.add(single);
    } else if (/^\[(?:target\..*\.)?(?:build-)?dependencies\]/.test(section)) {
      for (const [line, name] of section.matchAll(/^([\w-]+)(?:\.workspace)?\s*=.*$/gm))
        if (!line.includes("optional = true")) names.add(/package = "([^"]+)"/.exec(line)?.[1] ?? name ?? "");
    }
  }
  return names;
}

/**
 * What a package of the workspace is built with, itself included, as `name version`, sorted. Features are not looked at: a
 * package that the lock names for another one counts, whether a feature asks for it or not.
 *
 * @param manifests the text of `Cargo.toml` of each package of the workspace, by the package's name
 */
export function packagesOf(
  lock: readonly Package[],
  program: string,
  manifests: ReadonlyMap<string, string>,
): string[] {
  const found = new Set<Package>();
  const visit = (each: Package): void => {
    if (found.has(each)) return;
    found.add(each);
    const manifest = each.own ? manifests.get(each.name) : undefined;
    const wanted = manifest === undefined ? undefined : dependenciesOf(manifest);
    for (const dependency of each.dependencies) {
      const [name = "", version] = dependency.split(" ");
      if (wanted !== undefined && !wanted.has(name)) continue;
      const next = lock.find(
        (other) => other.id === `${name} ${version ?? ""}` || (version === undefined && other.name === name),
      );
      if (next !== undefined) visit(next);
    }
  };
  const start = lock.find(({ name, own }) => own && name === program);
  if (start !== undefined) visit(start);
  return [...found].map(({ id }) => id).sort();
}
