/**
 * Binary packages with all that they need: Depends and Pre-Depends, without Recommends (Debian Policy 7).
 * The result is a set to unpack together, not an installation: conflicts and maintainer scripts play no part.
 */
import { Fault } from "../fault/fault.ts";
import type { Package } from "../recipe/channel.ts";
import { paragraphs } from "./control.ts";
import { compareDebianVersions, satisfies, type Relation } from "./debian-version.ts";

interface Constraint {
  readonly name: string;
  readonly relation?: Relation;
  readonly version?: string;
}

interface BinaryPackage extends Package {
  /** Each group is a list of alternatives, of which one is needed. */
  readonly needs: readonly (readonly Constraint[])[];
  readonly provides: readonly Constraint[];
  readonly priority: number;
}

/** A `Packages` index, searchable by package name and by the virtual names that packages provide. */
export interface PackageIndex {
  readonly byName: ReadonlyMap<string, BinaryPackage>;
  readonly providers: ReadonlyMap<string, readonly BinaryPackage[]>;
}

const priorities = ["required", "important", "standard", "optional", "extra"];

/** Reads the text of a `Packages` index; of several versions of a package the newest counts that is not `absent`. */
export function readPackages(text: string, absent: Pick<ReadonlySet<string>, "has"> = new Set()): PackageIndex {
  const byName = new Map<string, BinaryPackage>();
  for (const fields of paragraphs(text)) {
    const name = fields.get("package");
    const version = fields.get("version");
    const archive = fields.get("filename");
    const sha256 = fields.get("sha256");
    if (name === undefined || version === undefined || archive === undefined || sha256 === undefined) continue;
    if (absent.has(sha256)) continue;
    const known = byName.get(name);
    if (known !== undefined && compareDebianVersions(known.version, version) >= 0) continue;
    const priority = priorities.indexOf(fields.get("priority") ?? "optional");
    byName.set(name, {
      package: name,
      version,
      archive,
      sha256,
      size: Number(fields.get("size")),
      needs: [...parseRelations(fields.get("pre-depends")), ...parseRelations(fields.get("depends"))],
      provides: parseRelations(fields.get("provides")).flat(),
      priority: priority === -1 ? priorities.length : priority,
    });
  }
  const providers = new Map<string, BinaryPackage[]>();
  for (const each of byName.values()) {
    for (const { name } of each.provides) providers.set(name, [...(providers.get(name) ?? []), each]);
  }
  for (const list of providers.values()) list.sort((a, b) => a.priority - b.priority || order(a.package, b.package));
  return { byName, providers };
}

/**
 * The named packages and everything that they need, sorted by name. An alternative that is in the set already is
 * preferred, then the first that exists; a virtual name takes the provider of the highest priority.
 * Throws E_PACKAGE for a name or a dependency that nothing in the index satisfies.
 */
export function closure(index: PackageIndex, names: readonly string[]): Package[] {
  const chosen = new Map<string, BinaryPackage>();
  const queue: BinaryPackage[] = [];
  const choose = (found: BinaryPackage): void => {
    if (chosen.has(found.package)) return;
    chosen.set(found.package, found);
    queue.push(found);
  };
  for (const name of [...names].sort(order)) {
    const found = candidates(index, { name })[0];
    if (found === undefined) throw new Fault("E_PACKAGE", `the archive has no package ${name}`);
    choose(found);
  }
  // A dependency with a single answer is taken before one with a choice, so that the choice can fall on what is
  // in the set anyway and the result does not depend on the order of the names.
  const open: { by: string; group: readonly Constraint[] }[] = [];
  for (;;) {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      for (const group of next.needs) {
        const answers = group.flatMap((constraint) => candidates(index, constraint));
        if (answers.length === 0) throw unsatisfied(next.package, group);
        if (answers.length === 1) choose(answers[0] as BinaryPackage);
        else open.push({ by: next.package, group });
      }
    }
    const undecided = open.shift();
    if (undecided === undefined) break;
    const answers = undecided.group.flatMap((constraint) => candidates(index, constraint));
    if (!answers.some((answer) => chosen.has(answer.package))) choose(answers[0] as BinaryPackage);
  }
  return [...chosen.values()]
    .sort((a, b) => order(a.package, b.package))
    .map(({ package: name, version, archive, sha256, size }) => ({ package: name, version, archive, sha256, size }));
}

/** Packages that satisfy a constraint: the one of that name first, then its providers. */
function candidates(index: PackageIndex, constraint: Constraint): BinaryPackage[] {
  const real = index.byName.get(constraint.name);
  const providers = index.providers.get(constraint.name) ?? [];
  return [
    ...(real !== undefined && holds(real.version, constraint) ? [real] : []),
    ...providers.filter((provider) =>
      provider.provides.some((provided) => provided.name === constraint.name && holds(provided.version, constraint)),
    ),
  ];
}

/** A provided name without a version satisfies no versioned dependency (Policy 7.5). */
function holds(version: string | undefined, { relation, version: wanted }: Constraint): boolean {
  if (relation === undefined || wanted === undefined) return true;
  return version !== undefined && satisfies(version, relation, wanted);
}

function unsatisfied(by: string, group: readonly Constraint[]): Fault {
  const wanted = group.map(({ name, relation, version }) =>
    relation === undefined ? name : `${name} (${relation} ${version})`,
  );
  return new Fault("E_PACKAGE", `package ${by} needs what the archive does not have: ${wanted.join(" | ")}`);
}

/** `a (>= 1) | b, c:any` as groups of alternatives; qualifiers of the architecture are dropped (one is used here). */
function parseRelations(field: string | undefined): Constraint[][] {
  if (field === undefined || field === "") return [];
  return field.split(",").map((group) =>
    group.split("|").flatMap((text) => {
      const match = /^\s*([a-z0-9][a-z0-9+.-]*)(?::[a-z0-9-]+)?\s*(?:\((<<|<=|=|>=|>>)\s*([^)\s]+)\s*\))?/.exec(text);
      if (match === null) return [];
      const [, name = "", relation, version] = match;
      return relation === undefined || version === undefined
        ? [{ name }]
        : [{ name, relation: relation as Relation, version }];
    }),
  );
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
