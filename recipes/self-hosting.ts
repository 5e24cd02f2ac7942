/**
 * The proof that ANVIL-CC builds itself: stage 3, which stage 2 built, is stage 2 byte for byte. And that it makes no
 * difference which of them compiles: busybox, OpenZFS' tools and the kernel made by stage 3 are those made by stage 1.
 */
import { exists } from "../src/recipe/proof.ts";
import { recipe, type Recipe } from "../src/recipe/recipe.ts";
import { buildRoot } from "./build-root.ts";
import { stage2, stage3 } from "./stages.ts";

/**
 * Fails with the names of the files that differ in content, kind or permission to run, or that only one of the two has.
 */
export function equal(name: string, one: Recipe, other: Recipe): Recipe {
  return recipe({
    name,
    licence: "Apache-2.0",
    root: buildRoot,
    // both trees have the same folder name, so one of them takes the place of a library
    link: [one],
    inputs: [other],
    script: `
list() {
  cd $1
  { find . -type f -exec sha256sum {} + && find . -type l -exec stat -c '%N' {} + && find . -type f -perm -100; } | sort
}
(list /deps/${one.folder}) > one
(list /in/${other.folder}) > other
if ! cmp -s one other; then
  echo "${other.name} is not ${one.name}; what only one of them has, ${one.name} on the left:" >&2
  comm -3 one other >&2
  exit 1
fi
cp one /out/${name}.sha256
`,
    proves: [exists(`${name}.sha256`)],
  });
}

export const selfHosting = equal("self-hosting", stage2, stage3);
