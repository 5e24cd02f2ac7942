/**
 * A command line for the length of a test, in this process: a catalogue of small recipes, a project folder and a store of its
 * own with the seed of the user's store, and streams in memory.
 */
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { PassThrough, Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { gzipSync } from "node:zlib";
import { ingot } from "../../recipes/ingot.ts";
import { seedRust } from "../../recipes/seed-rust.ts";
import { seedBase, seedVm } from "../../recipes/seed.ts";
import { portableSteps, workshop } from "../../recipes/workshop.ts";
import { report, run } from "../../src/cli/main.ts";
import { Terminal } from "../../src/cli/terminal.ts";
import { Project, type Environment } from "../../src/project/project.ts";
import { assume } from "../../src/recipe/assumption.ts";
import type { Catalogue, ImageOptions } from "../../src/recipe/catalogue.ts";
import type { Digest } from "../../src/recipe/derivation.ts";
import { contains, exists } from "../../src/recipe/proof.ts";
import { archive, recipe, type Recipe } from "../../src/recipe/recipe.ts";
import { plantSeed, projectRoot, temporaryFolder, testChannel, type Cleanup } from "../forge/rig.ts";
import { buildTar } from "../format/tar-builder.ts";
import type { Ended } from "./command-line.ts";

/** Has a source, which is in the store, and assumptions about it. */
export const base = recipe({
  name: "base",
  licence: "0BSD",
  source: archive("thing"),
  seed: seedBase,
  script: "echo base says $((6 * 7)); echo 42 > /out/number",
  assumes: [assume("thing").text("README", "a small thing"), assume("thing").paths("lib/*.c")],
  proves: [contains("number", /^42$/)],
});

const broken = recipe({
  name: "broken",
  licence: "0BSD",
  seed: seedBase,
  inputs: [base],
  script: "echo half > /build/half; echo this goes wrong; exit 3",
  proves: [exists("**")],
});

const guest = recipe({
  name: "guest",
  licence: "0BSD",
  seed: seedBase,
  script: `\
mkdir -p /out/usr/share/anvil-vmm/guest
cd /out/usr/share/anvil-vmm/guest
echo kernel > vmlinux
echo tree > guest.cpio
`,
  proves: [exists("usr/share/anvil-vmm/guest/*")],
});

export const FILE = "small.iso";

const suffix = ({ rootLogin }: ImageOptions): string => (rootLogin ? "" : "-no-login");

/** Says how many keys it trusts. */
const rootfs = (options: ImageOptions): Recipe =>
  recipe({
    name: `rootfs${suffix(options)}`,
    licence: "0BSD",
    seed: seedBase,
    inputs: [base],
    script: `cp /in/base/number /out; echo ${options.trust.length} > /out/trust`,
    proves: [exists("number", "trust")],
  });

export const catalogue: Catalogue = {
  image: {
    name: "iso",
    closed: "-no-login",
    file: FILE,
    make: (options) =>
      recipe({
        name: `iso${suffix(options)}`,
        licence: "0BSD",
        seed: seedBase,
        inputs: [rootfs(options)],
        script: `cat /in/rootfs*/number /in/rootfs*/trust > /out/${FILE}`,
        proves: [exists(FILE)],
      }),
  },
  ingots: [ingot({ name: "number", version: "4.2", trees: [base] })],
  checks: [broken, guest],
  // one is in the store, and does for what needs no compiler
  seeds: { base: seedBase, cc: seedBase, vm: seedVm, rust: seedRust },
  workshop: { steps: portableSteps, ingot: workshop },
  purge: {
    of: "a small program",
    changes: [{ file: "src/firecracker/main.rs", anchor: "trace!()", becomes: "", why: "nobody reads it" }],
    checks: [{ below: "src", lacks: "trace", why: "all of it goes" }],
  },
};

export class World {
  readonly project: Project;

  private constructor(
    readonly top: string,
    readonly env: Environment,
  ) {
    this.project = new Project({
      root: path.join(top, "project"),
      env,
      home: path.join(top, "home"),
      catalogue: () => Promise.resolve(catalogue),
    });
  }

  static async make(t: Cleanup, env: Environment = {}): Promise<World> {
    const top = temporaryFolder(t);
    const source = gzipSync(
      await buildTar([
        { name: "thing-1.0/README", data: "This is a small thing.\n" },
        { name: "thing-1.0/lib/thing.c", data: "int thing;\n" },
      ]),
    );
    const sha256 = createHash("sha256").update(source).digest("hex") as Digest;
    const world = new World(top, { ANVIL_CACHE: path.join(top, "cache"), ...env });
    const { store } = world.project;
    plantSeed(store, await testChannel(), symlinkSync);
    writeFileSync(store.sources.path(sha256), source);
    const pin = { version: "1.0", archive: "pool/thing_1.0.tar.gz", sha256, size: source.length };
    const thing = { ...pin, verified: "recorded", licence: "0BSD" };
    const channel = { description: "for tests", epoch: 1_700_000_000, components: { thing } };
    world.write("project/channels/tiny.json", JSON.stringify({ name: "tiny", default: true, ...channel }));
    const newer = { ...channel, components: { thing: { ...thing, version: "2.0" } } };
    world.write("project/channels/newer.json", JSON.stringify({ name: "newer", ...newer }));
    for (const name of ["channels/seed.json", "channels/crates.json", "system/preflight", "system/tree"])
      cpSync(path.join(projectRoot, name), path.join(top, "project", name), { recursive: true });
    world.write("project/channels/advisories.json", JSON.stringify(ADVISORIES));
    return world;
  }

  /** Path of a file below the world's folder. */
  path(name: string): string {
    return path.join(this.top, name);
  }

  write(name: string, content: string | Uint8Array): string {
    const file = this.path(name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, content);
    return file;
  }

  /** Runs `anvil` with these words, and `input` for its standard input. */
  async anvil(args: readonly string[], input = ""): Promise<Ended> {
    const [output, errors] = [new PassThrough(), new PassThrough()];
    const texts = Promise.all([text(output), text(errors)]);
    const terminal = new Terminal({ input: Readable.from([Buffer.from(input)]), output, errors });
    const status = await run(args, { project: this.project, terminal }).catch((error: unknown) =>
      report(error, terminal, args.includes("--json")),
    );
    output.end();
    errors.end();
    const [stdout, stderr] = await texts;
    return { status, stdout, stderr };
  }
}

const ADVISORIES = {
  thing: {
    looked: "2026-11-30",
    read: "1.0",
    advisories: [
      {
        ids: ["THING-1"],
        what: "a small fault",
        date: "2026-11-01",
        source: "https://thing.example/1",
        fixedIn: ["2.0"],
      },
    ],
  },
};
