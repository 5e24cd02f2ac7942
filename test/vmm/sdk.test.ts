/**
 * Users of the API that are not ours: the Firecracker SDKs for Go and for Rust, unmodified. They are compiled here, for which
 * `go` and `cargo` have to be on PATH, and run in the Monolith from a disk. Another monitor than anvil-vmm comes along.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../boot/monolith.ts";
import { GUEST, hostOfGuests } from "./micro.ts";
import { otherMonitor } from "./monitor.ts";
import { project } from "../this-project.ts";

/** Runs a compiler of this machine. */
function compile(program: string, args: readonly string[], folder: string, env: NodeJS.ProcessEnv): void {
  const cwd = path.join(project.root, "test/vmm", folder);
  const { status, stderr, error } = spawnSync(program, args, {
    cwd,
    env: { ...process.env, ...env },
    encoding: "utf8",
  });
  assert.equal(error, undefined, `this test compiles a program of others with \`${program}\`, which is not on PATH`);
  assert.equal(status, 0, stderr);
}

/** Both programs, static, and the monitor that they are to drive, as a tar. */
function judges(folder: string): string {
  compile("go", ["build", "-trimpath", "-ldflags=-s", "-o", path.join(folder, "go-judge"), "."], "go", {
    CGO_ENABLED: "0",
  });
  const target = "x86_64-unknown-linux-gnu";
  const built = path.join(folder, "target");
  compile("cargo", ["build", "--release", "--locked", "--target", target, "--target-dir", built], "rust", {
    RUSTFLAGS: "-C target-feature=+crt-static",
  });
  copyFileSync(path.join(built, target, "release/judge"), path.join(folder, "rust-judge"));
  const tar = path.join(folder, "judges.tar");
  const files = ["go-judge", "rust-judge"];
  const monitor = otherMonitor();
  if (monitor !== undefined) {
    copyFileSync(monitor, path.join(folder, "monitor"));
    chmodSync(path.join(folder, "monitor"), 0o755);
    files.push("monitor");
  }
  assert.equal(spawnSync("tar", ["-C", folder, "-cf", tar, ...files]).status, 0, "tar packs them");
  return tar;
}

test("the Firecracker SDKs for Go and Rust boot guests, by requests and with monitors that they start themselves", async (t) => {
  const disk = judges(scratch(t));
  const host = await hostOfGuests(t, { disks: [{ path: disk, bus: "virtio", readOnly: true }] });
  await host.succeed("tar -x -C /tmp -f /dev/vda; echo drive > /tmp/root.img; truncate -s 1M /tmp/root.img");
  const own = otherMonitor() === undefined ? "/ingots/bin/anvil-vmm" : "/tmp/monitor";
  const guest = `${GUEST}/vmlinux ${GUEST}/guest.cpio /tmp/root.img`;

  await t.test("the one for Go by requests to the service's monitor, which is followed by another one", async () => {
    const said = await host.succeed(`/tmp/go-judge api /tmp/anvil.sock ${guest}`);
    assert.match(said, /^InstanceStart: done$/m);
    assert.match(said, /^memory 128$/m);
    assert.match(said, /^state Paused$[^]*^state Running$/m);
    assert.match(said, /^refused: .*after starting/m);
    // whoever sent Ctrl-Alt-Del before the guest's kernel listens would wait in vain
    await host.succeed("anvilctl stop --force --timeout 0");
    await host.succeed("until anvilctl request GET / | grep 'Not started'; do usleep 200000; done");
  });

  await t.test("the one for Go with a monitor of its own", async () => {
    const said = await host.succeed(`/tmp/go-judge machine ${own} /tmp/own.sock ${guest}`);
    assert.match(said, /^start: done$[^]*^pause: done$[^]*^resume: done$[^]*^stop: done$[^]*^ended$/m);
    assert.equal((await host.succeed("pidof anvil-vmm")).split(" ").length, 1, "the service is what is left");
  });

  await t.test("the one for Rust with a monitor of its own", async () => {
    const said = await host.succeed(`/tmp/rust-judge ${own} /tmp/rust.sock ${guest} 2>&1`);
    assert.match(said, /^start: done$[^]*^paused: .*Paused[^]*^resumed: .*Running[^]*^stop: done$/m);
  });
});
