import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";

const kernel = path.join(projectRoot(path.dirname(fileURLToPath(import.meta.url))), "system/kernel");

/** The folder of package.json: a bundled test runs from a folder below dist. */
function projectRoot(folder: string): string {
  return existsSync(path.join(folder, "package.json")) ? folder : projectRoot(path.dirname(folder));
}

interface Rig {
  /** Runs check-config with the fragment; `target` is relative to the rig's folder. */
  readonly run: (
    command: string,
    target: string,
    ...more: string[]
  ) => { status: number | null; out: string; err: string };
}

/** A folder with a fragment, and below `tree` a kernel tree that has the Kconfig and the .config given. */
function rigFor(t: TestContext, fragment: string[], config: string[] = [], version = "6.12.95"): Rig {
  const folder = mkdtempSync(path.join(tmpdir(), "anvil-kernel-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const write = (name: string, lines: readonly string[]): void => {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), lines.map((line) => `${line}\n`).join(""));
  };
  write("fragment", fragment);
  write("tree/.config", config);
  write("tree/arch/Kconfig", ["config JUMP_LABEL", '\tbool "Jump labels"']);
  write("tree/arch/x86/Kconfig", [
    "menuconfig KVM",
    '\tbool "KVM"',
    "\tdepends on HIGH_RES_TIMERS",
    "config SMP",
    "\tbool",
  ]);
  write("tree/arch/arm64/Kconfig", ["config ARM64_ONLY", "\tbool"]);
  write("tree/fs/Kconfig", ["if BLOCK", "config EXT4_FS", "\ttristate", "endif", "config LOG", "\tint"]);
  return {
    run: (command, target, ...more) => {
      const args = [command, version, "fragment", target, ...more];
      const result = spawnSync(path.join(kernel, "check-config"), args, {
        cwd: folder,
        encoding: "utf8",
      });
      return { status: result.status, out: result.stdout, err: result.stderr };
    },
  };
}

test("a configuration that holds every line of the fragment passes in silence", (t) => {
  const rig = rigFor(
    t,
    ["# why", "", "CONFIG_EXT4_FS=y", "CONFIG_LOG=17", "# CONFIG_KVM is not set", "# CONFIG_SMP is not set"],
    ["CONFIG_EXT4_FS=y", "CONFIG_LOG=17", "# CONFIG_KVM is not set"],
  );
  assert.deepEqual(rig.run("check", "tree"), { status: 0, out: "", err: "" });
});

test("lines that did not survive are named with what was wanted, what is there and on what they depend", (t) => {
  const rig = rigFor(
    t,
    ["CONFIG_KVM=y", "CONFIG_EXT4_FS=y", "CONFIG_LOG=17", "# CONFIG_JUMP_LABEL is not set"],
    ["CONFIG_EXT4_FS=y", "CONFIG_LOG=12", "CONFIG_JUMP_LABEL=y"],
  );
  const { status, err } = rig.run("check", "tree");
  assert.equal(status, 1);
  assert.deepEqual(err.split("\n"), [
    "E_KCONFIG  3 lines of fragment did not survive in Linux 6.12.95",
    "  line 1: wanted CONFIG_KVM=y, got CONFIG_KVM is not set",
    "           arch/x86/Kconfig:3  depends on HIGH_RES_TIMERS",
    "  line 3: wanted CONFIG_LOG=17, got CONFIG_LOG=12",
    "  line 4: wanted CONFIG_JUMP_LABEL is not set, got CONFIG_JUMP_LABEL=y",
    "",
  ]);
});

test("an option that no Kconfig file of x86 defines is unknown, also when it is to be off", (t) => {
  const rig = rigFor(t, ["CONFIG_EXT5_FS=y", "# CONFIG_ARM64_ONLY is not set", "CONFIG_SMP=y"], ["CONFIG_SMP=y"]);
  const { status, err } = rig.run("check", "tree");
  assert.equal(status, 1);
  assert.deepEqual(err.split("\n"), [
    "E_KCONFIG  2 lines of fragment did not survive in Linux 6.12.95",
    "  unknown option CONFIG_EXT5_FS, line 1",
    "  unknown option CONFIG_ARM64_ONLY, line 2",
    "",
  ]);
});

test("a line counts only for the versions of its guard, which are compared as numbers", (t) => {
  const fragment = [
    "CONFIG_A=y  # since 6.9",
    "CONFIG_B=y  # before 6.9",
    "# CONFIG_C is not set  # since 6.2 before 6.10",
    "CONFIG_D=y  # since 6.6.30",
  ];
  const lines = (version: string): string => rigFor(t, fragment, [], version).run("merge", "tree/.config").out;
  assert.equal(lines("6.1.176"), "CONFIG_B=y\n");
  assert.equal(lines("6.6.29"), "CONFIG_B=y\n# CONFIG_C is not set\n");
  assert.equal(lines("6.6.119"), "CONFIG_B=y\n# CONFIG_C is not set\nCONFIG_D=y\n");
  assert.equal(lines("6.9"), "CONFIG_A=y\n# CONFIG_C is not set\nCONFIG_D=y\n");
  assert.equal(lines("6.12.95"), "CONFIG_A=y\nCONFIG_D=y\n");
});

test("merging replaces what the configuration said of the fragment's options and keeps the rest", (t) => {
  const rig = rigFor(
    t,
    ["CONFIG_SMP=y", 'CONFIG_LSM="landlock,yama"', "# CONFIG_KVM is not set"],
    ["# comment", "# CONFIG_SMP is not set", "CONFIG_KVM=y", "CONFIG_KVM_INTEL=y", 'CONFIG_LSM=""'],
  );
  assert.deepEqual(rig.run("merge", "tree/.config").out.split("\n"), [
    "# comment",
    "CONFIG_KVM_INTEL=y",
    "CONFIG_SMP=y",
    'CONFIG_LSM="landlock,yama"',
    "# CONFIG_KVM is not set",
    "",
  ]);
});

test("an option that a later patch brings can be passed over", (t) => {
  const rig = rigFor(t, ["CONFIG_ZFS=y", "CONFIG_SMP=y"], ["CONFIG_SMP=y"]);
  assert.equal(rig.run("check", "tree").status, 1);
  assert.equal(rig.run("check", "tree", "CONFIG_ZFS").status, 0);
  assert.equal(rig.run("merge", "tree/.config", "CONFIG_ZFS").out, "CONFIG_SMP=y\n");
});

test("a fragment that cannot be read is refused before anything is merged", (t) => {
  const rig = rigFor(t, ["CONFIG_A=m", "CONFIG_B=", "# CONFIG_C is not det", "CONFIG_D=y", "CONFIG_D=y", "nonsense"]);
  const { status, out, err } = rig.run("merge", "tree/.config");
  assert.equal(status, 2);
  assert.equal(out, "");
  assert.deepEqual(err.split("\n"), [
    'E_KCONFIG  fragment, line 1: not an option that is y, a number or a "text": CONFIG_A=m',
    'E_KCONFIG  fragment, line 2: not an option that is y, a number or a "text": CONFIG_B=',
    "E_KCONFIG  fragment, line 3: neither an option nor a comment: # CONFIG_C is not det",
    "E_KCONFIG  fragment, line 5: CONFIG_D is set twice; first in line 4",
    "E_KCONFIG  fragment, line 6: neither an option nor a comment: nonsense",
    "",
  ]);
});

test("the fragment that ships can be read for every supported series", (t) => {
  const fragment = readFileSync(path.join(kernel, "config"), "utf8").split("\n");
  for (const version of ["6.1.176", "6.6.119", "6.12.95"]) {
    const { status, out, err } = rigFor(t, fragment, [], version).run("merge", "tree/.config");
    assert.deepEqual([status, err], [0, ""], version);
    assert.ok(out.includes("CONFIG_ZFS=y\n"), version);
  }
});
