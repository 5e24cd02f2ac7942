import { mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { errno, Fault } from "../fault/fault.ts";
import { replaceFile } from "../host/replace-file.ts";
import { diskFault } from "../source/disk.ts";
import { parseEvents } from "../ui/json.ts";
import { renderReport } from "../ui/report.ts";
import { parse, usage, type Command } from "./command.ts";
import { print } from "./print.ts";

const help = `
usage: anvil report [options]

Writes an HTML page about the last forge: failures, time line, critical path, what each recipe took, proofs. The page is one
file, without scripts, and loads nothing.

  --out <file>     where it is put (default: out/report.html)
  --events <file>  of this run instead: what anvil forge --json printed

examples:
  anvil report
  anvil forge --json > events.jsonl; anvil report --events events.jsonl --out monday.html

exit status: 0 written, 1 no run is known or the file cannot be written, 2 wrong usage
`;

const options = {
  out: { type: "string", default: "out/report.html" },
  events: { type: "string" },
} as const;

export const command: Command = {
  summary: "write an HTML page about the last forge",
  help,
  run(args, project) {
    const { values, positionals } = parse(args, help, options);
    if (positionals.length > 0) throw usage(`"${positionals[0]}" means nothing here`, help);
    const page = renderReport(parseEvents(readLog(values.events ?? project.lastRunFile)));
    const out = path.resolve(values.out);
    writePage(out, page);
    print(`${pathToFileURL(out).href}\n`);
    return Promise.resolve(0);
  },
};

/** Throws E_NO_LOG, also for an empty file: a run that ended before its plan. */
function readLog(file: string): string {
  let text = "";
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if (errno(error) === undefined) throw error;
  }
  if (text !== "") return text;
  throw new Fault("E_NO_LOG", "there is no run to report on", {
    details: [`looked in ${file}`],
    hint: "anvil forge   makes one",
  });
}

function writePage(file: string, text: string): void {
  try {
    mkdirSync(path.dirname(file), { recursive: true });
    replaceFile(file, text);
  } catch (error) {
    if (errno(error) === undefined) throw error;
    const { code } = diskFault(error, file) ?? { code: "E_READ_ONLY" as const };
    throw new Fault(code, `${file} cannot be written (${errno(error)})`, {
      hint: "choose another place with --out",
      cause: error,
    });
  }
}
