/** What makes servers of PostgreSQL in the Monolith: service, clusters on ZFS, health check, `anvil-db`. */
import { exists, runs } from "../src/recipe/proof.ts";
import { recipe } from "../src/recipe/recipe.ts";
import { seedBase } from "./seed.ts";

export const dbService = recipe({
  name: "db-service",
  licence: "Apache-2.0",
  files: ["system/ingots/db"],
  seed: seedBase,
  script: `
mkdir -p /out/usr/bin /out/usr/libexec/db /out/service/db
cd /files/system/ingots/db
cp anvil-db /out/usr/bin
cp -R lib.sh configure health initialise cluster /out/usr/libexec/db
cp service/run /out/service/db
for script in /out/usr/bin/anvil-db $(find /out -type f -path '*/db/*'); do sh -n $script; done
`,
  proves: [
    exists("service/db/run", "usr/libexec/db/cluster/control/t", "usr/libexec/db/cluster/log/run"),
    runs("usr/bin/anvil-db", "--help", /^usage: anvil-db list/),
  ],
});
