/** A copy of this project in which the ISO is a text file that takes a second to build, and a cache with the seed. */
import { spawn, type ChildProcess } from "node:child_process";
import { copyFileSync, cpSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { text } from "node:stream/consumers";
import { DiskStore } from "../../src/store/disk-store.ts";
import type { Store } from "../../src/store/store.ts";
import {
  cachePaths,
  linkTree,
  plantSeed,
  projectRoot,
  temporaryFolder,
  testChannel,
  type Cleanup,
} from "../forge/rig.ts";
import type { Ended } from "./command-line.ts";

const RECIPES = `
import { contains, exists } from "../src/recipe/proof.ts";
import { recipe } from "../src/recipe/recipe.ts";
import { seedBase } from "./seed.ts";

export const base = recipe({
  name: "base",
  licence: "0BSD",
  seed: seedBase,
  script: "echo base says $((6 * 7)); echo 42 > /out/number",
  proves: [contains("number", /^42$/)],
});

export const isoImage = (options: { rootLogin?: boolean } = {}, own?: { readonly name: string }) => recipe({
  name: options.rootLogin === false ? "iso-no-login" : "iso",
  licence: "0BSD",
  files: ["system/greeting"],
  seed: seedBase,
  inputs: [base],
  script: "cat /in/base/number /files/system/greeting > /out/anvilos-phase2.iso" +
    (own === undefined ? "" : "; echo image " + own.name + " >> /out/anvilos-phase2.iso"),
  proves: [exists("anvilos-phase2.iso")],
});
`;

const INGOTS = `
import { ingot } from "../ingot.ts";
import { base } from "../iso.ts";

export const ingots = [ingot({ name: "number", version: "4.2", trees: [base] })];
`;

const CATALOGUE = `
import { ingots } from "./ingots/index.ts";
import { isoImage } from "./iso.ts";
import { seedRust } from "./seed-rust.ts";
import { seedBase, seedCc, seedVm } from "./seed.ts";
import { portableSteps, workshop } from "./workshop.ts";

export const catalogueOf = (own?: { readonly name: string }) => ({
  image: {
    ...{ name: "iso", closed: "-no-login", file: "anvilos-phase2.iso" },
    make: (options: { rootLogin?: boolean }) => isoImage(options, own),
  },
  ingots,
  checks: [],
  seeds: { base: seedBase, cc: seedCc, vm: seedVm, rust: seedRust },
  workshop: { steps: portableSteps, ingot: workshop },
  purge: { of: "nothing", changes: [], checks: [] },
});
`;

export interface RunOptions {
  /** The whole environment; by default only the cache folder and a HOME without anything in it. */
  readonly env?: Readonly<Record<string, string>>;
  readonly uid?: number;
  /** Folder of a copy of the project. */
  readonly project?: string;
  /** Text for its standard input. */
  readonly input?: string;
  /** Folder in which it is started; the project where it is absent. */
  readonly cwd?: string;
}

export class TinyProject {
  readonly folder: string;
  readonly cache: string;
  readonly home: string;
  readonly store: Store;

  private constructor(top: string) {
    this.folder = path.join(top, "project");
    this.home = path.join(top, "home");
    this.cache = path.join(this.home, ".cache/anvil");
    this.store = DiskStore.open(cachePaths(this.cache));
  }

  static async make(t: Cleanup, { ownSeed = false } = {}): Promise<TinyProject> {
    const project = new TinyProject(temporaryFolder(t));
    plantSeed(project.store, await testChannel(), ownSeed ? linkTree : symlinkSync);
    for (const name of ["src", "bin", "scripts", "channels", "package.json"])
      cpSync(path.join(projectRoot, name), path.join(project.folder, name), { recursive: true });
    symlinkSync(path.join(projectRoot, "node_modules"), path.join(project.folder, "node_modules"));
    mkdirSync(path.join(project.folder, "recipes"));
    for (const name of ["seed.ts", "seed-rust.ts", "ingot.ts", "workshop.ts"].map((file) => `recipes/${file}`))
      copyFileSync(path.join(projectRoot, name), path.join(project.folder, name));
    project.write("system/greeting", "hello\n");
    project.write("recipes/words.ts", 'export { image } from "../src/recipe/image.ts";\n');
    for (const folder of ["system/tree", "examples"])
      cpSync(path.join(projectRoot, folder), path.join(project.folder, folder), { recursive: true });
    project.write("recipes/iso.ts", RECIPES);
    project.write("recipes/ingots/index.ts", INGOTS);
    project.write("recipes/catalogue.ts", CATALOGUE);
    return project;
  }

  write(name: string, content: string): void {
    const file = path.join(this.folder, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, content);
  }

  /** Changes the recipes as an editor would. */
  edit(before: string, after: string): void {
    this.write("recipes/iso.ts", RECIPES.replace(before, after));
  }

  /** Folder that `anvil forge` puts results in. */
  get out(): string {
    return path.join(this.folder, "out");
  }

  start(args: readonly string[], { env, uid, project = this.folder, cwd = project }: RunOptions = {}): ChildProcess {
    return spawn(process.execPath, [path.join(project, "bin/anvil"), ...args], {
      cwd,
      env: { ...(env ?? { HOME: this.home }) },
      ...(uid === undefined ? {} : { uid, gid: uid }),
    });
  }

  async anvil(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
    const child = this.start(args, options);
    child.stdin?.end(options.input ?? "");
    return ended(child);
  }
}

export async function ended(child: ChildProcess): Promise<Ended> {
  if (child.stdout === null || child.stderr === null) throw new Error("no pipes");
  const status = new Promise<number>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => (code === null ? reject(new Error(`ended by ${signal}`)) : resolve(code)));
  });
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { status: await status, stdout, stderr };
}
