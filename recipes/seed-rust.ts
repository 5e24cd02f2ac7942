/**
 * The seed for what is written in Rust: compiler, cargo, and the source of the standard library, which is built anew for
 * musl. The compiler of the list, GCC, makes and links what runs during the build: build scripts and macros.
 */
import { seed } from "../src/recipe/recipe.ts";
import { seedBase } from "./seed.ts";

export const seedRust = seed("rust", [
  ...seedBase.packages,
  "binutils",
  "cargo-web",
  "gcc",
  "libc6-dev",
  "rust-web-src",
  "rustc-web",
]);

/**
 * The same for crates that make their bindings to C from headers while they are built: that takes the library of Clang. The
 * one of the kernel's filters of system calls is for a program that runs during a build.
 */
export const seedRustBindgen = seed("rust-bindgen", [
  ...seedRust.packages,
  "libclang-common-14-dev",
  "libclang1-14",
  "libseccomp-dev",
]);
