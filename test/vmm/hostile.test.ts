/** A guest whose kernel is hostile (native/hostile-guest), with KVM and all threads between it and the monitor. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import path from "node:path";
import { test } from "node:test";
import { hostileGuest } from "../../recipes/hostile-guest.ts";
import { output, scratch } from "../boot/monolith.ts";
import { hostOfGuests, quote, type Host } from "./micro.ts";

const MEMORY = 32;
/** KiB by which a monitor may grow while it serves nine tenths of the cases: buffers of its sockets are among them. */
const GROWTH = 256;

const config = (seed: number, cases: number, end: string): string =>
  JSON.stringify({
    "boot-source": { kernel_image_path: "/tmp/hostile", boot_args: `seed=${seed} cases=${cases} end=${end}` },
    drives: [{ drive_id: "root", is_root_device: true, path_on_host: "/tmp/root.img" }],
    "machine-config": { vcpu_count: 1, mem_size_mib: MEMORY },
    "network-interfaces": [{ iface_id: "net", host_dev_name: "tap0" }],
    vsock: { guest_cid: 3, uds_path: "/tmp/h/vsock" },
    entropy: {},
  });

// A folder that names a socket as a console makes `anvilctl console` a client of any monitor.
const start = (machine: string): string => `
rm -rf /tmp/h; mkdir -p /tmp/h/m; cd /tmp/h; printf %s ${quote(machine)} > config
(anvil-vmm --config-file config --api-sock api --console-sock m/console --no-stdio > said 2>&1 & echo $! > pid; wait $!
echo $? > status) > /dev/null 2>&1 &
until [ -S /tmp/h/m/console ]; do usleep 50000; done
p=$(cat /tmp/h/pid); echo $p $(cut -d' ' -f22 /proc/$p/stat) > /tmp/h/m/process
ip link set tap0 up; ip address replace 172.16.9.1/24 dev tap0`;

const console = (typed: string, until: string): string =>
  `printf '${typed}' | ANVIL_VMM_RUN=/tmp/h anvilctl console m --until ${quote(until)} --timeout 600`;

/** Runs it to its end: the exit status of the monitor, and what the guest said last. */
async function run(host: Host, seed: number, cases: number, end: string): Promise<{ status: string; said: string }> {
  await host.succeed(start(config(seed, cases, end)));
  await host.succeed(`${console("", "hostile: waits")} > /dev/null`);
  const pid = "$(cat /tmp/h/pid)";
  const before = await host.held(pid, MEMORY);
  // something to receive
  await host.succeed("(ping -c 60 172.16.9.2 > /dev/null 2>&1 &)");
  const said = await host.succeed(console("x", "hostile: done"));
  const after = await host.held(pid, MEMORY);
  assert.deepEqual([after.files, after.threads], [before.files, before.threads]);
  const grown = after.kilobytes - before.kilobytes;
  assert.ok(grown <= GROWTH, `${before.kilobytes} KiB beside the guest's memory, then ${after.kilobytes} KiB`);
  // it still answers, and the guest goes on to its end
  assert.match(await host.succeed("anvilctl status --sock /tmp/h/api"), /^state +Running$/m);
  await host.succeed(`${console("x", "no such text")} > /dev/null 2>&1 || true`);
  await host.succeed("until [ -s /tmp/h/status ]; do usleep 100000; done");
  assert.doesNotMatch(await host.succeed("cat /tmp/h/said"), /panicked|not allowed/);
  return { status: await host.succeed("cat /tmp/h/status"), said };
}

test("a guest that breaks every rule stops its devices and itself, and nothing else", async (t) => {
  const folder = scratch(t);
  const tar = path.join(folder, "hostile.tar");
  const boot = path.join(await output(hostileGuest), "boot");
  assert.equal(spawnSync("tar", ["-C", boot, "-cf", tar, "hostile"]).status, 0, "tar packs it");
  const host = await hostOfGuests(t, { disks: [{ path: tar, bus: "virtio", readOnly: true }] });
  await host.succeed("tar -x -C /tmp -f /dev/vda; truncate -s 1M /tmp/root.img; dmesg -c > /dev/null");

  await t.test("34 000 cases, each device at work and stopped again and again, then a reset", async () => {
    const { status, said } = await run(host, 1, 34_000, "reset");
    const devices = [...said.matchAll(/^hostile: device (\d+) answered (\d+) stopped (\d+)/gm)];
    assert.deepEqual(devices.map(([, kind]) => kind).sort(), ["1", "19", "2", "4"], said);
    for (const [line, , answered, stopped] of devices) assert.ok(Number(answered) > 100 && Number(stopped) > 0, line);
    assert.equal(status, "0");
  });

  await t.test("33 000 others, and a triple fault", async () => {
    assert.equal((await run(host, 2, 33_000, "triple")).status, "0");
  });

  await t.test("33 000 others, and a jump to where no memory is", async () => {
    // KVM gives up on it: the monitor says so and ends
    assert.equal((await run(host, 3, 33_000, "nowhere")).status, "1");
    assert.match(await host.succeed("cat /tmp/h/said"), /the guest cannot go on/);
  });

  await t.test("nothing of it is left in the system, and the monitor of the service never noticed", async () => {
    assert.equal((await host.succeed("pidof anvil-vmm")).split(" ").length, 1);
    assert.match(await host.succeed("anvilctl status"), /^state +Not started$/m);
    assert.equal(await host.succeed("ip link show tap0 2>/dev/null || true"), "");
    assert.doesNotMatch(await host.succeed("dmesg"), /segfault|BUG|Oops|WARNING/);
  });
});
