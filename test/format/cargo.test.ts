import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { dependenciesOf, packagesOf, readLock } from "../../src/format/cargo.ts";
import { project } from "../this-project.ts";

const registry = 'source = "registry+index"';
const lock = readLock(`\
version = 4

[[package]]
name = "monitor"
version = "1.0.0"
dependencies = [
 "bits 2.0.0",
 "harness",
 "maker",
 "trace",
]

[[package]]
name = "bits"
version = "1.0.0"
${registry}

[[package]]
name = "bits"
version = "2.0.0"
${registry}

[[package]]
name = "harness"
version = "3.0.0"
${registry}
dependencies = [
 "bits 1.0.0 (registry+index)",
]

[[package]]
name = "maker"
version = "1.0.0"
${registry}
dependencies = [
 "bits 1.0.0",
]

[[package]]
name = "trace"
version = "0.1.0"

[[package]]
name = "helper"
version = "0.1.0"
dependencies = [
 "harness",
]
`);

const manifest = `\
[package]
name = "monitor"

[dependencies]
pieces = { package = "bits", version = "2" }
trace = { path = "../trace", optional = true }

[build-dependencies.maker]
version = "1"

[dev-dependencies]
harness = "3"
`;

test("a manifest names what is always built, under the name of the package", () => {
  assert.deepEqual([...dependenciesOf(manifest)], ["bits", "maker"]);
  assert.deepEqual([...dependenciesOf('[target."cfg(unix)".dependencies]\nlibc.workspace = true\n')], ["libc"]);
});

test("a program is made of what its manifests and then the lock name, each version by itself", () => {
  const own = new Map([["monitor", manifest]]);
  assert.deepEqual(packagesOf(lock, "monitor", own), ["bits 1.0.0", "bits 2.0.0", "maker 1.0.0", "monitor 1.0.0"]);
  assert.deepEqual(packagesOf(lock, "absent", own), []);
});

test("the packages of anvil-vmm are counted as cargo counts them", () => {
  const read = (name: string): string => readFileSync(path.join(project.root, "native/anvil-vmm", name), "utf8");
  const packages = packagesOf(readLock(read("Cargo.lock")), "anvil-vmm", new Map([["anvil-vmm", read("Cargo.toml")]]));
  // `cargo tree --edges normal,build` has these, and the two of other systems that the lock names
  assert.equal(packages.length, readLock(read("Cargo.lock")).length);
});
