import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test, type TestContext } from "node:test";
import type { Channel, Component, Package } from "../../src/recipe/channel.ts";
import { parseEvents } from "../../src/ui/json.ts";
import { file, proxyTo, serve, status, type TestServer } from "../source/http-server.ts";
import { anvil, copyOfProject, temporaryFolder } from "./command-line.ts";

const hashOf = (data: Buffer): string => createHash("sha256").update(data).digest("hex");

interface World {
  readonly project: string;
  readonly cache: string;
  readonly mirror: TestServer;
  /** Contents by hash, of what `zlib` needs. */
  readonly wanted: ReadonlyMap<string, Buffer>;
  readonly fetch: (...options: string[]) => ReturnType<typeof anvil>;
}

/**
 * A project whose channel debian pins small files under the names of the real ones, and a mirror that has them but for
 * those whose path holds `lost`.
 */
async function smallWorld(t: TestContext, lost?: string): Promise<World> {
  const project = copyOfProject(t);
  const files = new Map<string, Buffer>();
  const shrink = <T extends Component | Package>(pin: T): T => {
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
    const pins = Object.entries(value.components).map(([name, pin]) => [name, shrink(pin)] as const);
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
  const mirror = await serve(t, (request, response) => {
    const name = request.url ?? "";
    const bytes = lost !== undefined && name.includes(lost) ? undefined : files.get(name);
    (bytes === undefined ? status(404) : file(bytes))(request, response);
  });
  const sources = ["binutils", "gcc", "gmp", "linux", "mpc", "mpfr", "musl", "zlib"];
  const archives = [...sources.map((name) => channel?.components[name]?.archive ?? name), ...seedFiles];
  const wanted = new Map(
    archives.map((archive) => {
      const bytes = files.get(`/${archive}`) ?? Buffer.alloc(0);
      return [hashOf(bytes), bytes] as const;
    }),
  );
  const cache = temporaryFolder(t);
  const fetch = (...options: string[]): ReturnType<typeof anvil> =>
    anvil(["fetch", "zlib", "--channel", "debian", "--debian-mirror", mirror.root, ...options], { project, cache });
  return { project, cache, mirror, wanted, fetch };
}

const sourcesIn = (cache: string): string[] => readdirSync(path.join(cache, "sources")).sort();

test("fetch brings the sources and seed packages of a target, no others, and builds nothing", async (t) => {
  const { cache, wanted, mirror, fetch } = await smallWorld(t);
  const { status, stdout } = await fetch();
  assert.equal(status, 0, stdout);
  assert.deepEqual(sourcesIn(cache), [...wanted.keys()].sort());
  for (const [sha256, bytes] of wanted)
    assert.deepEqual(readFileSync(path.join(cache, "sources", sha256)), bytes, "the file is what its name says");
  assert.deepEqual(readdirSync(path.join(cache, "store")), []);
  assert.equal(mirror.requests.length, wanted.size);
});

test("a second fetch asks nobody", async (t) => {
  const { mirror, fetch } = await smallWorld(t);
  await fetch();
  const before = mirror.requests.length;
  const { status, stdout } = await fetch("--plain");
  assert.equal(status, 0);
  assert.match(stdout, /nothing to do/);
  assert.equal(mirror.requests.length, before);
});

test("a file that no mirror has is a failure, and --keep-going brings all others", async (t) => {
  const { cache, wanted, fetch } = await smallWorld(t, "/musl_");
  const { status, stdout } = await fetch("--keep-going", "--json");
  assert.equal(status, 1);
  const failed = parseEvents(stdout).filter((event) => event.type === "failed");
  assert.deepEqual(
    failed.map(({ fault }) => fault.code),
    ["E_FETCH"],
  );
  assert.match(failed[0]?.fault.message ?? "", /^musl_/);
  assert.equal(sourcesIn(cache).length, wanted.size - 1);
});

test("a recipe that does not exist is named with those that do", async (t) => {
  const { status, stderr } = await anvil(["fetch", "nonsense"], { cache: temporaryFolder(t) });
  assert.equal(status, 1);
  assert.match(stderr, /^E_NO_TARGET {2}there is no recipe "nonsense"\n {2}hint: recipes: .*zlib/);
});

test("a doubtful pin is refused unless it is accepted by name", async (t) => {
  const { project, cache, fetch } = await smallWorld(t);
  const channelFile = path.join(project, "channels/debian.json");
  const channel = JSON.parse(readFileSync(channelFile, "utf8")) as { components: Record<string, object> };
  channel.components["zlib"] = { ...channel.components["zlib"], unverified: "found on a wall" };
  writeFileSync(channelFile, JSON.stringify(channel));
  const refused = await fetch("--plain");
  assert.equal(refused.status, 1);
  assert.match(refused.stdout, /E_UNVERIFIED[^]*found on a wall/);
  const accepted = await fetch("--plain", "--accept-unverified", "zlib");
  assert.equal(accepted.status, 0, accepted.stdout);
  assert.ok(sourcesIn(cache).length > 0);
});

test("downloads go through the proxy that the environment names", async (t) => {
  const { cache, wanted, mirror, project } = await smallWorld(t);
  const proxy = await proxyTo(t, mirror.root);
  const { status: code, stdout } = await anvil(
    ["fetch", "zlib", "--channel", "debian", "--debian-mirror", "http://mirror.invalid"],
    { project, cache, env: { http_proxy: proxy.root } },
  );
  assert.equal(code, 0, stdout);
  assert.deepEqual(sourcesIn(cache), [...wanted.keys()].sort());
  assert.deepEqual([...new Set(proxy.requests)], ["CONNECT mirror.invalid:80"]);
});
