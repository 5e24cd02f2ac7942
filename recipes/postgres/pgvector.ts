/** Vectors and the search for the nearest ones. */
import { extension } from "./extension.ts";

export const pgvector = extension({
  name: "vector",
  modules: ["vector"],
  licence: "PostgreSQL",
  from: { component: "pgvector" },
  // its own default compiles for the machine that builds
  make: ["OPTFLAGS="],
  // FMA and AVX for its distances, which upstream leaves to the dynamic loader of glibc
  levels: ["x86-64-v3"],
});
