/**
 * Source archives as many authors made them: those of the packages that the seed is made of, and of others with build systems
 * of every kind. `upstream-archives.txt` pins each: SHA-256, bytes, path below a Debian mirror's root.
 */
import assert from "node:assert/strict";
import { readFileSync, rmSync } from "node:fs";
import { test } from "node:test";
import path from "node:path";
import { seedBase } from "../../recipes/seed.ts";
import { Fault } from "../../src/fault/fault.ts";
import { mirrorsOf } from "../../src/forge/downloads.ts";
import { checkSource } from "../../src/forge/check-source.ts";
import { openSandbox } from "../../src/sandbox/sandbox.ts";
import type { Digest } from "../../src/recipe/derivation.ts";
import { download, urlsFor } from "../../src/source/fetch.ts";
import { httpClient } from "../../src/source/http.ts";
import { DiskStore } from "../../src/store/disk-store.ts";
import { cachePaths, projectRoot, Rig, temporaryFolder } from "../forge/rig.ts";

const AT_ONCE = 4;

interface Pin {
  readonly sha256: Digest;
  readonly size: number;
  readonly archive: string;
}

const pins: readonly Pin[] = readFileSync(path.join(projectRoot, "test/long/upstream-archives.txt"), "utf8")
  .trim()
  .split("\n")
  .map((line) => {
    const [sha256 = "", size = "", archive = ""] = line.split(" ");
    return { sha256: sha256 as Digest, size: Number(size), archive };
  });

test("no archive that its author published is refused", async (t) => {
  assert.ok(pins.length >= 150);
  const rig = await Rig.make(t);
  assert.ok(rig.store.outputs.has(rig.key(seedBase)));
  const store = DiskStore.open(cachePaths(path.join(temporaryFolder(t), "cache")));
  const mirrors = await mirrorsOf({
    store,
    client: httpClient(),
    mirrors: {
      flags: [],
      environment: process.env["ANVIL_DEBIAN_MIRROR"],
      securityEnvironment: process.env["ANVIL_DEBIAN_SECURITY_MIRROR"],
      apt: "/etc/apt",
    },
  });
  const user = await openSandbox(rig.seedTree);
  const faults: string[] = [];
  const todo = [...pins];
  const work = async (): Promise<void> => {
    for (let pin = todo.pop(); pin !== undefined; pin = todo.pop()) {
      const { sha256, size, archive } = pin;
      const name = path.posix.basename(archive);
      const to = store.sources.path(sha256);
      try {
        await download({ name, urls: urlsFor({ archive }, mirrors), sha256, size, to });
        await checkSource(store, sha256, name, rig.seedTree, user);
      } catch (error) {
        if (!(error instanceof Fault)) throw error;
        faults.push(`${archive}: ${error.code} ${error.message}`);
      } finally {
        rmSync(to, { force: true });
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  assert.deepEqual(faults, []);
});
