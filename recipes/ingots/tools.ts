/** Programs for a running system that busybox does not have. Small: tests of ingots send this one. */
import { source } from "../../src/recipe/recipe.ts";
import { ingot } from "../ingot.ts";
import { lz4 } from "../lz4.ts";

export const tools = ingot({ name: "tools", version: source("lz4"), trees: [lz4] });
