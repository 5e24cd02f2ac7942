/** A database appliance: PostgreSQL for the machines of one network, over TLS, its data on the pool of the system. */
import { dbCertificate, image, MiB, postgres } from "anvilos";

export default image({
  name: "database",
  packages: [postgres, dbCertificate],
  users: {
    // put your own key here
    root: { keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM1UExYwUwEiltx5y++zsDgs5ZeSqm9G56bqwXt0fxIQ you@there"] },
    // the server's own user: without a key nobody logs in as it
    postgres: { uid: 1000 },
  },
  services: { postgres: "postgres" },
  files: {
    "etc/postgres/postgresql.conf": "postgresql.conf",
    "etc/postgres/pg_hba.conf": "pg_hba.conf",
  },
  folders: ["var/lib/postgres"],
  limits: { iso: 45_000_000, root: 96 * MiB },
});
