/**
 * The system calls that nothing in a sandbox may make: what reaches the terminal's input, the kernel's key rings, its
 * programmable and rarely audited parts, and what makes or enters namespaces. Numbers are those of x86-64
 * (arch/x86/entry/syscalls/syscall_64.tbl); everything not named here is allowed.
 */
import {
  ALLOW,
  ARCHITECTURE,
  assemble,
  failWith,
  KILL_PROCESS,
  lowHalf,
  NUMBER,
  type Instruction,
} from "../format/bpf.ts";

const EPERM = 1;
const ENOSYS = 38;
const EAFNOSUPPORT = 97;

const AUDIT_ARCH_X86_64 = 0xc000003e;
/** Set in the numbers of x32, a second interface to the same calls. */
const X32_BIT = 0x40000000;

/** Calls that fail with EPERM whatever their arguments. */
export const FORBIDDEN: Readonly<Record<string, number>> = {
  // key rings belong to a user, not to a sandbox
  add_key: 248,
  request_key: 249,
  keyctl: 250,
  // programs and handlers in the kernel, and queues of calls that no filter sees
  bpf: 321,
  userfaultfd: 323,
  perf_event_open: 298,
  io_uring_setup: 425,
  io_uring_enter: 426,
  io_uring_register: 427,
  // mounts and roots
  setns: 308,
  mount: 165,
  umount2: 166,
  pivot_root: 155,
  chroot: 161,
  open_tree: 428,
  move_mount: 429,
  fsopen: 430,
  fsconfig: 431,
  fsmount: 432,
  fspick: 433,
  mount_setattr: 442,
  open_tree_attr: 467,
  quotactl: 179,
  quotactl_fd: 443,
  swapon: 167,
  swapoff: 168,
  open_by_handle_at: 304,
  fanotify_init: 300,
  // the machine itself
  create_module: 174,
  init_module: 175,
  delete_module: 176,
  finit_module: 313,
  kexec_load: 246,
  kexec_file_load: 320,
  reboot: 169,
  syslog: 103,
  acct: 163,
  settimeofday: 164,
  clock_settime: 227,
  iopl: 172,
  ioperm: 173,
  vhangup: 153,
  uselib: 134,
  nfsservctl: 180,
  lookup_dcookie: 212,
};

const IOCTL = 16;
const CLONE = 56;
const UNSHARE = 272;
const CLONE3 = 435;
const SOCKET = 41;
const SOCKETPAIR = 53;

/** Every CLONE_NEW*. clone() has its exit signal where unshare() has CLONE_NEWTIME. */
const NEW_NAMESPACE = 0x7e020000;
const CLONE_NEWTIME = 0x80;

/** Requests of a terminal that type into it, or change what its keys or its line do. */
const TERMINAL_REQUESTS = {
  TIOCSTI: 0x5412,
  TIOCLINUX: 0x541c,
  TIOCCONS: 0x541d,
  TIOCSETD: 0x5423,
};
/** Requests of a virtual terminal: its keyboard (KD*, 0x4b00 to 0x4bff) and the switching of terminals (VT_*, 0x5600 to 0x56ff). */
const VIRTUAL_TERMINAL = [0x4b00, 0x5600];

/** AF_UNIX, AF_INET, AF_INET6, AF_NETLINK. A network namespace does not hold the others: vsock reaches the host's host. */
const FAMILIES = [1, 2, 10, 16];

/** A filter for bubblewrap's `--seccomp`. */
export function systemCallFilter(): Buffer {
  const load = (offset: number): Instruction => ({ op: "load", offset });
  const equal = (value: number, then: string): Instruction => ({ op: "if", is: "equal", value, then });
  const label = (name: string): Instruction => ({ op: "label", name });
  const end = (action: number): Instruction => ({ op: "return", action });
  return assemble([
    load(ARCHITECTURE),
    equal(AUDIT_ARCH_X86_64, "native"),
    // the numbers of another architecture mean other calls
    end(KILL_PROCESS),
    label("native"),
    load(NUMBER),
    { op: "if", is: "at-least", value: X32_BIT, then: "unknown" },
    equal(IOCTL, "ioctl"),
    equal(SOCKET, "socket"),
    equal(SOCKETPAIR, "socket"),
    equal(CLONE, "clone"),
    equal(UNSHARE, "unshare"),
    // its flags are in memory, where a filter cannot look: C libraries then take clone()
    equal(CLONE3, "unknown"),
    ...Object.values(FORBIDDEN).map((number) => equal(number, "forbidden")),
    end(ALLOW),

    label("ioctl"),
    load(lowHalf(1)),
    ...Object.values(TERMINAL_REQUESTS).map((request) => equal(request, "forbidden")),
    { op: "and", mask: 0xffffff00 },
    ...VIRTUAL_TERMINAL.map((requests) => equal(requests, "forbidden")),
    end(ALLOW),

    label("socket"),
    load(lowHalf(0)),
    ...FAMILIES.map((family) => equal(family, "allowed")),
    end(failWith(EAFNOSUPPORT)),
    label("allowed"),
    end(ALLOW),

    label("unshare"),
    load(lowHalf(0)),
    { op: "if", is: "any-bit", value: NEW_NAMESPACE | CLONE_NEWTIME, then: "forbidden" },
    end(ALLOW),

    label("clone"),
    load(lowHalf(0)),
    { op: "if", is: "any-bit", value: NEW_NAMESPACE, then: "forbidden" },
    end(ALLOW),

    label("unknown"),
    end(failWith(ENOSYS)),
    label("forbidden"),
    end(failWith(EPERM)),
  ]);
}
