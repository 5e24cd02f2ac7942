/** Ingots in a running Monolith: added, replaced, rolled back, removed; and whatever can go wrong with that. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { anvilIngotTest } from "../../recipes/anvil-ingot.ts";
import type { Machine } from "../../src/vm/machine.ts";
import {
  CHUNK,
  Host,
  ingotFile,
  keyId,
  makeIngot,
  newSigner,
  signable,
  u32,
  value,
  type Ingot,
  type Signer,
} from "./ingot.ts";
import { boot, emptyDisk, monolith, output, powerOff, scratch } from "./monolith.ts";

const LONG = { timeoutMs: 300_000 };

/** A program that says its version, a service that keeps running, a health program that ends as told. */
function demo(version: string, health = "exit 0", extra: Record<string, string | Buffer> = {}): Ingot {
  return makeIngot({
    version,
    facts: ["service demo", "health 20 usr/libexec/health", "proof none: made by a test"],
    tree: {
      "service/demo/run": `#!/bin/sh\necho ${version} >/run/demo\nexec sleep 100000\n`,
      "share/empty": "",
      "usr/bin/demo": `#!/bin/sh\necho demo ${version}\n`,
      "usr/bin/demo-link": { to: "demo" },
      "usr/libexec/health": `#!/bin/sh\necho health of ${version}\n${health}\n`,
      ...extra,
    },
  });
}

const keepsData = (version: string): Ingot =>
  makeIngot({ name: "keeper", version, facts: ["data"], tree: { "share/version": version } });

/** More than four chunks that do not compress. */
const ballast = (): Record<string, Buffer> => ({
  "share/large": randomBytes(3 * CHUNK + 12345),
  "share/small": randomBytes(777),
  "share/zone": randomBytes(CHUNK + 1),
});

/** A root shell as people have it, without the noise of its start. */
function shell(machine: Machine): (command: string) => Promise<string> {
  return async (command) => (await machine.console.succeed(`. /etc/profile; ${command}`, LONG)).trim();
}

/** Waits until a service runs: runsvdir looks for new ones every five seconds. */
async function runs(machine: Machine, service: string): Promise<void> {
  await machine.console.succeed(`until sv status /run/service/${service} | grep -q ^run:; do sleep 0.2; done`, LONG);
}

/** Of the keys that the image came with none is left. */
async function trust(machine: Machine, signer?: Signer): Promise<void> {
  await machine.console.succeed("rm -f /etc/anvil/trust/*");
  if (signer !== undefined) await machine.console.succeed(`echo ${signer.publicKey} > /etc/anvil/trust/test.pub`);
}

test("a live system takes signed ingots, switches between them and gives them back", async (t) => {
  const { iso } = await monolith();
  const [signer, stranger] = [newSigner(), newSigner()];
  const [one, two] = [demo("1.9"), demo("1.10", "exit 0", ballast())];
  const folder = scratch(t);
  const file = path.join(folder, "demo.ingot");
  const other = makeIngot({
    name: "other",
    version: "3",
    facts: ["needs demo 1.5"],
    tree: { "usr/bin/other": "#!/bin/sh\n" },
  });
  writeFileSync(file, Buffer.concat([ingotFile(other, signer), Buffer.alloc(4096)]));
  const machine = await boot(t, { cdrom: iso, ingot: true, disks: [{ path: file, bus: "virtio", readOnly: true }] });
  const host = new Host(machine);
  const run = shell(machine);

  await t.test("a key that is not trusted opens nothing", async () => {
    await trust(machine);
    const greeting = await host.greet();
    assert.equal(value(greeting, "protocol"), "1");
    assert.equal(value(greeting, "kept"), "no");
    assert.match(value(greeting, "system") ?? "", /^[0-9a-f]{12}$/);
    assert.ok(Number(value(greeting, "free")) > 100e6);
    // the keys that the image was forged with may be there
    assert.ok(!greeting.includes(`trust ${keyId(signer.publicKey)}\n`));
    assert.equal((await host.add(one, signer)).code, "E_INGOT_SIGNATURE");
    await trust(machine, signer);
    assert.ok((await host.greet()).includes(`trust ${keyId(signer.publicKey)}\n`));
    assert.equal((await host.add(one, stranger)).code, "E_INGOT_SIGNATURE");
    // nothing was made for it
    assert.equal((await machine.console.run("zpool list memory")).status, 1);
    assert.equal(await run("anvil-ingot list"), "");
  });

  await t.test("what cannot be added is refused before anything is received", async () => {
    const refused = async (ingot: Ingot, code: string, says: RegExp): Promise<void> => {
      const outcome = await host.add(ingot, signer);
      assert.equal(outcome.code, code, outcome.text);
      assert.match(outcome.text, says);
    };
    await refused(signable(one.manifest.replace("dir 755 usr\n", "dir 777 usr\n")), "E_INGOT_MANIFEST", /line \d+/);
    await refused(makeIngot({ arch: "aarch64", tree: {} }), "E_INGOT_ARCH", /aarch64/);
    await refused(makeIngot({ facts: ["needs moon 2"], tree: {} }), "E_INGOT_NEEDS", /moon/);
    await refused(
      makeIngot({ facts: ["service syslogd"], tree: { "service/syslogd/run": "#!/bin/sh\n" } }),
      "E_INGOT_CONFLICT",
      /syslogd/,
    );
    const huge = `file 644 ${CHUNK * 1024} ${"0".repeat(128)} huge\n${`chunk ${CHUNK} 10 ${"0".repeat(128)}\n`.repeat(1024)}`;
    await refused(
      signable(makeIngot({ tree: {} }).manifest.replace("end\n", `${huge}end\n`)),
      "E_INGOT_SPACE",
      /4096 MiB/,
    );
    assert.equal(await run("anvil-ingot list"), "");
  });

  await t.test("an ingot is received, proven and made active; the same one again is nothing to do", async () => {
    const outcome = await host.add(one, signer);
    assert.equal(outcome.code, undefined, outcome.text);
    assert.deepEqual(outcome.progress, ["receive", "prove", "snapshot", "activate", "start demo", "health"]);
    assert.equal(value(outcome.text, "key"), one.key);
    assert.equal(value(outcome.text, "was"), "none");
    assert.equal(value(outcome.text, "pool"), "memory");
    assert.match(value(outcome.text, "time-write") ?? "", /^\d+$/);
    assert.equal(await run("demo; demo-link; cat /run/demo"), "demo 1.9\ndemo 1.9\n1.9");
    assert.match(await run("sv status demo"), /^run: /);
    assert.match(await run("zfs list -r -H -o readonly,anvil:state,anvil:version memory/ingots"), /on\tcomplete\t1\.9/);
    assert.match(await run("zfs list -H -t snapshot -o name -r memory"), new RegExp(`demo/${one.key}@injected`));
    const again = await host.add(one, signer);
    assert.equal(value(again.text, "state"), "already-active");
  });

  await t.test("a broken connection, a damaged chunk and a killed agent cost what was under way, no more", async () => {
    await host.greet();
    assert.equal(await host.begin(two, signer), 0);
    await host.chunks(two, 0, 2);
    host.close();
    await host.greet();
    assert.match(
      await run("anvil-ingot list"),
      new RegExp(`^demo 1\\.10 ${two.key.slice(0, 12)} incoming \\d+ 2/5$`, "m"),
    );
    assert.equal(await host.begin(two, signer), 2);
    // a frame that is cut off, and a new connection at once
    host.raw(Buffer.from([200, 1, 0, 0, 68, 1, 2, 3]));
    await host.greet();
    assert.equal(await host.begin(two, signer), 2);
    const damaged = Buffer.from(two.chunks[2] as Buffer);
    damaged[5000] = (damaged[5000] ?? 0) ^ 1;
    host.send("D", Buffer.from([2, 0, 0, 0]), damaged);
    assert.equal((await host.outcome()).code, "E_INGOT_CHUNK");
    assert.equal(await host.begin(two, signer), 2);
    await host.chunks(two, 2, 3);
    await run("kill -9 $(pidof anvil-ingot)");
    await host.greet();
    assert.equal(await run("demo"), "demo 1.9");
    const outcome = await host.add(two, signer);
    assert.equal(outcome.code, undefined, outcome.text);
    assert.equal(value(outcome.text, "resumed"), "3");
    assert.equal(value(outcome.text, "was"), one.key);
    assert.equal(await run("demo; cat /run/demo"), "demo 1.10\n1.10");
  });

  await t.test("while one command is at work another one is told so", async () => {
    const third = demo("1.11", "exit 0", ballast());
    await host.begin(third, signer);
    const busy = await machine.console.run("anvil-ingot rollback demo");
    assert.equal(busy.status, 1);
    assert.match(busy.output, /^E_INGOT_BUSY {2}/);
    // an ingot of another key takes the place of the one that was not completed
    await host.chunks(third, 0, 1);
    await host.greet();
    assert.equal((await host.add(demo("1.11"), signer)).code, undefined);
    assert.doesNotMatch(await run("anvil-ingot list"), /incoming/);
    assert.equal((await host.command("rollback demo")).code, undefined);
    assert.equal(await run("demo"), "demo 1.10");
  });

  await t.test("what does not prove well gives way to what was active before", async () => {
    const ill = await host.add(demo("2.0", "echo out of order; exit 3"), signer);
    assert.equal(ill.code, "E_INGOT_HEALTH");
    assert.match(ill.text, /status 3[^]*health of 2\.0\nout of order/);
    assert.equal(await run("demo; cat /run/demo"), "demo 1.10\n1.10");
    assert.match(await run("sv status demo"), /^run: /);
    const slow = await host.add(demo("2.1", "sleep 1000"), signer);
    assert.match(slow.text, /^E_INGOT_HEALTH .* was not done after 20 s/);
    assert.equal(await run("pgrep -f 'sleep 1000$' || echo gone"), "gone");
    const dying = makeIngot({
      version: "2.2",
      facts: ["service demo"],
      tree: { "service/demo/run": "#!/bin/sh\nexit 1\n" },
    });
    assert.match((await host.add(dying, signer)).text, /^E_INGOT_HEALTH the service demo does not stay up/);
    // its program was to be removed with it, and is back
    assert.equal(await run("demo; cat /run/demo"), "demo 1.10\n1.10");
    // what is complete can be made active without being sent once more, with the same outcome
    assert.equal((await host.add(demo("2.0", "echo out of order; exit 3"), signer)).code, "E_INGOT_HEALTH");
  });

  await t.test(
    "an agent that is killed in any phase leaves the old version or the new one, with its service",
    async () => {
      let before = "demo 1.10";
      for (const [index, phase] of ["prove", "snapshot", "activate", "start demo", "health"].entries()) {
        const next = demo(`1.10.${index}`, "sleep 5");
        host.offer(next, signer);
        host.send("D", u32(0), next.chunks[0] as Buffer);
        for (let frame = await host.next(); frame.body.toString() !== phase;) frame = await host.next();
        await run("kill -9 $(pidof anvil-ingot)");
        await host.greet();
        await runs(machine, "demo");
        const now = await run("demo");
        assert.ok([before, `demo 1.10.${index}`].includes(now), now);
        await run(`until [ "demo $(cat /run/demo)" = "${now}" ]; do sleep 0.2; done`);
        assert.equal(await run("ls -A /ingots/demo | grep -v '^[0-9a-f]*$' | tr '\\n' ' '"), "active previous");
        const outcome = await host.add(next, signer);
        assert.equal(outcome.code, undefined, outcome.text);
        before = `demo 1.10.${index}`;
      }
      assert.equal((await host.add(two, signer, true)).code, undefined);
    },
  );

  await t.test("older versions and broken needs are refused", async () => {
    assert.equal((await host.add(one, signer)).code, "E_INGOT_DOWNGRADE");
    assert.equal((await host.add(one, signer, true)).code, undefined);
    assert.equal(await run("demo"), "demo 1.9");
    // from a file: here a disk that holds nothing else
    assert.match(await run("anvil-ingot add /dev/vda 2>/dev/null"), /^name other$/m);
    assert.equal((await host.command("remove demo")).code, "E_INGOT_ACTIVE");
    assert.equal((await host.add(demo("1.4"), signer, true)).code, "E_INGOT_NEEDS");
    const program = makeIngot({ name: "third", tree: { "usr/bin/other": "#!/bin/sh\n" } });
    assert.match((await host.add(program, signer)).text, /^E_INGOT_CONFLICT .*other/);
  });

  await t.test("damage is found and named", async () => {
    const well = await host.command("verify");
    assert.equal(well.code, undefined, well.text);
    assert.ok(well.lines.some((line) => line === `demo 1.9 ${one.key.slice(0, 12)} well`));
    await run(
      `zfs set readonly=off memory/ingots/demo/${two.key}; cd /ingots/demo/${two.key}; echo x >> share/small; rm share/empty; touch new`,
    );
    const outcome = await host.command("verify demo");
    assert.equal(outcome.code, "E_INGOT_DAMAGED");
    assert.match(outcome.text, /^share\/small has another size$/m);
    assert.match(outcome.text, /^share\/empty is missing$/m);
    assert.match(outcome.text, /^new is not part of the ingot$/m);
    assert.ok(outcome.lines.includes(`demo 1.10 ${two.key.slice(0, 12)} damaged`));
    assert.equal((await host.command("verify moon")).code, "E_INGOT_UNKNOWN");
  });

  await t.test("a host that breaks the protocol is told, and a new connection is served", async () => {
    host.send("C", "dance");
    assert.equal((await host.outcome()).code, "E_INGOT_PROTOCOL");
    host.send("M", "early");
    assert.equal((await host.outcome()).code, "E_INGOT_PROTOCOL");
    host.send("H", "2");
    assert.equal((await host.outcome()).code, "E_INGOT_PROTOCOL");
    host.raw(Buffer.alloc(100_000, 0xff));
    assert.equal((await host.outcome()).code, "E_INGOT_PROTOCOL");
    await host.greet();
    assert.match((await host.command("list")).lines.join("\n"), /^demo 1\.9 [0-9a-f]{12} active \d+$/m);
  });

  await t.test("a pool that runs full leaves nothing behind", async () => {
    const large = makeIngot({ name: "large", tree: { ...ballast() } });
    assert.equal(await host.begin(large, signer), 0);
    await host.chunks(large, 0, 1);
    await run(
      "zpool sync; used=$(zfs get -H -p -o value used memory/ingots); zfs set quota=$((used + 1000000)) memory/ingots",
    );
    for (const index of [1, 2, 3, 4]) host.send("D", u32(index), large.chunks[index] as Buffer);
    const full = await host.outcome();
    assert.equal(full.code, "E_INGOT_SPACE", full.text);
    await run("zfs set quota=none memory/ingots");
    assert.doesNotMatch(await run("anvil-ingot list"), /^large/m);
  });

  await t.test("data outlive versions, are read by a host, and go only when that is said", async () => {
    const [keeper, newer] = [keepsData("1"), keepsData("2")];
    assert.equal((await host.add(keeper, signer)).code, undefined);
    await run(
      "cd /ingots/keeper/data; mkdir 'a b'; seq 20000 >'a b/numbers'; ln -s /etc/passwd link; ln -s 'a b' folder",
    );
    await run("mkfifo /ingots/keeper/data/pipe");
    const numbers = Array.from({ length: 20000 }, (_, index) => `${index + 1}\n`).join("");
    const all = await host.command("get keeper a%20b/numbers 0");
    assert.deepEqual([all.code, all.bytes.toString()], [undefined, numbers]);
    assert.equal(value(all.text, "size"), String(numbers.length));
    assert.equal((await host.command("get keeper a%20b/numbers 100000")).bytes.toString(), numbers.slice(100_000));
    assert.equal((await host.command(`get keeper a%20b/numbers ${numbers.length + 1}`)).bytes.length, 0);
    const out = ["link", "folder/numbers", "a%20b", "pipe", "none", "../1", "a%20b/../a%20b/numbers", "/etc/passwd"];
    for (const each of out) assert.equal((await host.command(`get keeper ${each} 0`)).code, "E_INGOT_UNKNOWN", each);
    assert.equal((await host.command("get demo share/empty 0")).code, "E_INGOT_UNKNOWN");
    for (const each of ["a%20b/numbers x", "a%20b/numbers -1", "a%20b/numbers", "a b/numbers 0"])
      assert.equal((await host.command(`get keeper ${each}`)).code, "E_INGOT_PROTOCOL", each);
    assert.equal((await host.add(newer, signer)).code, undefined);
    assert.equal((await host.command("rollback keeper")).code, undefined);
    assert.equal((await host.command(`remove keeper ${newer.key}`)).code, undefined);
    assert.match((await host.command("remove keeper")).text, /^E_INGOT_DATA .*\/ingots\/keeper\/data/);
    assert.equal(await run("tail -n 1 '/ingots/keeper/data/a b/numbers'"), "20000");
    await run("anvil-ingot remove --data keeper");
    assert.equal(await run("ls -d /ingots/keeper 2>/dev/null || echo gone"), "gone");
    assert.equal((await host.command("remove keeper data")).code, "E_INGOT_UNKNOWN");
  });

  await t.test("versions and ingots are removed, not while they are used", async () => {
    assert.equal((await host.command(`remove demo ${one.key.slice(0, 12)}`)).code, "E_INGOT_ACTIVE");
    assert.equal((await host.command("remove demo 123")).code, "E_INGOT_UNKNOWN");
    assert.equal((await host.command(`remove demo ${two.key.slice(0, 12)}`)).code, undefined);
    assert.equal((await host.command("remove other")).code, undefined);
    await run("cd /ingots/demo/active/share; sleep 1000 >/dev/null 2>&1 &");
    assert.equal((await host.command("remove demo")).code, "E_INGOT_ACTIVE");
    assert.equal(await run("demo"), "demo 1.9");
    await runs(machine, "demo");
    await run("pkill -f 'sleep 1000$'");
    assert.equal((await host.command("remove demo")).code, undefined);
    assert.equal(
      await run("anvil-ingot list; ls /ingots /ingots/bin; ls -d /run/service/demo 2>/dev/null || true"),
      "/ingots:\nbin\n\n/ingots/bin:",
    );
    const missing = await machine.console.run("anvil-ingot remove demo");
    assert.equal(missing.status, 1);
    assert.match(missing.output, /^E_INGOT_UNKNOWN {2}/);
    assert.equal((await machine.console.run("anvil-ingot dance")).status, 2);
  });
  host.close();
  await powerOff(machine);
});

test("what only a withdrawn key has signed is neither started nor gone back to, until an accepted key signs it", async (t) => {
  const { iso } = await monolith();
  const keys = { a: newSigner(), b: newSigner() };
  const [one, two] = [demo("1"), demo("2")];
  const machine = await boot(t, { cdrom: iso, ingot: true });
  const host = new Host(machine);
  const run = shell(machine);
  const accept = (...names: readonly ("a" | "b")[]): Promise<string> =>
    run(
      `rm -f /etc/anvil/trust/*; ${names.map((name) => `echo ${keys[name].publicKey} >/etc/anvil/trust/${name}.pub`).join("; ")}`,
    );
  const states = async (): Promise<string[]> =>
    (await host.command("list")).lines.map((line) => line.replace(/^(\S+ \S+) \S+ (\S+) .*/, "$1 $2")).sort();
  /** What the boot does. */
  const start = (): Promise<{ status: number; output: string }> => machine.console.run("anvil-ingot start", LONG);
  const isDown = async (): Promise<void> => {
    assert.equal(await run("demo 2>/dev/null || echo absent"), "absent");
    assert.equal(await run("ls -d /run/service/demo 2>/dev/null || echo absent"), "absent");
  };
  await accept("a", "b");
  await host.greet();
  assert.equal((await host.add(one, keys.a)).code, undefined);
  assert.equal((await host.add(two, keys.b)).code, undefined);

  await t.test("a rollback to it is refused, and what is active stays", async () => {
    await accept("b");
    const refused = await host.command("rollback demo");
    assert.equal(refused.code, "E_INGOT_SIGNATURE", refused.text);
    assert.match(refused.text, /no key that the system accepts now has signed the ingot demo [0-9a-f]{12}/);
    assert.match(refused.text, /^hint: add it again, signed with a key that is accepted/m);
    assert.equal(await run("demo; cat /run/demo"), "demo 2\n2");
    assert.equal((await host.command("verify demo")).code, "E_INGOT_SIGNATURE");
    await accept("a", "b");
    assert.equal((await host.command("rollback demo")).code, undefined);
    assert.equal(await run("demo"), "demo 1");
  });

  await t.test("at boot its services and programs are left out, and it counts as not active", async () => {
    await accept("b");
    const started = await start();
    assert.equal(started.status, 1);
    assert.match(started.output, /^E_INGOT_SIGNATURE {2}.* the ingot demo [0-9a-f]{12}$/m);
    await isDown();
    assert.deepEqual(await states(), ["demo 1 refused", "demo 2 previous"]);
    const other = makeIngot({ name: "other", facts: ["needs demo"], tree: { "share/other": "" } });
    assert.equal((await host.add(other, keys.b)).code, "E_INGOT_NEEDS");
  });

  await t.test("a version that does not prove well does not bring it back", async () => {
    const ill = await host.add(demo("3", "exit 3"), keys.b);
    assert.equal(ill.code, "E_INGOT_HEALTH");
    assert.match(ill.text, /nothing was active before/);
    await isDown();
  });

  await t.test("signed with an accepted key it becomes active, without being sent again", async () => {
    assert.equal(await host.begin(one, keys.b), one.chunks.length);
    assert.equal((await host.outcome()).code, undefined);
    assert.equal(await run("demo; cat /run/demo"), "demo 1\n1");
    assert.equal((await host.command("verify demo")).code, undefined);
    assert.equal(await run(`zfs get -H -o value readonly memory/ingots/demo/${one.key}`), "on");
  });

  await t.test(
    "the key that signed it first does not count any more, and one that is refused can be removed",
    async () => {
      await accept("a");
      assert.equal((await start()).status, 1);
      await isDown();
      assert.equal((await host.command(`remove demo ${one.key}`)).code, undefined);
      assert.equal((await host.command("remove demo")).code, undefined);
      assert.equal((await start()).status, 0);
    },
  );
  host.close();
});

test("an installed system keeps its ingots, also when the power fails at any moment", async (t) => {
  const { iso } = await monolith();
  const disk = { path: emptyDisk(scratch(t), 4), bus: "virtio" as const };
  const signer = newSigner();
  const [one, two] = [demo("1.0"), demo("2.0", "exit 0", ballast())];

  const live = await boot(t, { cdrom: iso, disks: [disk], bootOrder: ["cdrom"] });
  await live.console.succeed("anvil-install --yes /dev/vda", LONG);
  await powerOff(live);

  const first = await boot(t, { disks: [disk], ingot: true });
  await trust(first, signer);
  const host = new Host(first);
  const greeting = await host.greet();
  assert.equal(value(greeting, "kept"), "yes");
  const added = await host.add(one, signer);
  assert.equal(value(added.text, "kept"), "yes", added.text);
  assert.equal((await host.add(keepsData("1"), signer)).code, undefined);
  await first.console.succeed("echo kept > /ingots/keeper/data/word; sync");
  assert.equal(await host.begin(two, signer), 0);
  await host.chunks(two, 0, 3);
  // what ZFS has by now is on the disk some seconds later; what is not may be lost
  await first.console.succeed("zpool sync");
  await host.chunks(two, 3, 4);
  await first.kill();

  const second = await boot(t, { disks: [disk], ingot: true });
  const run = shell(second);
  assert.equal(await run("demo"), "demo 1.0");
  await runs(second, "demo");
  assert.equal(await run("cat /run/demo /ingots/keeper/data/word"), "1.0\nkept");
  assert.match(await run("anvil-ingot list"), /^demo 2\.0 [0-9a-f]{12} incoming \d+ [34]\/5$/m);
  const again = new Host(second);
  await again.greet();
  const resumed = await again.add(two, signer);
  assert.equal(resumed.code, undefined, resumed.text);
  assert.ok(Number(value(resumed.text, "resumed")) >= 3);
  // the moment after the answer
  await second.kill();

  const third = await boot(t, { disks: [disk], ingot: true });
  const last = new Host(third);
  await last.greet();
  assert.equal(await shell(third)("demo"), "demo 2.0");
  const verified = await last.command("verify");
  assert.equal(verified.code, undefined, verified.text);
  assert.equal(verified.lines.length, 3);
  // a switch that was not confirmed, as a power cut during the health check leaves it
  await third.console.succeed(`ln -s ${one.key} /ingots/demo/unconfirmed; sync`);
  await third.kill();

  const fourth = await boot(t, { disks: [disk], ingot: true });
  const back = shell(fourth);
  assert.equal(await back("demo"), "demo 1.0");
  assert.deepEqual((await back("ls -A /ingots/demo")).split("\n"), [one.key, two.key, "active", "previous"].sort());
  await back("rm /etc/anvil/trust/*; sync");
  await powerOff(fourth);
  assert.ok(fourth.serial.lines().some((line) => line.includes("all pools are exported")));

  // the key was withdrawn: nothing that it signed starts, and nothing is lost
  const fifth = await boot(t, { disks: [disk], ingot: true });
  const without = shell(fifth);
  assert.match(await without("dmesg | grep anvil-rc"), /anvil-ingot start: E_INGOT_SIGNATURE/);
  assert.equal(await without("demo 2>/dev/null || echo absent"), "absent");
  assert.equal(await without("cat /ingots/keeper/data/word"), "kept");
  assert.match(await without("anvil-ingot list"), /^demo 1\.0 [0-9a-f]{12} refused /m);
  await trust(fifth, signer);
  assert.equal((await fifth.console.run("anvil-ingot start")).status, 0);
  assert.equal(await without("demo"), "demo 1.0");
});

test("without a port for ingots there is no agent, and a system without ingots starts nothing for them", async (t) => {
  const { iso } = await monolith();
  const machine = await boot(t, { cdrom: iso });
  const run = shell(machine);
  await run("until sv status ingot | grep -q ^down:; do sleep 0.2; done");
  assert.equal(await run("pidof anvil-ingot || echo none"), "none");
  assert.equal(machine.ingot, undefined);
  assert.equal((await machine.console.run("anvil-ingot serve")).status, 1);
});

test("the parts of the agent hold against malformed input", async () => {
  const said = readFileSync(path.join(await output(anvilIngotTest), "said"), "utf8");
  assert.match(said, /^100000 mutated manifests: /m);
  assert.match(said, /^100000 mutated streams: /m);
  assert.match(said, /^all tests hold$/m);
});
