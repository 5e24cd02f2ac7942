import os from "node:os";
import { readAuthorizedKeys } from "../inject/authorized-keys.ts";
import { keyPaths, type KeyPaths } from "../inject/key-file.ts";

/** Where this user's keys for ingots are. */
export const userKeys = (): KeyPaths => keyPaths(process.env, os.homedir());

/** SSH public keys of those who may log in to new systems. */
export const userLogins = (): string[] => readAuthorizedKeys(userKeys().logins);
