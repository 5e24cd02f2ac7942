import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { ESLint } from "eslint";
import tseslint from "typescript-eslint";

/** The order that docs/architecture.md gives: imports go to rooms before, never to rooms after. */
const ORDER = ["fault", "host", "recipe", "format", "source", "store", "sandbox", "forge", "vm", "inject", "ui", "cli"];

const root = projectRoot(path.dirname(fileURLToPath(import.meta.url)));

/** The project's own configuration; the texts are not files of the project, so rules that need types are off. */
const eslint = new ESLint({
  cwd: root,
  overrideConfig: [
    tseslint.configs.disableTypeChecked,
    { languageOptions: { parserOptions: { projectService: false } } },
  ] as NonNullable<ESLint.Options["overrideConfig"]>,
});

/** The folder of package.json: a bundled test runs from a folder below dist. */
function projectRoot(folder: string): string {
  return existsSync(path.join(folder, "package.json")) ? folder : projectRoot(path.dirname(folder));
}

/** Rules about what a file may reach that `text` breaks when it stands in `file`. */
async function broken(file: string, text: string): Promise<string[]> {
  const [result] = await eslint.lintText(text, { filePath: path.join(root, file) });
  assert.ok(result !== undefined);
  assert.equal(result.fatalErrorCount, 0, JSON.stringify(result.messages));
  return result.messages.map(({ ruleId }) => ruleId ?? "").filter((rule) => /^no-restricted-|^no-console/.test(rule));
}

const importOf = (from: string): string => `import { thing } from "${from}";\nexport const other = thing;\n`;

test("a room may import those before it and itself, and none after it", async () => {
  for (const [index, room] of ORDER.entries()) {
    for (const [otherIndex, other] of ORDER.entries()) {
      const allowed = room === other || (otherIndex < index && room !== "format");
      assert.deepEqual(
        await broken(`src/${room}/made-up.ts`, importOf(`../${other}/thing.ts`)),
        allowed ? [] : ["no-restricted-imports"],
        `${room} imports ${other}`,
      );
    }
  }
});

test("no other way of writing an upward import gets past", async () => {
  const upward = [
    'export { thing } from "../ui/thing.ts";\n',
    'export * from "../ui/thing.ts";\n',
    'import type { Thing } from "../ui/thing.ts";\nexport type Other = Thing;\n',
    'import "../ui/thing.ts";\n',
    'import "../../src/ui/thing.ts";\n',
    'import "./../ui/thing.ts";\n',
    'export const thing = await import("../ui/thing.ts");\n',
  ];
  for (const text of upward) assert.equal((await broken("src/forge/made-up.ts", text)).length, 1, text);
  assert.equal((await broken("src/forge/deeper/made-up.ts", importOf("../../ui/thing.ts"))).length, 1);
});

test("a room with a name that begins like another's is not mistaken for it", async () => {
  assert.deepEqual(await broken("src/forge/made-up.ts", importOf("./ui-events.ts")), []);
  assert.deepEqual(await broken("src/forge/made-up.ts", importOf("client")), []);
});

test("nothing in src/ names recipes or reaches for tests", async () => {
  for (const room of ["forge", "project", "cli"])
    assert.deepEqual(await broken(`src/${room}/made-up.ts`, importOf("../../recipes/linux.ts")), [
      "no-restricted-imports",
    ]);
  assert.deepEqual(await broken("src/cli/made-up.ts", importOf("../../test/ui/events.ts")), ["no-restricted-imports"]);
});

test("a recipe imports only the words for recipes and other recipes", async () => {
  for (const file of ["recipes/made-up.ts", "recipes/deeper/made-up.ts"]) {
    const up = "../".repeat(file.split("/").length - 1);
    assert.deepEqual(await broken(file, importOf(`${up}src/recipe/recipe.ts`)), []);
    assert.deepEqual(await broken(file, importOf("./zlib.ts")), []);
    for (const other of ["fault", "format", "forge", "ui"]) {
      assert.deepEqual(await broken(file, importOf(`${up}src/${other}/thing.ts`)), ["no-restricted-imports"], other);
    }
    for (const module of ["node:fs", "fs", "tar-stream"]) {
      assert.deepEqual(await broken(file, importOf(module)), ["no-restricted-imports"], module);
    }
  }
});

test("the words for recipes and recipes are pure", async () => {
  for (const file of ["src/recipe/made-up.ts", "recipes/made-up.ts"]) {
    assert.deepEqual(await broken(file, importOf("node:path")), ["no-restricted-imports"]);
    assert.deepEqual(await broken(file, 'export const fs = await import("node:fs");\n'), ["no-restricted-syntax"]);
    assert.deepEqual(await broken(file, "export const now = Date.now();\n"), ["no-restricted-globals"]);
    assert.deepEqual(await broken(file, 'export const home = process.env["HOME"];\n'), ["no-restricted-globals"]);
    assert.deepEqual(await broken(file, "export const dice = Math.random();\n"), ["no-restricted-properties"]);
  }
  assert.deepEqual(await broken("src/format/made-up.ts", importOf("node:zlib")), []);
});

test("a command parses, calls and renders", async () => {
  for (const module of ["node:fs", "node:fs/promises", "fs", "node:child_process", "node:net"])
    assert.deepEqual(await broken("src/cli/made-up.ts", importOf(module)), ["no-restricted-imports"], module);
  assert.deepEqual(await broken("src/cli/made-up.ts", importOf("node:path")), []);
  assert.deepEqual(await broken("src/project/made-up.ts", importOf("node:fs")), []);
  for (const word of ["stdin", "stdout", "stderr", "env"])
    assert.deepEqual(await broken("src/cli/made-up.ts", `export const own = process.${word};\n`), [
      "no-restricted-syntax",
    ]);
});

test("the command line writes to the terminal in one place", async () => {
  for (const stream of ["output", "errors"]) {
    const text = `import { streams } from "./streams.ts";\nstreams.${stream}.write("a");\n`;
    assert.deepEqual(await broken("src/cli/made-up.ts", text), ["no-restricted-syntax"]);
    assert.deepEqual(await broken("src/cli/main.ts", text), ["no-restricted-syntax"]);
    assert.deepEqual(await broken("src/cli/terminal.ts", text), []);
  }
});

test("nothing prints past the terminal", async () => {
  for (const room of ["forge", "project", "cli"])
    assert.deepEqual(await broken(`src/${room}/made-up.ts`, "console.log(1);\n"), ["no-console"]);
});
