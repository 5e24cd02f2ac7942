/** The format of manifests is one contract with two readers: this one, and the agent in C (native/ingot/manifest.c). */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { ingot } from "../../recipes/ingot.ts";
import { Fault } from "../../src/fault/fault.ts";
import { evaluate } from "../../src/forge/evaluate.ts";
import { signedText } from "../../src/inject/key-file.ts";
import { LIMITS, parseManifest, writeManifest } from "../../src/inject/manifest.ts";
import type { Key } from "../../src/recipe/derivation.ts";
import { projectRoot, step, testChannel } from "../forge/rig.ts";

const folder = path.join(projectRoot, "native/ingot-test/vectors");
const cases = readFileSync(path.join(folder, "cases"), "utf8")
  .split("\n")
  .filter((row) => row !== "" && !row.startsWith("#"))
  .map((row) => row.split(/ +/) as [file: string, code: string, line: string]);
const vector = (file: string): Buffer => readFileSync(path.join(folder, file));

/** The fault of a manifest that is refused. */
function refusal(bytes: Uint8Array): Fault | undefined {
  try {
    parseManifest(bytes);
    return undefined;
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
}

test("every vector is taken or refused as the agent does it, with the same code and line", () => {
  for (const [file, code, line] of cases) {
    const fault = refusal(vector(file));
    assert.equal(fault?.code ?? "-", code, `${file}: ${fault?.message}`);
    if (line !== "-") assert.match(fault?.message ?? "", new RegExp(`: line ${line}: `), file);
  }
});

test("every file of the vectors is in the list, in the folder that says what is made of it", () => {
  const files = ["ok", "bad"].flatMap((name) => readdirSync(path.join(folder, name)).map((file) => `${name}/${file}`));
  assert.deepEqual(cases.map(([file]) => file).sort(), files.sort());
  for (const [file, code] of cases) assert.equal(code === "-" ? "ok" : "bad", path.dirname(file), file);
});

test("what is taken is written again byte for byte", () => {
  for (const [file] of cases.filter(([, code]) => code === "-"))
    assert.equal(writeManifest(parseManifest(vector(file))), vector(file).toString(), file);
});

test("the message says what is wrong", () => {
  const says: Readonly<Record<string, RegExp>> = {
    "health-twice": /second/,
    "health-without-time": /time/,
    "health-of-an-absent-program": /no program a$/,
    "service-without-its-program": /no program service\/a\/run/,
    "service-twice": /twice/,
    "path-absolute": /no path below the tree/,
    "path-agent-folder": /belongs to the Monolith/,
    "path-twice": /order/,
    "parent-absent": /folder/,
    "path-code-of-a-letter": /not written/,
    "chunk-too-large": /large/,
    "chunk-short-but-not-the-last": /not the last/,
    "chunks-missing": /unpack/,
    "empty-line-after-the-end": /after the end/,
    "date-too-late": /late/,
    "not-utf-8": /UTF-8/,
    "zero-in-a-proof": /zero/,
  };
  for (const [name, why] of Object.entries(says)) assert.match(refusal(vector(`bad/${name}`))?.message ?? "", why);
});

test("no ingot has more files or chunks than the agent takes", () => {
  const begin = "anvil-ingot 1\nname a\nversion 1\narch x\ndate 1\n";
  const folders = (count: number): string =>
    Array.from({ length: count }, (_, index) => `dir 755 ${index.toString(16).padStart(5, "0")}\n`).join("");
  const parse = (count: number): unknown => parseManifest(Buffer.from(`${begin}${folders(count)}end\n`));
  parse(LIMITS.ENTRIES_LIMIT);
  assert.throws(() => parse(LIMITS.ENTRIES_LIMIT + 1), { code: "E_INGOT_MANIFEST", message: /too many/ });
});

/** Value of a constant in a C file: a text, or a sum of numbers, shifted ones and other constants. */
function constant(source: string, name: string): number | string {
  const [, text] = new RegExp(String.raw`^#define ${name} (.*?)\s*(?:/\*.*)?$`, "m").exec(source) ?? [];
  assert.ok(text !== undefined, name);
  if (text.startsWith('"')) return JSON.parse(text) as string;
  const term = (each: string): number => {
    const [word = "", shift = "0"] = each.trim().split(" << ");
    return (/^\d/.test(word) ? parseInt(word, 10) : (constant(source, word) as number)) * 2 ** Number(shift);
  };
  const sum = text.replace(/UINT64_C\((\d+)\)/, "$1").replaceAll(/[()]/g, "");
  return sum.split(" + ").reduce((total, each) => total + term(each), 0);
}

test("the limits are those of the agent", () => {
  const [header, parser, trust] = ["manifest.h", "manifest.c", "trust.c"].map((name) =>
    readFileSync(path.join(projectRoot, "native/ingot", name), "utf8"),
  ) as [string, string, string];
  assert.deepEqual(LIMITS, {
    MANIFEST_LIMIT: constant(header, "MANIFEST_MAX"),
    CHUNK_SIZE: constant(header, "CHUNK_SIZE"),
    STORED_LIMIT: constant(header, "CHUNK_STORED_MAX"),
    PATH_LIMIT: constant(header, "PATH_BYTES"),
    FACTS_LIMIT: constant(header, "FACTS_MAX"),
    ENTRIES_LIMIT: constant(header, "ENTRIES_MAX"),
    CHUNKS_LIMIT: constant(header, "CHUNKS_MAX"),
    SIZE_LIMIT: constant(parser, "SIZE_LIMIT"),
    OWN_FOLDER: constant(header, "OWN_FOLDER"),
  });
  assert.equal(signedText(Buffer.from("text")).toString(), `${constant(trust, "SIGNED_PREFIX")}text`);
});

test("ingots are cut into chunks of the size that the agent takes", async () => {
  const { body } = ingot({ name: "a", version: "1", trees: [step("a", "true")] });
  const channel = await testChannel();
  const { nodes, targets } = evaluate([body], { project: projectRoot, channel, pins: new Map() });
  const derivation = nodes.get(targets[0] as Key)?.derivation;
  assert.equal(derivation?.kind, "step");
  assert.match(derivation.script, new RegExp(`split -b ${LIMITS.CHUNK_SIZE} `));
});
