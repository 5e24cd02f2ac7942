import assert from "node:assert/strict";
import { test } from "node:test";
import { ALLOW, assemble, failWith, KILL_PROCESS } from "../../src/format/bpf.ts";
import { FORBIDDEN, systemCallFilter } from "../../src/sandbox/filter.ts";

const X86_64 = 0xc000003e;
const I386 = 0x40000003;
const REFUSED = failWith(1);
const UNKNOWN = failWith(38);

interface Call {
  readonly number: number;
  readonly architecture?: number;
  readonly args?: readonly bigint[];
}

/** Runs a filter on a call as the kernel does, for the instructions that the assembler knows. */
function decide(filter: Buffer, { number, architecture = X86_64, args = [] }: Call): number {
  const data = Buffer.alloc(64);
  data.writeInt32LE(number, 0);
  data.writeUInt32LE(architecture, 4);
  args.forEach((value, index) => data.writeBigUInt64LE(value, 16 + 8 * index));
  let value = 0;
  for (let at = 0; ; at++) {
    const [code, then, otherwise] = [filter.readUInt16LE(8 * at), filter[8 * at + 2] ?? 0, filter[8 * at + 3] ?? 0];
    const k = filter.readUInt32LE(8 * at + 4);
    if (code === 0x20) value = data.readUInt32LE(k);
    else if (code === 0x54) value = (value & k) >>> 0;
    else if (code === 0x06) return k;
    else {
      const holds = { 0x15: value === k, 0x35: value >= k, 0x45: (value & k) !== 0 }[code];
      if (holds === undefined) throw new Error(`code ${code} at ${at}`);
      at += holds ? then : otherwise;
    }
  }
}

const filter = systemCallFilter();

test("the bytes are those of struct sock_filter", () => {
  const bytes = assemble([
    { op: "load", offset: 4 },
    { op: "if", is: "equal", value: X86_64, then: "end" },
    { op: "return", action: KILL_PROCESS },
    { op: "label", name: "end" },
    { op: "return", action: ALLOW },
  ]);
  assert.equal(
    bytes.toString("hex"),
    ["2000000004000000", "150001003e0000c0", "0600000000000080", "060000000000ff7f"].join(""),
  );
});

test("a label that is missing, behind, twice or too far is a mistake in the program", () => {
  const jump = { op: "if", is: "equal", value: 0, then: "there" } as const;
  const label = { op: "label", name: "there" } as const;
  const end = { op: "return", action: ALLOW } as const;
  assert.throws(() => assemble([jump, end]), /no label there/);
  assert.throws(() => assemble([label, jump, end]), /-1 instructions away/);
  assert.throws(() => assemble([label, label, end]), /stands twice/);
  assert.throws(() => assemble([jump, ...Array.from({ length: 256 }, () => end), label, end]), /256 instructions away/);
  assert.throws(() => assemble([]), /0 instructions/);
});

test("another architecture's calls end the process, x32's do not exist", () => {
  for (const number of [0, 1, 16, 101, 250]) {
    assert.equal(decide(filter, { number, architecture: I386 }), KILL_PROCESS);
    assert.equal(decide(filter, { number: 0x40000000 | number }), UNKNOWN);
  }
  assert.equal(decide(filter, { number: -1 }), UNKNOWN);
});

test("of all calls those are refused that are named, and no others", () => {
  const conditional = [16, 41, 53, 56, 272, 435];
  const named = new Set(Object.values(FORBIDDEN));
  for (let number = 0; number < 600; number++) {
    if (conditional.includes(number)) continue;
    assert.equal(decide(filter, { number }), named.has(number) ? REFUSED : ALLOW, `call ${number}`);
  }
  assert.equal(decide(filter, { number: 435 }), UNKNOWN);
});

test("requests to a terminal are told by their low half, as the kernel takes them", () => {
  const ioctl = (request: bigint): number => decide(filter, { number: 16, args: [0n, request] });
  for (const request of [0x5412n, 0x541cn, 0x541dn, 0x5423n, 0x4b47n, 0x4bfan, 0x5606n, 0x560en]) {
    assert.equal(ioctl(request), REFUSED);
    assert.equal(ioctl(request | (0xffffffffn << 32n)), REFUSED);
  }
  // TCGETS, TIOCGWINSZ, TIOCSCTTY, FIONREAD, KVM_RUN, a V4L2 request whose letter is that of virtual terminals
  for (const request of [0x5401n, 0x5413n, 0x540en, 0x541bn, 0xae80n, 0x80685600n]) assert.equal(ioctl(request), ALLOW);
});

test("new processes and threads are allowed, new namespaces are not", () => {
  const clone = (flags: bigint): number => decide(filter, { number: 56, args: [flags] });
  const unshare = (flags: bigint): number => decide(filter, { number: 272, args: [flags] });
  // fork, vfork and pthread_create of C libraries
  for (const flags of [0x01200011n, 0x4111n, 0x3d0f00n]) assert.equal(clone(flags), ALLOW);
  assert.equal(unshare(0x400n), ALLOW);
  for (const flag of [0x00020000n, 0x02000000n, 0x04000000n, 0x08000000n, 0x10000000n, 0x20000000n, 0x40000000n]) {
    assert.equal(clone(flag | 0x11n), REFUSED);
    assert.equal(unshare(flag), REFUSED);
  }
  assert.equal(unshare(0x80n), REFUSED);
});

test("sockets are those that a network namespace holds", () => {
  for (const number of [41, 53])
    for (let family = 0; family < 64; family++)
      assert.equal(
        decide(filter, { number, args: [BigInt(family)] }),
        [1, 2, 10, 16].includes(family) ? ALLOW : failWith(97),
      );
});
