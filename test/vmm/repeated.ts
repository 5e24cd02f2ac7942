/** The same things again and again: nothing may grow. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { hostOfGuests, type Host } from "./micro.ts";

/** Open files, threads and anonymous memory (KiB) of the one monitor that serves a machine by name. */
async function held(host: Host, name: string): Promise<{ files: number; threads: number; kilobytes: number }> {
  const of = `p=$(cut -d' ' -f1 /run/anvil-vmm/${name}/process)`;
  const words = "ls /proc/$p/fd | wc -l; ls /proc/$p/task | wc -l; grep RssAnon /proc/$p/status | tr -dc 0-9";
  const [files, threads, kilobytes] = (await host.succeed(`${of}; ${words}`)).split(/\s+/).map(Number);
  return { files: files ?? 0, threads: threads ?? 0, kilobytes: kilobytes ?? 0 };
}

/** Everything of machines that can be left over in the system: processes, sockets, files of names, interfaces. */
const leftOvers = (host: Host): Promise<string> =>
  host.succeed("pidof anvil-vmm | wc -w; ls /run/anvil-vmm /tmp; ls /sys/class/net; grep -c . /proc/net/unix");

/** Boots and ends a guest with every device so often; then pauses, resumes and asks one so often. */
export async function assertNothingGrows(t: TestContext, boots: number, rounds: number): Promise<void> {
  const host = await hostOfGuests(t);
  await host.succeed("truncate -s 8M /tmp/root.img");
  const options = "--drive root=/tmp/root.img --net tap=tap0 --vsock cid=3";
  const first = await host.boot("again", options);
  await first.succeed("true");
  await host.succeed("anvilctl stop again --timeout 600");
  const before = await leftOvers(host);

  await t.test(`${boots} guests come and go, and leave nothing`, async () => {
    for (let round = 0; round < boots; round++) {
      await host.boot("again", options);
      await host.succeed("anvilctl stop again --timeout 600");
    }
    assert.equal(await leftOvers(host), before);
  });

  await t.test(`a guest is paused, resumed and asked ${rounds} times, and its monitor does not grow`, async () => {
    const guest = await host.boot("again", options);
    const once = "anvilctl pause again && anvilctl resume again && anvilctl status again > /tmp/status";
    const talk = "echo x | anvilctl vsock again 52 > /tmp/said";
    // what is allocated once, at the first use, is there now
    await host.succeed(`${once} && ${talk} && anvilctl console again --until ready < /dev/null > /tmp/said`);
    const start = await held(host, "again");
    for (let round = 0; round < rounds; round++) await host.succeed(`${once} && ${talk}`);
    await guest.succeed("true");
    const end = await held(host, "again");
    assert.deepEqual([end.files, end.threads], [start.files, start.threads]);
    // the guest's own memory is shared or anonymous, and fills as it is used: only the heap beside it is looked at
    t.diagnostic(`anonymous memory: ${start.kilobytes} KiB, then ${end.kilobytes} KiB`);
    await host.succeed("anvilctl stop again --timeout 600");
  });
}
