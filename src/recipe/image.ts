/**
 * An image as a value: what a system has beside that of every AnvilOS. `anvil.image.ts` in a folder of a user's is one.
 * Names of files are relative to that folder. docs/images.md describes the fields.
 */
import { Fault } from "../fault/fault.ts";
import { isLicence } from "./licence.ts";
import type { Recipe } from "./recipe.ts";
import { PATH, PATTERN, type Content } from "./tree.ts";

export interface ImageFields {
  /** Lower-case letters, digits and `-`: VARIANT_ID of the system, and its host name. */
  readonly name: string;
  /** Where it is not `name`. */
  readonly hostName?: string;
  readonly packages?: readonly Package[];
  /** Path in the system, without the first `/` → a file or folder, or a text. */
  readonly files?: Readonly<Record<string, Content>>;
  /** Folders that are there, empty or not. */
  readonly folders?: readonly string[];
  /** Name → the script `run` of a service for runsv, or its folder, or a text. */
  readonly services?: Readonly<Record<string, Content>>;
  /** Options of Linux in addition to, or in the place of, those in system/kernel/config. */
  readonly kernel?: Readonly<Record<string, boolean | number | string>>;
  /** Whoever may log in, by name. Where it is absent, root with the keys in ~/.config/anvil/authorized_keys. */
  readonly users?: Readonly<Record<string, User>>;
  /** DHCP on every interface where it is absent. */
  readonly network?: Network;
  readonly limits?: Limits;
}

/** A recipe, all of it or what `only` picks (as in `tree`); where another part has a path of it too, it has it if it `wins`. */
export type Package =
  Recipe | { readonly from: Recipe; readonly only?: readonly [string, ...string[]]; readonly wins?: true };

export interface User {
  /** SSH public keys: lines of `~/.ssh/id_….pub`. */
  readonly keys?: readonly string[];
  /** From 1000 on in the order of the users where it is absent; 0 for root. */
  readonly uid?: number;
  /** /bin/sh where it is absent. */
  readonly shell?: string;
}

export interface Network {
  /** IPv4 with the length of the prefix: `192.168.1.10/24`. */
  readonly address: string;
  readonly gateway?: string;
  readonly dns?: readonly string[];
  /** `eth0` where it is absent. */
  readonly interface?: string;
}

/** In bytes. */
export interface Limits {
  /** The ISO may have so many: 40 000 000 where it is absent. */
  readonly iso?: number;
  /** The compressed kernel may have so many: 9 MiB where it is absent. */
  readonly kernel?: number;
  /** The pool of the root has so many, whole MiB from 64 MiB on: 64 MiB where it is absent. Installed, it has the disk. */
  readonly root?: number;
}

export interface Image extends ImageFields {
  readonly kind: "image";
}

export const KiB = 1024;
export const MiB = 1024 * KiB;

/** Names of files of the user's folder begin with it, in recipes and below /files. */
export const OWN = "@image/";

/** A file or folder of the user's folder, for the `files` of a recipe. */
export const own = (name: string): string => `${OWN}${name}`;

/** Throws E_IMAGE, which names all that is wrong. */
export function image(fields: ImageFields): Image {
  const wrong = faultsOf(fields);
  if (wrong.length > 0)
    throw new Fault("E_IMAGE", wrong.length === 1 ? "a field of the image is wrong" : "fields of the image are wrong", {
      details: wrong,
      hint: "docs/images.md describes the fields",
    });
  return Object.freeze({ kind: "image", ...fields });
}

/** Packages with what is wanted of them. */
export function partsOf({
  packages = [],
}: ImageFields): { from: Recipe; only?: readonly [string, ...string[]]; wins?: true }[] {
  return packages.map((each) => ("kind" in each ? { from: each } : each));
}

/** Type and key of each line, without comments: these name people and machines. */
export function keysOf({ keys = [] }: User): string[] {
  return keys.map((key) => key.trim().split(/\s+/).slice(0, 2).join(" "));
}

/** Every user but root, with a number. */
export function usersOf({ users = {} }: ImageFields): { name: string; uid: number; user: User }[] {
  const given = new Set(Object.values(users).map(({ uid }) => uid));
  let next = 1000;
  const free = (): number => {
    while (given.has(next)) next++;
    return next++;
  };
  return Object.entries(users)
    .filter(([name]) => name !== "root")
    .map(([name, user]) => ({ name, uid: user.uid ?? free(), user }));
}

// Validation: the file is compiled without a type check.

type Check = (value: unknown, at: string) => string[];

function faultsOf(fields: unknown): string[] {
  const wrong = object(fields, "the image", {
    name: required(matching(NAME, "lower-case letters, digits and -, up to 63")),
    hostName: matching(NAME, "lower-case letters, digits and -, up to 63"),
    packages: listOf(packaged),
    files: recordOf(path, content),
    folders: listOf(path),
    services: recordOf(matching(NAME, "lower-case letters, digits and -"), content),
    kernel: recordOf(matching(/^CONFIG_[A-Z0-9_a-z]+$/, "an option: CONFIG_…"), optionValue),
    users: recordOf(matching(/^[a-z_][a-z0-9_-]{0,30}$/, "a name: lower-case letters, digits, _ and -"), user),
    network,
    limits,
  });
  return wrong.length > 0 ? wrong : together(fields as ImageFields);
}

const NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const SYSTEM_USERS = ["daemon", "nobody"];
const KEY_TYPE =
  /^(?:ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)|sk-(?:ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com)$/;

function say(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "an object";
  return value === undefined ? "nothing" : JSON.stringify(value);
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function object(value: unknown, at: string, checks: Readonly<Record<string, Check>>): string[] {
  if (!isObject(value)) return [`${at}: an object is wanted, not ${say(value)}`];
  const place = (name: string): string => (at === "the image" ? name : `${at}.${name}`);
  const unknown = Object.keys(value)
    .filter((name) => !(name in checks))
    .map((name) => `${place(name)}: there is no such field; there are ${Object.keys(checks).join(", ")}`);
  return [...unknown, ...Object.entries(checks).flatMap(([name, check]) => check(value[name], place(name)))];
}

/** A check of what may be absent. */
const optional =
  (check: Check): Check =>
  (value, at) =>
    value === undefined ? [] : check(value, at);

const required =
  (check: Check): Check =>
  (value, at) =>
    value === undefined ? [`${at}: is missing`] : check(value, at);

const text =
  (isRight: (text: string) => boolean, wanted: string): Check =>
  (value, at) =>
    typeof value === "string" && isRight(value) ? [] : [`${at}: ${wanted} is wanted, not ${say(value)}`];

const matching = (pattern: RegExp, wanted: string): Check => optional(text((value) => pattern.test(value), wanted));

const listOf = (check: Check): Check =>
  optional((value, at) =>
    Array.isArray(value)
      ? value.flatMap((each, index) => check(each, `${at}[${index}]`))
      : [`${at}: a list is wanted, not ${say(value)}`],
  );

const recordOf = (name: Check, check: Check): Check =>
  optional((value, at) =>
    isObject(value)
      ? Object.entries(value).flatMap(([key, each]) => [...name(key, at), ...check(each, `${at}["${key}"]`)])
      : [`${at}: an object is wanted, not ${say(value)}`],
  );

const bytes = (least: number, unit: number, wanted: string): Check =>
  optional((value, at) =>
    typeof value === "number" && Number.isInteger(value) && value >= least && value % unit === 0
      ? []
      : [`${at}: ${wanted} is wanted, not ${say(value)}`],
  );

const path = text((value) => PATH.test(value), "a path without / at its beginning and without ..");
const address = (value: string): boolean =>
  /^\d{1,3}(?:\.\d{1,3}){3}$/.test(value) && value.split(".").every((part) => Number(part) < 256);
const yes: Check = optional((value, at) => (value === true ? [] : [`${at}: true is wanted, or nothing`]));

const content: Check = (value, at) => {
  if (typeof value === "string") return path(value, at);
  if (isObject(value) && "text" in value)
    return object(value, at, { text: text(() => true, "a text"), executable: yes, wins: yes });
  return object(value, at, { from: required(path), wins: yes });
};

const isRecipeValue = (value: unknown): value is Recipe => isObject(value) && value["kind"] === "step";

/** What the compiler of the types would have said. */
function recipeFaults({ name, licence, root, script, proves }: Partial<Recipe>, at: string): string[] {
  const place = `${at} (${String(name)})`;
  return [
    ...(typeof name === "string" && /^[a-z0-9][a-z0-9.+-]*$/.test(name) ? [] : [`${place}: its name is none`]),
    ...(typeof licence === "string" && isLicence(licence)
      ? []
      : [`${place}: its licence is no SPDX expression: ${say(licence)}`]),
    ...(isObject(root) ? [] : [`${place}: it has no seed: seedBase is meant`]),
    ...(typeof script === "string" || typeof script === "function" ? [] : [`${place}: it has no script`]),
    ...(typeof proves === "function" || (Array.isArray(proves) && proves.length > 0)
      ? []
      : [`${place}: it proves nothing`]),
  ];
}

const packaged: Check = (value, at) => {
  if (isRecipeValue(value)) return recipeFaults(value, at);
  if (!isObject(value) || !isRecipeValue(value["from"]))
    return [`${at}: a recipe is wanted, or { from: <recipe>, only: [<path>…] }, not ${say(value)}`];
  return object(value, at, {
    from: packaged,
    only: listOf(text((each) => PATTERN.test(each), "a path or pattern without / at its beginning")),
    wins: yes,
  });
};

const optionValue: Check = (value, at) =>
  typeof value === "boolean" ||
  (typeof value === "number" && Number.isInteger(value)) ||
  (typeof value === "string" && /^(?:0x[0-9a-fA-F]+|[^"\\\n]*)$/.test(value))
    ? []
    : [`${at}: true, false, a whole number or a text without quotes is wanted, not ${say(value)}`];

const user: Check = (value, at) =>
  object(value, at, {
    keys: listOf(text(isKey, "an SSH public key, as a line of ~/.ssh/id_ed25519.pub,")),
    uid: optional((uid, place) =>
      typeof uid === "number" && Number.isInteger(uid) && (uid === 0 || (uid >= 1000 && uid < 60000))
        ? []
        : [`${place}: a number from 1000 to 59999 is wanted, not ${say(uid)}`],
    ),
    shell: matching(/^\/[A-Za-z0-9/_.-]+$/, "the full name of a program"),
  });

function isKey(line: string): boolean {
  const [type = "", key = ""] = line.trim().split(/\s+/);
  return KEY_TYPE.test(type) && /^[A-Za-z0-9+/]{40,}={0,2}$/.test(key) && !line.includes("\n");
}

const network: Check = optional((value, at) =>
  object(value, at, {
    address: required(
      text((each) => {
        const [ip = "", length = ""] = each.split("/");
        return address(ip) && /^\d{1,2}$/.test(length) && Number(length) <= 32;
      }, "an IPv4 address with the length of its prefix, as 192.168.1.10/24,"),
    ),
    gateway: optional(text(address, "an IPv4 address")),
    dns: listOf(text(address, "an IPv4 address")),
    interface: matching(/^[a-z][a-z0-9]{0,14}$/, "the name of an interface, as eth0,"),
  }),
);

const limits: Check = optional((value, at) =>
  object(value, at, {
    iso: bytes(1, 1, "a whole number of bytes"),
    kernel: bytes(1, 1, "a whole number of bytes"),
    root: bytes(64 * MiB, MiB, "whole MiB, at least 64 * MiB,"),
  }),
);

function together({ users = {}, network: fixed, services = {} }: ImageFields): string[] {
  const uids = usersOf({ name: "", users }).map(({ uid }) => uid);
  const root = users["root"]?.uid;
  const ours = [
    ...(fixed === undefined ? [] : ["network"]),
    ...(Object.keys(users).length === 0 ? [] : ["home", "ssh"]),
  ];
  const field = (service: string): string => (service === "network" ? "network" : "users");
  return [
    ...ours
      .filter((name) => name in services)
      .map((name) => `services: ${name} is the service of the field ${field(name)}`),
    ...Object.keys(users)
      .filter((name) => SYSTEM_USERS.includes(name))
      .map((name) => `users: ${name} is a user of the system`),
    ...(root === undefined || root === 0 ? [] : ["users: root has the number 0"]),
    ...(uids.includes(0) ? ["users: only root has the number 0"] : []),
    ...(new Set(uids).size < uids.length ? ["users: two have one number"] : []),
  ];
}
