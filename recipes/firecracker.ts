/**
 * Firecracker's source without what no running guest needs, and the HTTP parser that it takes from a repository of its own
 * beside it: what the monitor of channel `rfc-0054` is compiled from.
 */
import { assume } from "../src/recipe/assumption.ts";
import { contains, exists, lacks } from "../src/recipe/proof.ts";
import { purgeScript } from "../src/recipe/purge.ts";
import { recipe, source } from "../src/recipe/recipe.ts";
import { firecrackerPurge } from "./firecracker/purge.ts";
import { seedBase } from "./seed.ts";

const purge = purgeScript(firecrackerPurge, "/build/firecracker");

// a package of the workspace itself has no source
const crates = `\
awk -v RS= '/^\\[\\[package\\]\\]/ && /\\nsource = / && !/\\nchecksum = / && !/\\nname = "micro_http"/ { print; bad = 1 } END { exit bad }' Cargo.lock
`;

export const firecrackerSource = recipe({
  name: "firecracker-source",
  licence: "Apache-2.0 AND BSD-3-Clause",
  source: [source("firecracker"), source("micro-http")],
  seed: seedBase,
  script: [purge, "mkdir -p /out/usr/src\n", "cp -r /build/firecracker /build/micro-http /out/usr/src\n"].join(""),
  assumes: [
    assume("firecracker").paths("Cargo.lock"),
    assume("firecracker").success("each crate of Cargo.lock is of a registry with a checksum, or micro-http", crates),
    assume("firecracker").success("what is purged stands where the purge expects it", purge),
    assume("micro-http").paths("Cargo.toml"),
  ],
  proves: [
    exists("usr/src/firecracker/Cargo.lock", "usr/src/micro-http/Cargo.toml"),
    contains("usr/src/firecracker/src/vmm/Cargo.toml", /"release_max_level_off"/),
    lacks("usr/src/firecracker/src/firecracker/Cargo.toml", /log-instrument/),
  ],
});
