/** A process with the socket folder of a machine, for `cache-folder.test.ts`: it says where it is and waits to be killed. */
import { writeSync } from "node:fs";
import { makeSocketFolder } from "../../src/vm/socket-folder.ts";

writeSync(1, `${await makeSocketFolder()}\n`);
process.stdin.resume();
