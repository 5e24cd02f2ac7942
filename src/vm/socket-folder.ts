/** The private folder of a machine: its sockets and scratch files. */
import { lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { Fault } from "../fault/fault.ts";
import { Owners } from "../host/owner.ts";

import { isComparable, isRunning, type ProcessIdentity } from "../host/process.ts";
import { isSandboxId } from "../sandbox/user.ts";

const PREFIX = "anvil-vm-";
/** sun_path of a socket address holds 108 bytes with the final zero, unix(7). */
const SOCKET_PATH_LIMIT = 107;
const LONGEST_NAME = `/${PREFIX}XXXXXX/control.sock`;

/**
 * Makes an empty folder of mode 0700 whose path is short enough for unix sockets, and removes the folders of owners that
 * were killed, not those of another container with the same /tmp. Throws E_TEMP_FOLDER when no place will do.
 */
export async function makeSocketFolder(): Promise<string> {
  const tried: string[] = [];
  for (const place of new Set([os.tmpdir(), "/tmp", "/var/tmp"])) {
    if (Buffer.byteLength(place) + LONGEST_NAME.length > SOCKET_PATH_LIMIT) {
      tried.push(`${place}: too long for a unix socket's path (${SOCKET_PATH_LIMIT} bytes)`);
      continue;
    }
    try {
      await sweep(place);
      const folder = mkdtempSync(path.join(place, PREFIX));
      writeFileSync(path.join(folder, "owner"), new Owners(folder).self());
      return folder;
    } catch (error) {
      tried.push(`${place}: ${(error as Error).message}`);
    }
  }
  throw new Fault("E_TEMP_FOLDER", "there is no folder for the sockets of a virtual machine", {
    details: tried,
    hint: "set TMPDIR to a short path that can be written",
  });
}

/** Removes the folder of a machine that has ended. */
export function removeSocketFolder(folder: string): void {
  new Owners(folder).leave();
  rmSync(folder, { recursive: true, force: true });
}

async function sweep(place: string): Promise<void> {
  for (const name of readdirSync(place)) {
    if (!name.startsWith(PREFIX)) continue;
    const folder = path.join(place, name);
    if (await isAbandoned(folder)) rmSync(folder, { recursive: true, force: true });
  }
}

async function isAbandoned(folder: string): Promise<boolean> {
  try {
    const { uid } = lstatSync(folder);
    // root gives them to the user of its sandboxes
    if (uid !== process.getuid?.() && !(process.getuid?.() === 0 && isSandboxId(uid))) return false;
    const owner = readFileSync(path.join(folder, "owner"), "utf8");
    if (!owner.startsWith("{")) return owner !== "" && !(await new Owners(folder).isAlive(owner));
    // of an earlier version, which could not say in which container it runs
    const identity = JSON.parse(owner) as ProcessIdentity;
    return isComparable(identity) && !isRunning(identity);
  } catch {
    return false; // just being made, or just being removed
  }
}
