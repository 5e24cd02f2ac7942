/** The same things again and again: nothing may grow. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { hostOfGuests, type Held, type Host } from "./micro.ts";

const MEMORY = 128;

/**
 * Pages that a monitor may come to touch late, its stacks among them. What leaks a hundred bytes each time is above it
 * after the rounds of the long test.
 */
const KILOBYTES = 16;

/** Of the monitor that serves the machine `again`. */
const held = (host: Host): Promise<Held> => host.held("$(cut -d' ' -f1 /run/anvil-vmm/again/process)", MEMORY);

/** Everything of machines that can be left over in the system: processes, sockets, files of names, interfaces. */
const leftOvers = (host: Host): Promise<string> =>
  host.succeed("pidof anvil-vmm | wc -w; ls /run/anvil-vmm /tmp; ls /sys/class/net; grep -c . /proc/net/unix");

/** Boots and ends a guest with every device so often; then pauses, resumes and asks one so often. */
export async function assertNothingGrows(t: TestContext, boots: number, rounds: number): Promise<void> {
  const host = await hostOfGuests(t);
  await host.succeed("truncate -s 8M /tmp/root.img");
  const options = `--mem ${MEMORY} --drive root=/tmp/root.img --net tap=tap0 --vsock cid=3`;
  const first = await host.boot("again", options);
  await first.succeed("true");
  await host.succeed("anvilctl stop again --timeout 600");
  const before = await leftOvers(host);

  await t.test(`${boots} guests come and go, and leave nothing`, async () => {
    const each: Held[] = [];
    for (let round = 0; round < boots; round++) {
      await host.boot("again", options);
      each.push(await held(host));
      await host.succeed("anvilctl stop again --timeout 600");
    }
    assert.equal(await leftOvers(host), before);
    const kilobytes = each.map((monitor) => monitor.kilobytes);
    assert.ok(
      Math.max(...kilobytes) <= Math.min(...kilobytes) + 2 * KILOBYTES,
      `KiB of each monitor: ${kilobytes.join(" ")}`,
    );
    assert.deepEqual(new Set(each.map(({ files, threads }) => `${files} ${threads}`)).size, 1);
  });

  await t.test(`a guest is paused, resumed and asked ${rounds} times, and its monitor does not grow`, async () => {
    const guest = await host.boot("again", options);
    const once = "anvilctl pause again && anvilctl resume again && anvilctl status again > /tmp/status";
    const talk = "echo x | anvilctl vsock again 52 > /tmp/said";
    const round = `${once} && ${talk} && anvilctl console again --until ready < /dev/null > /tmp/said`;
    // what is allocated once, at the first use, is there now
    for (let warm = 0; warm < 5; warm++) await host.succeed(round);
    const start = await held(host);
    for (let number = 0; number < rounds; number++) await host.succeed(round);
    await guest.succeed("true");
    const end = await held(host);
    assert.deepEqual([end.files, end.threads], [start.files, start.threads]);
    const grown = end.kilobytes - start.kilobytes;
    assert.ok(grown <= KILOBYTES, `${start.kilobytes} KiB beside the guest's memory, then ${end.kilobytes} KiB`);
    await host.succeed("anvilctl stop again --timeout 600");
  });
}
