/**
 * What `anvil.image.ts` imports from "anvilos": the words for images and recipes, and the packages that there are already.
 * docs/images.md and docs/recipes.md describe them.
 */
export {
  image,
  KiB,
  MiB,
  own,
  type Image,
  type ImageFields,
  type Network,
  type Package,
  type User,
} from "../src/recipe/image.ts";
export {
  atMost,
  builtByAnvilCc,
  contains,
  exists,
  isStatic,
  isStaticPie,
  lacks,
  noBuildPaths,
  noSetId,
  runs,
} from "../src/recipe/proof.ts";
export { archive, pinned, recipe, source, type Recipe, type RecipeFields } from "../src/recipe/recipe.ts";
export { anvilCcEnvironment, command, configure, configureMake, tidyOutput } from "../src/recipe/style.ts";
export { tree, type Content, type TreeFields } from "../src/recipe/tree.ts";

// the root of a step, and the compiler
export { seedBase } from "./seed.ts";
export { anvilCc } from "./toolchain.ts";

// packages
export { anvilVmm } from "./anvil-vmm.ts";
export { anvilctl } from "./anvilctl.ts";
export { bash } from "./bash.ts";
export { bison } from "./bison.ts";
export { bzip2 } from "./bzip2.ts";
export { dbCertificate } from "./db-certificate.ts";
export { dropbear } from "./dropbear.ts";
export { flex } from "./flex.ts";
export { gawk } from "./gawk.ts";
export { guest } from "./guest.ts";
export { libedit } from "./libedit.ts";
export { libelf } from "./libelf.ts";
export { libsodium } from "./libsodium.ts";
export { libtirpc } from "./libtirpc.ts";
export { libzstd } from "./libzstd.ts";
export { lz4 } from "./lz4.ts";
export { m4 } from "./m4.ts";
export { make } from "./make.ts";
export { openssl, opensslSmall } from "./openssl.ts";
export { perl } from "./perl.ts";
export { pkgconf } from "./pkgconf.ts";
export { postgres } from "./postgres/postgres.ts";
export { utilLinux } from "./util-linux.ts";
export { zlib } from "./zlib.ts";
export { zstdProgram } from "./zstd-program.ts";
