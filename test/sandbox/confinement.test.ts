import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, existsSync, lstatSync, writeFileSync } from "node:fs";
import path from "node:path";
import { before, test, type TestContext } from "node:test";
import { runs } from "../../src/recipe/proof.ts";
import type { Recipe } from "../../src/recipe/recipe.ts";
import { openSandbox, seedProgram, spawnSandboxSync, type SandboxUser } from "../../src/sandbox/sandbox.ts";
import { walk } from "../../src/store/tree.ts";
import { asLonelyRoot, withCapabilities, withDescriptor } from "../forge/confined.ts";
import { holdHere, nobody, Rig, step, temporaryFolder, type Run } from "../forge/rig.ts";
import { expectedOfCalls, forbiddenCalls, kernelIds, noneWritable, processesBelow, writableProc } from "./probe.ts";

const isRoot = process.getuid?.() === 0;

let rig: Rig;
let user: SandboxUser;
const cleaning: (() => void)[] = [];
before(async () => {
  rig = await Rig.make({ after: (act) => cleaning.push(act) });
  user = await openSandbox(rig.seedTree);
});
process.on("exit", () => cleaning.forEach((act) => act()));

/** A script as a step. */
const asStep = (name: string, script: string): Recipe => step(name, `${script}\ntouch /out/done`);

/** The same script as a program of an output, which a proof runs. */
const asProof = (name: string, script: string, matches: RegExp): Recipe =>
  step(name, `cat > /out/program <<'END'\n#!/usr/bin/bash\n${script}\nEND\nchmod +x /out/program`, {
    proves: [runs("program", "", matches)],
  });

async function forge(own: Rig, recipe: Recipe): Promise<Run> {
  const run = await own.forge(recipe);
  assert.equal(
    run.ok,
    true,
    [...run.lines(recipe.name), JSON.stringify(run.outcome.failed.values().next().value)].join("\n"),
  );
  return run;
}

/** The proofs of what is there, as they were told. */
const proofDetails = (own: Rig, recipe: Recipe): string =>
  (own.store.outputs.record(own.key(recipe))?.proofs ?? []).map(({ detail }) => detail).join("\n");

test("no file of /proc but a process's own opens for writing, in a step and in a proof", async (t) => {
  const own = await Rig.make(t);
  const built = await forge(own, asStep("built", writableProc));
  assert.match(built.lines("built").join("\n"), noneWritable);
  await forge(own, asProof("proven", writableProc, noneWritable));
});

test("a user's steps are held in the same way", async (t) => {
  const own = await Rig.make(t, { ownSeed: true });
  const uid = nobody(own.seedTree);
  if (uid !== undefined) own.giveTo(uid);
  const built = asStep("built", `${writableProc}\nperl -e '${forbiddenCalls}'`);
  const forged = own.spawn(built, uid === undefined ? {} : { uid });
  assert.equal((await forged.ended).status, 0);
  const lines = forged.events.flatMap((event) => (event.type === "output" ? [event.line] : []));
  assert.match(lines[0] ?? "", noneWritable);
  assert.deepEqual(lines.slice(1), expectedOfCalls());
});

test("the kernel knows what runs in a sandbox by an id that is not root's", async (t) => {
  const own = await Rig.make(t);
  const held = async (name: string, recipe: Recipe): Promise<number[]> => {
    const forged = own.spawn(recipe);
    t.after(() => forged.kill());
    await forged.event((event) => event.type === "phase" && event.phase === (name === "proven" ? "prove" : "build"));
    const pids = await waiting(own, name, forged.child.pid as number);
    const ids = kernelIds(pids);
    own.release(name);
    assert.equal((await forged.ended).status, 0);
    return ids;
  };
  const expected = [isRoot ? user.other?.id : process.getuid?.()];
  assert.notEqual(expected[0], 0);
  assert.deepEqual(await held("built", asStep("built", holdHere)), expected);
  assert.deepEqual(await held("proven", asProof("proven", holdHere, /held/)), expected);
});

/** Processes of a sandbox, once its script waits to be released. */
async function waiting(own: Rig, name: string, pid: number): Promise<number[]> {
  const fifo = path.join(own.workFolder(name), "build/go");
  while (!existsSync(fifo)) await new Promise((resolve) => setImmediate(resolve));
  const found = processesBelow(pid, "bwrap");
  assert.ok(found.length >= 3, "bubblewrap, its first process, and the script");
  return found;
}

test("inside there are uid and gid 1000, no other group, and no namespace to go to", async (t) => {
  const own = await Rig.make(t);
  const script =
    "id -u; id -g; id -G; cat /proc/self/uid_map /proc/self/gid_map | tr -s ' '; cat /proc/self/setgroups; hostname";
  const run = await forge(own, asStep("who", script));
  const map = isRoot ? " 1000 1000 1" : ` 1000 0 1`;
  const lines = run.lines("who");
  assert.deepEqual(lines.slice(0, 2), ["1000", "1000"]);
  if (isRoot) assert.equal(lines[2], "1000");
  assert.deepEqual(lines.slice(3), [map, map, "deny", "anvil"]);
});

test("calls that type into a terminal, reach key rings, load programs into the kernel or make namespaces are refused", async (t) => {
  const own = await Rig.make(t);
  const calls = `perl -e '${forbiddenCalls}'`;
  assert.deepEqual((await forge(own, asStep("built", calls))).lines("built"), expectedOfCalls());
  await forge(own, asProof("proven", calls, new RegExp(`^${expectedOfCalls().join("\n")}\n$`)));
});

test("what a C library does with a refused clone3, threads and processes, works", async (t) => {
  const own = await Rig.make(t);
  const script =
    "for i in 1 2 3; do (exit $i) & done; wait; xz -T4 -0 < /usr/bin/perl | xz -T4 -dc | cmp - /usr/bin/perl; echo same";
  assert.deepEqual((await forge(own, asStep("built", script))).lines("built"), ["same"]);
});

test("descriptors that the forge itself was given reach neither a step nor a proof", async (t) => {
  const own = await Rig.make(t);
  const secret = path.join(temporaryFolder(t), "secret");
  writeFileSync(secret, "of the host");
  const open =
    "for fd in /proc/self/fd/*; do [ ! -e $fd ] || [[ $(readlink $fd) = */secret ]] && echo open; done; ls /proc/self/fd | wc -w";
  // ls has one for the folder; the script is on 255
  const recipe = asProof("proven", open, /^4\n$/);
  const forged = own.spawn(recipe, { wrap: withDescriptor(own.seedTree, 40, secret) });
  assert.equal((await forged.ended).status, 0, JSON.stringify(forged.events.at(-2)));
});

test("root's steps reach a store in a folder that is root's alone, and what they make becomes root's", async (t) => {
  const own = await Rig.make(t);
  chmodSync(own.top, 0o700);
  const script = "mkdir -p /out/a/b; echo 1 > /out/a/b/c; ln -s c /out/a/b/d; chmod 4755 /out/a/b/c; chmod 700 /out/a";
  const made = step("made", script);
  await forge(own, made);
  const owners = new Set([...walk(own.output(made))].map(({ full }) => lstatSync(full).uid));
  owners.add(lstatSync(own.output(made)).uid);
  assert.deepEqual([...owners], [process.getuid?.()]);
  assert.equal(lstatSync(own.output(made, "a/b/c")).mode & 0o7777, 0o555);
});

test("where root has no other id to give, it is refused with a way out; a user's namespace root is not root", async (t) => {
  const own = await Rig.make(t);
  const simple = step("simple", "echo > /out/file");
  const forged = own.spawn(simple, { wrap: asLonelyRoot(own.seedTree) });
  const { status } = await forged.ended;
  const faults = forged.events.flatMap((event) => (event.type === "failed" ? [event.fault] : []));
  assert.equal(status, isRoot ? 1 : 0);
  assert.deepEqual(
    faults.map(({ code }) => code),
    isRoot ? ["E_ROOT_SANDBOX"] : [],
  );
  if (isRoot) assert.match(faults[0]?.hint ?? "", /^run as a user other than root; or /);
  assert.equal(own.store.outputs.has(own.key(simple)), !isRoot);
});

/** Those of Docker's containers. */
const CONTAINER = [
  ...["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP"],
  ...["NET_BIND_SERVICE", "NET_RAW", "SYS_CHROOT", "MKNOD", "AUDIT_WRITE", "SETFCAP"],
];

test("root of a container, which may not mount or trace, forges like any other", async (t) => {
  const own = await Rig.make(t);
  const built = asStep("built", writableProc);
  const forged = own.spawn(built, { wrap: withCapabilities(own.seedTree, CONTAINER) });
  assert.equal((await forged.ended).status, 0, JSON.stringify(forged.events.at(-2)));
  const lines = forged.events.flatMap((event) => (event.type === "output" ? [event.line] : []));
  assert.match(lines.join("\n"), noneWritable);
});

test("a device that is its owner's alone can be used when it is named, and is not there otherwise", (t) => {
  const device = ownDevice(t);
  const spec = { bubblewrap: rig.seedTree, user, root: rig.seedTree, binds: [], env: { PATH: "/usr/bin" }, cwd: "/" };
  const use = ["/usr/bin/bash", "-c", `echo x > ${device} && stat -c %F ${device}`];
  const given = spawnSandboxSync({ ...spec, devices: [device] }, use);
  assert.equal(given.stdout, "character special file\n", given.stderr);
  assert.notEqual(spawnSandboxSync(spec, use).status, 0);
});

/** Another null device, that root alone may open; for a user the one that there is, at its place. */
function ownDevice(t: TestContext): string {
  if (!isRoot) return "/dev/full";
  const node = path.join(temporaryFolder(t), "device");
  const { command, args, env } = seedProgram(rig.seedTree, "usr/bin/mknod", ["-m", "600", node, "c", "1", "3"]);
  assert.equal(spawnSync(command, args, { env }).status, 0);
  chownSync(node, 0, 0);
  return node;
}

test("a limit that a step meets is named, with the variable that raises it", async (t) => {
  const own = await Rig.make(t);
  const cases = [
    {
      limits: { file: 1 << 20 },
      script: "head -c 2M /dev/zero > /out/file",
      said: "size of one file: 1 MiB (ANVIL_STEP_FILE_SIZE)",
    },
    {
      limits: { processes: 24 },
      script: `perl -e 'for (1 .. 60) { my $p = fork(); defined($p) or die("fork: $!\n"); $p or sleep(60), exit }' 2>&1 || exit 1`,
      said: "processes: 24 (ANVIL_STEP_PROCESSES)",
    },
    {
      limits: { memory: 64 << 20 },
      script: `perl -e 'my $text = "x" x (256 << 20); print length($text)' 2>&1 || exit 1`,
      said: "memory of one process: 64 MiB (ANVIL_STEP_MEMORY)",
    },
  ];
  for (const [index, { limits, script, said }] of cases.entries()) {
    const run = await own.forge(asStep(`greedy-${index}`, script), { limits });
    assert.equal(run.ok, false, said);
    assert.equal(run.fault.code, "E_STEP_FAILED");
    assert.deepEqual(
      run.fault.details,
      [`it seems to have met a limit of its sandbox: ${said}`],
      run.lines(`greedy-${index}`).join("\n"),
    );
  }
});

test("the limits hold for a proof, too", async (t) => {
  const own = await Rig.make(t);
  const recipe = asProof("proven", "ulimit -f; ulimit -u; ulimit -d; ulimit -c", /^1024\n99\n65536\n0\n$/);
  const run = await own.forge(recipe, { limits: { file: 1 << 20, processes: 99, memory: 64 << 20 } });
  assert.equal(run.ok, true, JSON.stringify(run.outcome.failed.values().next().value));
  assert.notEqual(proofDetails(own, recipe), "");
});
