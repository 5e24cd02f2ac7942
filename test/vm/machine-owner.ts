/** A process that starts a machine for `orphan.test.ts`, says where it is, and then does as it is told. */
import { startMachine } from "../../src/vm/machine.ts";
import { findMachine } from "../../src/vm/state.ts";
import { emulation } from "./guest.ts";
import { launcher } from "./launcher.ts";

const [stateDir = "", end] = process.argv.slice(2);
const machine = await startMachine({ name: "owned", launcher, acceleration: emulation, memory: 64, stateDir });
process.stdout.write(JSON.stringify(await findMachine(stateDir)) + "\n");
process.stdin.resume();
process.stdin.once("end", () => {
  if (end === "exit") process.exit(0);
  if (end === "throw") throw new Error("on purpose");
  void machine.kill().then(() => process.exit(0));
});
