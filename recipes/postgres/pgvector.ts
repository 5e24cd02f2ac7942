/** Vectors and the search for the nearest ones. */
import { assume } from "../../src/recipe/assumption.ts";
import { extension } from "./extension.ts";

export const pgvector = extension({
  name: "vector",
  modules: ["vector"],
  licence: "PostgreSQL",
  from: { component: "pgvector" },
  assumes: [
    assume("pgvector").text("Makefile", "OPTFLAGS"),
    assume("pgvector").paths("vector.control", "src/vector.c"),
  ],
  // its own default compiles for the machine that builds
  make: ["OPTFLAGS="],
  // FMA and AVX for its distances, which upstream leaves to the dynamic loader of glibc
  levels: ["x86-64-v3"],
});
