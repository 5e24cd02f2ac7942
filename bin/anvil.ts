/** Puts the program together: this folder, this user's environment, and what there is to build. */
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { start } from "../src/cli/main.ts";
import { findImage } from "../src/project/image.ts";
import { Project } from "../src/project/project.ts";

await start(
  new Project({
    // the folder above the one of the bundle
    root: path.dirname(path.dirname(fileURLToPath(import.meta.url))),
    env: process.env,
    home: os.homedir(),
    folder: process.cwd(),
    catalogue: async () => {
      const { catalogueOf } = await import("../recipes/catalogue.ts");
      return catalogueOf(await findImage(process.cwd(), () => import("../recipes/words.ts")));
    },
  }),
);
