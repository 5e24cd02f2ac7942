/** What a machine reaches of its host, and what of it is reached. */
import assert from "node:assert/strict";
import { connect, createServer } from "node:net";
import { test, type TestContext } from "node:test";
import type { Machine } from "../../src/vm/machine.ts";
import { boot, monolith } from "./monolith.ts";

/** A service of the host that only its own processes are meant to reach. */
async function service(t: TestContext): Promise<{ readonly port: number; readonly visits: () => number }> {
  let visits = 0;
  const server = createServer((socket) => {
    visits++;
    socket.on("error", () => undefined);
    socket.end("service\n");
  });
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const at = server.address();
  assert.ok(at !== null && typeof at === "object");
  return { port: at.port, visits: () => visits };
}

async function hasAddress(machine: Machine): Promise<void> {
  await machine.console.succeed("until ip -4 addr show dev eth0 | grep -q 'inet 10.0.2.15'; do sleep 1; done");
}

test("in the network of a user a machine reaches services on the host's own 127.0.0.1", async (t) => {
  const { iso } = await monolith();
  const { port, visits } = await service(t);
  const machine = await boot(t, { cdrom: iso, network: { forwards: [] } });
  await hasAddress(machine);
  assert.match(await machine.console.succeed(`timeout 60 nc 10.0.2.2 ${port} </dev/null`), /service/);
  assert.equal(visits(), 1);
});

test("in a restricted network it reaches nothing, and forwards into it work", async (t) => {
  const { iso } = await monolith();
  const { port, visits } = await service(t);
  const machine = await boot(t, { cdrom: iso, network: { forwards: [{ guest: 7777 }], restricted: true } });
  await hasAddress(machine);
  for (const address of ["10.0.2.2", "10.0.2.3", "10.0.2.77"])
    assert.notEqual((await machine.console.run(`timeout 5 nc ${address} ${port} </dev/null`)).status, 0, address);
  assert.equal(visits(), 0);
  await machine.console.succeed(
    "echo inside | nc -l -p 7777 >/dev/null 2>&1 & until netstat -ltn | grep -q :7777; do sleep 0.1; done",
  );
  const socket = connect(machine.forwards[0]?.host ?? 0, "127.0.0.1");
  assert.match(String(await new Promise((resolve) => socket.once("data", resolve))), /inside/);
  socket.destroy();
});
