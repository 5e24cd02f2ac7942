/** Recipes of which nothing ships by default: tests, which run here or in the Monolith, comparisons, options. */
import { anvilIngotTest } from "./anvil-ingot.ts";
import { anvilVmm, anvilVmmTest } from "./anvil-vmm.ts";
import { anvilctl, anvilctlTest } from "./anvilctl.ts";
import { diverseDoubleCompilation } from "./diverse.ts";
import { dropbear } from "./dropbear.ts";
import { firecracker, firecrackerSource } from "./firecracker.ts";
import { guest } from "./guest.ts";
import { hostileGuest } from "./hostile-guest.ts";
import { judges } from "./judges.ts";
import { lintC, lintRust } from "./lint.ts";
import { columnar, postgresColumnar } from "./postgres/columnar.ts";
import { postgres } from "./postgres/postgres.ts";
import { postgresTests } from "./postgres/tests.ts";
import { selfHosting } from "./self-hosting.ts";
import type { Recipe } from "../src/recipe/recipe.ts";

export const checks: readonly Recipe[] = [
  anvilIngotTest,
  anvilVmm,
  anvilVmmTest,
  anvilctl,
  anvilctlTest,
  dropbear,
  postgres,
  columnar.recipe,
  postgresColumnar,
  ...postgresTests,
  firecracker,
  firecrackerSource,
  guest,
  hostileGuest,
  ...judges,
  lintC,
  lintRust,
  ...selfHosting,
  ...diverseDoubleCompilation,
];
