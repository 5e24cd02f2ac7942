/**
 * The registry of Rust crates that a cargo knows by itself. It is asked, in the sandbox and with the network, by having it
 * look one crate up: it then has the configuration of the index, which says where downloads are (doc.rust-lang.org/cargo:
 * "Index Format"). What is downloaded there is held against the hashes of the lock file like everything else.
 */
import type { ChildProcess } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { Fault } from "../fault/fault.ts";
import type { Crate } from "../recipe/channel.ts";
import { openSandbox, spawnSandbox } from "../sandbox/sandbox.ts";
import { handOverTree } from "../sandbox/user.ts";
import { trustedCertificates } from "../source/certificates.ts";
import { templateIn } from "../source/crates-mirror.ts";
import { removeTree } from "../host/remove-tree.ts";
import type { Store } from "../store/store.ts";

export interface CargoOptions {
  readonly store: Store;
  /** Tree of the seed that holds cargo and bubblewrap. */
  readonly seed: string;
  /** A crate that the registry has; a look at any will do. */
  readonly crate: Crate;
  /** Of the caller: proxies and certificate authorities go over. */
  readonly env: Readonly<NodeJS.ProcessEnv>;
  /** Settings of cargo (`config.toml`); a machine's own are not seen. Tests name a registry of theirs. */
  readonly configuration?: string;
}

/** What curl, by which cargo speaks, reads of the environment. */
const PROXIES = ["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"];

/** Milliseconds for one look into an index; cargo itself tries several times and has no limit for all of it. */
const LIMIT = 60_000;

/** The download template of cargo's registry. Throws E_NO_CRATES_MIRROR with cargo's own words when it finds none. */
export async function cargoRegistry({ store, seed, crate, env, configuration }: CargoOptions): Promise<string> {
  const folder = store.workFolder("cargo-registry");
  try {
    const [etc, work, home] = ["etc", "work", "home"].map((name) => path.join(folder, name)) as [
      string,
      string,
      string,
    ];
    for (const each of [etc, path.join(work, "src"), home]) mkdirSync(each, { recursive: true });
    for (const name of ["hosts", "resolv.conf"])
      if (existsSync(path.join("/etc", name))) copyFileSync(path.join("/etc", name), path.join(etc, name));
    writeFileSync(path.join(etc, "nsswitch.conf"), "hosts: files dns\n");
    writeFileSync(path.join(etc, "authorities.pem"), `${trustedCertificates(env).join("\n")}\n`);
    writeFileSync(path.join(work, "src/lib.rs"), "");
    writeFileSync(path.join(work, "Cargo.toml"), manifest(crate));
    if (configuration !== undefined) writeFileSync(path.join(home, "config.toml"), configuration);
    const user = await openSandbox(seed);
    for (const each of [etc, work, home]) handOverTree(user, each);
    const child = spawnSandbox(
      {
        bubblewrap: seed,
        user,
        root: seed,
        binds: [
          { from: etc, at: "/etc" },
          { from: work, at: "/build", writable: true },
          { from: home, at: "/home", writable: true },
        ],
        env: {
          PATH: "/usr/bin",
          HOME: "/home",
          CARGO_HOME: "/home",
          CARGO_HTTP_CAINFO: "/etc/authorities.pem",
          CARGO_NET_RETRY: "1",
          ...proxies(env),
        },
        cwd: "/build",
        network: true,
      },
      ["/usr/bin/cargo", "generate-lockfile"],
      { stdio: ["ignore", "ignore", "pipe"] },
      { timeout: LIMIT },
    );
    const [said] = await Promise.all([text(child.stderr as Readable), ended(child)]);
    const found = configurationsBelow(path.join(home, "registry/index"));
    const [first] = found;
    if (first !== undefined) return templateIn(readFileSync(first, "utf8"), "the index of cargo's registry");
    throw new Fault("E_NO_CRATES_MIRROR", "cargo's own registry of Rust crates cannot be reached", {
      details: said.split("\n").filter((line) => line.trim() !== ""),
      hint: "check the network (https_proxy names a proxy), or name the sparse index of another registry with --crates-mirror <url> or ANVIL_CRATES_MIRROR=<url>",
    });
  } finally {
    removeTree(folder);
  }
}

const manifest = ({ crate, version }: Crate): string =>
  `[package]\nname = "look"\nversion = "0.0.0"\nedition = "2021"\n\n[dependencies]\n"${crate}" = "=${version}"\n`;

function proxies(env: Readonly<NodeJS.ProcessEnv>): Record<string, string> {
  // curl does not know the first of these: as the forge does, but see proxy.ts
  const plain = env["http_proxy"] || (env["REQUEST_METHOD"] === undefined ? env["HTTP_PROXY"] : undefined);
  const named = PROXIES.flatMap((name) => (env[name] ? [[name, env[name]] as const] : []));
  return { ...Object.fromEntries(named), ...(plain && { http_proxy: plain }) };
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => child.on("close", () => resolve()).on("error", reject));
}

/** Files `config.json` of the indexes that cargo read. */
function configurationsBelow(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .map((name) => path.join(folder, name, "config.json"))
    .filter((file) => existsSync(file));
}
