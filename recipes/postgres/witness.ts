/** Ships nowhere: goes through every hook that an extension with tables of its own needs, for the tests. */
import { extension } from "./extension.ts";

export const witness = extension({
  name: "witness",
  modules: ["witness"],
  licence: "Apache-2.0",
  from: { files: "native/postgres-witness" },
});
