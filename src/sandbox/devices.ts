/**
 * Devices for sandboxes whose user is not the forge's: /dev/kvm is often root's or a group's alone. The sandbox gets a node
 * of its own for the same device, which its user may open and nobody else can reach.
 */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  closeSync,
  lstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import { identifySelf, isComparable, isRunning, type ProcessIdentity } from "../host/process.ts";
import { seedProgram } from "./program.ts";
import type { SandboxUser } from "./user.ts";

const PREFIX = "anvil-devices-";
/** The file that names the process whose folder it is. */
const OWNER = "owner";

export interface Device {
  /** Where the host has it, and the sandbox too. */
  readonly at: string;
  /** The node that is mounted there. */
  readonly from: string;
}

/**
 * The nodes for these devices. One that no node can be made for is left to its own permissions, one that is missing is left out.
 * @param remove deletes what was made; to be called once the sandbox has ended
 */
export function deviceNodes(
  devices: readonly string[],
  { other }: SandboxUser,
  seedTree: string,
): { readonly nodes: readonly Device[]; readonly remove: () => void } {
  const plain = devices.map((at) => ({ at, from: at }));
  if (other === undefined || devices.length === 0) return { nodes: plain, remove: () => {} };
  for (const place of new Set([os.tmpdir(), "/run", "/var/tmp", "/dev/shm"])) {
    let folder: string | undefined;
    const remove = (): void => {
      if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
    };
    try {
      sweep(place);
      folder = mkdtempSync(path.join(place, PREFIX));
      const made = folder;
      writeFileSync(path.join(folder, OWNER), JSON.stringify(identifySelf()));
      return { nodes: plain.map(({ at }) => ({ at, from: makeNode(at, made, other.id, seedTree) ?? at })), remove };
    } catch {
      // mounted without devices or read-only, perhaps: the next place
      remove();
    }
  }
  return { nodes: plain, remove: () => {} };
}

/** Undefined when there is no such device. Throws when the node cannot be made or is of no use where it is. */
function makeNode(device: string, folder: string, id: number, seedTree: string): string | undefined {
  const found = statSync(device, { throwIfNoEntry: false });
  if (found === undefined || !(found.isCharacterDevice() || found.isBlockDevice())) return undefined;
  const node = path.join(folder, path.basename(device));
  const [major, minor] = deviceNumbers(found.rdev);
  const kind = found.isBlockDevice() ? "b" : "c";
  const { command, args, env } = seedProgram(seedTree, "usr/bin/mknod", [
    ...["-m", "600", node, kind],
    ...[String(major), String(minor)],
  ]);
  const made = spawnSync(command, args, { env, encoding: "utf8" });
  if (made.status !== 0) throw new Error(made.stderr);
  chmodSync(node, 0o600);
  chownSync(node, id, id);
  closeSync(openSync(node, "r"));
  return node;
}

/** As gnu_dev_major(3) and gnu_dev_minor(3) take them apart. */
export function deviceNumbers(rdev: number): [number, number] {
  const bits = BigInt(rdev);
  const major = ((bits >> 8n) & 0xfffn) | ((bits >> 32n) & 0xfffff000n);
  const minor = (bits & 0xffn) | ((bits >> 12n) & 0xffffff00n);
  return [Number(major), Number(minor)];
}

/** Removes what killed processes left. */
function sweep(place: string): void {
  for (const name of readdirSync(place)) {
    if (!name.startsWith(PREFIX)) continue;
    const folder = path.join(place, name);
    if (isAbandoned(folder)) rmSync(folder, { recursive: true, force: true });
  }
}

function isAbandoned(folder: string): boolean {
  try {
    // what others put there says nothing
    if (lstatSync(folder).uid !== process.getuid?.()) return false;
    const owner = JSON.parse(readFileSync(path.join(folder, OWNER), "utf8")) as ProcessIdentity;
    return isComparable(owner) && !isRunning(owner);
  } catch {
    return false; // just being made, or just being removed
  }
}
