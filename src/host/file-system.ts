/** What kind of file system a folder is on. See proc_pid_mountinfo(5). */
import { readFileSync, realpathSync } from "node:fs";

export interface FileSystem {
  /** "ext4", "nfs4", "fuse.sshfs". */
  readonly type: string;
  readonly mountPoint: string;
  /** Programs on it cannot be started. */
  readonly noexec: boolean;
  /** Other machines, with kernels of their own, may have it at the same time. */
  readonly network: boolean;
}

const NETWORK =
  /^(?:nfs4?|cifs|smb3|smbfs|9p|virtiofs|ceph|afs|lustre|gpfs|beegfs|gfs2?|ocfs2|orangefs|coda|vboxsf|vmhgfs|fuse\.(?:sshfs|s3fs|rclone|glusterfs|cephfs|juicefs|gcsfuse|goofys|mfs|vmhgfs-fuse))$/;

/** Undefined when the folder is not there, or nothing is known of it. */
export function fileSystemOf(folder: string): FileSystem | undefined {
  try {
    return findMount(readFileSync("/proc/self/mountinfo", "utf8"), realpathSync(folder));
  } catch {
    return undefined;
  }
}

/** The mount that a path is on: the last one of those with the longest mount point above it. */
export function findMount(mountinfo: string, full: string): FileSystem | undefined {
  let found: FileSystem | undefined;
  for (const line of mountinfo.split("\n")) {
    const [mount = "", rest] = line.split(" - ");
    const [, , , , at, options = ""] = mount.split(" ");
    if (at === undefined || rest === undefined) continue;
    // octal escapes of space, tab, line feed and backslash
    const mountPoint = at.replace(/\\(\d{3})/g, (_, code: string) => String.fromCharCode(parseInt(code, 8)));
    const above = mountPoint === "/" || full === mountPoint || full.startsWith(`${mountPoint}/`);
    if (!above || mountPoint.length < (found?.mountPoint.length ?? 0)) continue;
    const type = rest.split(" ")[0] ?? "";
    found = { type, mountPoint, noexec: options.split(",").includes("noexec"), network: NETWORK.test(type) };
  }
  return found;
}
