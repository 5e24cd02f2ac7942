/** A system that was forged with SSH public keys, reached over the network: logins, and ingots with `--to ssh://…`. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { rootfs } from "../../recipes/rootfs.ts";
import { trustedKeys } from "../../src/inject/key-file.ts";
import { boot, output } from "./monolith.ts";
import { Owner } from "./ssh.ts";
import { project } from "../this-project.ts";

test("without SSH keys there is no SSH server", async () => {
  const tree = await output(rootfs({ rootLogin: true, trust: trustedKeys(project.keys), logins: [] }));
  assert.ok(existsSync(path.join(tree, "usr/bin/busybox")));
  for (const name of ["usr/sbin/dropbear", "etc/service/ssh", "etc/ssh"]) assert.ok(!existsSync(path.join(tree, name)));
});

test("a system that was forged with SSH keys lets in those who have them, and takes ingots over SSH", async (t) => {
  const owner = await Owner.make(t);
  const machine = await boot(t, {
    cdrom: await owner.forge("--root-login"),
    network: { forwards: [{ guest: 22 }] },
  });
  const inside = async (command: string): Promise<string> => (await machine.console.succeed(command)).trim();
  await inside(
    "until ip -4 addr show dev eth0 | grep -q inet && nc 127.0.0.1 22 </dev/null | grep -q SSH; do sleep 1; done",
  );
  const to = `ssh://root@127.0.0.1:${machine.forwards[0]?.host}`;

  assert.doesNotMatch(await owner.succeed(["ingot", "list", "--to", to]), /tools/);
  assert.match(await owner.succeed(["inject", "tools", "--to", to, "--plain"]), /tools/);
  assert.match(await inside("/ingots/bin/lz4 --version"), /lz4 v/);
  assert.match(await owner.succeed(["ingot", "list", "--to", to]), /tools .* active/);

  const refused = await owner.anvil(["ingot", "list", "--to", to], "other");
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /^E_SSH {2}/);

  // the host's key stays the same
  assert.match(await inside("ls /etc/ssh"), /^authorized_keys\nhost_ed25519/);
});
