/** Recipes of which nothing ships by default: tests, which run here or in the Monolith, comparisons, options. */
import { anvilIngotTest } from "./anvil-ingot.ts";
import { diverseDoubleCompilation } from "./diverse.ts";
import { dropbear } from "./dropbear.ts";
import { judges } from "./judges.ts";
import { postgres } from "./postgres/postgres.ts";
import { postgresTests } from "./postgres/tests.ts";
import { selfHosting } from "./self-hosting.ts";
import type { Recipe } from "../src/recipe/recipe.ts";

export const checks: readonly Recipe[] = [
  anvilIngotTest,
  dropbear,
  postgres,
  ...postgresTests,
  ...judges,
  ...selfHosting,
  ...diverseDoubleCompilation,
];
