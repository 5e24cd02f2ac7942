/**
 * Users of the API that are not ours: the Firecracker SDK for Go, unmodified. It is compiled here, for which `go` has to be
 * on PATH, and run in the Monolith from a disk.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { projectRoot } from "../../src/cli/command.ts";
import { scratch } from "../boot/monolith.ts";
import { GUEST, hostOfGuests } from "./micro.ts";

function compile(folder: string): string {
  const program = path.join(folder, "judge");
  const args = ["build", "-trimpath", "-ldflags=-s", "-o", program, "."];
  const { status, stderr, error } = spawnSync("go", args, {
    cwd: path.join(projectRoot(), "test/vmm/go"),
    env: { ...process.env, CGO_ENABLED: "0" },
    encoding: "utf8",
  });
  assert.equal(
    error,
    undefined,
    "this test compiles a program of others with `go`, which is not on PATH: install Go 1.21",
  );
  assert.equal(status, 0, stderr);
  const tar = path.join(folder, "judge.tar");
  assert.equal(spawnSync("tar", ["-C", folder, "-cf", tar, "judge"]).status, 0, "tar packs it");
  rmSync(program);
  return tar;
}

test("the Firecracker SDK for Go boots guests, by requests and with a monitor that it starts itself", async (t) => {
  const disk = compile(scratch(t));
  const host = await hostOfGuests(t, { disks: [{ path: disk, bus: "virtio", readOnly: true }] });
  await host.succeed("tar -x -C /tmp -f /dev/vda; echo drive > /tmp/root.img; truncate -s 1M /tmp/root.img");
  const guest = `${GUEST}/vmlinux ${GUEST}/guest.cpio /tmp/root.img`;

  await t.test("by requests to the service's monitor, which is followed by another one", async () => {
    const said = await host.succeed(`/tmp/judge api /tmp/anvil.sock ${guest}`);
    assert.match(said, /^InstanceStart: done$/m);
    assert.match(said, /^memory 128$/m);
    assert.match(said, /^state Paused$[^]*^state Running$/m);
    assert.match(said, /^refused: .*after starting/m);
    // whoever sent Ctrl-Alt-Del before the guest's kernel listens would wait in vain
    await host.succeed("anvilctl stop --force --timeout 0");
    await host.succeed("until anvilctl request GET / | grep 'Not started'; do usleep 200000; done");
  });

  await t.test("with a monitor of its own", async () => {
    const said = await host.succeed(`/tmp/judge machine /ingots/bin/anvil-vmm /tmp/own.sock ${guest}`);
    assert.match(said, /^start: done$[^]*^pause: done$[^]*^resume: done$[^]*^stop: done$[^]*^ended$/m);
    assert.equal((await host.succeed("pidof anvil-vmm")).split(" ").length, 1, "the service is what is left");
  });
});
