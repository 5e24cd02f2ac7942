import os from "node:os";
import { keyPaths, type KeyPaths } from "../inject/key-file.ts";

/** Where this user's keys for ingots are. */
export const userKeys = (): KeyPaths => keyPaths(process.env, os.homedir());
