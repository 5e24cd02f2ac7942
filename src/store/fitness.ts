/** Whether outputs can live on the file system of the cache folder, and if not, why: told before work, not by what fails. */
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  linkSync,
  lstatSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { errno, Fault } from "../fault/fault.ts";
import { fileSystemOf } from "../host/file-system.ts";
import type { Store } from "./store.ts";

/**
 * Tries in a moment what outputs need. Throws E_CACHE_NOEXEC when programs there cannot be started, and
 * E_CACHE_FILE_SYSTEM when links, permissions or names do not last.
 */
export function checkCache(store: Store): void {
  const { top } = store.paths;
  const folder = store.workFolder("probe");
  try {
    const program = path.join(folder, "program");
    writeFileSync(program, "");
    const lacks = Object.entries(NEEDS).filter(([, holds]) => !holds(folder, program));
    if (lacks.length > 0)
      throw unfit(
        top,
        lacks.map(([what]) => what),
      );
    if (!mayExecute(program)) throw noexec(top);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What is tried, each with a file in the same folder. */
const NEEDS: Readonly<Record<string, (folder: string, file: string) => boolean>> = {
  "hard links": (folder, file) => does(() => linkSync(file, path.join(folder, "link"))),
  "symbolic links": (folder, file) =>
    does(() => symlinkSync(path.basename(file), path.join(folder, "symlink"))) &&
    statSync(path.join(folder, "symlink")).isFile(),
  permissions: (_, file) => [0o444, 0o555].every((mode) => does(() => chmodSync(file, mode)) && modeOf(file) === mode),
  "names that differ in case only": (folder) => !existsSync(path.join(folder, "PROGRAM")),
};

const modeOf = (file: string): number => lstatSync(file).mode & 0o777;

/** False when the file system does not know how; other failures are told as what they are. */
function does(act: () => void): boolean {
  try {
    act();
    return true;
  } catch (error) {
    if (["EPERM", "EOPNOTSUPP", "ENOTSUP", "ENOSYS", "EINVAL", "EMLINK"].includes(errno(error) ?? "")) return false;
    throw error;
  }
}

/** access(2) says no for a file on a mount with `noexec`, whoever asks. */
function mayExecute(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function noexec(top: string): Fault {
  const found = fileSystemOf(top);
  return new Fault("E_CACHE_NOEXEC", `programs in the cache folder ${top} cannot be started`, {
    details: [
      found?.noexec === true
        ? `${found.mountPoint} (${found.type}) is mounted with noexec`
        : `the kernel refuses to execute files there${where(top)}`,
    ],
    hint: `compilers and QEMU run from there: choose another folder with ANVIL_CACHE=<folder>${
      found?.noexec === true ? `, or mount -o remount,exec ${found.mountPoint}` : ""
    }`,
  });
}

function unfit(top: string, lacks: readonly string[]): Fault {
  return new Fault("E_CACHE_FILE_SYSTEM", `the file system of the cache folder ${top} cannot hold outputs`, {
    details: [`it does not keep ${lacks.join(", ")}${where(top)}`],
    hint: "choose a folder on a file system such as ext4, XFS or Btrfs with ANVIL_CACHE=<folder>",
  });
}

function where(top: string): string {
  const found = fileSystemOf(top);
  return found === undefined ? "" : `: ${found.type} at ${found.mountPoint}`;
}

/** What a user should know of a cache folder on a network file system; undefined on others. */
export function networkWarning(top: string): string | undefined {
  const found = fileSystemOf(top);
  if (found?.network !== true) return undefined;
  return `the cache folder is on a network file system (${found.type} at ${found.mountPoint}): it is slower, and only one machine at a time may use it`;
}

/** For a lock of another machine, which nobody here can ask whether it still works. */
export function otherMachine(lock: string, what: string): Fault {
  return new Fault(
    "E_CACHE_NETWORK",
    `${what} is in use by another machine, or was by this one before it was restarted`,
    {
      details: [`lock: ${lock}`],
      hint: "a cache folder serves one machine: choose a local one with ANVIL_CACHE=<folder>; when no other uses it, delete that file",
    },
  );
}

/** Who else may change what is built and run; undefined when nobody may. */
export function writableByOthers(top: string): string | undefined {
  const { uid, mode } = statSync(top);
  const self = process.getuid?.();
  if (uid !== self && uid !== 0) return `it belongs to user ${uid}`;
  return (mode & 0o022) === 0 ? undefined : "other users may write there";
}
