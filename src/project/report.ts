import { readFileSync } from "node:fs";
import path from "node:path";
import { errno, Fault } from "../fault/fault.ts";
import { makeFolder } from "../host/make-folder.ts";
import { replaceFile } from "../host/replace-file.ts";
import { diskFault } from "../host/disk.ts";
import { parseEvents } from "../ui/json.ts";
import { renderReport } from "../ui/report.ts";

/** Makes a page of a run's events. Throws E_NO_LOG, E_DISK_FULL and E_READ_ONLY. */
export function writeReport(events: string, page: string): void {
  write(page, renderReport(parseEvents(read(events))));
}

/** Throws E_NO_LOG, also for an empty file: a run that ended before its plan. */
function read(file: string): string {
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

function write(file: string, text: string): void {
  try {
    makeFolder(path.dirname(file), 0o777);
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
