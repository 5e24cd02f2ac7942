/** A workshop that runs in a Monolith (recipes/workshop.ts), from the host's side. system/workshop/run is the other one. */
import { createHash } from "node:crypto";
import { closeSync, mkdirSync, openSync, statfsSync, symlinkSync, writeSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Fault } from "../fault/fault.ts";
import type { Elsewhere, ListedEntry, Listing } from "../forge/elsewhere.ts";
import type { Digest } from "../recipe/derivation.ts";
import type { Client } from "./client.ts";

/** Milliseconds between two looks at what happens there. */
const POLL = 1000;
/**
 * What is taken from a Monolith, which may be in the hands of somebody else: more than any output or build has, and less
 * than fills memory. Entries of an output; bytes of its list, of what a step prints, of the line of events.
 */
const LIMITS = { entries: 1_000_000, list: 1 << 28, log: 1 << 28, events: 1 << 24 };
/** Of a path and of a link's target, in bytes: PATH_MAX with its end, and NAME_MAX of Linux. */
const LONGEST_PATH = 4095;
const LONGEST_NAME = 255;

/** Digits of a key in the Monolith's paths. */
const KEY_DIGITS = 32;

/** Gives a client to some commands that belong together; what happens between two such turns is not ours. */
export type Turns = <T>(act: (client: Client) => Promise<T>) => Promise<T>;

interface State {
  readonly is: "running" | "done" | "failed";
  /** How often it was begun: a machine that was restarted begins it anew. */
  readonly begun: number;
  /** Seconds, or the exit status. */
  readonly number: string;
}

export class Workshop implements Elsewhere {
  readonly name = "the Monolith";
  readonly for: string;
  readonly #turns: Turns;
  readonly #ingot: string;
  readonly #folder: string;
  readonly #states = new Map<string, State>();
  #events = "";
  #eventBytes = 0;
  /** The last thing that happened, when nothing follows it by itself. */
  #stopped: "failed" | "end" | undefined;
  /** One turn after the other. */
  #last: Promise<unknown> = Promise.resolve();

  /**
   * @param ingot the workshop's, with its key; it is active there
   * @param use name of the ingot that the steps are built for
   */
  constructor(turns: Turns, ingot: string, key: string, use: string) {
    this.for = use;
    this.#turns = turns;
    this.#ingot = ingot;
    this.#folder = key.slice(0, KEY_DIGITS);
  }

  /** Throws E_STEP_FAILED; E_INTERRUPTED when another step has failed, and what `Client` throws. */
  async build(step: string, onOutput: (bytes: Buffer) => void): Promise<Listing> {
    let [printed, begun] = [0, 0];
    for (; ; await sleep(POLL)) {
      const listing = await this.#turn(async (client) => {
        // first what happened, then what was printed: all of it is there when the step has ended
        await this.#readEvents(client);
        const state = this.#states.get(step);
        if (state === undefined) return undefined;
        if (state.begun !== begun) [printed, begun] = [0, state.begun];
        printed += await orAbsent(this.#read(client, `logs/${step}`, printed, LIMITS.log - printed, onOutput));
        return state.is === "done" ? parseListing(await this.#readList(client, `lists/${step}`)) : undefined;
      });
      if (listing !== undefined) return listing;
      const state = this.#states.get(step);
      if (state?.is === "failed") throw this.#failure(step, state.number);
      if (this.#stopped === "failed")
        throw new Fault("E_INTERRUPTED", `${step} was not built: another step has failed`);
      // what another turn has read since may hold the end of this step
      if (this.#stopped === "end" && state?.is !== "done")
        throw new Fault("E_INGOT_PROTOCOL", `${this.#ingot} does not build ${step}`);
    }
  }

  /** Throws E_INGOT_DAMAGED for a file that is not what was listed, E_DISK_FULL before the first when they do not fit. */
  async fetch(step: string, listing: Listing, to: string): Promise<void> {
    refuseTooLarge(step, listing, to);
    await this.#turn(async (client) => {
      for (const [file, entry] of listing) {
        const target = path.join(to, file);
        if (entry.kind === "dir") mkdirSync(target);
        else if (entry.kind === "link") symlinkSync(entry.target, target);
        else await this.#fetchFile(client, `made/${step}/${file}`, entry, target);
      }
    });
  }

  async #fetchFile(
    client: Client,
    file: string,
    entry: ListedEntry & { readonly kind: "file" },
    target: string,
  ): Promise<void> {
    const hash = createHash("sha256");
    const to = openSync(target, "wx", entry.executable ? 0o755 : 0o644);
    try {
      await this.#read(client, file, 0, entry.size, (bytes) => {
        hash.update(bytes);
        writeSync(to, bytes);
      });
    } finally {
      closeSync(to);
    }
    if (hash.digest("hex") === entry.sha256) return;
    throw new Fault("E_INGOT_DAMAGED", `${file} of ${this.#ingot} is not what was built there`, {
      hint: `\`anvil ingot remove ${this.#ingot} --data\` and the same command again build it anew`,
    });
  }

  #failure(step: string, status: string): Fault {
    const folder = `/ingots/${this.#ingot}/data/${this.#folder}`;
    return new Fault("E_STEP_FAILED", `${step} ended with exit status ${status} in the Monolith`, {
      details: [`there: ${folder}/work, ${folder}/logs/${step}`],
      hint: `in the Monolith \`sv restart ${this.#ingot}\` tries it again; then repeat the command here`,
    });
  }

  async #readEvents(client: Client): Promise<void> {
    const left = LIMITS.events - this.#eventBytes;
    const reading = this.#read(client, "events", this.#eventBytes, left, (bytes) => (this.#events += bytes.toString()));
    // there are none before the service has begun
    this.#eventBytes += await (this.#eventBytes === 0 ? orAbsent(reading) : reading);
    const lines = this.#events.split("\n");
    this.#events = lines.pop() ?? "";
    for (const line of lines) this.#apply(line.split(" "));
  }

  #apply([word = "", step = "", number = ""]: readonly string[]): void {
    const begun = this.#states.get(step)?.begun ?? 0;
    this.#stopped = word === "failed" || word === "end" ? word : undefined;
    if (word === "start") this.#states.set(step, { is: "running", begun: begun + 1, number });
    if (word === "done" || word === "failed") this.#states.set(step, { is: word, begun, number });
  }

  async #readList(client: Client, file: string): Promise<string> {
    const pieces: Buffer[] = [];
    await this.#read(client, file, 0, LIMITS.list, (bytes) => pieces.push(bytes));
    return Buffer.concat(pieces).toString();
  }

  /** What a file has from a byte on; the number of bytes. Throws E_INGOT_PROTOCOL for more than `most`. */
  async #read(
    client: Client,
    file: string,
    from: number,
    most: number,
    onBytes: (bytes: Buffer) => void,
  ): Promise<number> {
    let count = 0;
    await client.get(this.#ingot, `${this.#folder}/${file}`, from, (bytes) => {
      count += bytes.length;
      if (count > most)
        throw new Fault("E_INGOT_PROTOCOL", `the Monolith sends more of ${file} than it can have`, {
          details: [`at most ${from + most} bytes`],
        });
      onBytes(bytes);
    });
    return count;
  }

  #turn<T>(act: (client: Client) => Promise<T>): Promise<T> {
    const mine = this.#last.then(() => this.#turns(act));
    this.#last = mine.catch(() => undefined);
    return mine;
  }
}

/** A file that is not there is taken for an empty one. */
async function orAbsent(bytes: Promise<number>): Promise<number> {
  try {
    return await bytes;
  } catch (error) {
    if (error instanceof Fault && error.code === "E_INGOT_UNKNOWN") return 0;
    throw error;
  }
}

/** Throws E_DISK_FULL. */
function refuseTooLarge(step: string, listing: Listing, to: string): void {
  const { bavail, bsize } = statfsSync(to);
  const free = bavail * bsize;
  let bytes = 0;
  for (const entry of listing.values()) if (entry.kind === "file") bytes += entry.size;
  if (bytes > free)
    throw new Fault("E_DISK_FULL", `there is no room for ${step} as the Monolith built it`, {
      details: [`${bytes} bytes are listed, ${free} are free`],
      hint: "free some space, or run `anvil gc`",
    });
}

const LINE =
  /^(?:d \.\/(?<dir>.+)|l \.\/(?<link>[^\t]+)\t(?<target>[^\t]+)|(?<mode>[fx]) (?<sha256>[0-9a-f]{64}) {2}\.\/(?<file>.+)|s (?<size>\d{1,15}) \.\/(?<sized>.+))$/;

/** Reads what `list` of system/workshop/run writes. Throws E_INGOT_PROTOCOL for what cannot be a tree. */
export function parseListing(text: string): Listing {
  const sizes = new Map<string, number>();
  const listing = new Map<string, ListedEntry>();
  for (const line of text.split("\n")) {
    if (line === "" || line === "d .") continue;
    const { dir, link, target, mode, sha256, file, size, sized } = LINE.exec(line)?.groups ?? {};
    if (sized !== undefined && !sizes.has(sized)) {
      // before the first file: `list` writes them so
      if (sizes.set(sized, Number(size)).size > LIMITS.entries) throw notListable(line);
      continue;
    }
    const name = dir ?? link ?? file;
    const known = file === undefined ? 0 : sizes.get(file);
    if (name === undefined || known === undefined || !isBelow(name, listing)) throw notListable(line);
    if (!isShort(name) || (target !== undefined && !isShortPath(target))) throw notListable(line);
    if (listing.size === LIMITS.entries) throw notListable(line);
    if (dir !== undefined) listing.set(name, { kind: "dir" });
    else if (target !== undefined) listing.set(name, { kind: "link", target });
    else listing.set(name, { kind: "file", executable: mode === "x", sha256: sha256 as Digest, size: known });
  }
  return listing;
}

function notListable(line: string): Fault {
  return new Fault("E_INGOT_PROTOCOL", "the Monolith lists what cannot be an output", {
    details: [line.slice(0, 200)],
  });
}

function isShort(name: string): boolean {
  return isShortPath(name) && name.split("/").every((part) => Buffer.byteLength(part) <= LONGEST_NAME);
}

const isShortPath = (text: string): boolean => Buffer.byteLength(text) <= LONGEST_PATH && !text.includes("\0");

/** Whether it is a new path in a folder that was listed. */
function isBelow(name: string, listing: Listing): boolean {
  const parent = path.posix.dirname(name);
  return (
    path.posix.normalize(name) === name &&
    !["", ".", ".."].includes(path.posix.basename(name)) &&
    !listing.has(name) &&
    (parent === "." ? !name.includes("/") : listing.get(parent)?.kind === "dir")
  );
}
