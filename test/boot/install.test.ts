/** Installation to a disk, and what a power cut does to the installed system. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { boot, emptyDisk, monolith, powerOff, scratch } from "./monolith.ts";

const LONG = { timeoutMs: 300_000 };

test("an installed disk boots with both firmwares, keeps what is written, and survives a power cut", async (t) => {
  const { iso } = await monolith();
  const disk = { path: emptyDisk(scratch(t), 4), bus: "virtio" as const };

  const live = await boot(t, { cdrom: iso, disks: [disk], bootOrder: ["cdrom"] });
  const isoGuid = (await live.console.succeed("zpool get -H -o value guid anvil")).trim();
  const installed = await live.console.succeed("anvil-install --yes /dev/vda", LONG);
  assert.match(installed, /vda/);
  const again = await live.console.run("anvil-install --yes /dev/vda", LONG);
  assert.equal(again.status, 1);
  assert.match(again.output, /E_INSTALL_NOT_EMPTY/);
  await powerOff(live);

  const first = await boot(t, { disks: [disk] });
  assert.match(await first.console.succeed("grep ' / ' /proc/mounts"), /ROOT\/[0-9a-f]{12} \/ zfs rw/m);
  const facts = await first.console.succeed(
    ". /run/anvil/boot.env; zpool list -H -o guid,health $ANVIL_POOL; echo $ANVIL_POOL",
  );
  assert.match(facts, /ONLINE/);
  assert.doesNotMatch(facts, new RegExp(`^${isoGuid}\\t`, "m"), "the installed pool has a GUID of its own");
  // the kernel's hostid is the root's: the pool belongs to this machine (musl's own hostid(1) is always 0)
  const hostid = await first.console.succeed(
    "hexdump -e '1/4 \"%u\\n\"' /etc/hostid; cat /sys/module/spl/parameters/spl_hostid",
  );
  const [ofRoot, ofKernel] = hostid.trim().split("\n");
  assert.equal(ofKernel, ofRoot);
  assert.notEqual(ofKernel, "0");
  await first.console.succeed("echo first > /root/kept; sync");
  await powerOff(first);
  assert.ok(first.serial.lines().some((line) => line.includes("all pools are exported")));

  // UEFI from the same disk; the machine dies in the middle of writes
  const second = await boot(t, { disks: [disk], firmware: "ovmf" });
  assert.equal((await second.console.succeed("cat /root/kept")).trim(), "first");
  await second.console.succeed(
    "i=0; while [ $i -lt 20 ]; do i=$((i + 1)); head -c 300000 /dev/urandom > /root/file$i; sha256sum /root/file$i >> /root/sums; sync; done",
    LONG,
  );
  await second.console.succeed(
    "(while :; do head -c 500000 /dev/urandom > /root/torn; sync; done) >/dev/null 2>&1 & echo started",
  );
  await second.console.succeed("while ! test -s /root/torn; do :; done");
  await second.kill();

  const third = await boot(t, { disks: [disk] });
  await third.console.succeed("sha256sum -c /root/sums", LONG);
  const scrub = await third.console.succeed(
    ". /run/anvil/boot.env; zpool scrub $ANVIL_POOL; zpool wait -t scrub $ANVIL_POOL; zpool status $ANVIL_POOL",
    LONG,
  );
  assert.match(scrub, /scrub repaired 0B .* with 0 errors/);
  assert.match(scrub, /errors: No known data errors/);
  await powerOff(third);
});

test("a disk that holds something is refused, with what was found, and --force takes it", async (t) => {
  const { iso } = await monolith();
  const disk = { path: emptyDisk(scratch(t), 2), bus: "virtio" as const };
  const machine = await boot(t, { cdrom: iso, disks: [disk], bootOrder: ["cdrom"] });
  await machine.console.succeed("mkfs.vfat -n KEEPME /dev/vda");
  const refused = await machine.console.run("anvil-install --yes /dev/vda", LONG);
  assert.equal(refused.status, 1);
  assert.match(refused.output, /E_INSTALL_NOT_EMPTY/);
  assert.match(refused.output, /vfat/);
  await machine.console.succeed("anvil-install --yes --force /dev/vda", LONG);
  const missing = await machine.console.run("anvil-install --yes /dev/vdz");
  assert.match(missing.output, /E_INSTALL_NO_DEVICE/);
  assert.equal(missing.status, 1);
});
