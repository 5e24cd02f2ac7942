/** The other seed for ANVIL-CC, see `diverse.ts`: Clang, with the linker and the C++ library of its own project. */
import { seed } from "../src/recipe/recipe.ts";
import { seedBase } from "./seed.ts";

export const seedClang = seed("clang", [
  ...seedBase.packages,
  "clang",
  "libc++-dev",
  "libc++abi-dev",
  "libc6-dev",
  "lld",
  "llvm",
]);
