/** What the command line can name: every recipe reachable from the ISO, from the ingots and from the checks, by its name. */
import { checks } from "../../recipes/checks.ts";
import type { Ingot } from "../../recipes/ingot.ts";
import { ingots } from "../../recipes/ingots/index.ts";
import { isoImage } from "../../recipes/iso.ts";
import { CLOSED } from "../../recipes/rootfs.ts";
import { Fault } from "../fault/fault.ts";
import { trustedKeys } from "../inject/key-file.ts";
import type { Channel } from "../recipe/channel.ts";
import { isRecipe, type Output, type Recipe, type Seed } from "../recipe/recipe.ts";
import { userKeys, userLogins } from "./user-keys.ts";

const images = new Map<string, Recipe>();

/** Whether consoles give a root shell when the command line does not say: only where there is no other way to log in. */
export function usualRootLogin(): boolean {
  return userLogins().length === 0;
}

/** Options of commands that speak of the ISO. */
export const loginOptions = {
  "root-login": { type: "boolean", default: false },
  "no-root-login": { type: "boolean", default: false },
} as const;

/** Throws E_USAGE when both are given. */
export function rootLoginOf(values: { readonly "root-login": boolean; readonly "no-root-login": boolean }): boolean {
  const { "root-login": open, "no-root-login": closed } = values;
  if (open && closed) throw new Fault("E_USAGE", "--root-login and --no-root-login exclude each other");
  return open || (!closed && usualRootLogin());
}

/** The ISO, which accepts this user's ingots and SSH keys. */
export function defaultTarget(rootLogin = usualRootLogin()): Recipe {
  const options = { rootLogin, trust: trustedKeys(userKeys()), logins: userLogins() };
  const name = JSON.stringify(options);
  const known = images.get(name) ?? isoImage(options);
  images.set(name, known);
  return known;
}

/** Whether these are or hold a root, which names the keys whose ingots it accepts. */
export function acceptsIngots(targets: readonly Output[]): boolean {
  return [...reachable(targets)].some((output) => isRecipe(output) && output.name.startsWith("rootfs"));
}

/** The outputs of all ingots, as a channel makes them. */
export const ingotBodies = (channel: Channel): readonly Output[] =>
  [...new Set(ingots.map(({ name }) => name))].map((name) => findIngot(name, channel).body);

/** Everything that users may want made: what a clean-up keeps. */
export function allTargets(): readonly Output[] {
  return [defaultTarget(true), defaultTarget(false), ...ingots.map(({ body }) => body), ...checks];
}

/** Those of them whose sources this channel pins: some are only in one. */
export function targetsOf({ components }: Channel): readonly Output[] {
  return allTargets().filter((target) => componentsOf([target]).every((name) => name in components));
}

/** The file that the default target makes. */
export const IMAGE = "anvilos-phase2.iso";

/** Every output that these need, and themselves; what is needed stands before what needs it. */
function reachable(targets: readonly Output[]): ReadonlySet<Output> {
  const found = new Set<Output>();
  const visit = (output: Output): void => {
    if (found.has(output)) return;
    dependencies(output).forEach(visit);
    found.add(output);
  };
  targets.forEach(visit);
  return found;
}

/** All outputs by name, in build order. A seed is called `seed-<name>`. */
export function allOutputs(): ReadonlyMap<string, Output> {
  const named = new Map<string, Output>();
  for (const output of reachable(allTargets())) {
    const name = output.kind === "seed" ? `seed-${output.name}` : output.name;
    if (named.has(name)) throw new Error(`two recipes are called ${name}`);
    named.set(name, output);
  }
  return named;
}

/** Every recipe that these need, themselves included. */
export function recipesOf(targets: readonly Output[]): Recipe[] {
  return [...reachable(targets)].filter(isRecipe);
}

/** Names of the channel's components that these outputs are made from. */
export function componentsOf(targets: readonly Output[]): string[] {
  return [...new Set(recipesOf(targets).flatMap((recipe) => recipe.sources.map(({ component }) => component)))];
}

/** The seeds that these outputs are made with. */
export function seedsOf(targets: readonly Output[]): Seed[] {
  return [...reachable(targets)].filter((output) => output.kind === "seed");
}

function dependencies(output: Output): readonly Output[] {
  switch (output.kind) {
    case "seed":
      return [];
    case "cpio":
      return [output.tree];
    case "step":
      return [output.root, ...output.tools, ...output.link, ...output.inputs];
  }
}

/** Of the two kinds of `iso`, `rootfs` and so on it is the one that fits `rootLogin`. Throws E_NO_TARGET. */
export function findTarget(name: string, rootLogin = usualRootLogin()): Output {
  const outputs = allOutputs();
  const output = (rootLogin ? undefined : outputs.get(`${name}${CLOSED}`)) ?? outputs.get(name);
  if (output !== undefined) return output;
  throw new Fault("E_NO_TARGET", `there is no recipe "${name}"`, {
    hint: `recipes: ${[...outputs.keys()].join(", ")}`,
  });
}

/** The named recipes, or the ISO. Throws E_NO_TARGET. */
export function namedTargets(names: readonly string[], rootLogin = usualRootLogin()): readonly Output[] {
  return names.length === 0 ? [defaultTarget(rootLogin)] : names.map((name) => findTarget(name, rootLogin));
}

/**
 * The ingot of that name; where there are several, the first that is made of sources which the channel pins without a doubt,
 * or whose doubtful pins are accepted. Throws E_NO_TARGET.
 */
export function findIngot(name: string, channel: Channel, accepted: ReadonlySet<string> = new Set()): Ingot {
  const named = ingots.filter((each) => each.name === name);
  const isPinned = ({ body }: Ingot): boolean =>
    componentsOf([body]).every((component) => {
      const pin = channel.components[component];
      return pin !== undefined && (pin.unverified === undefined || accepted.has(component));
    });
  const found = named.find(isPinned) ?? named.at(-1);
  if (found !== undefined) return found;
  throw noIngot(name);
}

/** Throws E_NO_TARGET. */
export function requireIngot(name: string): void {
  if (!ingots.some((each) => each.name === name)) throw noIngot(name);
}

function noIngot(name: string): Fault {
  const names = [...new Set(ingots.map((each) => each.name))];
  return new Fault("E_NO_TARGET", `there is no ingot "${name}"`, {
    hint: `ingots: ${names.join(", ")}; a file: --file <file>`,
  });
}
