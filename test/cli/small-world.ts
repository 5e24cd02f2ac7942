/** A project whose pins are small files, and a mirror that has them. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { TestContext } from "node:test";
import type { Channel, Component, Package, Patches } from "../../src/recipe/channel.ts";
import { file, serve, status, type Answer, type TestServer } from "../source/http-server.ts";
import { anvil, copyOfProject, temporaryFolder } from "./command-line.ts";

const hashOf = (data: Buffer): string => createHash("sha256").update(data).digest("hex");

export interface World {
  readonly project: string;
  readonly cache: string;
  readonly mirror: TestServer;
  /** What the mirror answers. */
  readonly answer: Answer;
  /** Contents by hash, of what `zlib` needs. */
  readonly wanted: ReadonlyMap<string, Buffer>;
  readonly fetch: (...options: string[]) => ReturnType<typeof anvil>;
}

/**
 * A project whose channel debian pins small files under the names of the real ones, and a mirror that has them but for
 * those whose path holds `lost`.
 */
export async function smallWorld(t: TestContext, lost?: string): Promise<World> {
  const project = copyOfProject(t);
  const files = new Map<string, Buffer>();
  const shrink = <T extends Component | Package | Patches>(pin: T): T => {
    const { archive } = pin;
    assert.ok(archive !== undefined);
    const bytes = Buffer.from(`the bytes of ${archive}`);
    files.set(`/${archive}`, bytes);
    return { ...pin, sha256: hashOf(bytes), size: bytes.length };
  };
  const edit = (name: string, change: (value: never) => unknown): void => {
    const full = path.join(project, "channels", name);
    writeFileSync(full, JSON.stringify(change(JSON.parse(readFileSync(full, "utf8")) as never)));
  };
  let channel: Omit<Channel, "seeds"> | undefined;
  edit("debian.json", (value: Omit<Channel, "seeds">) => {
    const pins = Object.entries(value.components).map(([name, pin]) => {
      const { patches } = pin;
      return [name, { ...shrink(pin), ...(patches !== undefined && { patches: patches.map(shrink) }) }] as const;
    });
    return (channel = { ...value, components: Object.fromEntries(pins) });
  });
  const seedFiles: string[] = [];
  edit("seed.json", (value: Channel["seeds"]) =>
    Object.fromEntries(
      Object.entries(value).map(([seed, packages]) => {
        const pins = packages.slice(0, 3).map(shrink);
        if (seed !== "vm") seedFiles.push(...pins.map(({ archive }) => archive));
        return [seed, pins];
      }),
    ),
  );
  const answer: Answer = (request, response) => {
    const name = (request.url ?? "").replace(/^\/debian(?:-security)?\//, "/");
    const bytes = lost !== undefined && name.includes(lost) ? undefined : files.get(name);
    (bytes === undefined ? status(404) : file(bytes))(request, response);
  };
  const mirror = await serve(t, answer);
  const sources = ["binutils", "gcc", "gmp", "linux", "mpc", "mpfr", "musl", "zlib"];
  const archives = [
    ...sources.flatMap((name) => {
      const pin = channel?.components[name];
      return [pin?.archive ?? name, ...(pin?.patches ?? []).map(({ archive }) => archive)];
    }),
    ...seedFiles,
  ];
  const wanted = new Map(
    archives.map((archive) => {
      const bytes = files.get(`/${archive}`) ?? Buffer.alloc(0);
      return [hashOf(bytes), bytes] as const;
    }),
  );
  const cache = temporaryFolder(t);
  const fetch = (...options: string[]): ReturnType<typeof anvil> =>
    anvil(["fetch", "zlib", "--channel", "debian", "--debian-mirror", mirror.root, ...options], { project, cache });
  return { project, cache, mirror, answer, wanted, fetch };
}
