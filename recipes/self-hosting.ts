/**
 * The proof that ANVIL-CC builds itself: stage 3, which stage 2 built, is stage 2 byte for byte. And that it makes no
 * difference which of them compiles: busybox, OpenZFS' tools and the kernel made by stage 3 are those made by stage 1.
 */
import { assume } from "../src/recipe/assumption.ts";
import { exists } from "../src/recipe/proof.ts";
import { isRecipe, recipe, type Output, type Recipe } from "../src/recipe/recipe.ts";
import { buildRoot } from "./build-root.ts";
import { busybox } from "./busybox.ts";
import { bzip2 } from "./bzip2.ts";
import { linux, linuxWith } from "./linux.ts";
import { perl } from "./perl.ts";
import { pkgconf } from "./pkgconf.ts";
import { stage2, stage3 } from "./stages.ts";
import { zfs, zfsWith } from "./zfs.ts";
import { zstdProgram } from "./zstd-program.ts";

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

const rebuilt = new Map<Output, Recipe>();

/**
 * The recipe with its libraries as stage 3 makes them: same script, in the root without a seed.
 * @param programs that this recipe takes from the seed, and that the root has not
 */
function byStage3(original: Recipe, programs: readonly Recipe[] = []): Recipe {
  const known = rebuilt.get(original);
  if (known !== undefined) return known;
  const link = original.link.map((library) => (isRecipe(library) ? byStage3(library) : library));
  const tools = [stage3, perl, pkgconf, zstdProgram, ...programs];
  // the place of perl's modules is compiled into it, and is not where a tool is mounted
  const env = { ...original.env, PERL5LIB: "/tools/perl/usr/lib/perl5" };
  const made = Object.freeze({ ...original, name: `${original.name}-stage3`, root: buildRoot, env, tools, link });
  rebuilt.set(original, made);
  return made;
}

// busybox' cp always takes over who may write
const portableZfs = zfsWith("cp -r /deps/openssl/usr /build/openssl\nchmod -R u+w /build/openssl\n");

// busybox' date does not read the form in which date writes, and the time of the empty initramfs would be that of the build
const timeOfInitramfs = `\
grep -qF 'date -d"$1" +%s' /build/linux/usr/gen_initramfs.sh
sed -i 's/date -d"$1" +%s/echo $SOURCE_DATE_EPOCH/' /build/linux/usr/gen_initramfs.sh
`;
const portableLinux = Object.freeze({
  ...linuxWith(timeOfInitramfs),
  assumes: [assume("linux").success("the time of the initramfs is made where it is replaced", timeOfInitramfs)],
});

/** All that is proven of the compiler by comparison. */
export const selfHosting = [
  equal("self-hosting", stage2, stage3),
  equal("same-busybox", busybox, byStage3(busybox, [bzip2])),
  equal("same-zfs", zfs, byStage3(portableZfs)),
  equal("same-linux", linux, byStage3(portableLinux)),
];
