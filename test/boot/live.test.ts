/** The ISO as a live system, on every firmware and from every kind of medium. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { boot, monolith, powerOff, scratch, stick } from "./monolith.ts";

for (const firmware of ["seabios", "ovmf"] as const) {
  test(`the ISO boots from CD with ${firmware} to a root shell whose root is a ZFS pool`, async (t) => {
    const { iso } = await monolith();
    const machine = await boot(t, { firmware, cdrom: iso });
    const run = (command: string): Promise<string> => machine.console.succeed(command);
    assert.match(await run("zpool list -H -o name,health,readonly anvil"), /^anvil\tONLINE\ton$/m);
    assert.match(await run("grep ' / ' /proc/mounts"), /^overlay \/ overlay rw/m);
    const dataset = (await run(". /run/anvil/boot.env; echo $ANVIL_DATASET")).trim();
    assert.equal((await run("zpool get -H -o value bootfs anvil")).trim(), dataset);
    // a write lands in the layer above the pool, not in it
    assert.equal(
      (await run("echo kept > /etc/written; cat /etc/written; ls /run/anvil/lower/etc/written 2>&1 || true")).split(
        "\n",
      )[0],
      "kept",
    );
    assert.equal((await machine.console.run("test -e /run/anvil/lower/etc/written")).status, 1);
    await powerOff(machine);
  });

  test(`the ISO boots as a USB stick and as a disk with ${firmware}`, async (t) => {
    const image = await stick(scratch(t));
    for (const bus of ["usb", "virtio"] as const) {
      const machine = await boot(t, { firmware, disks: [{ path: image, bus, readOnly: bus === "virtio" }] });
      assert.match(await machine.console.succeed("zpool list -H -o health anvil"), /ONLINE/);
      await machine.kill();
    }
  });
}

test("the running system is what it says: one static kernel, cgroup v2, supervised services, hardened settings", async (t) => {
  const { iso } = await monolith();
  const machine = await boot(t, { cdrom: iso, network: { forwards: [] } });
  const run = async (command: string): Promise<string> => (await machine.console.succeed(command)).trim();
  assert.equal(await run("test -e /proc/modules && echo modules || echo none"), "none");
  assert.match(await run("cat /proc/version"), /anvil@forge.*ANVIL-CC/);
  assert.match(await run("zcat /proc/config.gz"), /^CONFIG_ZFS=y$/m);
  assert.match(await run("stat -f -c %T /sys/fs/cgroup"), /cgroup2fs|UNKNOWN/);
  assert.match(await run("cat /sys/fs/cgroup/cgroup.controllers"), /memory/);
  assert.equal(await run("cat /proc/sys/kernel/kptr_restrict /proc/sys/kernel/dmesg_restrict | tr '\\n' ' '"), "2 1");
  assert.match(await run("sv status /run/service/*"), /^run: /m);
  // OpenZFS before 2.3.9 takes an administrator of a user namespace for that of the machine
  assert.equal(await run("stat -c '%a %u %g' /dev/zfs"), "600 0 0");
  assert.notEqual((await machine.console.run("chpst -u nobody sh -c ': < /dev/zfs'")).status, 0);
  assert.equal(await run("readlink -f /proc/1/exe"), "/usr/bin/busybox");
  assert.match(
    await run(
      "for i in $(seq 20); do ip -4 addr show dev eth0 | grep -q inet && break; sleep 1; done; ip -4 addr show dev eth0",
    ),
    /inet 10\.0\.2\./,
  );
  // every program is static: the image holds no dynamic linker that could start another kind
  assert.equal(await run("ls /lib /usr/lib 2>/dev/null | grep -c 'ld-' || true"), "0");
  await powerOff(machine);
  assert.ok(
    machine.serial.lines().some((line) => line.includes("anvil-shutdown")),
    "the shutdown script ran",
  );
});
