/** Cargo's lock and manifests, as far as it takes to say which packages a program is made of. */

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
  return text
    .split(/^\[\[package\]\]$/m)
    .slice(1)
    .map((block) => {
      const member = (name: string): string | undefined => new RegExp(`^${name} = "(.*)"$`, "m").exec(block)?.[1];
      const list = /^dependencies = \[([^\]]*)\]/m.exec(block)?.[1] ?? "";
      const name = member("name") ?? "";
      return {
        id: `${name} ${member("version") ?? ""}`,
        name,
        own: member("source") === undefined,
        dependencies: [...list.matchAll(/"([^"]+)"/g)].map(([, dependency]) => dependency ?? ""),
      };
    });
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
