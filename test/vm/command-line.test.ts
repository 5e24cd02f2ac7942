import assert from "node:assert/strict";
import { test } from "node:test";
import { handedFiles, machinePaths, qemuArguments, qemuBinds } from "../../src/vm/command-line.ts";
import type { MachineOptions } from "../../src/vm/options.ts";
import { emulation } from "./guest.ts";
import { launcher } from "./launcher.ts";

const base: MachineOptions = { name: "m", launcher, acceleration: emulation };

function valuesOf(option: string, options: Partial<MachineOptions>): string[] {
  const all = { ...base, ...options };
  const args = qemuArguments(all, machinePaths("/run/m", all));
  return args.filter((_, index) => args[index - 1] === option);
}

test("emulation gets the largest processor, KVM the host's own and its device", () => {
  assert.deepEqual(valuesOf("-accel", {}), ["tcg,thread=multi"]);
  assert.deepEqual(valuesOf("-cpu", {}), ["max"]);
  const acceleration = { accel: "kvm", why: "" } as const;
  assert.deepEqual(valuesOf("-accel", { acceleration }), ["kvm"]);
  assert.deepEqual(valuesOf("-cpu", { acceleration }), ["host"]);
  const options = { ...base, acceleration };
  assert.deepEqual(qemuBinds(options, machinePaths("/run/m", options)).at(-1), { path: "/dev/kvm", writable: true });
  assert.ok(!qemuBinds(base, machinePaths("/run/m", base)).some(({ path }) => path === "/dev/kvm"));
});

test("commas in file names stay part of the name", () => {
  const options = { ...base, console: true };
  const sockets = qemuArguments(options, machinePaths("/a,b,server=off", options)).filter((arg) =>
    /^socket,/.test(arg),
  );
  assert.ok(sockets.includes("socket,id=console,path=/a,,b,,server=off/console.sock,server=on,wait=off"));
});

test("a direct kernel comes with its initramfs and command line, unchanged", () => {
  const kernel = { image: "/k", initrd: "/i", append: 'console=ttyS0 a=b,c  quoted="x y"' };
  assert.deepEqual(valuesOf("-kernel", { kernel }), ["/k"]);
  assert.deepEqual(valuesOf("-initrd", { kernel }), ["/i"]);
  assert.deepEqual(valuesOf("-append", { kernel }), [kernel.append]);
});

test("a file is opened for writing only when the guest may write, and QEMU cannot reach it but by its descriptor", () => {
  const options: MachineOptions = {
    ...base,
    cdrom: "/cd.iso",
    firmware: "ovmf",
    variables: "/vars.fd",
    serialLog: "/serial.log",
    disks: [
      { path: "/plain", bus: "virtio" },
      { path: "/read-only", bus: "nvme", readOnly: true },
      { path: "/snapshot", bus: "usb", snapshot: true },
      { path: "/ahci", bus: "ahci", readOnly: true },
    ],
  };
  const paths = machinePaths("/run/m", options);
  assert.deepEqual(qemuBinds(options, paths), [{ path: "/run/m", writable: true }]);
  const files = handedFiles(options, paths).map(({ path, mode }) => `${mode} ${path}`);
  assert.deepEqual(files, [
    "a /serial.log",
    "r+ /vars.fd",
    "r /cd.iso",
    "r+ /plain",
    "r /read-only",
    "r /snapshot",
    "r /ahci",
  ]);
  assert.deepEqual(
    valuesOf("-add-fd", options),
    files.map((_, index) => `fd=${index + 3},set=${index + 1}`),
  );
  const named = [...valuesOf("-chardev", options), ...valuesOf("-drive", options)].flatMap(
    (value) => /file=(\/dev\/fdset\/.*)$/.exec(value)?.[1] ?? [],
  );
  assert.deepEqual(
    named,
    files.map((_, index) => `/dev/fdset/${index + 1}`),
  );
});

test("AHCI disks leave the CD's port free", () => {
  const disks = [1, 2, 3].map((n) => ({ path: `/${n}`, bus: "ahci" as const }));
  const devices = valuesOf("-device", { disks, cdrom: "/cd" }).filter((device) => device.includes("bus=ide"));
  assert.deepEqual(devices, [
    "ide-cd,drive=cdrom,bus=ide.2,bootindex=1",
    "ide-hd,bus=ide.0,drive=disk0,serial=disk0,bootindex=2",
    "ide-hd,bus=ide.1,drive=disk1,serial=disk1,bootindex=3",
    "ide-hd,bus=ide.3,drive=disk2,serial=disk2,bootindex=4",
  ]);
});

test("a medium that is not in the boot order is not booted from", () => {
  const disks = [
    { path: "/a", bus: "virtio" as const },
    { path: "/b", bus: "scsi" as const },
  ];
  const devices = valuesOf("-device", { disks, bootOrder: ["disk1"] }).filter((device) => device.includes("drive="));
  assert.deepEqual(devices, [
    "virtio-blk-pci,drive=disk0,serial=disk0",
    "scsi-hd,bus=scsi.0,drive=disk1,serial=disk1,bootindex=1",
  ]);
});

test("there is no network card unless asked for; forwards are on the loopback address only", () => {
  assert.deepEqual(valuesOf("-netdev", {}), []);
  const network = { forwards: [{ guest: 5432, host: 15432 }, { guest: 22 }] };
  assert.deepEqual(valuesOf("-netdev", { network }), [
    "user,id=net,hostfwd=tcp:127.0.0.1:15432-:5432,hostfwd=tcp:127.0.0.1:0-:22",
  ]);
});

test("a restricted network leads nowhere, but forwards into the machine stay", () => {
  const network = { forwards: [{ guest: 22, host: 2222, address: "192.0.2.1" }], restricted: true };
  assert.deepEqual(valuesOf("-netdev", { network }), ["user,id=net,restrict=on,hostfwd=tcp:192.0.2.1:2222-:22"]);
});

test("console and port for ingots share one controller", () => {
  const ports = (options: Partial<MachineOptions>): string[] =>
    valuesOf("-device", options).filter((device) => /^virt(io-serial|console|serialport)/.test(device));
  const console = "virtconsole,chardev=console";
  const ingot = "virtserialport,chardev=ingot,name=org.anvilos.ingot";
  assert.deepEqual(ports({}), []);
  assert.deepEqual(ports({ ingot: true }), ["virtio-serial-pci", ingot]);
  assert.deepEqual(ports({ console: true, ingot: true }), ["virtio-serial-pci", console, ingot]);
  const exec = "virtserialport,chardev=exec,name=org.anvilos.exec";
  assert.deepEqual(ports({ ingot: true, exec: true }), ["virtio-serial-pci", ingot, exec]);
  assert.ok(
    valuesOf("-chardev", { ingot: true }).includes("socket,id=ingot,path=/run/m/ingot.sock,server=on,wait=off"),
  );
});

test("a vsock has its identifier, and its device is visible", () => {
  assert.ok(valuesOf("-device", { vsockCid: 42 }).includes("vhost-vsock-pci,guest-cid=42"));
  const options = { ...base, vsockCid: 42 };
  assert.deepEqual(qemuBinds(options, machinePaths("/run/m", options)).at(-1), {
    path: "/dev/vhost-vsock",
    writable: true,
  });
});
