/** Recipes of which nothing ships: tests, which run here or in the Monolith, and comparisons. */
import { anvilIngotTest } from "./anvil-ingot.ts";
import { judges } from "./judges.ts";
import { selfHosting } from "./self-hosting.ts";
import type { Recipe } from "../src/recipe/recipe.ts";

export const checks: readonly Recipe[] = [anvilIngotTest, ...judges, ...selfHosting];
