/** QEMU's arguments for a machine, see qemu(1). */
import path from "node:path";
import { LOOPBACK } from "./forward.ts";
import type { Bind } from "./launcher.ts";
import type { Disk, MachineOptions } from "./options.ts";

/** Where Debian's ovmf package has the firmware and the template of its variables, in the launcher's root. */
export const OVMF_CODE = "/usr/share/OVMF/OVMF_CODE_4M.fd";
export const OVMF_VARIABLES = "/usr/share/OVMF/OVMF_VARS_4M.fd";

/** Files of one running machine. */
export interface MachinePaths {
  /** Private folder of the machine. */
  readonly folder: string;
  /** Sockets that QEMU connects to when it starts: nothing is missed. */
  readonly qmp: string;
  readonly serial: string;
  /** Sockets that QEMU serves, for other processes. */
  readonly control: string;
  readonly console: string;
  readonly session: string;
  readonly ingot: string;
  readonly exec: string;
  /** UEFI variables; only with OVMF. */
  readonly variables: string;
}

export function machinePaths(folder: string, options: MachineOptions): MachinePaths {
  return {
    folder,
    qmp: path.join(folder, "qmp.sock"),
    serial: path.join(folder, "serial.sock"),
    control: path.join(folder, "control.sock"),
    console: path.join(folder, "console.sock"),
    session: path.join(folder, "session.sock"),
    ingot: path.join(folder, "ingot.sock"),
    exec: path.join(folder, "exec.sock"),
    variables: options.variables ?? path.join(folder, "OVMF_VARS.fd"),
  };
}

export function qemuArguments(options: MachineOptions, paths: MachinePaths): string[] {
  const { accel } = options.acceleration;
  const { memory = 1024, cpus = accel === "kvm" ? 2 : 1, vsockCid } = options;
  const handed = handedFiles(options, paths);
  // each file has its set, so that one which is named twice is opened twice
  const sets = handed.keys();
  const next = (): string => `/dev/fdset/${(sets.next().value ?? handed.length) + 1}`;
  return [
    ...["-name", options.name, "-nodefaults", "-no-user-config", "-display", "none"],
    ...["-machine", "q35", ...processor(accel)],
    ...["-m", `${memory}M`, "-smp", String(cpus)],
    ...["-object", "rng-builtin,id=rng", "-device", "virtio-rng-pci,rng=rng"],
    ...descriptorSets(handed),
    ...monitors(paths),
    ...serial(options, paths, next),
    ...virtioSerial(options, paths),
    ...(options.firmware === "ovmf" ? ovmf(next()) : []),
    ...media(options, next),
    ...directKernel(options),
    ...network(options),
    ...(vsockCid === undefined ? [] : ["-device", `vhost-vsock-pci,guest-cid=${vsockCid}`]),
    ...["-boot", "menu=off,strict=on"],
    ...(options.endsOnReset === true ? ["-no-reboot"] : []),
  ];
}

/** The processor is as much as the accelerator can give: guests are tested against it, not moved between hosts. */
export function processor(accel: "kvm" | "tcg"): string[] {
  return accel === "kvm" ? ["-accel", "kvm", "-cpu", "host"] : ["-accel", "tcg,thread=multi", "-cpu", "max"];
}

/**
 * A file that QEMU does not open itself: it has descriptors of it, and finds them as /dev/fdset/<number>. So it needs no
 * right to the file but the one that it was given, and the file's folder is not visible to it.
 */
export interface HandedFile {
  readonly path: string;
  /** How it is opened. */
  readonly mode: "r" | "r+" | "a";
}

/** In the order of the numbers of their sets, from 1. */
export function handedFiles(options: MachineOptions, paths: MachinePaths): HandedFile[] {
  const file = (name: string, mode: HandedFile["mode"]): HandedFile => ({ path: path.resolve(name), mode });
  return [
    ...(options.serialLog === undefined ? [] : [file(options.serialLog, "a")]),
    ...(options.firmware === "ovmf" ? [file(paths.variables, "r+")] : []),
    ...(options.cdrom === undefined ? [] : [file(options.cdrom, "r")]),
    ...(options.disks ?? []).map((disk) => file(disk.path, hasScratch(disk) || disk.readOnly === true ? "r" : "r+")),
  ];
}

/** The first descriptor that QEMU is handed. */
const FIRST_DESCRIPTOR = 3;

function descriptorSets(files: readonly HandedFile[]): string[] {
  return files.flatMap((_, index) => ["-add-fd", `fd=${FIRST_DESCRIPTOR + index},set=${index + 1}`]);
}

/** QEMU would otherwise open the file for reading first, for which it has no descriptor. */
const WRITE_AT_ONCE = "auto-read-only=off";

/** What of the host must be visible to QEMU. */
export function qemuBinds(options: MachineOptions, paths: MachinePaths): Bind[] {
  const binds: Bind[] = [{ path: paths.folder, writable: true }];
  const bind = (file: string | undefined, writable: boolean): void => {
    if (file !== undefined) binds.push({ path: path.resolve(file), writable });
  };
  bind(options.kernel?.image, false);
  bind(options.kernel?.initrd, false);
  if (options.acceleration.accel === "kvm") bind("/dev/kvm", true);
  if (options.vsockCid !== undefined) bind("/dev/vhost-vsock", true);
  return binds;
}

function monitors(paths: MachinePaths): string[] {
  return [
    ...["-chardev", `socket,id=qmp,path=${escape(paths.qmp)}`, "-mon", "chardev=qmp,mode=control"],
    ...["-chardev", `socket,id=control,path=${escape(paths.control)},server=on,wait=off`],
    ...["-mon", "chardev=control,mode=control"],
  ];
}

function serial(options: MachineOptions, paths: MachinePaths, next: () => string): string[] {
  const log = options.serialLog === undefined ? "" : `,logappend=on,logfile=${next()}`;
  return ["-chardev", `socket,id=serial,path=${escape(paths.serial)}${log}`, "-serial", "chardev:serial"];
}

/** The names by which the guest finds its ports, in /sys/class/virtio-ports: for ingots, and for streams of a command. */
export const INGOT_PORT = "org.anvilos.ingot";
export const EXEC_PORT = "org.anvilos.exec";

function virtioSerial(options: MachineOptions, paths: MachinePaths): string[] {
  const { console = false, session = false, ingot = false, exec = false } = options;
  const served = (id: string, socket: string): string[] => [
    "-chardev",
    `socket,id=${id},path=${escape(socket)},server=on,wait=off`,
  ];
  const port = (id: string, socket: string, name: string): string[] => [
    ...served(id, socket),
    "-device",
    `virtserialport,chardev=${id},name=${name}`,
  ];
  return [
    ...(console || session || ingot || exec ? ["-device", "virtio-serial-pci"] : []),
    // Linux numbers consoles in this order
    ...(console ? [...served("console", paths.console), "-device", "virtconsole,chardev=console"] : []),
    ...(session ? [...served("session", paths.session), "-device", "virtconsole,chardev=session"] : []),
    ...(ingot ? port("ingot", paths.ingot, INGOT_PORT) : []),
    ...(exec ? port("exec", paths.exec, EXEC_PORT) : []),
  ];
}

function ovmf(variables: string): string[] {
  return [
    ...["-drive", `if=pflash,unit=0,format=raw,readonly=on,file=${OVMF_CODE}`],
    ...["-drive", `if=pflash,unit=1,format=raw,${WRITE_AT_ONCE},file=${variables}`],
  ];
}

function media(options: MachineOptions, next: () => string): string[] {
  const disks = options.disks ?? [];
  const order = options.bootOrder ?? ["cdrom", ...disks.map((_, index) => `disk${index}`)];
  const args: string[] = [];
  if (disks.some((disk) => disk.bus === "scsi")) args.push("-device", "virtio-scsi-pci,id=scsi");
  if (disks.some((disk) => disk.bus === "usb")) args.push("-device", "qemu-xhci,id=usb");
  if (options.cdrom !== undefined) {
    args.push("-drive", `if=none,id=cdrom,media=cdrom,format=raw,readonly=on,file=${next()}`);
    args.push("-device", `ide-cd,drive=cdrom,bus=ide.${CD_PORT}${bootIndex(order, "cdrom")}`);
  }
  const ports = AHCI_PORTS.values();
  for (const [index, disk] of disks.entries()) {
    const id = `disk${index}`;
    args.push(
      "-drive",
      drive(id, disk, next()),
      "-device",
      `${device(disk, ports)},drive=${id},serial=${id}${bootIndex(order, id)}`,
    );
  }
  return args;
}

/** Ports of the AHCI controller that is part of q35; QEMU's own default puts the CD drive on the third. */
const CD_PORT = 2;
const AHCI_PORTS = [0, 1, 3, 4, 5];

function drive(id: string, disk: Disk, file: string): string {
  const scratch = hasScratch(disk);
  return [
    `if=none,id=${id},format=raw,${WRITE_AT_ONCE},discard=unmap,cache=${disk.cache ?? "writeback"}`,
    `readonly=${disk.readOnly === true && !scratch ? "on" : "off"},snapshot=${scratch ? "on" : "off"}`,
    `file=${file}`,
  ].join(",");
}

function hasScratch(disk: Disk): boolean {
  return disk.snapshot === true || (disk.readOnly === true && disk.bus === "ahci");
}

function device(disk: Disk, ports: Iterator<number>): string {
  switch (disk.bus) {
    case "virtio":
      return "virtio-blk-pci";
    case "scsi":
      return "scsi-hd,bus=scsi.0";
    case "nvme":
      return "nvme";
    case "ahci":
      return `ide-hd,bus=ide.${ports.next().value ?? AHCI_PORTS.length + 1}`;
    case "usb":
      return "usb-storage,bus=usb.0";
  }
}

/** From 1: a kernel that is booted directly takes 0. */
function bootIndex(order: readonly string[], id: string): string {
  const index = order.indexOf(id);
  return index === -1 ? "" : `,bootindex=${index + 1}`;
}

function directKernel({ kernel }: MachineOptions): string[] {
  if (kernel === undefined) return [];
  return [
    ...["-kernel", path.resolve(kernel.image)],
    ...(kernel.initrd === undefined ? [] : ["-initrd", path.resolve(kernel.initrd)]),
    ...(kernel.append === undefined ? [] : ["-append", kernel.append]),
  ];
}

function network({ network }: MachineOptions): string[] {
  if (network === undefined) return [];
  const forwards = network.forwards.map(
    ({ guest, host = 0, address = LOOPBACK }) => `,hostfwd=tcp:${address}:${host}-:${guest}`,
  );
  const user = `user,id=net${network.restricted === true ? ",restrict=on" : ""}${forwards.join("")}`;
  // no boot ROM: nothing boots from the network, and firmware would wait for it
  return ["-netdev", user, "-device", "virtio-net-pci,netdev=net,romfile="];
}

/** A value among QEMU's comma-separated options. */
export function escape(value: string): string {
  return value.replaceAll(",", ",,");
}
