/** Steps that are built in another place than the sandbox, such as the running Monolith; what they made is the same. */
import { lstatSync, readlinkSync } from "node:fs";
import type { Digest } from "../recipe/derivation.ts";
import { hashFile, walk } from "../store/tree.ts";

export interface Elsewhere {
  /** For messages and records: "the Monolith". */
  readonly name: string;
  /** Name of the ingot that alone what it builds is used for, until the sandbox made the same. */
  readonly for: string;
  /** Waits until the step is built; `onOutput` gets what it prints, from its beginning. Throws E_STEP_FAILED. */
  build(step: string, onOutput: (bytes: Buffer) => void): Promise<Listing>;
  /** Copies the output of a step that is built into an empty folder. */
  fetch(step: string, listing: Listing, to: string): Promise<void>;
}

/** Entries of a tree by their paths. What an entry lies in is there too, as a folder. */
export type Listing = ReadonlyMap<string, ListedEntry>;

export type ListedEntry =
  | { readonly kind: "dir" }
  | { readonly kind: "link"; readonly target: string }
  | { readonly kind: "file"; readonly executable: boolean; readonly sha256: Digest; readonly size: number };

/** Paths of what differs between a tree here and one that was listed elsewhere, each with how. */
export function differences(tree: string, listing: Listing): string[] {
  const found = new Set<string>();
  const differing: string[] = [];
  for (const { path, full } of walk(tree)) {
    found.add(path);
    const there = listing.get(path);
    if (there === undefined) differing.push(`${path}: only here`);
    else if (!isSame(full, there)) differing.push(`${path}: differs`);
  }
  const absent = [...listing.keys()].filter((path) => !found.has(path));
  return [...differing, ...absent.map((path) => `${path}: only there`)].sort();
}

function isSame(file: string, there: ListedEntry): boolean {
  const stat = lstatSync(file);
  switch (there.kind) {
    case "dir":
      return stat.isDirectory();
    case "link":
      return stat.isSymbolicLink() && readlinkSync(file) === there.target;
    case "file":
      return (
        stat.isFile() &&
        ((stat.mode & 0o100) !== 0) === there.executable &&
        stat.size === there.size &&
        hashFile(file) === there.sha256
      );
  }
}
