// Renders captured terminal bytes, as `script -qc <command> <file>` writes them, as an SVG with text.
// usage: node scripts/record.mjs <captured> <out.svg> [--columns 100] [--rows 30] [--frames n]
// Without --frames the picture is the final screen; with it, n screens at equal distances in the bytes are shown one
// after the other, two seconds each. Understood: printable text, CR, LF, BS, tab, and the ECMA-48 sequences CUU, CUD,
// CUF, CUB, CUP, CHA, EL, ED and SGR (eight colours, bold, dim); other sequences are skipped.
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";

const CELL = { width: 8.4, height: 18 };
const MARGIN = 16;
const SECONDS = 2;
const COLOURS = ["#3b4252", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#d8dee9"];

class Screen {
  constructor(columns, rows) {
    Object.assign(this, { columns, rows, row: 0, column: 0, style: {} });
    this.lines = Array.from({ length: rows }, () => []);
  }

  put(character) {
    if (this.column >= this.columns) this.newLine();
    this.lines[this.row][this.column++] = { character, style: this.style };
  }

  newLine() {
    this.column = 0;
    this.lineFeed();
  }

  lineFeed() {
    if (this.row < this.rows - 1) this.row++;
    else this.lines = [...this.lines.slice(1), []];
  }

  control(final, parameters) {
    const [first = 0, second = 0] = parameters;
    const clamp = (value, most) => Math.min(Math.max(value, 0), most - 1);
    if (final === "A") this.row = clamp(this.row - (first || 1), this.rows);
    else if (final === "B") this.row = clamp(this.row + (first || 1), this.rows);
    else if (final === "C") this.column = clamp(this.column + (first || 1), this.columns);
    else if (final === "D") this.column = clamp(this.column - (first || 1), this.columns);
    else if (final === "G") this.column = clamp((first || 1) - 1, this.columns);
    else if (final === "H" || final === "f") {
      this.row = clamp((first || 1) - 1, this.rows);
      this.column = clamp((second || 1) - 1, this.columns);
    } else if (final === "K") this.eraseInLine(first);
    else if (final === "J") this.eraseInDisplay(first);
    else if (final === "m") this.graphics(parameters.length === 0 ? [0] : parameters);
  }

  eraseInLine(mode) {
    const line = this.lines[this.row];
    if (mode === 0) line.splice(this.column);
    else if (mode === 2) line.splice(0);
    else for (let column = 0; column <= this.column; column++) delete line[column];
  }

  eraseInDisplay(mode) {
    this.eraseInLine(mode);
    this.lines.forEach((line, row) => {
      if (mode >= 2 || (mode === 0 ? row > this.row : row < this.row)) line.splice(0);
    });
  }

  graphics(parameters) {
    for (const code of parameters) {
      if (code === 0) this.style = {};
      else if (code === 1) this.style = { ...this.style, bold: true };
      else if (code === 2) this.style = { ...this.style, dim: true };
      else if (code === 22) this.style = { ...this.style, bold: false, dim: false };
      else if (code === 39) this.style = { ...this.style, colour: undefined };
      else if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97))
        this.style = { ...this.style, colour: COLOURS[code % 10] };
    }
  }

  snapshot() {
    return this.lines.map((line) => [...line]);
  }
}

// CSI, OSC (window titles), charset choices and other two-byte escapes
const SEQUENCE = /\x1b\[([?>=]?)([\d;]*)[ -/]*([@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()*+].|\x1b[ -~]/y;

/** Screens after the text has reached each of the given ends, ascending. */
function play(text, columns, rows, ends) {
  const screen = new Screen(columns, rows);
  const frames = [];
  for (let at = 0; at < text.length;) {
    while (frames.length < ends.length && at >= ends[frames.length]) frames.push(screen.snapshot());
    SEQUENCE.lastIndex = at;
    const match = SEQUENCE.exec(text);
    const character = match === null ? String.fromCodePoint(text.codePointAt(at)) : "";
    at += match === null ? character.length : match[0].length;
    if (match?.[3] !== undefined && match[1] === "")
      screen.control(match[3], match[2] === "" ? [] : match[2].split(";").map(Number));
    if (character === "\r") screen.column = 0;
    else if (character === "\n") screen.lineFeed();
    else if (character === "\b") screen.column = Math.max(0, screen.column - 1);
    else if (character === "\t") screen.column = Math.min(screen.columns - 1, (screen.column | 7) + 1);
    else if (character >= " " && character !== "\x7f") screen.put(character);
  }
  while (frames.length < ends.length) frames.push(screen.snapshot());
  return frames;
}

function escape(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function attributes({ bold, dim, colour }) {
  return `${bold ? ' font-weight="bold"' : ""}${dim ? ' opacity="0.6"' : ""}${colour ? ` fill="${colour}"` : ""}`;
}

/** One text element per run of equal style, each placed by its column, so that no font can shift the next. */
function renderLine(line, row) {
  const runs = [];
  for (let column = 0; column < line.length; column++) {
    const cell = line[column];
    if (cell === undefined) continue;
    const last = runs.at(-1);
    const style = attributes(cell.style);
    if (last?.style === style && last.end === column)
      Object.assign(last, { text: last.text + cell.character, end: column + 1 });
    else runs.push({ start: column, end: column + 1, style, text: cell.character });
  }
  const y = MARGIN + (row + 0.75) * CELL.height;
  return runs
    .filter(({ text }) => text.trim() !== "")
    .map(({ start, end, style, text }) => {
      const [x, length] = [MARGIN + start * CELL.width, (end - start) * CELL.width];
      return `<text x="${x.toFixed(1)}" y="${y}" textLength="${length.toFixed(1)}"${style}>${escape(text)}</text>`;
    })
    .join("\n");
}

function renderFrame(lines, index, count) {
  const body = lines
    .map(renderLine)
    .filter((text) => text !== "")
    .join("\n");
  if (count === 1) return `<g>${body}</g>`;
  const values = Array.from({ length: count }, (_, each) => (each === index ? "visible" : "hidden")).join(";");
  const animate = `<animate attributeName="visibility" calcMode="discrete" values="${values}" dur="${count * SECONDS}s" repeatCount="indefinite"/>`;
  // a viewer without animation shows the last screen
  return `<g visibility="${index === count - 1 ? "visible" : "hidden"}">${animate}${body}</g>`;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    columns: { type: "string", default: "100" },
    rows: { type: "string", default: "30" },
    frames: { type: "string", default: "1" },
  },
});
const [from, to] = positionals;
const [columns, rows, count] = [values.columns, values.rows, values.frames].map(Number);
if (
  from === undefined ||
  to === undefined ||
  ![columns, rows, count].every((value) => Number.isInteger(value) && value > 0)
) {
  process.stderr.write("usage: node scripts/record.mjs <captured> <out.svg> [--columns n] [--rows n] [--frames n]\n");
  process.exit(2);
}
// the first and last lines of script(1) are its own
const text = readFileSync(from, "utf8")
  .replace(/^Script started on .*\r?\n/, "")
  .replace(/\r?\nScript done on .*\r?\n$/, "");
const ends = Array.from({ length: count }, (_, index) => Math.floor((text.length * (index + 1)) / count));
const frames = play(text, columns, rows, ends);
const used = Math.max(
  1,
  ...frames.map(
    (lines) =>
      lines.findLastIndex((line) => line.some(({ character } = { character: " " }) => character.trim() !== "")) + 1,
  ),
);
const width = Math.ceil(2 * MARGIN + columns * CELL.width);
const height = 2 * MARGIN + used * CELL.height;
writeFileSync(
  to,
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="ui-monospace, Menlo, Consolas, monospace" font-size="14" fill="#d8dee9" xml:space="preserve">
<rect width="100%" height="100%" rx="8" fill="#1e222a"/>
${frames.map((lines, index) => renderFrame(lines.slice(0, used), index, frames.length)).join("\n")}
</svg>
`,
);
