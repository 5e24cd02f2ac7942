import path from "node:path";
import { pathToFileURL } from "node:url";
import { writeReport } from "../project/report.ts";
import { command as define } from "./command.ts";

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

export const command = define({
  summary: "write an HTML page about the last forge",
  help,
  options: { out: { type: "string", default: "out/report.html" }, events: { type: "string" } },
  run({ values, project }) {
    const file = path.resolve(values.out);
    writeReport(values.events ?? project.lastRunFile, file);
    return { text: [pathToFileURL(file).href] };
  },
});
