/**
 * anvil-vmm, the monitor, and the tests of its parts. Rust of the seed compiles it, with the standard library from its source
 * for musl; ANVIL-CC gives the C library, the start files and the linker.
 */
import {
  atMost,
  contains,
  exists,
  isStaticPie,
  lacks,
  noBuildPaths,
  runs,
  rustByAnvilCc,
} from "../src/recipe/proof.ts";
import { recipe } from "../src/recipe/recipe.ts";
import { anvilCcEnvironment, cargoEnvironment, cargoForMusl, tidyOutput } from "../src/recipe/style.ts";
import { LOG_TEXTS, METRIC_NAMES } from "./firecracker/purge.ts";
import { seedRust } from "./seed-rust.ts";
import { anvilCc } from "./toolchain.ts";

const licence = "Apache-2.0 AND BSD-3-Clause AND (MIT OR Apache-2.0)";

const files = ["Cargo.lock", "Cargo.toml", "build.rs", "seccomp.policy", "src"].map(
  (file) => `native/anvil-vmm/${file}`,
);
const unwinder = "native/anvil-vmm/unwind.c";

export const anvilVmm = recipe({
  name: "anvil-vmm",
  licence,
  crates: ["anvil-vmm", "rust-std"],
  files: [...files, unwinder],
  seed: seedRust,
  tools: [anvilCc],
  script: (versions) =>
    [
      anvilCcEnvironment(versions),
      cargoEnvironment(),
      cargoForMusl({ unwinder: `/files/${unwinder}` }),
      "cp -r /files/native/anvil-vmm /build/anvil-vmm\n",
      "cd /build/anvil-vmm\n",
      "cargo_build --bin anvil-vmm\n",
      'install -D -m 755 -t /out/usr/bin "$CARGO_TARGET_DIR/x86_64-unknown-linux-musl/release/anvil-vmm"\n',
      tidyOutput(),
    ].join(""),
  proves: [
    exists("usr/bin/anvil-vmm"),
    isStaticPie("usr/bin/anvil-vmm"),
    rustByAnvilCc("usr/bin/anvil-vmm"),
    noBuildPaths(),
    atMost("usr/bin/anvil-vmm", 2_500_000),
    lacks("usr/bin/anvil-vmm", METRIC_NAMES),
    lacks("usr/bin/anvil-vmm", LOG_TEXTS),
    runs("usr/bin/anvil-vmm", "--version", /^anvil-vmm \d/),
  ],
});

/** Ships nowhere. Its proof is that the tests hold: the API's table, requests and guests at random. */
export const anvilVmmTest = recipe({
  name: "anvil-vmm-test",
  licence,
  crates: ["anvil-vmm"],
  files: [...files, "native/anvil-vmm/tests"],
  seed: seedRust,
  script: [
    cargoEnvironment(),
    "cp -r /files/native/anvil-vmm /build/anvil-vmm\n",
    "cd /build/anvil-vmm\n",
    'cargo test --offline --frozen --release -j "$JOBS" 2>&1 | tee /build/said\n',
    'echo "all tests hold" >> /build/said\n',
    "install -D -m 644 -t /out /build/said\n",
  ].join(""),
  proves: [contains("said", /^test no_guest_breaks_the_monitor \.\.\. ok$/), contains("said", /^all tests hold$/)],
});
