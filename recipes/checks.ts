/** Recipes of which nothing ships: tests that are built and run in the sandbox. */
import { anvilIngotTest } from "./anvil-ingot.ts";
import type { Recipe } from "../src/recipe/recipe.ts";

export const checks: readonly Recipe[] = [anvilIngotTest];
