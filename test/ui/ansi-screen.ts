/**
 * A terminal for tests: understands what the views write (printable text, CR, LF, CUU, EL, ED, SGR, DECTCEM), wraps
 * long lines, scrolls, and when its width changes wraps them anew, as most terminals do. What it does not know is an
 * error.
 */
import { columns as columnsOf } from "../../src/ui/width.ts";

const SEQUENCE = /\x1b\[(\??)(\d*)([A-Za-z])/y;

interface Cell {
  readonly text: string;
  /** SGR parameters. */
  readonly style: string;
}

interface Line {
  cells: Cell[];
  /** The line goes on in the next row. Only erasing the whole row makes a terminal forget that. */
  wrapped: boolean;
}

export class AnsiScreen {
  columns: number;
  rows: number;
  readonly isTTY = true;
  readonly writes: string[] = [];
  cursorShown = true;
  /** Everything since the beginning; the last `rows` lines are on the screen. */
  #lines: Line[] = [emptyLine()];
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
        this.#control(`${match[1] ?? ""}${match[3] ?? ""}`, match[2] ?? "");
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
    const texts = this.#lines.map((line) => textOf(line).trimEnd());
    while (texts.at(-1) === "") texts.pop();
    return texts;
  }

  text(): string {
    return this.lines().join("\n");
  }

  /** SGR parameters of the first cell of `text`, on the last line that holds it. */
  styleOf(text: string): string {
    const line = this.#lines.findLast((candidate) => textOf(candidate).includes(text));
    if (line === undefined) throw new Error(`not on the screen: ${text}`);
    const at = textOf(line).indexOf(text);
    let length = 0;
    for (const cell of line.cells) {
      if (length >= at) return cell.style;
      length += cell.text.length;
    }
    return "";
  }

  /** Becomes another size. The cursor has to stand at the end, where the views leave it. */
  resize(columns: number, rows: number): void {
    this.columns = columns;
    this.rows = rows;
    const whole: Line[] = [];
    let open = false;
    for (const { cells, wrapped } of this.#lines) {
      const last = whole.at(-1);
      if (open && last !== undefined) last.cells.push(...cells);
      else whole.push({ cells: [...cells], wrapped: false });
      open = wrapped;
    }
    this.#lines = whole.flatMap(({ cells }) => {
      const parts: Line[] = [];
      for (let at = 0; at === 0 || at < cells.length; at += columns) {
        parts.push({ cells: cells.slice(at, at + columns), wrapped: at + columns < cells.length });
      }
      return parts;
    });
    this.#row = this.#lines.length - 1;
  }

  #control(name: string, parameter: string): void {
    const top = Math.max(this.#lines.length - this.rows, 0);
    if (name === "?h" && parameter === "25") this.cursorShown = true;
    else if (name === "?l" && parameter === "25") this.cursorShown = false;
    else if (name === "A") this.#row = Math.max(this.#row - Number(parameter || "1"), top);
    else if (name === "K" && parameter === "") this.#line.cells.splice(this.#column);
    else if (name === "J" && parameter === "") this.#eraseBelow();
    else if (name === "m") this.#style = parameter === "0" ? "" : parameter;
    else throw new Error(`unknown control sequence: ${name} ${parameter}`);
  }

  #eraseBelow(): void {
    this.#line.cells.splice(this.#column);
    if (this.#column === 0) this.#line.wrapped = false;
    this.#lines.splice(this.#row + 1);
  }

  #put(character: string): void {
    if (character === "\n") {
      this.#nextRow();
      return;
    }
    if (character === "\r") {
      this.#column = 0;
      return;
    }
    if (/\p{Cc}/u.test(character)) throw new Error(`unknown control character: ${JSON.stringify(character)}`);
    const width = columnsOf(character);
    if (this.#column + width > this.columns) {
      this.#line.wrapped = true;
      this.#nextRow();
    }
    const { cells } = this.#line;
    while (cells.length < this.#column) cells.push({ text: " ", style: "" });
    const style = this.#style;
    if (width === 0) {
      const before = cells[this.#column - 1] ?? { text: "", style };
      cells[Math.max(0, this.#column - 1)] = { ...before, text: before.text + character };
    } else {
      cells[this.#column] = { text: character, style };
      if (width === 2) cells[this.#column + 1] = { text: "", style };
    }
    this.#column += width;
  }

  #nextRow(): void {
    this.#row += 1;
    this.#column = 0;
    if (this.#row === this.#lines.length) this.#lines.push(emptyLine());
  }

  get #line(): Line {
    return (this.#lines[this.#row] ??= emptyLine());
  }
}

function emptyLine(): Line {
  return { cells: [], wrapped: false };
}

function textOf({ cells }: Line): string {
  return cells.map(({ text }) => text).join("");
}
