/** What `anvil inject` knows. A new ingot is a file beside this one and a line in this list. */
import type { Ingot } from "../ingot.ts";
import { cc } from "./cc.ts";
import { tools } from "./tools.ts";
import { vmm } from "./vmm.ts";

export const ingots: readonly Ingot[] = [cc, tools, vmm];
