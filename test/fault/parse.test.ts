import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault, parseFault, renderFault, type FaultFields } from "../../src/fault/fault.ts";

test("a fault that was rendered is read as it was", () => {
  const all: readonly FaultFields[] = [
    {},
    { hint: "make room" },
    { details: ["one", "two: 2"] },
    { details: ["hint: of another"], hint: "this one" },
    { details: ["one"], hint: "look", log: "/var/log/a b.log" },
  ];
  for (const fields of all) {
    const fault = new Fault("E_DISK_FULL", "the disk is full: /x cannot be written", fields);
    assert.deepEqual(parseFault(renderFault(fault))?.toJSON(), fault.toJSON());
  }
});

test("the form of the agent in the Monolith is read, too: one space, nothing indented", () => {
  const fault = parseFault("E_INGOT_SPACE no room\nneeds 5\nhas 4\nhint: make room\n");
  assert.deepEqual(
    [fault?.code, fault?.message, fault?.details, fault?.hint],
    ["E_INGOT_SPACE", "no room", ["needs 5", "has 4"], "make room"],
  );
});

test("what stands before a fault is passed over, and a text without one is none", () => {
  assert.equal(parseFault("NOTICE: x\n\nE_DB_NAME  no such name\n")?.code, "E_DB_NAME");
  for (const text of ["", "error", "E_", "e_small  x", "see E_DB_NAME  x", "E_DB_NAME"])
    assert.equal(parseFault(text), undefined, text);
});
