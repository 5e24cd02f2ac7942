/** The launcher of the tests: QEMU of the seed. */
import { vmLauncher } from "../../src/project/launcher.ts";
import { project } from "../this-project.ts";

export const launcher = await vmLauncher(project);
