/** A user with SSH keys, who forges a system of their own and reaches it by ssh: dropbear's client plays OpenSSH's. */
import assert from "node:assert/strict";
import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { createPrivateKey, createPublicKey } from "node:crypto";
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { text } from "node:stream/consumers";
import type { TestContext } from "node:test";
import { dropbear } from "../../recipes/dropbear.ts";
import { keyPaths } from "../../src/inject/key-file.ts";
import { output, scratch } from "./monolith.ts";
import { project } from "../this-project.ts";

/** A field of an SSH key, RFC 4251: its length and itself. */
function field(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

const type = "ssh-ed25519";

/** The same pair for the same number, so that systems which know it are forged once. */
function pair(number: number): { readonly line: string; readonly dropbear: Buffer } {
  const seed = Buffer.alloc(32, number);
  // RFC 8410: what stands before the 32 bytes of an ed25519 key in PKCS #8
  const der = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), seed]);
  const key = createPublicKey(createPrivateKey({ key: der, format: "der", type: "pkcs8" }));
  const point = key.export({ format: "der", type: "spki" }).subarray(-32);
  const name = field(Buffer.from(type));
  return {
    line: `${type} ${Buffer.concat([name, field(point)]).toString("base64")}`,
    dropbear: Buffer.concat([name, field(Buffer.concat([seed, point]))]),
  };
}

export interface Said {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class Owner {
  /** Of this user alone, like a home. */
  readonly folder: string;
  readonly #client: string;

  private constructor(folder: string, client: string) {
    this.folder = folder;
    this.#client = client;
  }

  static async make(t: TestContext): Promise<Owner> {
    const folder = scratch(t);
    const keys = keyPaths({ XDG_CONFIG_HOME: folder }, "/");
    mkdirSync(path.dirname(keys.own));
    copyFileSync(project.keys.own, keys.own);
    writeFileSync(keys.logins, `# who may\n\n${pair(1).line} somebody@somewhere\n`);
    const owner = new Owner(folder, path.join(await output(dropbear), "usr/bin/ssh"));
    for (const [who, number] of [
      ["mine", 1],
      ["other", 2],
    ] as const) {
      writeFileSync(path.join(folder, who), pair(number).dropbear, { mode: 0o600 });
      owner.#placeSsh(who);
    }
    return owner;
  }

  /** An `ssh` that shows one key. Dropbear's knows neither `-e none` nor `--`. */
  #placeSsh(who: string): void {
    const bin = path.join(this.folder, `bin-${who}`);
    mkdirSync(bin);
    writeFileSync(
      path.join(bin, "ssh"),
      `#!${process.execPath}
const args = process.argv.slice(2).filter((arg, index, all) => !["-e", "--"].includes(arg) && all[index - 1] !== "-e");
const { status } = require("child_process").spawnSync(
  ${JSON.stringify(this.#client)}, ["-y", "-y", "-i", ${JSON.stringify(path.join(this.folder, who))}, ...args], { stdio: "inherit" });
process.exitCode = status ?? 1;
`,
    );
    chmodSync(path.join(bin, "ssh"), 0o755);
  }

  /** `anvil` of this user, with the key of their own or one that no system knows. */
  start(args: readonly string[], who: "mine" | "other" = "mine"): ChildProcessWithoutNullStreams {
    return spawn(process.execPath, [path.join(project.root, "bin/anvil"), ...args], {
      env: {
        HOME: this.folder,
        ANVIL_CACHE: project.store.paths.top,
        XDG_CONFIG_HOME: this.folder,
        PATH: path.join(this.folder, `bin-${who}`),
      },
    });
  }

  async anvil(args: readonly string[], who: "mine" | "other" = "mine"): Promise<Said> {
    const child = this.start(args, who);
    child.stdin.end();
    const status = new Promise<number | null>((resolve) => child.on("close", resolve));
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
    return { status: await status, stdout, stderr };
  }

  async succeed(args: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await this.anvil(args);
    assert.equal(status, 0, `${args.join(" ")}\n${stdout}\n${stderr}`);
    return stdout + stderr;
  }

  /** The ISO that this user forges. */
  async forge(...options: readonly string[]): Promise<string> {
    const out = path.join(this.folder, "out");
    await this.succeed(["forge", "iso", "--out", out, "--plain", ...options]);
    return path.join(out, "anvilos-phase2.iso");
  }

  /** A command in a system, by ssh. */
  async ssh(port: number, command: string): Promise<Said> {
    const child = spawn(path.join(this.folder, "bin-mine/ssh"), ["-p", String(port), "root@127.0.0.1", command]);
    child.stdin.end();
    const status = new Promise<number | null>((resolve) => child.on("close", resolve));
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
    return { status: await status, stdout, stderr };
  }
}
