/**
 * Programs in Rust that are somebody else's, static for musl, with the crates that their own `Cargo.lock` names. Rust of the
 * seed compiles them, ANVIL-CC the C in their crates, and it links. Bindings to C may be made while they are built.
 */
import { exists, isStaticPie, noBuildPaths, rustByAnvilCc, type Proof } from "../src/recipe/proof.ts";
import { cratesOf, folderOf, recipe, type Output, type Recipe } from "../src/recipe/recipe.ts";
import {
  anvilCcEnvironment,
  cargoBindings,
  cargoEnvironment,
  cargoForMusl,
  prunedLock,
  tidyOutput,
} from "../src/recipe/style.ts";
import { seedRustBindgen } from "./seed-rust.ts";
import { anvilCc } from "./toolchain.ts";

export interface RustProgram {
  /** Of the recipe, of the package in the workspace, and of its program. */
  readonly name: string;
  readonly licence: string;
  /** Holds the source, with whatever it takes from folders beside it. */
  readonly source: Recipe;
  /** The folder of the workspace in there. */
  readonly folder: string;
  /** Libraries in C. */
  readonly link?: readonly Output[];
  readonly env?: Readonly<Record<string, string>>;
  /** Beside those of every such program. */
  readonly proves?: readonly Proof[];
}

const unwinder = "native/anvil-vmm/unwind.c";

export function rustProgram({ name, licence, source, folder, link = [], env = {}, proves = [] }: RustProgram): Recipe {
  const program = `usr/bin/${name}`;
  return recipe({
    name,
    licence,
    crates: [cratesOf(source, `${folder}/Cargo.lock`), "rust-std"],
    files: [unwinder],
    seed: seedRustBindgen,
    tools: [anvilCc],
    link,
    inputs: [source],
    env,
    script: (versions) =>
      [
        anvilCcEnvironment(versions),
        cargoEnvironment(),
        cargoForMusl({ unwinder: `/files/${unwinder}` }),
        cargoBindings(),
        `cp -r /in/${folderOf(source)} /build/source\n`,
        "chmod -R u+w /build/source\n",
        `cd /build/source/${folder}\n`,
        // the standard library is built without what unwinds
        "export CARGO_PROFILE_RELEASE_PANIC=abort\n",
        prunedLock(),
        `cargo_build --package ${name} --bin ${name}\n`,
        `install -D -m 755 -t /out/usr/bin "$CARGO_TARGET_DIR/x86_64-unknown-linux-musl/release/${name}"\n`,
        tidyOutput(),
      ].join(""),
    proves: [exists(program), isStaticPie(program), rustByAnvilCc(program), noBuildPaths(), ...proves],
  });
}
