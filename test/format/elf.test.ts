import assert from "node:assert/strict";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { test } from "node:test";
import { bytesOf, type ByteSource } from "../../src/format/byte-source.ts";
import { isElf, readElf } from "../../src/format/elf.ts";
import { FormatError } from "../../src/format/format-error.ts";
import { buildElf, type ElfPlan } from "./elf-builder.ts";

const read = (plan: ElfPlan) => readElf(bytesOf(buildElf(plan)));

for (const bits of [32, 64] as const) {
  for (const littleEndian of [true, false]) {
    test(`a dynamic ELF of ${bits} bit, ${littleEndian ? "little" : "big"}-endian, is read whole`, () => {
      const elf = read({
        bits,
        littleEndian,
        interpreter: "/lib/ld.so.1",
        needed: ["libc.so", "libm.so.6"],
        dynamic: [
          [30, 8],
          [0x6ffffffb, 0x08000001],
        ],
        relro: true,
        stack: 6,
        comments: ["GCC: (ANVIL-CC 1) 14.2.0", "Linker: x"],
        sourceFile: "a.c",
      });
      assert.equal(elf.bits, bits);
      assert.equal(elf.littleEndian, littleEndian);
      assert.equal(elf.type, "shared");
      assert.equal(elf.machine, bits === 64 ? 62 : 3);
      assert.equal(elf.interpreter, "/lib/ld.so.1");
      const dynamic = { needed: ["libc.so", "libm.so.6"], flags: 8, flags1: 0x08000001, bindNow: true, pie: true };
      assert.deepEqual(elf.dynamic, dynamic);
      assert.equal(elf.relro, true);
      assert.equal(elf.executableStack, false);
      assert.deepEqual(elf.comments, ["GCC: (ANVIL-CC 1) 14.2.0", "Linker: x"]);
      assert.equal(elf.namesSourceFile, true);
      assert.deepEqual(
        elf.sections.map((section) => section.name),
        ["", ".comment", ".symtab", ".shstrtab"],
      );
    });
  }
}

test("a static ELF has neither loader nor dynamic section, and no stack header means an executable stack", () => {
  const elf = read({ type: 2 });
  assert.equal(elf.type, "executable");
  assert.equal(elf.interpreter, undefined);
  assert.equal(elf.dynamic, undefined);
  assert.equal(elf.relro, false);
  assert.equal(elf.executableStack, true);
  assert.deepEqual(elf.comments, []);
});

test("an executable stack is told from one that is not", () => {
  assert.equal(read({ stack: 7 }).executableStack, true);
  assert.equal(read({ stack: 6 }).executableStack, false);
});

test("an object of more sections than 16 bits count has the number in section 0", () => {
  const bytes = buildElf({ type: 1, comments: ["GCC: x"] });
  const view = new DataView(bytes.buffer);
  const table = Number(view.getBigUint64(40, true));
  view.setUint16(60, 0, true);
  view.setBigUint64(table + 32, 3n, true);
  view.setUint16(62, 0xffff, true);
  view.setUint32(table + 40, 2, true);
  assert.deepEqual(readElf(bytesOf(bytes)).comments, ["GCC: x"]);
});

test("the running node is a dynamic program of this machine's loader", () => {
  const descriptor = openSync(process.execPath, "r");
  let bytesRead = 0;
  const source: ByteSource = {
    size: fstatSync(descriptor).size,
    read(offset, length) {
      const bytes = new Uint8Array(length);
      bytesRead += readSync(descriptor, bytes, 0, length, offset);
      return bytes;
    },
  };
  const elf = readElf(source);
  closeSync(descriptor);
  assert.ok(elf.type === "executable" || elf.type === "shared");
  assert.match(elf.interpreter ?? "", /^\/.*ld.*/);
  assert.ok(elf.dynamic?.needed.some((name) => name.startsWith("libc.")));
  assert.ok(elf.sections.some((section) => section.name === ".text"));
  assert.ok(bytesRead < source.size, "headers are read without the rest");
});

test("what is not ELF is not taken for it", () => {
  assert.equal(isElf(bytesOf(new Uint8Array([0x7f, 0x45]))), false);
  assert.equal(isElf(bytesOf(Buffer.from("#!/bin/sh\n"))), false);
  assert.throws(() => readElf(bytesOf(Buffer.from("#!/bin/sh\n"))), FormatError);
});

test("every truncation of a file is a FormatError", () => {
  const bytes = buildElf({ interpreter: "/ld", needed: ["libc.so"], comments: ["GCC: x"], sourceFile: "a.c" });
  for (let length = 0; length < bytes.length; length++) {
    assert.throws(() => readElf(bytesOf(bytes.subarray(0, length))), FormatError, `${length} bytes`);
  }
});

test("a file with any byte or word replaced is read or is a FormatError, never another error", () => {
  for (const bits of [32, 64] as const) {
    const bytes = buildElf({ bits, interpreter: "/ld", needed: ["libc.so"], comments: ["GCC: x"], sourceFile: "a.c" });
    for (let at = 4; at < bytes.length; at++) {
      for (const [value, length] of [
        [0xff, 1],
        [0xff, 8],
        [0x7f, 4],
        [0x00, 4],
        [0x01, 1],
      ] as const) {
        const broken = bytes.slice().fill(value, at, Math.min(at + length, bytes.length));
        try {
          readElf(bytesOf(broken));
        } catch (error) {
          assert.ok(error instanceof FormatError, `${String(error)} with ${value} at ${at}`);
        }
      }
    }
  }
});
