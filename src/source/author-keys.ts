/**
 * Public keys of authors: `channels/keys/<fingerprint>.asc`, and where each is from in `channels/keys/origin.json`, an object
 * by fingerprint.
 */
import { readFile } from "node:fs/promises";
import path from "node:path";
import { errno, Fault } from "../fault/fault.ts";
import { Checker } from "./channel-shape.ts";
import { fingerprintOf, publicKeys, type PublicKey } from "./openpgp.ts";

export const KEY_FOLDER = "channels/keys";

/** The source package of a Debian archive whose packaging has the key. */
export interface KeyOrigin {
  readonly package: string;
  readonly version: string;
  /** Path of the packaging archive below a mirror's root. */
  readonly archive: string;
  readonly sha256: string;
  /** Path of the key in it, without its top folder. */
  readonly file: string;
}

export interface AuthorKey {
  readonly fingerprint: string;
  /** Name and address that its owner gave. */
  readonly user: string;
  readonly origin: KeyOrigin;
  readonly key: PublicKey;
}

/** Reads a key when it is asked for. */
export class AuthorKeys {
  private readonly read = new Map<string, Promise<AuthorKey>>();
  private known: Promise<Readonly<Record<string, KnownKey>>> | undefined;

  constructor(private readonly projectRoot: string) {}

  /** Throws E_KEYRING for one that is absent, without an origin, or another key than its name says. */
  async get(fingerprint: string): Promise<AuthorKey> {
    const reading = this.read.get(fingerprint) ?? this.readKey(fingerprint);
    this.read.set(fingerprint, reading);
    return reading;
  }

  all(fingerprints: readonly string[]): Promise<AuthorKey[]> {
    return Promise.all(fingerprints.map((each) => this.get(each)));
  }

  /** Fingerprints of the keys that have an origin. */
  async names(): Promise<string[]> {
    return Object.keys(await this.origins());
  }

  private async readKey(fingerprint: string): Promise<AuthorKey> {
    const known = (await this.origins())[fingerprint];
    const file = path.posix.join(KEY_FOLDER, `${fingerprint}.asc`);
    if (known === undefined)
      throw new Fault("E_KEYRING", `${KEY_FOLDER}/origin.json does not say where the key ${fingerprint} is from`);
    const keys = await readFile(path.join(this.projectRoot, file), "latin1")
      .then(publicKeys)
      .catch((cause: unknown) => {
        throw new Fault("E_KEYRING", `${file} cannot be read: ${errno(cause) ?? (cause as Error).message}`, { cause });
      });
    const [key] = keys;
    if (keys.length !== 1 || key === undefined || fingerprintOf(key) !== fingerprint)
      throw new Fault("E_KEYRING", `${file} is not the one key that its name says`, {
        details: keys.map((each) => `holds ${fingerprintOf(each)}`),
      });
    return { fingerprint, ...known, key };
  }

  private origins(): Promise<Readonly<Record<string, KnownKey>>> {
    return (this.known ??= this.readOrigins());
  }

  private async readOrigins(): Promise<Readonly<Record<string, KnownKey>>> {
    const file = `${KEY_FOLDER}/origin.json`;
    const text = await readFile(path.join(this.projectRoot, file), "utf8").catch((cause: unknown) => {
      throw new Fault("E_KEYRING", `${file} cannot be read: ${errno(cause) ?? "?"}`, { cause });
    });
    try {
      return new Checker(file, "$", JSON.parse(text)).each(checkKey);
    } catch (cause) {
      if (cause instanceof Fault) throw new Fault("E_KEYRING", cause.message, { details: cause.details, cause });
      throw new Fault("E_KEYRING", `${file} is not JSON: ${(cause as Error).message}`, { cause });
    }
  }
}

type KnownKey = Pick<AuthorKey, "user" | "origin">;

function checkKey(at: Checker): KnownKey {
  at.only("user", "origin");
  const origin = at.get("origin");
  origin.only("package", "version", "archive", "sha256", "file");
  return {
    user: at.get("user").text(),
    origin: {
      package: origin.get("package").text(),
      version: origin.get("version").text(),
      archive: origin.get("archive").archivePath(),
      sha256: origin.get("sha256").sha256(),
      file: origin.get("file").archivePath(),
    },
  };
}
