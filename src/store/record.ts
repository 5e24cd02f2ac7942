/** What is kept beside each output: a record, JSON. */
import { readFileSync } from "node:fs";
import { errno, Fault } from "../fault/fault.ts";
import type { Digest, Key } from "../recipe/derivation.ts";
import type { Layout } from "./tree.ts";

/** Where an output comes from that was not made in the sandbox, and what alone it is good for. */
export interface Origin {
  /** "the Monolith". */
  readonly place: string;
  /** Names of the ingots for which it was made, all of which must be accepted by who wants to use it. */
  readonly for: readonly string[];
}

/** What is known of an output. */
export interface OutputRecord {
  /** Of the record itself, see FORMAT; absent in records of the time before there were several. */
  readonly format?: number;
  readonly key: Key;
  readonly name: string;
  readonly version: string;
  readonly digest: Digest;
  /** Of the listing that the digest is of; absent in records of the first one. */
  readonly layout?: Layout;
  /** Absent for what the sandbox made of inputs that it made. */
  readonly origin?: Origin;
  readonly files: number;
  readonly bytes: number;
  /** Wall-clock seconds that making it took. */
  readonly seconds: number;
  readonly proofs: readonly { readonly proof: string; readonly detail: string }[];
  /** Keys of outputs, and `source:<sha256>` of downloads, that it was made from: for `anvil why` and `anvil gc`. */
  readonly references: readonly string[];
}

/** What whoever makes an output knows of it; the rest is found out when it is added. */
export type Facts = Omit<OutputRecord, "format" | "digest" | "layout" | "files" | "bytes">;

/**
 * Version of records and of the cache folder: raised when an older anvil would misread them. A member that older ones may
 * pass over needs no new version.
 */
export const FORMAT = 1;

/** Undefined when there is no record, or one that a power cut cut off. Throws E_CACHE_FORMAT for one of a newer version. */
export function readRecord(file: string): OutputRecord | undefined {
  let record: OutputRecord;
  try {
    record = JSON.parse(readFileSync(file, "utf8")) as OutputRecord;
  } catch (error) {
    if (errno(error) === "ENOENT" || error instanceof SyntaxError) return undefined;
    throw error;
  }
  requireFormat(record.format, file);
  return record;
}

export const recordText = (record: OutputRecord): string => `${JSON.stringify(record, null, 1)}\n`;

/** Throws E_CACHE_FORMAT. @param format undefined where nothing names one: as before there were several */
export function requireFormat(format: unknown, where: string): void {
  if (format === undefined || format === FORMAT) return;
  throw new Fault("E_CACHE_FORMAT", `the cache folder was written by a newer anvil`, {
    details: [`${where} has format ${JSON.stringify(format)}, this anvil knows ${FORMAT}`],
    hint: "use the newer anvil, or another cache folder: ANVIL_CACHE=<folder>",
  });
}
