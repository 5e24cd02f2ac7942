/** The private folder of a machine: its sockets and scratch files. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { Fault } from "../fault/fault.ts";
import { identify, isRunning, type ProcessIdentity } from "./process.ts";

const PREFIX = "anvil-vm-";
/** sun_path of a socket address holds 108 bytes with the final zero, unix(7). */
const SOCKET_PATH_LIMIT = 107;
const LONGEST_NAME = `/${PREFIX}XXXXXX/control.sock`;

/**
 * Makes an empty folder of mode 0700 whose path is short enough for unix sockets, and removes the folders of owners that
 * were killed. Throws E_TEMP_FOLDER when no place will do.
 */
export function makeSocketFolder(): string {
  const tried: string[] = [];
  for (const place of new Set([os.tmpdir(), "/tmp", "/var/tmp"])) {
    if (Buffer.byteLength(place) + LONGEST_NAME.length > SOCKET_PATH_LIMIT) {
      tried.push(`${place}: too long for a unix socket's path (${SOCKET_PATH_LIMIT} bytes)`);
      continue;
    }
    try {
      sweep(place);
      const folder = mkdtempSync(path.join(place, PREFIX));
      writeFileSync(path.join(folder, "owner"), JSON.stringify(identify(process.pid)));
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

function sweep(place: string): void {
  for (const name of readdirSync(place)) {
    if (!name.startsWith(PREFIX)) continue;
    const folder = path.join(place, name);
    if (isAbandoned(folder)) rmSync(folder, { recursive: true, force: true });
  }
}

function isAbandoned(folder: string): boolean {
  try {
    // of another user; root's may have been given to the user of its sandboxes
    if (process.getuid?.() !== 0 && statSync(folder).uid !== process.getuid?.()) return false;
    return !isRunning(JSON.parse(readFileSync(path.join(folder, "owner"), "utf8")) as ProcessIdentity);
  } catch {
    return false; // just being made, or just being removed
  }
}
