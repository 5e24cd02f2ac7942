/**
 * What one command in a sandbox may use of the machine, as limits of its processes, see getrlimit(2). They end what has
 * gone wrong before it takes the machine with it; what builds here is far from them.
 */
import { readFileSync } from "node:fs";
import os from "node:os";
import { Fault } from "../fault/fault.ts";
import { parseSize } from "../host/size.ts";

/** An undefined one is not set, and what the forge itself has holds. */
export interface Limits {
  /** Bytes of private memory of one process (RLIMIT_DATA). */
  readonly memory?: number | undefined;
  /** Processes and threads of the sandbox's user in its namespace (RLIMIT_NPROC). */
  readonly processes?: number | undefined;
  /** Bytes of one file that is written (RLIMIT_FSIZE). */
  readonly file?: number | undefined;
}

const GIGABYTE = 2 ** 30;

/** A compiler needs some gigabytes at the most; on a larger machine one process may have all of it. */
const LEAST_MEMORY = 8 * GIGABYTE;

export const defaultLimits = (): Required<Limits> => ({
  memory: Math.max(LEAST_MEMORY, os.totalmem()),
  processes: 16_384,
  file: 64 * GIGABYTE,
});

/** The variables that change them: a number of bytes with K, M, G or T, a number of processes, or "none". */
export const LIMIT_VARIABLES = {
  memory: "ANVIL_STEP_MEMORY",
  processes: "ANVIL_STEP_PROCESSES",
  file: "ANVIL_STEP_FILE_SIZE",
} as const;

/** Throws E_LIMIT for a value that is none. */
export function readLimits(env: Readonly<Record<string, string | undefined>>): Limits {
  const defaults = defaultLimits();
  const read = (
    name: keyof Limits,
    parse: (text: string) => number | undefined,
    example: string,
  ): number | undefined => {
    const variable = LIMIT_VARIABLES[name];
    const text = env[variable]?.trim() ?? "";
    if (text === "") return defaults[name];
    if (text === "none") return undefined;
    const value = parse(text);
    if (value !== undefined && value > 0) return value;
    throw new Fault("E_LIMIT", `${variable}=${text} is no limit`, { hint: `${variable}=${example}, or none` });
  };
  return {
    memory: read("memory", parseSize, "12G"),
    processes: read("processes", parseCount, "20000"),
    file: read("file", parseSize, "100G"),
  };
}

const parseCount = (text: string): number | undefined => (/^\d+$/.test(text) ? parseSize(text) : undefined);

/** What bash calls them, with the size of its unit, and their names in /proc/self/limits. */
const ULIMITS = {
  memory: { option: "d", unit: 1024, row: "Max data size" },
  processes: { option: "u", unit: 1, row: "Max processes" },
  file: { option: "f", unit: 1024, row: "Max file size" },
} as const;

export interface Ulimit {
  readonly limit: keyof Limits;
  /** Letter of bash's ulimit. */
  readonly option: string;
  /** In the unit of ulimit. */
  readonly value: number;
}

/** Shell text for bash that sets them, and lets no process leave a dump of its memory. */
export function limitScript(limits: Limits): string {
  return ["ulimit -c 0", ...ulimits(limits).map(({ option, value }) => `ulimit -${option} ${value}`), ""].join("\n");
}

let hard: ReadonlyMap<string, number> | undefined;

/** Those that are below what the forge itself is held to: a limit cannot be raised. */
export function ulimits(limits: Limits): Ulimit[] {
  hard ??= hardLimits();
  return (["memory", "processes", "file"] as const).flatMap((limit) => {
    const value = limits[limit];
    const { option, unit, row } = ULIMITS[limit];
    if (value === undefined || value >= (hard?.get(row) ?? Infinity)) return [];
    return [{ limit, option, value: Math.max(1, Math.floor(value / unit)) }];
  });
}

/** The third column of /proc/self/limits; Infinity for "unlimited". */
function hardLimits(): Map<string, number> {
  const rows = readFileSync("/proc/self/limits", "latin1").matchAll(/^(Max [a-z ]+?) {2,}\S+ +(\S+)/gm);
  return new Map(
    [...rows].map(([, name, value]) => [name as string, value === "unlimited" ? Infinity : Number(value)]),
  );
}

/** What a program says, or dies of, when it meets a limit. */
const SIGNS: readonly { readonly limit: keyof Limits; readonly sign: RegExp }[] = [
  { limit: "file", sign: /File too large|File size limit exceeded/ },
  {
    limit: "processes",
    sign: /fork: .*Resource temporarily unavailable|failed to create (?:a )?thread|pthread_create.*Resource/i,
  },
  {
    limit: "memory",
    sign: /Cannot allocate memory|virtual memory exhausted|out of memory|memory exhausted|std::bad_alloc/i,
  },
];

/** 128 + SIGXFSZ, the status of a command that wrote too large a file. */
const FILE_TOO_LARGE = 153;

/** The limit that a command seems to have met, by its exit status and the last lines that it wrote. */
export function limitMet(limits: Limits, status: number | null, tail: readonly string[]): keyof Limits | undefined {
  const met = SIGNS.find(
    ({ limit, sign }) => (limit === "file" && status === FILE_TOO_LARGE) || tail.some((line) => sign.test(line)),
  );
  return met !== undefined && limits[met.limit] !== undefined ? met.limit : undefined;
}

const NAMES = { memory: "memory of one process", processes: "processes", file: "size of one file" } as const;

/** "memory of one process: 8 GiB (ANVIL_STEP_MEMORY)" */
export function describeLimit(limits: Limits, limit: keyof Limits): string {
  const value = limits[limit];
  const shown = value === undefined ? "none" : limit === "processes" ? String(value) : gibibytes(value);
  return `${NAMES[limit]}: ${shown} (${LIMIT_VARIABLES[limit]})`;
}

const gibibytes = (bytes: number): string =>
  bytes >= GIGABYTE ? `${Number((bytes / GIGABYTE).toFixed(1))} GiB` : `${Math.ceil(bytes / 2 ** 20)} MiB`;
