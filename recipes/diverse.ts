/**
 * Diverse double compilation (D. A. Wheeler, 2009): ANVIL-CC once more, from a seed whose compiler is not GCC. All that
 * follows from the seed is made anew by the very same recipes, from the compiler of stage 1 and the tools of the build
 * root up to stage 2, which must be stage 3, byte for byte.
 */
import { isRecipe, type Output, type Recipe, type Root } from "../src/recipe/recipe.ts";
import { busybox } from "./busybox.ts";
import { seedClang } from "./seed-clang.ts";
import { seedCc } from "./seed.ts";
import { equal } from "./self-hosting.ts";
import { stage2, stage3 } from "./stages.ts";

const clang = {
  // without its warnings about what it does not use: old configure scripts take any for a failure
  CC: "clang -fuse-ld=lld -Qunused-arguments",
  // its driver leaves out the half of a static libc++ that is an archive of its own, which is of no use without -l
  CXX: "clang++ -fuse-ld=lld -stdlib=libc++ -lc++abi -Qunused-arguments",
  AR: "llvm-ar",
  NM: "llvm-nm",
  OBJDUMP: "llvm-objdump",
  RANLIB: "llvm-ranlib",
  READELF: "llvm-readelf",
  STRIP: "llvm-strip",
  // for the kernel's makefile, which compiles the tools that make its headers
  LLVM: "1",
};

const made = new Map<Output, Output>();

/** The same with Clang's seed in the place of GCC's: what comes of that seed is made anew, under its own folder. */
function diverse<T extends Output>(original: T): T {
  const known = made.get(original) ?? (isRecipe(original) ? diverseRecipe(original) : original);
  made.set(original, known);
  return known as T;
}

function diverseRecipe(original: Recipe): Recipe {
  const root: Root = original.root === seedCc ? seedClang : diverse(original.root);
  const needs = [...original.tools, ...original.link, ...original.inputs];
  if (root === original.root && needs.every((output) => diverse(output) === output)) return original;
  return Object.freeze({
    ...original,
    name: `${original.name}-diverse`,
    root,
    env: root === seedClang ? { ...original.env, ...clang } : original.env,
    tools: original.tools.map(diverse),
    link: original.link.map(diverse),
    inputs: original.inputs.map(diverse),
  });
}

/** `diverse-busybox` says the same of what both compilers of stage 1 make, after a fraction of the time. */
export const diverseDoubleCompilation: readonly Recipe[] = [
  equal("diverse-double-compilation", stage3, diverse(stage2)),
  equal("diverse-busybox", busybox, diverse(busybox)),
];
