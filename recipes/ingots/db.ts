/** PostgreSQL, and what keeps a server of it for each cluster on ZFS. docs/db.md. */
import { source } from "../../src/recipe/recipe.ts";
import { dbCertificate } from "../db-certificate.ts";
import { dbConfine } from "../db-confine.ts";
import { dbService } from "../db-service.ts";
import { ingot } from "../ingot.ts";
import { postgres } from "../postgres/postgres.ts";

export const db = ingot({
  name: "db",
  version: source("postgresql"),
  trees: [postgres, dbService, dbCertificate, dbConfine],
  services: ["db"],
  // the first activation makes a cluster; an emulated machine takes minutes for it
  health: { seconds: 600, program: "usr/libexec/db/health" },
  data: true,
  atMost: 12_000_000,
});
