/**
 * Steps that are built in the running Monolith instead of the forge's sandbox: one ingot that brings all that they need,
 * and a service that runs them one after the other (system/workshop/run). docs/self-hosting.md says how it is used.
 */
import type { Ingot } from "../src/recipe/ingot.ts";
import { exists } from "../src/recipe/proof.ts";
import { archive, folderOf, isRecipe, recipe, type Output, type Recipe, type Versions } from "../src/recipe/recipe.ts";
import { prelude, stepEnvironment, stepMounts, stepScript } from "../src/recipe/step.ts";
import { ingot } from "./ingot.ts";
import { seedBase } from "./seed.ts";

/** The recipes among all that these need whose root holds no seed, each after those that it needs. */
export function portableSteps(trees: readonly Recipe[]): readonly Recipe[] {
  const seen = new Set<Output>();
  const steps: Recipe[] = [];
  const visit = (output: Output): void => {
    if (!isRecipe(output) || seen.has(output)) return;
    seen.add(output);
    needs(output).forEach(visit);
    if (isRecipe(output.root)) steps.push(output);
  };
  trees.forEach(visit);
  return steps;
}

function needs(step: Recipe): readonly Output[] {
  return [step.root, ...stepMounts(step).map(({ output }) => output)];
}

/** @param name of the ingot for which they are built; the workshop is called `workshop-<name>` */
export function workshop(name: string, steps: readonly Recipe[]): Ingot {
  const full = `workshop-${name}`;
  const carried = carriedBy(steps);
  const components = [...new Set(steps.flatMap(({ sources }) => sources.map(({ component }) => component)))];
  const tree = recipe({
    name: full,
    licence: [...new Set(steps.map(({ licence }) => `(${licence})`))].join(" AND "),
    source: components.map(archive),
    files: ["system/workshop", ...new Set(steps.flatMap(({ files }) => files))],
    seed: seedBase,
    inputs: carried,
    script: (versions) =>
      [layOut(full, carried, components), ...steps.map((step) => describe(step, steps, versions))].join(""),
    proves: [exists(`service/${full}/run`, "workshop/enter", "workshop/steps", "workshop/plan/*/step.sh")],
  });
  return ingot({ name: full, version: "1", trees: [tree], services: [full], data: true, compression: 3 });
}

/** What is not built there: the compiler of the first stage, for example. */
function carriedBy(steps: readonly Recipe[]): readonly Recipe[] {
  const outputs = new Set(steps.flatMap(needs).filter((output) => !steps.some((step) => step === output)));
  const carried = [...outputs].map((output) => {
    if (!isRecipe(output)) throw new Error(`${output.name} is no output of a recipe`);
    return output;
  });
  if (new Set(carried.map(folderOf)).size < carried.length)
    throw new Error(`two of these are mounted at the same place: ${carried.map((each) => each.name).join(", ")}`);
  return carried;
}

function layOut(name: string, carried: readonly Recipe[], components: readonly string[]): string {
  return `\
mkdir -p /out/service/${name} /out/workshop/trees /out/workshop/src /out/workshop/plan
cp /files/system/workshop/run /out/service/${name}
cp /files/system/workshop/enter /out/workshop
cd /out/workshop
${carried
  .map(folderOf)
  .map((folder) => `cp -a /in/${folder} trees\n`)
  .join("")}\
${components.map((component) => `cp /src/${component} src\n`).join("")}`;
}

/** What the sandbox would show to the step, as files: docs/self-hosting.md, "In the Monolith". */
function describe(step: Recipe, steps: readonly Recipe[], versions: Versions): string {
  const place = (output: Output): string =>
    steps.some((each) => each === output) ? `made/${output.name}` : `trees/${folderOf(output)}`;
  const mounts = [
    `/ ${place(step.root)}`,
    ...stepMounts(step).map(({ at, output }) => `${at} ${place(output)}`),
    ...step.sources.map(({ component }) => `/src/${component} src/${component}`),
  ];
  const plan = `plan/${step.name}`;
  return [
    `echo ${step.name} >> steps\n`,
    `mkdir -p ${plan}/files\n`,
    write(`${plan}/mounts`, lines(mounts)),
    // the time of the channel, which is that of this very step too
    lines(environment(step, versions).map((each) => `printf '%s\\n' ${each} >> ${plan}/env`)),
    write(`${plan}/step.sh`, `${prelude}${stepScript(step, versions)}`),
    ...step.files.map((file) => `(cd /files && cp -a --parents ${file} /out/workshop/${plan}/files)\n`),
  ].join("");
}

/** Shell words `NAME=value`. */
function environment(step: Recipe, versions: Versions): string[] {
  const { SOURCE_DATE_EPOCH, ...fixed } = stepEnvironment(step, versions, "$SOURCE_DATE_EPOCH");
  return [
    `"SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH}"`,
    ...Object.entries(fixed).map(([name, value]) => word(`${name}=${value}`)),
  ];
}

function lines(texts: readonly string[]): string {
  return texts.map((text) => `${text}\n`).join("");
}

function write(file: string, text: string): string {
  return `printf '%s' ${word(text)} > ${file}\n`;
}

/** The text as one word of the shell. */
function word(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
