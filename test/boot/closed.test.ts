/** A system without root login: no console, menu or rescue gives a shell, and who has an SSH key comes in all the same. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { closedInitramfs } from "../../recipes/initramfs.ts";
import type { Machine } from "../../src/vm/machine.ts";
import { boot, emptyDisk, monolith, output } from "./monolith.ts";
import { Owner } from "./ssh.ts";
import { project } from "../this-project.ts";

const NOTICE = /^Logins on this console are off/;
/** What a shell makes of what is typed; the echo of it does not match. */
const TYPED = "echo shell-$((40 + 2))\n";
const SHELL = /shell-42/;

/** Types a command, and waits until whoever listens there has answered twice: by then a shell would have carried it out. */
async function isNoShell({ serial }: Machine, answer: RegExp): Promise<void> {
  for (let round = 0; round < 2; round++) {
    const after = serial.mark();
    await serial.write(TYPED);
    await serial.waitForLog(answer, { after });
  }
  assert.ok(!serial.lines().some((line) => SHELL.test(line)));
}

/** Keys of the keyboard, which go to the screen's console. */
async function typeOnScreen({ qmp }: Machine, keys: string): Promise<void> {
  const names: Readonly<Record<string, string>> = { " ": "spc", "/": "slash", "\n": "ret" };
  for (const key of keys) await qmp.human(`sendkey ${names[key] ?? key}`);
}

/** All that comes from the serial port, for menus that are drawn and not written line by line. */
async function menuShows(machine: Machine, press: string, pattern: RegExp, how?: "once"): Promise<string> {
  let drawn = "";
  let wake = (): void => undefined;
  const stop = machine.serial.onData((bytes) => {
    drawn += bytes.toString("latin1").replace(/\x1b\[[0-?]*[ -/]*[@-~]/g, "");
    wake();
  });
  await machine.serial.write(press);
  // firmware and GRUB drop what is typed before they look
  const again = how === "once" ? undefined : setInterval(() => void machine.serial.write(press), 500);
  try {
    while (!pattern.test(drawn)) await new Promise<void>((resolve) => (wake = resolve));
    return drawn;
  } finally {
    clearInterval(again);
    stop();
  }
}

test("a system without root login gives nobody a shell on a console, and lets in who has a key", async (t) => {
  const owner = await Owner.make(t);
  const iso = await owner.forge();
  const name = `test-closed-${process.pid}`;
  const machine = await boot(t, {
    name,
    cdrom: iso,
    stateDir: project.store.paths.top,
    network: { forwards: [{ guest: 22 }] },
    session: true,
    ingot: true,
    exec: true,
    disks: [{ path: emptyDisk(owner.folder, 2), bus: "virtio" }],
    bootOrder: ["cdrom"],
  });
  const port = machine.forwards[0]?.host ?? 0;
  const to = `ssh://root@127.0.0.1:${port}`;
  await machine.serial.waitForLog(NOTICE);
  const ssh = async (command: string): Promise<string> => {
    const { status, stdout, stderr } = await owner.ssh(port, command);
    assert.equal(status, 0, `${command}\n${stdout}\n${stderr}`);
    return stdout.trim();
  };

  await t.test("the serial port answers with a notice, which says the way in", async () => {
    await isNoShell(machine, NOTICE);
    // typed until the address is there
    for (let after = machine.serial.mark(); ; after = machine.serial.mark()) {
      await machine.serial.write("\n");
      await machine.serial.waitForLog(/Enter shows this again/, { after });
      if (machine.serial.lines().some((line) => /^ {2}10\.0\.2\.15/.test(line))) break;
    }
    await machine.serial.waitForLog(/^ {2}SHA256:/);
  });

  await t.test("who has a key is root by SSH, and nobody else", async () => {
    while ((await owner.ssh(port, "true")).status !== 0);
    assert.equal(await ssh("id -u"), "0");
    const refused = await owner.anvil(["ingot", "list", "--to", to], "other");
    assert.match(refused.stderr, /^E_SSH {2}/);
  });

  await t.test("the screen shows a notice too, and what is typed there does nothing", async () => {
    await ssh("until grep -q 'Logins on this console are off' /dev/vcs1; do sleep 1; done");
    await typeOnScreen(machine, "touch /tmp/typed\n");
    await ssh("until grep -q 'touch /tmp/typed' /dev/vcs1; do sleep 1; done");
    await typeOnScreen(machine, "\n");
    await ssh("until [ $(tr '\\n' ' ' </dev/vcs1 | grep -o 'Logins on this' | wc -l) -ge 2 ]; do sleep 1; done");
    assert.equal(await ssh("ls -d /tmp/typed 2>/dev/null || echo none"), "none");
  });

  await t.test("whatever holds a console is the notice", async () => {
    const holders = await ssh(
      "for fd in /proc/[0-9]*/fd/*; do case $(readlink $fd) in /dev/tty[0-9]*|/dev/ttyS*|/dev/hvc*) " +
        "tr '\\0' ' ' <${fd%/fd/*}/cmdline; echo;; esac; done | sort -u",
    );
    for (const holder of holders.split("\n"))
      assert.match(holder, /^(\/bin\/sh \/etc\/anvil\/console \w+ ?|sleep 60 ?)$/);
  });

  await t.test("the console for programs is no shell either, and commands that need one say so", async () => {
    const silent = await machine.console.ready({ timeoutMs: 500 }).then(
      () => "answered",
      () => "silent",
    );
    assert.equal(silent, "silent");
    machine.console.close();
    for (const act of ["list", "psql"]) {
      const { status, stderr } = await owner.anvil(["db", act, "--machine", name]);
      assert.equal(status, 1);
      assert.match(stderr, new RegExp(`^E_NO_SHELL [^]*--to ${to}`));
    }
  });

  await t.test("signed ingots are taken by the port", async () => {
    await owner.succeed(["inject", "tools", "--machine", name, "--plain"]);
    assert.match(await ssh("lz4 --version"), /lz4 v/);
  });

  await t.test("what it installs to a disk is closed as well", async () => {
    await ssh("anvil-install --yes /dev/vda");
    const menu = await ssh("mount -t vfat -o ro /dev/vda2 /mnt; cat /mnt/anvil/grub/grub.cfg; umount /mnt");
    assert.match(menu, /^set superusers=""$/m);
    assert.doesNotMatch(menu, /anvil\.rescue/);
    for (const entry of menu.matchAll(/^menuentry .*/gm)) assert.match(entry[0], / --unrestricted /);
  });

  await t.test("psql's streams go over SSH: 64 MB there and back, unchanged", async () => {
    // plays the database
    await ssh("mkdir -p /usr/local/bin; printf '#!/bin/sh\\necho NOTICE >&2\\nexec cat\\n' >/usr/local/bin/anvil-db");
    await ssh("chmod 755 /usr/local/bin/anvil-db");
    const child = owner.start(["db", "psql", "--to", to]);
    const [sent, came] = [createHash("sha256"), createHash("sha256")];
    let complaints = "";
    child.stdout.on("data", (bytes: Buffer) => came.update(bytes));
    child.stderr.on("data", (bytes: Buffer) => (complaints += bytes.toString()));
    const ended = new Promise((resolve) => child.on("close", resolve));
    const block = randomBytes(1 << 20);
    for (let count = 0; count < 64; count++) {
      block.writeUInt32LE(count);
      const piece = Buffer.from(block);
      sent.update(piece);
      if (!child.stdin.write(piece)) await new Promise((resolve) => child.stdin.once("drain", resolve));
    }
    child.stdin.end();
    assert.equal(await ended, 0, complaints);
    assert.equal(came.digest("hex"), sent.digest("hex"));
    assert.match(complaints, /^NOTICE$/m);
  });

  await t.test("Ctrl-C over SSH is for the command there", async () => {
    await ssh(
      "printf '#!/bin/sh\\ntrap \"echo interrupted; exit 3\" INT\\necho up\\nwhile :; do sleep 1; done\\n' >/usr/local/bin/anvil-db",
    );
    const child = owner.start(["db", "psql", "--to", to]);
    let said = "";
    const ended = new Promise((resolve) => child.on("close", resolve));
    child.stdout.on("data", (bytes: Buffer) => {
      said += bytes.toString();
      if (said === "up\n") child.kill("SIGINT");
    });
    assert.equal(await ended, 3);
    assert.equal(said, "up\ninterrupted\n");
  });
});

test("the boot menu of a system without root login cannot be edited, has no command line and no rescue", async (t) => {
  const owner = await Owner.make(t);
  const machine = await boot(t, { cdrom: await owner.forge() });
  const menu = await menuShows(machine, "m", /Power off \(p\)/);
  assert.doesNotMatch(menu, /Rescue/);
  // nobody is a superuser: who is asked for a name gives up. Once: GRUB waits twice as long after each attempt
  for (const key of ["e", "c"]) await menuShows(machine, `${key}\x1b`, /access denied/, "once");
  await menuShows(machine, "a", /Logins on this console are off/);
});

/** The kernel with a command line of the test's, as firmware that boots over a network would start it. */
async function bootKernel(t: TestContext, append: string, cdrom?: string): Promise<Machine> {
  const initrd = path.join(await output(closedInitramfs), "initramfs.img");
  const { kernel } = await monolith();
  return boot(t, {
    console: false,
    kernel: { image: kernel, initrd, append: `console=ttyS0 quiet anvil.wait=3 ${append}` },
    ...(cdrom === undefined ? {} : { cdrom }),
  });
}

test("without root login anvil.rescue gives no shell: the boot goes on", async (t) => {
  const owner = await Owner.make(t);
  const machine = await bootKernel(t, "anvil.rescue", await owner.forge());
  await machine.serial.waitForLog(/^There is none: this system was forged without root login/);
  await machine.serial.waitForLog(NOTICE);
  await isNoShell(machine, NOTICE);
});

test("without root login a root that is not found gives the reason, and another attempt instead of a shell", async (t) => {
  const machine = await bootKernel(t, "");
  await machine.serial.waitForLog(/^E_INIT_NO_MEDIUM {2}/);
  await machine.serial.waitForLog(/no rescue shell: this system was forged without root login/);
  await isNoShell(machine, /another attempt follows at Enter/);
});
