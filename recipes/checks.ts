/** Recipes of which nothing ships: tests that are built and run in the sandbox, and comparisons. */
import { anvilIngotTest } from "./anvil-ingot.ts";
import { selfHosting } from "./self-hosting.ts";
import type { Recipe } from "../src/recipe/recipe.ts";

export const checks: readonly Recipe[] = [anvilIngotTest, ...selfHosting];
