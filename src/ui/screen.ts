/**
 * Lines at the foot of a terminal that are redrawn in place, below lines that stay. Control sequences: ECMA-48 CUU, EL,
 * ED, and DECTCEM for the cursor, which is hidden and shown again within one write: no way to end leaves it hidden.
 * The cursor rests on the line below the last one, where a shell prompt may appear.
 */
import { columns } from "./width.ts";

/** The part of a `tty.WriteStream` that is used; the size is asked for at each drawing. */
export interface TerminalStream {
  write(text: string): unknown;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
}

const CURSOR_OFF = "\x1b[?25l";
const CURSOR_ON = "\x1b[?25h";
const ERASE_LINE_END = "\x1b[K";
const ERASE_BELOW = "\x1b[J";

export interface PaintedLine {
  readonly text: string;
  /** Columns that it takes. */
  readonly width: number;
}

export class Screen {
  readonly #stream: TerminalStream;
  #drawn: readonly PaintedLine[] = [];
  #drawnAt: string;

  constructor(stream: TerminalStream) {
    this.#stream = stream;
    this.#drawnAt = this.#size();
  }

  get columns(): number {
    return Math.max(1, this.#stream.columns ?? 80);
  }

  get rows(): number {
    return Math.max(2, this.#stream.rows ?? 24);
  }

  /**
   * Prints `lasting` where the live lines began, then `live` below them. Lines of `live` are narrower than the terminal
   * and one fewer than its rows; `lasting` ones may be of any length. Writes nothing when nothing has changed.
   */
  draw(lasting: readonly string[], live: readonly PaintedLine[]): void {
    const size = this.#size();
    if (lasting.length === 0 && size === this.#drawnAt && sameLines(live, this.#drawn)) return;
    const lines = live.map(({ text }) => `${text}${ERASE_LINE_END}\n`).join("");
    // Without need, nothing is erased before it is drawn anew: that would flicker. The need: a lasting line that ends in
    // the last column leaves the cursor there, and erasing after it would take its last character. And terminals
    // remember which rows they have wrapped until these are erased, and join them again when they become wider.
    const before = lasting.length > 0 || size !== this.#drawnAt ? ERASE_BELOW : "";
    const above = before + lasting.map((line) => `${line}\n`).join("");
    this.#stream.write(CURSOR_OFF + this.#toTop() + above + lines + ERASE_BELOW + CURSOR_ON);
    this.#drawn = live;
    this.#drawnAt = size;
  }

  /** Moves to where the live lines begin. A terminal that became narrower has wrapped them. */
  #toTop(): string {
    const width = this.columns;
    const rows = this.#drawn.reduce((sum, line) => sum + Math.max(1, Math.ceil(line.width / width)), 0);
    return rows === 0 ? "\r" : `\r\x1b[${rows}A`;
  }

  #size(): string {
    return `${this.columns}x${this.rows}`;
  }
}

/** A line as it is, for drawing. */
export function paintedLine(painted: string, plain: string): PaintedLine {
  return { text: painted, width: columns(plain) };
}

function sameLines(a: readonly PaintedLine[], b: readonly PaintedLine[]): boolean {
  return a.length === b.length && a.every((line, index) => line.text === b[index]?.text);
}
