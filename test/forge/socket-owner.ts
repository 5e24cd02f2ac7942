/**
 * A process with the socket folder of a machine, for `cache-folder.test.ts`: it says where it is and waits to be killed.
 * Given a state folder, it says there that it has a machine called "played", too.
 */
import { writeSync } from "node:fs";
import { identifySelf } from "../../src/host/process.ts";
import { makeSocketFolder } from "../../src/vm/socket-folder.ts";
import { writeState } from "../../src/vm/state.ts";

const [, , stateDir] = process.argv;
const folder = await makeSocketFolder();
if (stateDir !== undefined)
  await writeState(stateDir, {
    name: "played",
    process: identifySelf(),
    qmp: "/nowhere",
    console: undefined,
    ingot: undefined,
    serialLog: undefined,
    timeScale: 1,
    forwards: [],
    started: "2026-01-01T00:00:00.000Z",
  });
writeSync(1, `${folder}\n`);
process.stdin.resume();
