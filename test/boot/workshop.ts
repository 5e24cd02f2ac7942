/** What the tests of `anvil inject --in vm` share: a store that lacks what the Monolith is to build, and the machine. */
import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, symlinkSync } from "node:fs";
import path from "node:path";
import type { TestContext } from "node:test";
import { portableSteps } from "../../recipes/workshop.ts";
import { catalogue } from "../../recipes/catalogue.ts";
import { build, type BuildChoice } from "../../src/project/build.ts";
import { withDestination } from "../../src/project/connect.ts";
import { Project } from "../../src/project/project.ts";
import { buildInMonolith } from "../../src/project/workshop.ts";
import { injectView } from "../../src/ui/inject.ts";
import { plainView } from "../../src/ui/plain.ts";
import { Client } from "../../src/inject/client.ts";
import type { Key } from "../../src/recipe/derivation.ts";
import { storePaths } from "../../src/store/paths.ts";
import { removeTree } from "../../src/host/remove-tree.ts";
import { DiskStore } from "../../src/store/disk-store.ts";
import type { Store } from "../../src/store/store.ts";
import type { Machine } from "../../src/vm/machine.ts";
import type { Ingot } from "../../src/recipe/ingot.ts";
import { project } from "../this-project.ts";

const choice: BuildChoice = {
  channel: "auto",
  source: [],
  places: { debian: [], security: [], crates: [] },
  keepGoing: false,
  acceptUnverified: [],
  preflight: true,
};

const stream = process.stdout;
const view = () => plainView((text) => void stream.write(text));

export class Pieces {
  readonly #ingot: Ingot;
  readonly #here: Store;
  readonly #keys: readonly Key[];
  /** Has all that the steps are made of, and none of them. */
  readonly store: Store;

  private constructor(ingot: Ingot, here: Store, store: Store, keys: readonly Key[]) {
    this.#ingot = ingot;
    this.#here = here;
    this.store = store;
    this.#keys = keys;
  }

  /** Builds the steps of the ingot in the sandbox, as far as the user's store does not have them. */
  static async make(t: TestContext, ingot: Ingot): Promise<Pieces> {
    const here = project.store;
    const targets = portableSteps(ingot.trees);
    const signal = new AbortController().signal;
    const built = await build({ project, targets, choice, view, jobs: 2, store: here, signal, silentWhenDone: true });
    assert.ok(built !== undefined, "the steps were built in the sandbox");
    const { channel } = await project.selectChannel("auto");
    const evaluation = project.evaluate(targets, channel);
    const top = mkdtempSync(path.join(path.dirname(here.paths.top), "anvil-workshop-"));
    t.after(() => removeTree(top));
    const store = DiskStore.open(storePaths({ ANVIL_CACHE: top }, "/"));
    for (const { key, derivation } of evaluation.nodes.values()) {
      if (derivation.kind === "fetch" && derivation.sha256 !== undefined && here.sources.has(derivation.sha256))
        symlinkSync(here.sources.path(derivation.sha256), store.sources.path(derivation.sha256));
      if (derivation.kind === "fetch" || evaluation.targets.includes(key) || !here.outputs.has(key)) continue;
      symlinkSync(here.outputs.path(key), path.join(store.paths.outputs, path.basename(here.outputs.path(key))));
      copyFileSync(path.join(here.paths.outputs, `${key}.json`), path.join(store.paths.outputs, `${key}.json`));
    }
    return new Pieces(ingot, here, store, evaluation.targets);
  }

  /** Has the machine build them; whether it could. */
  build(machine: Machine, signal: AbortSignal): Promise<boolean> {
    const env = { ...process.env, ANVIL_CACHE: this.store.paths.top };
    const { root, home } = project;
    const there = new Project({ root, env, home, catalogue: () => Promise.resolve(catalogue) });
    return buildInMonolith(this.#ingot, {
      builder: { project: there, choice, view, jobs: 2, store: this.store, signal },
      address: { machine: machine.name },
      injectView: () => injectView({ json: false, plain: true, stream, env }),
    });
  }

  /** What `anvil ingot list` is told, also while `build` follows. */
  async list(machine: Machine): Promise<string> {
    const lines: string[] = [];
    await withDestination({ machine: machine.name }, this.store, async (destination) => {
      const client = await Client.open(destination, new AbortController().signal);
      await client.command(["list"], (line) => lines.push(line)).finally(() => client.close());
    });
    return lines.join("\n");
  }

  async assertSame(): Promise<void> {
    const accepting = this.store.accepting([this.#ingot.name]);
    for (const key of this.#keys) {
      const record = accepting.outputs.record(key);
      assert.deepEqual(record?.origin?.for, [this.#ingot.name], `${record?.name} was not built in the Monolith`);
      assert.equal(this.store.outputs.has(key), false);
      assert.equal(record?.digest, await this.#here.outputs.digest(key), `${record?.name} differs`);
    }
  }
}
