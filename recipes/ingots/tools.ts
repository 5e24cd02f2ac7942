/** Tools for building inside the Monolith that busybox does not have. */
import { source } from "../../src/recipe/recipe.ts";
import { ingot } from "../ingot.ts";
import { make } from "../make.ts";

export const tools = ingot({ name: "tools", version: source("make"), trees: [make] });
