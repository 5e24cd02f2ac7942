/** What `anvil inject` knows. A new ingot is a file beside this one and a line in this list. */
import type { Ingot } from "../../src/recipe/ingot.ts";
import { cc } from "./cc.ts";
import { db } from "./db.ts";
import { tools } from "./tools.ts";
import { vmm } from "./vmm.ts";

export const ingots: readonly Ingot[] = [cc, db, tools, vmm];
