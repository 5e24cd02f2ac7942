/** What is wrong is refused with a sentence, and the monitor stays or leaves cleanly. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { GUEST, hostOfGuests, quote } from "./micro.ts";

const REFUSED = /^E_VMM_REFUSED {2}[^]*status 400/m;

test("bad input is refused by the control and by the monitor, and nothing is left of it", async (t) => {
  const host = await hostOfGuests(t);
  await host.succeed("truncate -s 1M /tmp/a.img; truncate -s 1M /tmp/b.img");
  const kernel = `--kernel ${GUEST}/vmlinux`;
  const request = (method: string, path: string, body?: unknown): string =>
    `anvilctl request ${method} ${path} ${body === undefined ? "" : quote(JSON.stringify(body))}`;

  await t.test("by the control, before anything is started", async () => {
    const boot = (options: string): string => `anvilctl boot --name bad ${options}`;
    await host.refused(boot("--kernel /no/kernel"), 1, /^E_VMM_KERNEL {2}.*cannot be read/);
    await host.succeed(
      "dd if=/dev/zero of=/tmp/image bs=1024 count=2 2>/dev/null; printf HdrS | dd of=/tmp/image bs=1 seek=514 conv=notrunc 2>/dev/null",
    );
    await host.refused(boot("--kernel /tmp/image"), 1, /^E_VMM_KERNEL {2}.*bzImage[^]*vmlinux/);
    await host.refused(boot(`${kernel} --drive root=/no/drive`), 1, /^E_VMM_FILE/);
    await host.refused(
      boot(`${kernel} --drive root=/tmp/a.img --drive b=/tmp/b.img,root`),
      2,
      /^E_VMM_USAGE {2}there are two roots/,
    );
    await host.refused(boot(`${kernel} --drive a/b=/tmp/a.img`), 2, /^E_VMM_USAGE/);
    await host.refused("anvilctl boot --name a_b --kernel x", 2, /^E_VMM_NAME/);
    await host.refused("anvilctl status nobody", 3, /^E_VMM_UNKNOWN/);
    await host.refused("anvilctl status --sock /tmp/nobody.sock", 3, /^E_VMM_CONNECT/);
    await host.refused(
      "head -c 51201 /dev/zero | tr '\\0' ' ' | anvilctl request PUT /machine-config -",
      1,
      /^E_VMM_BODY/,
    );
    assert.equal(await host.succeed("ls /run/anvil-vmm 2>/dev/null || true"), "");
  });

  await t.test("by the monitor of the service, which goes on", async () => {
    const bad: [string, string, unknown?][] = [
      ["PUT", "/boot-source", { kernel_image_path: "/no/kernel" }],
      ["PUT", "/drives/x", { drive_id: "x", path_on_host: "/no/drive", is_root_device: false, is_read_only: false }],
      ["PUT", "/drives/x", { drive_id: "y", path_on_host: "/tmp/a.img", is_root_device: false, is_read_only: false }],
      ["PUT", "/drives/a%2fb", { drive_id: "a/b", path_on_host: "/tmp/a.img", is_root_device: false }],
      ["PUT", "/machine-config", { vcpu_count: 0, mem_size_mib: 128 }],
      ["PUT", "/machine-config", { vcpu_count: 1, mem_size_mib: 128, strange: 1 }],
      ["PUT", "/vsock", { guest_cid: 2, uds_path: "/tmp/v" }],
      ["PATCH", "/vm", { state: "Paused" }],
      ["PUT", "/actions", { action_type: "SendCtrlAltDel" }],
      ["PUT", "/actions", { action_type: "InstanceStart" }],
      ["PUT", "/actions", { action_type: "FlushMetrics" }],
      ["PUT", "/logger", { log_path: "/tmp/log" }],
      ["PUT", "/metrics", { metrics_path: "/tmp/metrics" }],
      ["GET", "/no/such/path"],
      ["DELETE", "/drives/x"],
    ];
    const monitor = await host.succeed("pidof anvil-vmm");
    for (const [method, path, body] of bad) await host.refused(request(method, path, body), 1, REFUSED);
    await host.refused("anvilctl request PUT /machine-config '{\"vcpu_count\":'", 1, REFUSED);
    // two roots: the first one is a good request
    const root = (id: string, file: string): unknown => ({
      drive_id: id,
      path_on_host: file,
      is_root_device: true,
      is_read_only: false,
    });
    await host.succeed(request("PUT", "/drives/a", root("a", "/tmp/a.img")));
    await host.refused(request("PUT", "/drives/b", root("b", "/tmp/b.img")), 1, REFUSED);
    assert.equal(await host.succeed("pidof anvil-vmm"), monitor);
    assert.match(await host.succeed("anvilctl status"), /^state +Not started$/m);
  });

  await t.test("another user who takes the name of the socket first has neither it nor the clients", async () => {
    const monitor = "chpst -u 70:70 anvil-vmm --no-stdio";
    await host.succeed("sv -w 20 down vmm; rm /tmp/anvil.sock /tmp/anvil.sock.console");
    await host.succeed(
      `${monitor} > /tmp/impostor 2>&1 & echo $! > /tmp/pid; until [ -S /tmp/anvil.sock ]; do usleep 100000; done`,
    );
    await host.refused("anvilctl request GET /", 1, /^E_VMM_PEER {2}.*user 70/);
    await host.succeed("sv up vmm; until anvilctl request GET /version; do usleep 100000; done");
    assert.match(await host.succeed("ls -l /tmp/anvil.sock"), /^l\S+ +1 root .* -> \/run\/anvil-vmm\.sock$/);
    assert.match(await host.succeed("ls -l /run/anvil-vmm.sock"), /^srw------- +1 root /);
    // a folder, with something in it, cannot be removed by others either
    await host.succeed("kill $(cat /tmp/pid); sv -w 20 down vmm; rm /tmp/anvil.sock");
    await host.succeed("chpst -u 70:70 sh -c 'mkdir /tmp/anvil.sock && touch /tmp/anvil.sock/file'");
    await host.succeed("sv up vmm; until anvilctl request GET /version; do usleep 100000; done");
    // where others own the folder, or may change it, no socket of root's is bound
    await host.succeed(
      "mkdir -m 700 /tmp/theirs; chown 70:70 /tmp/theirs; mkdir -m 777 /tmp/open; chmod 777 /tmp/open",
    );
    for (const folder of ["theirs", "open"])
      await host.refused(
        `anvil-vmm --no-stdio --api-sock /tmp/${folder}/sock`,
        153,
        /^anvil-vmm: \/tmp\/.*is in a folder/,
      );
  });

  await t.test("a client that hangs or dies in the middle holds up nobody", async () => {
    // a folder that names the service's API as a console makes of anvilctl a client that sends what it is told
    await host.succeed(
      "mkdir -p /tmp/raw/api; ln -s /tmp/anvil.sock /tmp/raw/api/console; echo 1 $(cut -d' ' -f22 /proc/1/stat) > /tmp/raw/api/process",
    );
    const raw = (text: string, wait: string): string =>
      `{ printf ${quote(text)}; ${wait}; } | ANVIL_VMM_RUN=/tmp/raw anvilctl console api`;
    const half = "PUT /machine-config HTTP/1.1\\r\\nContent-Length: 100\\r\\n\\r\\n{";
    await host.succeed(
      `(${raw(half, "sleep 100")} > /tmp/hanging 2>&1 &); until [ $(grep -c anvil-vmm.sock$ /proc/net/unix) -gt 1 ]; do usleep 100000; done; anvilctl request GET /`,
    );
    await host.succeed(`${raw(half, "true")} > /tmp/died 2>&1 || true; anvilctl request GET /`);
    const large = "PUT /machine-config HTTP/1.1\\r\\nContent-Length: 51201\\r\\n\\r\\n";
    const answer = await host.succeed(`${raw(large, "true")} 2>&1 || true`);
    assert.match(answer, /^HTTP\/1\.1 400 [^]*fault_message/);
    const garbage = await host.succeed(`${raw("what is this\\n\\r\\n\\r\\n", "true")} 2>&1 || true`);
    assert.match(garbage, /^HTTP\/1\.1 400 /);
    assert.match(await host.succeed("anvilctl status"), /^state +Not started$/m);
  });

  await t.test("a drive in use and a name in use are refused to a second guest", async () => {
    const guest = await host.boot("first", "--drive root=/tmp/b.img");
    const files = `${kernel} --initrd ${GUEST}/guest.cpio`;
    await host.refused(`anvilctl boot --name first ${files}`, 1, /^E_VMM_RUNNING/);
    await host.refused(`anvilctl boot --name second ${files} --drive root=/tmp/b.img`, 1, /^E_VMM_REFUSED/);
    assert.match(await guest.succeed("echo $((40 + 2))"), /^42$/m);
    await host.refused(`anvilctl request --name first PUT /actions '{"action_type":"InstanceStart"}'`, 1, REFUSED);
    await host.refused(`anvilctl request --name first PATCH /vm '{"state":"Gone"}'`, 1, REFUSED);
    await host.succeed("anvilctl stop first --force --timeout 0");
  });

  await t.test("without KVM the guest is not started, and the check says why", async () => {
    await host.succeed("mv /dev/kvm /dev/kvm.away");
    await host.refused("anvilctl check", 1, /^E_VMM_KVM_DEVICE {2}there is no \/dev\/kvm/);
    const files = `${kernel} --initrd ${GUEST}/guest.cpio`;
    await host.refused(`anvilctl boot --name none ${files}`, 1, /^E_VMM_(REFUSED|MONITOR) {2}.*kvm/i);
    assert.equal(await host.succeed("ls /run/anvil-vmm"), "");
    await host.succeed("mv /dev/kvm.away /dev/kvm; anvilctl check");
  });
});
