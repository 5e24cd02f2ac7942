import { createReadStream, readdirSync, statSync } from "node:fs";
import path from "node:path";
import type { Readable } from "node:stream";
import { Fault } from "../fault/fault.ts";
import type { Project } from "./project.ts";

/** The file with the output of the newest build of a recipe. Throws E_NO_LOG. */
export function newestLog({ store }: Project, name: string): string {
  const { logs } = store.paths;
  const newest = readdirSync(logs)
    .filter((file) => file.replace(/-[0-9a-f]{16}\.log$/, "") === name)
    .map((file) => path.join(logs, file))
    .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs)[0];
  if (newest !== undefined) return newest;
  throw new Fault("E_NO_LOG", `${name} was not built here`, { hint: `anvil forge ${name}` });
}

export const readLog = (file: string): Readable => createReadStream(file);
