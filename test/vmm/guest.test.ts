/** One guest, from its start to its end, with each of its devices, in the jail that nobody has asked for. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hostOfGuests, quote, type Guest, type Host } from "./micro.ts";

/** What a process has open, a line for each. */
const filesOf = (host: Host, process: number): Promise<string> =>
  host.succeed(`for file in /proc/${process}/fd/*; do readlink $file; done`);

test("a guest boots in the Monolith, and each of its devices works", async (t) => {
  const host = await hostOfGuests(t);
  assert.match(await host.succeed("anvilctl check"), /^guests can run here/);
  await host.succeed("echo 'from the host' > /tmp/web.img; truncate -s 8M /tmp/web.img");
  await host.succeed("zfs create -V 16M memory/web; until [ -b /dev/zd0 ]; do usleep 100000; done");
  const drives = "--drive root=/tmp/web.img --drive volume=/dev/zd0 --drive fixed=/tmp/fixed.img,ro";
  await host.succeed("echo fixed > /tmp/fixed.img; truncate -s 1M /tmp/fixed.img");
  const more = `${drives} --net tap=tap0 --vsock cid=3 --mem 192`;
  let guest: Guest;

  await t.test("it comes to its init, and a shell answers on its console", async () => {
    guest = await host.boot("web", more, "guest.ip=172.16.7.2/24");
    assert.match(await guest.succeed("echo $((6 * 7)) $(hostname)"), /^42 guest$/m);
    assert.match(await host.succeed("anvilctl status web"), /^state +Running$/m);
    assert.match(await host.succeed("anvilctl list"), /^web +Running +\d+ +1 +192$/m);
  });

  await t.test("its process is a user without rights, in namespaces and a root of its own", async () => {
    const { process, user } = await host.jail("web");
    assert.ok(user >= 0x7000_0000 && user < 0x8000_0000, `user ${user}`);
    const status = await host.succeed(`cat /proc/${process}/status`);
    const of = (name: string): string => new RegExp(`^${name}:[ \\t]*(.*?)[ \\t]*$`, "m").exec(status)?.[1] ?? "absent";
    assert.equal(of("Uid"), Array(4).fill(user).join("\t"));
    assert.equal(of("Gid"), of("Uid"));
    assert.equal(of("Groups"), "");
    assert.equal(of("NSpid"), `${process}\t1`);
    assert.equal(of("NoNewPrivs"), "1");
    assert.equal(of("Seccomp"), "2");
    for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]) assert.match(of(set), /^0+$/, set);
    assert.equal(await host.succeed(`ls -A /proc/${process}/root/`), "");
    assert.equal(await host.succeed(`wc -l < /proc/${process}/mountinfo`), "1");
    for (const space of ["pid", "net", "ipc", "mnt", "uts"]) {
      const of = (other: number): Promise<string> => host.succeed(`readlink /proc/${other}/ns/${space}`);
      assert.notEqual(await of(process), await of(1), space);
    }
    for (const file of (await filesOf(host, process)).split("\n"))
      assert.match(file, /^(socket|pipe|anon_inode):|^\/dev\/(null|net\/tun|zd0)$|^\/tmp\/(web|fixed)\.img$/);
    // root works in these folders: nothing there may be the guest's
    assert.equal(await host.succeed("find /run/anvil-vmm /run/anvil-vmm.sock* ! -user 0"), "");
  });

  await t.test("what the host wrote to a drive is read, and what the guest wrote is on the host's disk", async () => {
    assert.match(await guest.succeed("head -n 1 /dev/vda"), /^from the host$/m);
    await guest.succeed("echo from-the-guest | dd of=/dev/vda bs=512 seek=2 conv=fsync,notrunc 2>/dev/null");
    assert.equal(
      await host.succeed("dd if=/tmp/web.img bs=512 skip=2 count=1 2>/dev/null | head -n 1"),
      "from-the-guest",
    );
    await guest.succeed("echo to-the-volume | dd of=/dev/vdb bs=4096 conv=fsync 2>/dev/null");
    assert.equal(await host.succeed("head -n 1 /dev/zd0"), "to-the-volume");
    assert.match(
      await guest.succeed("cat /sys/block/vdc/ro; echo x 2>/dev/null > /dev/vdc || echo re'fused'"),
      /refused/,
    );
    assert.equal(await host.succeed("head -n 1 /tmp/fixed.img"), "fixed");
  });

  await t.test("another file takes the place of one below a drive", async () => {
    await host.succeed("echo another > /tmp/another.img; truncate -s 2M /tmp/another.img");
    const body = JSON.stringify({ drive_id: "fixed", path_on_host: "/tmp/another.img" });
    await host.succeed(`anvilctl request --name web PATCH /drives/fixed ${quote(body)}`);
    assert.match(await guest.succeed("head -n 1 /dev/vdc; cat /sys/block/vdc/size"), /^another$[^]*^4096$/m);
    const { process } = await host.jail("web");
    assert.doesNotMatch(await filesOf(host, process), /fixed/);
  });

  await t.test("host and guest reach each other over a TAP", async () => {
    await host.succeed("ip address add 172.16.7.1/24 dev tap0; ip link set tap0 up");
    assert.match(await host.succeed("ping -c 3 -W 20 172.16.7.2"), /3 packets received/);
    assert.match(await guest.succeed("ping -c 3 -W 20 172.16.7.1"), /3 packets received/);
  });

  await t.test("host and guest open streams to each other over the vsock", async () => {
    assert.equal(await host.succeed("echo 'over there' | anvilctl vsock web 52"), "over there");
    assert.equal(
      await host.succeed(
        "head -c 1000000 /dev/urandom > /tmp/sent; anvilctl vsock web 52 < /tmp/sent | cmp - /tmp/sent && echo same",
      ),
      "same",
    );
    await host.refused("anvilctl vsock web 53 < /dev/null", 1, /^E_VMM_CLOSED/);
    await host.succeed("(anvilctl vsock web 1234 --listen < /dev/null > /tmp/heard 2>&1 &)");
    await host.succeed("until [ -S /run/anvil-vmm/web/vsock_1234 ]; do usleep 100000; done");
    await guest.succeed("echo called | guest-vsock connect 1234");
    await host.succeed("until grep -q called /tmp/heard; do usleep 100000; done");
    // no listener; then one that is not where the guest's port leads but behind a link
    await guest.succeed("! guest-vsock connect 1235 < /dev/null 2> /dev/null");
    await host.succeed("ln -s /run/anvil-vmm.sock /run/anvil-vmm/web/vsock_1236");
    await guest.succeed("! guest-vsock connect 1236 < /dev/null 2> /dev/null");
  });

  await t.test("the guest's clock stands still while it is paused", async () => {
    const before = await guest.uptime();
    await host.succeed("anvilctl pause web");
    assert.match(await host.succeed("anvilctl status web"), /^state +Paused$/m);
    await host.refused("anvilctl stop web", 1, /^E_VMM_PAUSED/);
    await host.refused("echo 'echo de''af' | anvilctl console web --until deaf --timeout 60", 4, /E_VMM_TIMEOUT {2}/);
    await host.succeed("anvilctl resume web");
    assert.match(await host.succeed("anvilctl status web"), /^state +Running$/m);
    const passed = (await guest.uptime()) - before;
    assert.ok(passed > 0 && passed < 60, `${passed} s of the guest passed while it was paused for 60 s`);
  });

  await t.test("it ends at Ctrl-Alt-Del, and nothing of it is left", async () => {
    await host.succeed("anvilctl stop web --timeout 600");
    await host.refused("anvilctl status web", 3, /^E_VMM_UNKNOWN/);
    assert.equal(await host.succeed("ls /run/anvil-vmm; ip link show tap0 2>/dev/null || true"), "");
    assert.equal((await host.succeed("pidof anvil-vmm")).split(" ").length, 1, "the service is what is left");
  });
});
