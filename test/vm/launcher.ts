/** The launcher of the tests: QEMU of the seed. */
import { openStore } from "../../src/cli/command.ts";
import { vmLauncher } from "../../src/cli/vm-launcher.ts";

export const launcher = await vmLauncher(openStore());
