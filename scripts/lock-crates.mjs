/**
 * Writes channels/crates.json: the Rust crates that are built, as the Cargo.lock files name them. The one of the standard
 * library comes with the compiler's source:
 *
 *     node scripts/lock-crates.mjs <folder of rustc's source>/library/Cargo.lock
 *
 * Without it the list `rust-std` stays as it is.
 */
import { readFileSync, writeFileSync } from "node:fs";

const file = new URL("../channels/crates.json", import.meta.url);

/** The packages of a Cargo.lock that have a checksum, which are those of a registry. */
export function cratesOf(text) {
  return text
    .split("[[package]]")
    .map((block) => {
      const field = (name) => new RegExp(`^${name} = "([^"]*)"$`, "m").exec(block)?.[1];
      return { crate: field("name"), version: field("version"), sha256: field("checksum") };
    })
    .filter(({ sha256 }) => sha256 !== undefined);
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const before = (() => {
    try {
      return JSON.parse(readFileSync(file, "utf8"));
    } catch {
      return {};
    }
  })();
  const std = process.argv[2];
  const lists = {
    "anvil-vmm": cratesOf(readFileSync(new URL("../native/anvil-vmm/Cargo.lock", import.meta.url), "utf8")),
    "rust-std": std === undefined ? before["rust-std"] : cratesOf(readFileSync(std, "utf8")),
  };
  writeFileSync(file, `${JSON.stringify(lists, null, 2)}\n`);
}
