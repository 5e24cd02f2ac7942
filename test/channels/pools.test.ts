/**
 * Pools across channels: what the system of one channel installed and wrote is imported, read and written by that of
 * each channel with a later OpenZFS, by `node scripts/test.mjs channels [name…]`.
 */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { compareDebianVersions } from "../../src/source/debian-version.ts";
import { channelNames, isProven, loadChannel } from "../../src/source/channel.ts";
import type { Machine } from "../../src/vm/machine.ts";
import { boot, emptyDisk, forgedIn, powerOff, scratch } from "../boot/monolith.ts";
import { project } from "../this-project.ts";

const LONG = { timeoutMs: 900_000 };

/** A pool on a disk of its own, left exported. */
interface Made {
  readonly by: string;
  readonly disk: string;
  readonly guid: string;
}

/** Those named in ANVIL_CHANNELS, else those that were built whole; by the age of their OpenZFS. */
async function channels(): Promise<string[]> {
  const named = (process.env["ANVIL_CHANNELS"] ?? "").split(",").filter((name) => name !== "");
  const all = await Promise.all((await channelNames(project.root)).map((name) => loadChannel(project.root, name)));
  const zfs = (name: string): string => all.find((each) => each.name === name)?.components["zfs"]?.version ?? "";
  const wanted = named.length > 0 ? named : all.filter(isProven).map(({ name }) => name);
  return wanted.sort((a, b) => compareDebianVersions(zfs(a), zfs(b)));
}

/** Installs the running system to /dev/vda, and puts into the new pool what later systems have to find there. */
async function makePool(machine: Machine, by: string, disk: string): Promise<Made> {
  await machine.console.succeed("anvil-install --yes /dev/vda", LONG);
  const listed = await machine.console.succeed("zpool import -d /dev/vda3");
  const guid = /^\s*id: (\d+)$/m.exec(listed)?.[1];
  assert.ok(guid !== undefined, listed);
  await machine.console.succeed(importing(guid, "made"));
  await machine.console.succeed(
    `( set -e
    zfs create -o mountpoint=/mnt/made -o compression=zstd -o xattr=sa made/data
    echo a-passphrase | zfs create -o encryption=on -o keyformat=passphrase -o mountpoint=/mnt/secret made/secret
    for i in 1 2 3 4 5; do head -c 3000000 /dev/urandom > /mnt/made/file$i; done
    yes compressible | head -c 5000000 > /mnt/made/text
    cd /mnt/made && sha256sum file* text > sums && cd /
    cp /mnt/made/file1 /mnt/made/sums /mnt/secret
    zfs snapshot -r made@before
    rm /mnt/made/file5
    zfs clone -o mountpoint=/mnt/clone -o canmount=noauto made/data@before made/clone )`,
    LONG,
  );
  await machine.console.succeed("zpool export made", LONG);
  return { by, disk, guid };
}

/** Under a temporary name: on the disk it is called as that of every other system. */
const importing = (guid: string, name: string): string =>
  `zpool import -d /dev -o cachefile=none -N -t ${guid} ${name}`;

/** The running system reads all that is in the pool, and adds to it; then it exports it. */
async function readPool(machine: Machine, { by, guid }: Made): Promise<void> {
  const run = (command: string): Promise<string> => machine.console.succeed(command, LONG);
  await run(importing(guid, "made"));
  assert.equal((await run("zpool list -H -o health made")).trim(), "ONLINE", `the pool by ${by}`);
  assert.equal(
    (await run("mount -t zfs -o ro made/data@before /mnt && cd /mnt && sha256sum -c sums")).match(/: OK$/gm)?.length,
    6,
  );
  await run("cd /; umount /mnt; echo a-passphrase | zfs load-key made/secret; mkdir -p /mnt/x /mnt/y");
  await run("mount -t zfs -o zfsutil made/secret /mnt/x; cd /mnt/x && grep file1 sums | sha256sum -c");
  await run("mount -t zfs -o zfsutil made/clone /mnt/y; cd /mnt/y && sha256sum -c sums");
  await run(
    "head -c 1000000 /dev/urandom > /mnt/y/added; cd /; umount /mnt/x /mnt/y; zfs snapshot -r made@$(date +%s)",
  );
  const scrub = await run("zpool scrub made; zpool wait -t scrub made; zpool status made");
  assert.match(scrub, /scrub repaired 0B .* with 0 errors/, `the pool by ${by}`);
  assert.match(scrub, /errors: No known data errors/);
  await run("zpool export made");
}

test("a pool made by each channel's system is imported by that of each later one, and by the first after that", async (t) => {
  const names = await channels();
  assert.ok(names.length > 1, "there is more than one channel");
  const pools: Made[] = [];
  for (const name of names) {
    await t.test(`${name} after ${pools.map(({ by }) => by).join(", ") || "none"}`, async () => {
      const own = emptyDisk(scratch(t), 2);
      const machine = await bootWith(t, name, [own, ...pools.map(({ disk }) => disk)]);
      pools.push(await makePool(machine, name, own));
      for (const pool of [...pools].reverse()) await readPool(machine, pool);
      await powerOff(machine);
    });
  }
  // whoever imports a pool does not upgrade it: to go back stays possible
  const [first] = pools;
  assert.ok(first !== undefined);
  await t.test(`${first.by} again`, async () => {
    const machine = await bootWith(t, first.by, [first.disk]);
    await readPool(machine, first);
    await powerOff(machine);
  });
});

/** The live system of a channel. */
async function bootWith(t: TestContext, channel: string, paths: readonly string[]): Promise<Machine> {
  const disks = paths.map((path) => ({ path, bus: "virtio" as const }));
  return boot(t, { cdrom: (await forgedIn(channel)).iso, disks, bootOrder: ["cdrom"] });
}
