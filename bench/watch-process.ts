/**
 * Preloaded into a forge (`node --import`): writes down, when it ends, what it used. Replaces the functions of node:fs
 * that open files by ones that count.
 */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import path from "node:path";

export interface Use {
  /** Files that were opened, and those of them below the folder of downloads. */
  readonly opened: number;
  readonly sources: number;
  /** Largest resident set, bytes. */
  readonly peak: number;
}

const report = process.env["ANVIL_BENCH_REPORT"];
const sources = process.env["ANVIL_BENCH_SOURCES"];

if (report !== undefined && sources !== undefined) watch(report, sources);

function watch(report: string, sources: string): void {
  const opened: string[] = [];
  const count = (file: unknown): void => {
    if (typeof file === "string" || file instanceof URL) opened.push(path.resolve(String(file)));
  };
  type Opener = (file: unknown, ...rest: unknown[]) => unknown;
  const replace = (home: object, name: string): void => {
    const functions = home as Record<string, Opener>;
    const original = functions[name];
    if (original === undefined) throw new Error(`node:fs has no ${name}`);
    functions[name] = (file, ...rest) => {
      count(file);
      return original.call(home, file, ...rest);
    };
  };
  const { writeFileSync, readFileSync } = fs;
  for (const name of ["open", "openSync", "readFile", "readFileSync", "createReadStream", "copyFile", "copyFileSync"])
    replace(fs, name);
  for (const name of ["open", "readFile", "copyFile"]) replace(fs.promises, name);
  syncBuiltinESMExports();
  process.on("exit", () => {
    const status = readFileSync("/proc/self/status", "latin1");
    const use: Use = {
      opened: opened.length,
      sources: opened.filter((file) => file.startsWith(`${sources}/`)).length,
      peak: Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024,
    };
    writeFileSync(report, JSON.stringify(use));
  });
}
