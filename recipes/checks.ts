/** Recipes of which nothing ships by default: tests that are built and run in the sandbox, comparisons, options. */
import { anvilIngotTest } from "./anvil-ingot.ts";
import { dropbear } from "./dropbear.ts";
import { selfHosting } from "./self-hosting.ts";
import type { Recipe } from "../src/recipe/recipe.ts";

export const checks: readonly Recipe[] = [anvilIngotTest, dropbear, ...selfHosting];
