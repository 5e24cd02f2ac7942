/** Which outputs and downloads were not used for longest. */
import { statSync } from "node:fs";
import type { Digest, Key } from "../recipe/derivation.ts";
import type { OutputRecord } from "./record.ts";
import type { Store } from "./store.ts";
import type { Used } from "./uses.ts";

export type Item = OutputItem | SourceItem;

interface OutputItem {
  readonly kind: "output";
  readonly record: OutputRecord;
  readonly bytes: number;
}

interface SourceItem {
  readonly kind: "source";
  readonly sha256: Digest;
  readonly bytes: number;
}

/** Seconds that making it anew takes; a download is taken to cost nothing. */
const cost = (item: Item): number => (item.kind === "output" ? item.record.seconds : 0);

/**
 * What has to go so that the rest has at most `limit` bytes: the least recently used first; of those that were last used
 * together, what is made anew fastest. What is used now stays, even if the rest is larger then.
 */
export function leastRecent(store: Store, limit: number, used: Used): Item[] {
  const items = allItems(store);
  const lastUse = lastUses(store, items);
  const timeOf = (item: Item): number => lastUse.get(nameOf(item)) ?? 0;
  const candidates = items
    .filter((item) => (item.kind === "output" ? !used.keys.has(item.record.key) : !used.sources.has(item.sha256)))
    .sort((a, b) => timeOf(a) - timeOf(b) || cost(a) - cost(b) || b.bytes - a.bytes);
  const going: Item[] = [];
  let held = items.reduce((sum, { bytes }) => sum + bytes, 0);
  for (const item of candidates) {
    if (held <= limit) break;
    going.push(item);
    held -= item.bytes;
  }
  return going;
}

function allItems(store: Store): Item[] {
  return [
    ...store.outputs.records().map((record): Item => ({ kind: "output", record, bytes: record.bytes })),
    ...store.sources.all().map((sha256): Item => ({ kind: "source", sha256, bytes: fileOf(store, sha256).bytes })),
  ];
}

/** Removed meanwhile: nothing. */
function fileOf(store: Store, sha256: Digest): { readonly bytes: number; readonly time: number } {
  const stat = statSync(store.sources.path(sha256), { throwIfNoEntry: false });
  return { bytes: stat?.size ?? 0, time: stat?.mtimeMs ?? 0 };
}

/** As records refer to it. */
const nameOf = (item: Item): string => (item.kind === "output" ? item.record.key : `source:${item.sha256}`);

/**
 * By name, milliseconds since 1970. Whoever uses an output uses what it was made from, too: that is needed again as soon as
 * anything of it changes.
 */
function lastUses(store: Store, items: readonly Item[]): Map<string, number> {
  const references = new Map<string, string[]>();
  const own: (readonly [name: string, time: number])[] = [];
  for (const item of items) {
    const name = nameOf(item);
    if (item.kind === "source") own.push([name, fileOf(store, item.sha256).time]);
    else {
      own.push([name, store.outputs.lastUse(item.record)]);
      references.set(name, [...(references.get(name) ?? []), ...item.record.references]);
    }
  }
  // who was used last comes first: what is reached from there has that time, whoever else refers to it
  const found = new Map<string, number>();
  for (const [start, time] of own.sort(([, a], [, b]) => b - a)) {
    for (const todo = [start]; todo.length > 0;) {
      const name = todo.pop() as Key;
      if (found.has(name)) continue;
      found.set(name, time);
      todo.push(...(references.get(name) ?? []));
    }
  }
  return found;
}
