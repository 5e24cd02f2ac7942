/** What a machine is made of. Plain data; `command-line.ts` turns it into QEMU's arguments. */
import type { Acceleration } from "./accel.ts";
import type { Launcher } from "./launcher.ts";

export interface Disk {
  /** A raw image or a block device of the host. */
  readonly path: string;
  readonly bus: "virtio" | "scsi" | "nvme" | "ahci" | "usb";
  /** The guest cannot write. AHCI has no such disks: there its writes go to a scratch file instead. */
  readonly readOnly?: boolean;
  /** The guest's writes go to a scratch file that ends with the machine; the image is not changed. */
  readonly snapshot?: boolean;
  /** QEMU's cache mode. Default "writeback": a flush of the guest reaches the host's disk. */
  readonly cache?: "none" | "writeback" | "writethrough" | "directsync" | "unsafe";
}

/** A TCP port of the guest that is reachable at an address of the host. */
export interface Forward {
  readonly guest: number;
  /** Port of the host. Default: a free one, see `Machine.forwards`. */
  readonly host?: number;
  /** IPv4 address of the host. Default: 127.0.0.1, which only this host reaches. */
  readonly address?: string;
}

/** A network card with the address 10.0.2.15. */
export interface Network {
  readonly forwards: readonly Forward[];
  /**
   * The guest opens no connection to the host or beyond it. Otherwise NAT leads it wherever the host can go; 10.0.2.2,
   * and every address of 10.0.2.0/24 that is nobody's, is the host's own 127.0.0.1.
   */
  readonly restricted?: boolean;
}

export interface MachineOptions {
  /** Letters, digits, `.`, `_` and `-`; the name of the state file. */
  readonly name: string;
  readonly launcher: Launcher;
  readonly acceleration: Acceleration;
  /** MiB. Default 1024. */
  readonly memory?: number;
  /** Default 2, in emulation 1: QEMU's several processors may run code that Linux has just patched as it was before. */
  readonly cpus?: number;
  /** Default "seabios". */
  readonly firmware?: "seabios" | "ovmf";
  /** File that keeps the UEFI variables from one run to the next; made when missing. Default: a private copy. */
  readonly variables?: string;
  /** ISO image in a CD drive on AHCI. */
  readonly cdrom?: string;
  readonly disks?: readonly Disk[];
  /** Boots a kernel of the host directly. */
  readonly kernel?: { readonly image: string; readonly initrd?: string; readonly append?: string };
  /** What firmware tries, in this order: "cdrom", "disk0", "disk1", … Default: the CD, then the disks. */
  readonly bootOrder?: readonly string[];
  /** Default: no card. */
  readonly network?: Network;
  /** Context identifier, at least 3; needs /dev/vhost-vsock of the host. */
  readonly vsockCid?: number;
  /** A virtio console (/dev/hvc0 in Linux) for `Machine.console`. Default false. */
  readonly console?: boolean;
  /** A second virtio console (/dev/hvc1) for `runSession`. Default false. */
  readonly session?: boolean;
  /** A virtio port named `org.anvilos.ingot`, for the agent that takes ingots. Default false. */
  readonly ingot?: boolean;
  /** A virtio port named `org.anvilos.exec`, for the streams of a command that the shell on the console starts. Default false. */
  readonly exec?: boolean;
  /** The machine ends when the guest resets (`-no-reboot`). Default false. */
  readonly endsOnReset?: boolean;
  /** File for all that comes from the serial port; replaced. */
  readonly serialLog?: string;
  /** Where the state file goes, so that other processes find the machine. Default: none is written. */
  readonly stateDir?: string;
  /** Factor on all time limits. Default 1 with KVM, 10 with TCG. */
  readonly timeScale?: number;
}
