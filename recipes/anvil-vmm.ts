/**
 * anvil-vmm, the monitor. Rust of the seed compiles it, with the standard library from its source for musl; ANVIL-CC
 * gives the C library, the start files and the linker.
 */
import { atMost, exists, isStaticPie, noBuildPaths, rustByAnvilCc, runs } from "../src/recipe/proof.ts";
import { recipe } from "../src/recipe/recipe.ts";
import { anvilCcEnvironment, cargoEnvironment, tidyOutput } from "../src/recipe/style.ts";
import { seedRust } from "./seed-rust.ts";
import { anvilCc } from "./toolchain.ts";

export const anvilVmm = recipe({
  name: "anvil-vmm",
  licence: "Apache-2.0 AND (Apache-2.0 OR MIT) AND BSD-3-Clause",
  crates: ["anvil-vmm", "rust-std"],
  files: [
    "native/anvil-vmm/Cargo.lock",
    "native/anvil-vmm/Cargo.toml",
    "native/anvil-vmm/build.rs",
    "native/anvil-vmm/seccomp.policy",
    "native/anvil-vmm/src",
    "native/anvil-vmm/unwind.c",
  ],
  seed: seedRust,
  tools: [anvilCc],
  script: [
    anvilCcEnvironment(),
    cargoEnvironment({ unwinder: "/files/native/anvil-vmm/unwind.c" }),
    "cp -r /files/native/anvil-vmm /build/anvil-vmm\n",
    "cd /build/anvil-vmm\n",
    "$CARGO build --bin anvil-vmm\n",
    'install -D -m 755 -t /out/usr/bin "$CARGO_TARGET_DIR/x86_64-unknown-linux-musl/release/anvil-vmm"\n',
    tidyOutput(),
  ].join(""),
  proves: [
    exists("usr/bin/anvil-vmm"),
    isStaticPie("usr/bin/anvil-vmm"),
    rustByAnvilCc("usr/bin/anvil-vmm"),
    noBuildPaths(),
    atMost("usr/bin/anvil-vmm", 2_500_000),
    runs("usr/bin/anvil-vmm", "--version", /^anvil-vmm \d/),
  ],
});
