/**
 * The assumptions of recipes as recipes: one for each component that unpacks it, looks at each assumption and writes a report.
 * They are built like anything else: in the sandbox, at the same time, and not again while source and assumptions are the same.
 *
 * `/out/report` has a line for each assumption, separated by tabs: `holds` or `fails`, the file, what was expected.
 * What a script said that failed follows, lines that begin with a tab.
 */
import type { Assumption } from "./assumption.ts";
import { exists } from "./proof.ts";
import { assumptionsOf, recipe, source, type Recipe, type Seed, type Versions } from "./recipe.ts";
import { stepScript } from "./step.ts";

const WORDS = "system/preflight/words";

/** Recipes that look at what these take for granted of their sources. `seed` has a shell, perl and a compiler. */
export function preflights(recipes: Iterable<Recipe>, seed: Seed, versions: Versions): readonly Recipe[] {
  const byComponent = new Map<string, Assumption[]>();
  const switches = new Map<string, Map<string, Set<string>>>();
  for (const each of recipes) {
    for (const { component } of each.sources) if (!byComponent.has(component)) byComponent.set(component, []);
    for (const assumption of assumptionsOf(each, versions)) byComponent.get(assumption.component)?.push(assumption);
    for (const { component, configure, given } of configuresOf(stepScript(each, versions))) {
      const scripts = switches.get(component) ?? new Map<string, Set<string>>();
      switches.set(component, scripts);
      const known = scripts.get(configure) ?? new Set<string>();
      scripts.set(configure, known);
      given.forEach((name) => known.add(name));
    }
  }
  return [...byComponent].map(([component, assumptions]) =>
    preflight(component, unique(assumptions), switches.get(component) ?? new Map(), seed),
  );
}

/** What a report says of one assumption. */
export interface Finding {
  readonly holds: boolean;
  readonly component: string;
  readonly file: string;
  readonly what: string;
  /** What a script said that failed. */
  readonly said: readonly string[];
}

export function readReport(component: string, report: string): Finding[] {
  const findings: (Finding & { said: string[] })[] = [];
  for (const line of report.split("\n")) {
    if (line.startsWith("\t")) findings.at(-1)?.said.push(line.slice(1));
    const [verdict, file, what] = line.split("\t");
    if (file === undefined || what === undefined || (verdict !== "holds" && verdict !== "fails")) continue;
    findings.push({ holds: verdict === "holds", component, file, what, said: [] });
  }
  return findings;
}

export const preflightName = (component: string): string => `preflight-${component}`;

function unique(assumptions: readonly Assumption[]): Assumption[] {
  return [...new Map(assumptions.map((each) => [JSON.stringify(each), each])).values()];
}

function preflight(
  component: string,
  assumptions: readonly Assumption[],
  switches: ReadonlyMap<string, ReadonlySet<string>>,
  seed: Seed,
): Recipe {
  const tolerated = new Set(assumptions.flatMap((each) => (each.expects === "tolerated" ? each.switches : [])));
  const scripts = assumptions.filter((each) => each.expects === "success");
  const looks = assumptions.filter((each) => each.expects !== "success" && each.expects !== "tolerated");
  const wanted = [...switches].map(([configure, given]) => ({
    configure,
    given: [...given].filter((name) => !tolerated.has(name) && !ofEveryPackage.has(name)).sort(),
  }));
  return recipe({
    name: preflightName(component),
    licence: "Apache-2.0",
    source: source(component),
    files: [...new Set([WORDS, ...scripts.flatMap(({ files = [] }) => files)])].sort(),
    seed,
    script: [
      `. /files/${WORDS}\n`,
      `cd /build/${component}\n`,
      "holds . 'its archive is sound, it unpacks, its patches apply'\n",
      ...scripts.filter(({ prepares }) => prepares === true).map(scriptOf),
      // another folder may have taken its place
      `cd /build/${component}\n`,
      ...looks.map(lookOf),
      ...wanted.flatMap(({ configure, given }) => given.map((name) => `switch ${quote(configure)} ${quote(name)}\n`)),
      ...scripts.filter(({ prepares }) => prepares !== true).map(scriptOf),
    ].join(""),
    proves: [exists("report")],
  });
}

/** What `src/recipe/style.ts` gives to each; configure passes over what it does not know. */
const ofEveryPackage = new Set(["--enable-static", "--disable-shared"]);

function lookOf(assumption: Assumption): string {
  switch (assumption.expects) {
    case "text":
      return `text ${assumption.times} ${quote(assumption.file)} ${quote(assumption.text)}\n`;
    case "mention":
      return `mention ${quote(assumption.text)} ${assumption.files.map(quote).join(" ")}\n`;
    case "paths":
      return assumption.paths.map((path) => `there ${quote(path)}\n`).join("");
    case "targets":
      return assumption.targets.map((name) => `target ${quote(assumption.makefile)} ${quote(name)}\n`).join("");
    case "success":
    case "tolerated":
      return "";
  }
}

/** In a process of its own: `set -e` means nothing in a condition. */
function scriptOf({ what, script, component }: Assumption & { readonly expects: "success" }): string {
  return `\
cat > /build/script <<'END_OF_SCRIPT'
cd /build/${component}
${script.endsWith("\n") ? script : `${script}\n`}END_OF_SCRIPT
try ${quote(what)}
`;
}

const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

interface Configure {
  readonly component: string;
  /** Path of the script in the component. */
  readonly configure: string;
  /** `--enable-x`, `--disable-x`, `--with-x` and `--without-x`, without values. */
  readonly given: readonly string[];
}

/** Calls of `configure` in a script, with the switches that they are given. Follows `cd` to folders below /build. */
export function configuresOf(script: string): Configure[] {
  const found: Configure[] = [];
  let folder = "/build";
  for (const line of script.replaceAll(/\\\n\s*/g, " ").split("\n")) {
    const words = line.trim().split(/\s+/);
    if (words[0] === "cd" && words[1] !== undefined) folder = resolve(folder, words[1]);
    const index = words.findIndex((word) => /(?:^|\/)configure$/.test(word));
    if (index === -1 || !/^(?:\.{0,2}\/)/.test(words[index] ?? "")) continue;
    const place = resolve(folder, words[index] ?? "").replace(/^\/build\//, "");
    const [component = "", ...rest] = place.split("/");
    const given = words.flatMap((word) => /^--(?:enable|disable|with|without)-[A-Za-z0-9_+-]+/.exec(word)?.[0] ?? []);
    found.push({ component, configure: rest.join("/"), given });
  }
  return found;
}

function resolve(folder: string, path: string): string {
  const parts = path.startsWith("/") ? [] : folder.split("/");
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== ".") parts.push(part);
  }
  return parts.join("/").replace(/^\/*/, "/");
}
