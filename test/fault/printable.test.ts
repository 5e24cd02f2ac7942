import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault, renderFault } from "../../src/fault/fault.ts";
import { printable, printableJson, printableLine, printablePieces } from "../../src/fault/printable.ts";

/** Nothing but text: no control but tab and line feed, nothing that reorders. */
const HARMLESS = /^[^\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f]*$/;

const sequences: Record<string, [text: string, shown: string]> = {
  "a colour": ["\x1b[1;31mred\x1b[0m", "red"],
  "a colour with a C1 control": ["\x9b31mred", "red"],
  "the title of the window": ["\x1b]0;title\x07text", "text"],
  "the title of the window, ended by ST": ["\x1b]0;title\x1b\\text", "text"],
  "the title with C1 controls": ["\x9d0;title\x9ctext", "text"],
  "a device control string": ["\x1bPq#0\x1b\\text", "text"],
  "a question that the terminal answers": ["\x1b[c\x1b[6ntext", "text"],
  "a title without an end": ["\x1b]0;text", "0;text"],
  "a change of the character set": ["\x1b(0text", "text"],
  "an escape that ends the text": ["text\x1b", "text"],
  "an escape that a removed sequence would complete": ["\x1b\x1b[31m[2Jtext", "[2Jtext"],
  "a bell and a backspace": ["te\x07\bxt", "text"],
  reordering: ["a\u202eb\u2066c\u200f", "abc"],
  "a character that is two UTF-16 units": ["a\u{1f600}b\u{e0041}", "a\u{1f600}b"],
};

for (const [name, [text, shown]] of Object.entries(sequences)) {
  test(`what steers a terminal is left out: ${name}`, () => {
    assert.equal(printable(text), shown);
    assert.match(printable(text), HARMLESS);
    assert.match(printableLine(text), HARMLESS);
    assert.match(printableJson({ text }), HARMLESS);
    assert.deepEqual(JSON.parse(printableJson({ text })), { text });
  });
}

test("lines stay lines, and no text covers another", () => {
  assert.equal(printable("one\r\ntwo\tend\nthree\roverwritten"), "one\ntwo\tend\nthree\noverwritten");
  assert.equal(printableLine("one\r\ntwo\rthree"), "one two three");
});

test("every control character by itself, as a character and from its bytes in UTF-8", () => {
  for (let code = 0; code < 0xa0; code++) {
    const text = `a${String.fromCharCode(code)}b`;
    assert.match(printable(text), HARMLESS, `U+${code.toString(16)}`);
    assert.match(printable(Buffer.from(text, "utf8").toString("utf8")), HARMLESS);
    assert.match(printable(Buffer.from(text, "latin1").toString("utf8")), HARMLESS);
  }
});

test("a long text that never ends its sequences takes no longer than others", () => {
  for (const start of ["\x1b]", "\x90", "\x1b[", "\x1bP"]) assert.match(printable(start.repeat(200_000)), HARMLESS);
});

test("a fault shows text of others as text, and no part of it as another", () => {
  const shown = renderFault(
    new Fault("E_FETCH", "no\x1b[2Jplace\nhint: forged", {
      details: ["\x1b]0;title\x07first\nsecond", "\x9b31mthird"],
      hint: "do\u202ethis",
      log: "/tmp/a\x07b",
    }),
  );
  assert.equal(
    shown,
    ["E_FETCH  noplace hint: forged", "  first", "  second", "  third", "  hint: dothis", "  log:  /tmp/ab"].join("\n"),
  );
});

test("what comes in pieces is made harmless as if it came at once, wherever it is cut", async () => {
  const text = "a\x1b[31mred\x1b[0m\u009b2J\u202e\r\nb\x1b]0;title\x07c";
  const bytes = Buffer.from(text);
  for (let cut = 0; cut <= bytes.length; cut++) {
    let shown = "";
    const pieces = (async function* () {
      yield await Promise.resolve(bytes.subarray(0, cut));
      yield bytes.subarray(cut);
    })();
    for await (const piece of printablePieces(pieces)) shown += piece;
    assert.equal(shown, "ared\nbc", `cut at ${cut}`);
  }
});

test("a line without an end is let go, and still is harmless", async () => {
  const pieces = (async function* () {
    for (let index = 0; index < 200; index++) yield await Promise.resolve(Buffer.from("x".repeat(999) + "\x1b"));
  })();
  for await (const piece of printablePieces(pieces)) assert.match(piece, HARMLESS);
});
