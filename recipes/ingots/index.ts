/**
 * What `anvil inject` knows. A new ingot is a file beside this one and a line in this list. Of several with one name the first
 * is taken whose sources the channel has.
 */
import type { Ingot } from "../../src/recipe/ingot.ts";
import { cc } from "./cc.ts";
import { db } from "./db.ts";
import { tools } from "./tools.ts";
import { vmm, vmmWithFirecracker } from "./vmm.ts";

export const ingots: readonly Ingot[] = [cc, db, tools, vmmWithFirecracker, vmm];
