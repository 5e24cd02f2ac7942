/** This project as its command line has it, with the user's own store. */
import os from "node:os";
import { catalogue } from "../recipes/catalogue.ts";
import { Project } from "../src/project/project.ts";
import { projectRoot } from "./forge/rig.ts";

export const project = new Project({
  root: projectRoot,
  env: process.env,
  home: os.homedir(),
  catalogue: () => Promise.resolve(catalogue),
});
