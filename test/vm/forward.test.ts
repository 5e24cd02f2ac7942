/** Ports of a machine at the host: what a person may write, and what happens when a port is not free. */
import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test, type TestContext } from "node:test";
import { parseForwards } from "../../src/vm/forward.ts";
import { faultOf, startGuest } from "./guest.ts";

function refused(...texts: readonly string[]): Promise<{ code: string; message: string }> {
  return faultOf(new Promise((resolve) => resolve(parseForwards(texts))));
}

/** A port on which somebody else listens. */
async function takenPort(t: TestContext, address = "127.0.0.1"): Promise<number> {
  const server = createServer();
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  const at = server.address();
  assert.ok(at !== null && typeof at === "object");
  return at.port;
}

test("a forward is two ports, after the address that listens if it is not 127.0.0.1", () => {
  assert.deepEqual(parseForwards(["2222:22", "192.0.2.1:80:8080"]), [
    { address: "127.0.0.1", host: 2222, guest: 22 },
    { address: "192.0.2.1", host: 80, guest: 8080 },
  ]);
  assert.deepEqual(parseForwards([]), []);
});

test("what is no forward is refused with the form that is wanted", async () => {
  const wrong = ["", "22", "2222", ":22", "2222:", "a:22", "2222:22:", "2222:22/udp", "tcp:2222:22", "2222:22,x=y"];
  for (const text of [...wrong, "-1:22", "2222: 22", "1:2:3:4", "2222:22\n"])
    assert.equal((await refused(text)).code, "E_USAGE", JSON.stringify(text));
  for (const text of ["0:22", "65536:22", "2222:0", "2222:99999"])
    assert.match((await refused(text)).message, /is no port: 1 to 65535/, text);
  for (const text of ["localhost:1:2", "256.1.1.1:1:2", "::1:1:2"]) assert.equal((await refused(text)).code, "E_USAGE");
});

test("two forwards do not share a port of the host", async () => {
  assert.match((await refused("2222:22", "2222:23")).message, /2222:23.*2222:22.*same port/);
  assert.equal((await refused("2222:22", "0.0.0.0:2222:22")).code, "E_USAGE");
  assert.equal(parseForwards(["2222:22", "192.0.2.1:2222:22", "2223:22"]).length, 3);
});

test("a port that somebody listens on is named before QEMU starts", async (t) => {
  for (const address of ["127.0.0.1", "0.0.0.0"]) {
    const host = await takenPort(t, address);
    const fault = await faultOf(startGuest(t, { network: { forwards: [{ guest: 22, host }] } }));
    assert.equal(fault.code, "E_PORT_TAKEN");
    assert.match(fault.message, new RegExp(`port ${host} of 127\\.0\\.0\\.1`));
    assert.match(fault.details.join(), /another process/);
  }
  const nowhere = [{ guest: 22, host: 2222, address: "192.0.2.1" }];
  const fault = await faultOf(startGuest(t, { network: { forwards: nowhere } }));
  assert.match(fault.details.join(), /no such address/);
});

test("a port that is taken in the moment before QEMU listens is named as well", async (t) => {
  const host = await takenPort(t);
  // each is free when it is looked at; QEMU cannot have both
  const free = { guest: 22, host: host === 65535 ? 1024 : host + 1 };
  const fault = await faultOf(startGuest(t, { network: { forwards: [free, { ...free, guest: 23 }] } }));
  assert.equal(fault.code, "E_PORT_TAKEN");
  assert.match(fault.message, new RegExp(`:${free.host}-:2[23] `));
});
