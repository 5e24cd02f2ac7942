/**
 * Firecracker without what no running guest needs: its source with the purge, and the program. The HTTP parser that it takes
 * from a repository of its own is a source of the channel beside it; all other crates are those of its own `Cargo.lock`.
 * docs/purge.md says what goes, docs/vmm.md how it is used.
 */
import { assume } from "../src/recipe/assumption.ts";
import { contains, exists, lacks, runs } from "../src/recipe/proof.ts";
import { purgeScript, type Purge } from "../src/recipe/purge.ts";
import { recipe, source, type Recipe } from "../src/recipe/recipe.ts";
import { firecrackerPurge, LOG_TEXTS, METRIC_NAMES } from "./firecracker/purge.ts";
import { rustProgram } from "./rust-program.ts";
import { seedBase } from "./seed.ts";

// a package of the workspace itself has no source
const crates = `\
awk -v RS= '/^\\[\\[package\\]\\]/ && /\\nsource = / && !/\\nchecksum = / && !/\\nname = "micro_http"/ { print; bad = 1 } END { exit bad }' Cargo.lock
`;

const FOLDER = "usr/src/firecracker";

export interface Firecracker {
  /** Purged, with the HTTP parser beside it. */
  readonly source: Recipe;
  readonly program: Recipe;
}

/** Made from the channel's components `firecracker` and `micro-http` with this purge. */
export function firecrackerWith(purge: Purge): Firecracker {
  const script = purgeScript(purge, "/build/firecracker");
  const purged = recipe({
    name: "firecracker-source",
    licence: "Apache-2.0 AND BSD-3-Clause",
    source: [source("firecracker"), source("micro-http")],
    seed: seedBase,
    script: [script, "mkdir -p /out/usr/src\n", "cp -r /build/firecracker /build/micro-http /out/usr/src\n"].join(""),
    assumes: (versions) => [
      assume("firecracker").paths("Cargo.lock"),
      // the commit of the HTTP parser that it was made with is the one that the channel has
      assume("firecracker").text("Cargo.lock", `#${versions.of("micro-http")}`),
      assume("firecracker").success("each crate of Cargo.lock is of a registry with a checksum, or micro-http", crates),
      assume("firecracker").success("what is purged stands where the purge expects it", script),
      assume("micro-http").paths("Cargo.toml"),
    ],
    proves: [
      exists(`${FOLDER}/Cargo.lock`, "usr/src/micro-http/Cargo.toml"),
      contains(`${FOLDER}/src/vmm/Cargo.toml`, /"release_max_level_off"/),
      lacks(`${FOLDER}/src/firecracker/Cargo.toml`, /log-instrument/),
    ],
  });
  const program = rustProgram({
    name: "firecracker",
    licence: "Apache-2.0 AND BSD-3-Clause AND ISC AND OpenSSL AND (MIT OR Apache-2.0)",
    source: purged,
    folder: FOLDER,
    proves: [
      lacks("usr/bin/firecracker", METRIC_NAMES),
      lacks("usr/bin/firecracker", LOG_TEXTS),
      runs("usr/bin/firecracker", "--version", /^Firecracker v\d/),
    ],
  });
  return { source: purged, program };
}

export const { source: firecrackerSource, program: firecracker } = firecrackerWith(firecrackerPurge);
