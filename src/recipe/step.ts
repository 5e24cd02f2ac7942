/**
 * What surrounds a recipe's script wherever it runs, in the forge's sandbox or in the Monolith: the environment, and the
 * text that runs before it. The environment and the script are in the key; the prelude belongs to the engine.
 */
import type { Patches } from "./channel.ts";
import { folderOf, type Output, type Recipe, type Versions } from "./recipe.ts";

/** The target triple. */
export const TARGET = "x86_64-anvil-linux-musl";

/** What runs before the script, whatever the settings of the user who started it. */
export const prelude = `\
umask 022
set -euo pipefail
trap 'times > /anvil/times' EXIT
# whatever the forge inherited from its own parent, but the jobserver and this script
for fd in /proc/self/fd/*; do
  case \${fd##*/} in [0-3] | 255) ;; *) eval "exec \${fd##*/}>&-" ;; esac
done
unset fd
`;

/** The version of the first source; empty without one. */
export function stepVersion({ sources }: Recipe, versions: Versions): string {
  return sources[0] === undefined ? "" : versions.of(sources[0].component);
}

/** @param epoch SOURCE_DATE_EPOCH, in digits */
export function stepEnvironment(recipe: Recipe, versions: Versions, epoch: string): Record<string, string> {
  return {
    SOURCE_DATE_EPOCH: epoch,
    ANVIL_TARGET: TARGET,
    VERSION: stepVersion(recipe, versions),
    PATH: searchPath(recipe),
    HOME: "/build",
    LC_ALL: "C",
    TZ: "UTC",
    ...recipe.env,
  };
}

/** Bash, without the prelude. */
export function stepScript(recipe: Recipe, versions: Versions): string {
  const body = typeof recipe.script === "string" ? recipe.script : recipe.script(versions);
  return `${unpackScript(recipe, versions)}${body.trim()}\n`;
}

/** The outputs that a step names, each with the folder in which it finds it. */
export function stepMounts(recipe: Recipe): { readonly at: string; readonly output: Output }[] {
  const under = (folder: string, outputs: readonly Output[]): { at: string; output: Output }[] =>
    outputs.map((output) => ({ at: `/${folder}/${folderOf(output)}`, output }));
  return [...under("tools", recipe.tools), ...under("deps", recipe.link), ...under("in", recipe.inputs)];
}

function searchPath(recipe: Recipe): string {
  const tools = recipe.tools.flatMap((tool) => [
    `/tools/${folderOf(tool)}/usr/bin`,
    `/tools/${folderOf(tool)}/usr/sbin`,
  ]);
  return [...tools, "/usr/bin", "/usr/sbin"].join(":");
}

/**
 * Every source below /build/<component>, its top folder stripped and the channel's patches applied. One command a line:
 * `set -e` passes over a failure on the left of `&&`.
 */
function unpackScript(recipe: Recipe, versions: Versions): string {
  return recipe.sources
    .filter(({ packed }) => packed !== true)
    .map(({ component }) => `${unpack(component, component)}${patchScript(component, versions.patches(component))}`)
    .join("");
}

const unpack = (archive: string, folder: string): string =>
  `mkdir /build/${folder}\ntar -xf /src/${archive} -C /build/${folder} --strip-components=1 --no-same-owner\n`;

/** Only what both GNU's and busybox' `patch` understand: roots without a seed have the latter. */
function patchScript(component: string, patches: readonly Patches[]): string {
  return patches
    .map(({ files }, index) => {
      const from = patchesName(component, index);
      return [
        `${unpack(from, from)}cd /build/${component}\n`,
        ...files.map((file) => `patch -p1 -i /build/${from}/${file}\n`),
        `cd /build\nrm -r /build/${from}\n`,
      ].join("");
    })
    .join("");
}

/** What the archive of a component's patches is called among the sources of a step. */
export function patchesName(component: string, index: number): string {
  return `${component}.patches-${index + 1}`;
}
