import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import path from "node:path";
import { test } from "node:test";
import { rustProgram } from "../../recipes/rust-program.ts";
import { seedBase } from "../../recipes/seed.ts";
import { anvilCc } from "../../recipes/toolchain.ts";
import type { Channel, Component } from "../../src/recipe/channel.ts";
import { builtByAnvilCc, exists, runs } from "../../src/recipe/proof.ts";
import { recipe, source, type Recipe } from "../../src/recipe/recipe.ts";
import { configureMake } from "../../src/recipe/style.ts";
import { channelWith, forge } from "./forge.ts";

// as Debian's archive has them
const pin = (version: string, archive: string, sha256: string): Component => ({
  version,
  archive,
  sha256,
  verified: "recorded",
  licence: "LGPL-2.1-or-later",
});
const libraries = {
  libseccomp: pin(
    "2.5.4",
    "pool/main/libs/libseccomp/libseccomp_2.5.4.orig.tar.gz",
    "d82902400405cf0068574ef3dc1fe5f5926207543ba1ae6f8e7a1576351dcbdb",
  ),
  "libcap-ng": pin(
    "0.8.3",
    "pool/main/libc/libcap-ng/libcap-ng_0.8.3.orig.tar.gz",
    "bed6f6848e22bb2f83b5f764b2aef0ed393054e803a8e3a8711cb2a39e6b492d",
  ),
};
const published = {
  crate: "virtiofsd",
  version: "1.14.0",
  sha256: "7051accc9cf2816e25945c8216e6d4be2b4e75fc5e77559cd7eed5e400245cc1",
};

const library = (name: string, file: string, configure: readonly string[]): Recipe =>
  recipe({
    name,
    licence: "LGPL-2.1-or-later",
    source: source(name),
    seed: seedBase,
    tools: [anvilCc],
    script: configureMake({ component: name, configure }),
    proves: [exists(`usr/lib/${file}`), builtByAnvilCc()],
  });

// what gperf would make is in the archive
const libseccomp = library("libseccomp", "libseccomp.a", ["GPERF=true"]);
const libcapNg = library("libcap-ng", "libcap-ng.a", ["--without-python", "--without-python3"]);

const unpacked = recipe({
  name: "virtiofsd-source",
  licence: "Apache-2.0 AND BSD-3-Clause",
  crates: ["virtiofsd"],
  seed: seedBase,
  script: "mkdir -p /out/usr/src\ntar -xzf /src/crates/virtiofsd-*.crate -C /out/usr/src --no-same-owner\n",
  proves: [exists("usr/src/virtiofsd-1.14.0/Cargo.lock")],
});

const virtiofsd = rustProgram({
  name: "virtiofsd",
  licence: "Apache-2.0 AND BSD-3-Clause",
  source: unpacked,
  folder: "usr/src/virtiofsd-1.14.0",
  link: [libseccomp, libcapNg],
  env: {
    LIBSECCOMP_LINK_TYPE: "static",
    LIBSECCOMP_LIB_PATH: "/deps/libseccomp/usr/lib",
    LIBCAPNG_LINK_TYPE: "static",
    LIBCAPNG_LIB_PATH: "/deps/libcap-ng/usr/lib",
  },
  proves: [runs("usr/bin/virtiofsd", "--version", /^virtiofsd 1\.14\.0/)],
});

test("a program of a registry is built by the lock file that it was published with, and runs", async () => {
  const channel = await channelWith(libraries);
  const withProgram: Channel = { ...channel, crates: { ...channel.crates, virtiofsd: [published] } };
  const { tree, evaluation } = await forge(virtiofsd, withProgram);
  const crates = [...evaluation.nodes.values()].filter(
    ({ derivation }) => derivation.kind === "fetch" && derivation.crate !== undefined,
  );
  assert.ok(crates.length > 100, `${crates.length}`);
  const { status, stdout } = spawnSync(path.join(tree, "usr/bin/virtiofsd"), ["--help"], { encoding: "utf8", env: {} });
  assert.equal(status, 0);
  assert.match(stdout, /--shared-dir/);
});
