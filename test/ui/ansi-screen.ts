/**
 * A terminal for tests: understands what the views write (printable text, CR, LF, CUU, EL, ED, SGR, DECTCEM), wraps
 * long lines, scrolls, and wraps anew when it becomes narrower. Anything else it does not know is an error.
 */
import { columns as columnsOf } from "../../src/ui/width.ts";

const SEQUENCE = /\x1b\[(\??)(\d*)([A-Za-z])/y;

export class AnsiScreen {
  columns: number;
  rows: number;
  readonly isTTY = true;
  readonly writes: string[] = [];
  cursorShown = true;
  /** Everything since the beginning; the last `rows` lines are on the screen. A cell holds a character with its colour. */
  #lines: string[][] = [[]];
  #row = 0;
  #column = 0;
  #style = "";

  constructor(columns = 80, rows = 24) {
    this.columns = columns;
    this.rows = rows;
  }

  write(text: string): boolean {
    this.writes.push(text);
    for (let at = 0; at < text.length;) {
      SEQUENCE.lastIndex = at;
      const match = SEQUENCE.exec(text);
      if (match !== null) {
        this.#control(match[1] === "?", match[2] ?? "", match[3] ?? "");
        at += match[0].length;
        continue;
      }
      const character = String.fromCodePoint(text.codePointAt(at) ?? 0);
      this.#put(character);
      at += character.length;
    }
    return true;
  }

  /** All lines that were ever printed and not erased, without trailing blanks and without the colours. */
  lines(): string[] {
    const texts = this.#lines.map((cells) =>
      cells
        .map((cell) => cell.replace(/^.*\u0000/, ""))
        .join("")
        .trimEnd(),
    );
    while (texts.at(-1) === "") texts.pop();
    return texts;
  }

  text(): string {
    return this.lines().join("\n");
  }

  /** SGR parameters of the first cell of `text`, on the last line that holds it. */
  styleOf(text: string): string {
    for (let row = this.#lines.length - 1; row >= 0; row -= 1) {
      const cells = this.#lines[row] ?? [];
      const plain = cells.map((cell) => cell.replace(/^.*\u0000/, ""));
      const at = plain.join("").indexOf(text);
      if (at < 0) continue;
      let length = 0;
      for (const [index, character] of plain.entries()) {
        if (length === at) return (cells[index] ?? "").split("\u0000")[0] ?? "";
        length += character.length;
      }
    }
    throw new Error(`not on the screen: ${text}`);
  }

  /** Becomes another size and wraps lines that have become too long, as most terminals do. */
  resize(columns: number, rows: number): void {
    this.columns = columns;
    this.rows = rows;
    this.#lines = this.#lines.flatMap((cells) => {
      const parts = [];
      for (let at = 0; at === 0 || at < cells.length; at += columns)
        parts.push(cells.slice(at, at + columns));
      return parts;
    });
    // the views leave the cursor at the end
    this.#row = this.#lines.length - 1;
  }

  #control(isPrivate: boolean, parameter: string, final: string): void {
    if (isPrivate && parameter === "25" && (final === "h" || final === "l"))
      this.cursorShown = final === "h";
    else if (final === "A")
      this.#row = Math.max(
        this.#row - Number(parameter || "1"),
        this.#lines.length - this.rows,
        0,
      );
    else if (final === "K" && parameter === "")
      this.#line().splice(this.#column);
    else if (final === "J" && parameter === "") {
      this.#line().splice(this.#column);
      // rows below stay as blank rows of the screen: the cursor's row is not the last one for that
      for (const below of this.#lines.slice(this.#row + 1)) below.length = 0;
      this.#dropBlankTail();
    } else if (final === "m") this.#style = parameter === "0" ? "" : parameter;
    else throw new Error(`unknown control sequence: ${parameter}${final}`);
  }

  #dropBlankTail(): void {
    while (
      this.#lines.length - 1 > this.#row &&
      this.#lines.at(-1)?.length === 0
    )
      this.#lines.pop();
  }

  #put(character: string): void {
    if (character === "\n") {
      this.#row += 1;
      this.#column = 0;
      if (this.#row === this.#lines.length) this.#lines.push([]);
      return;
    }
    if (character === "\r") {
      this.#column = 0;
      return;
    }
    if (/\p{Cc}/u.test(character))
      throw new Error(
        `unknown control character: ${JSON.stringify(character)}`,
      );
    const width = columnsOf(character);
    if (this.#column + width > this.columns) this.#put("\n");
    const line = this.#line();
    while (line.length < this.#column) line.push("\u0000 ");
    if (width === 0)
      line[this.#column - 1] = `${line[this.#column - 1] ?? ""}${character}`;
    else line[this.#column] = `${this.#style}\u0000${character}`;
    if (width === 2) line[this.#column + 1] = "\u0000";
    this.#column += width;
  }

  #line(): string[] {
    return (this.#lines[this.#row] ??= []);
  }
}
