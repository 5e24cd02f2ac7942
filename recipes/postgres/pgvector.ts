/** Vectors and the search for the nearest ones. */
import { extension } from "./extension.ts";

export const pgvector = extension({
  name: "vector",
  modules: ["vector"],
  licence: "PostgreSQL",
  from: { component: "pgvector" },
  // its own default compiles for the machine that builds; what a processor has is found out at run time
  make: ["OPTFLAGS="],
});
