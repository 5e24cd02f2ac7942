import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { before, test, type TestContext } from "node:test";
import { handOver } from "../../src/sandbox/user.ts";
import {
  openSandbox,
  spawnSandbox,
  spawnSandboxSync,
  type Bind,
  type SandboxSpec,
  type SandboxUser,
} from "../../src/sandbox/sandbox.ts";
import { Rig, step, temporaryFolder } from "../forge/rig.ts";

let rig: Rig;
let user: SandboxUser;
const cleaning: (() => void)[] = [];
before(async () => {
  rig = await Rig.make({ after: (act) => cleaning.push(act) });
  user = await openSandbox(rig.seedTree);
});
process.on("exit", () => cleaning.forEach((act) => act()));

function spec(binds: readonly Bind[] = [], more: Partial<SandboxSpec> = {}): SandboxSpec {
  const env = { PATH: "/usr/bin:/usr/sbin", LC_ALL: "C" };
  return { bubblewrap: rig.seedTree, user, root: rig.seedTree, binds, env, cwd: "/", ...more };
}

/** Output of a script in the sandbox; fails when the script does. */
function inside(script: string, sandbox: SandboxSpec = spec()): string {
  const { status, stdout, stderr } = spawnSandboxSync(sandbox, ["/usr/bin/bash", "--norc", "-c", script]);
  assert.equal(status, 0, stderr);
  return stdout.trim();
}

test("only what is named is visible: the seed's folders, the binds, and fresh /proc and /dev", (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(path.join(folder, "file"), "data");
  const names = inside("ls -A /", spec([{ from: folder, at: "/in/thing" }])).split("\n");
  // packages of the seed bring empty folders too, such as /root and /tmp
  const read = ["bin", "etc", "lib", "lib32", "lib64", "libx32", "sbin", "usr", "var"];
  const seed = readdirSync(rig.seedTree).filter((name) => read.includes(name));
  assert.deepEqual(names, [...new Set([...seed, "dev", "in", "proc"])].sort());
  assert.equal(inside("ls /in; cat /in/thing/file", spec([{ from: folder, at: "/in/thing" }])), "thing\ndata");
});

test("files of the host cannot be read", (t) => {
  const secret = path.join(temporaryFolder(t), "secret");
  writeFileSync(secret, "of the host");
  const home = os.homedir();
  assert.equal(inside(`cat ${secret} 2>&1 || true`), `cat: ${secret}: No such file or directory`);
  for (const file of [home, "/etc/shadow", "/etc/resolv.conf", "/sys", "/run", "/var/run/docker.sock", "/root/.ssh"]) {
    assert.equal(inside(`[ -e ${file} ] && [ -n "$(ls -A ${file} 2>&1)" ] && echo there || echo gone`), "gone", file);
  }
  assert.equal(inside("cut -d: -f1 /etc/passwd"), "root\nanvil");
});

test("processes of the host cannot be seen, nor their environment", (t) => {
  // bubblewrap as process 1, the shell, ls
  const pids = inside("ls /proc | grep '^[0-9]'").split("\n");
  assert.ok(pids.length <= 4, pids.join(" "));
  assert.ok(!pids.includes(String(process.pid)) || process.pid < 10);
  process.env["SECRET_OF_THE_HOST"] = "yes";
  t.after(() => delete process.env["SECRET_OF_THE_HOST"]);
  assert.doesNotMatch(inside("cat /proc/*/environ | tr '\\0' '\\n'"), /SECRET/);
});

test("the environment is the given one and no more", () => {
  const env = { PATH: "/usr/bin", ONE: "1 with blank", TZ: "UTC" };
  const lines = inside("env", spec([], { env })).split("\n");
  // the shell's own
  const own = /^(?:PWD|SHLVL|_|OLDPWD)=/;
  assert.deepEqual(lines.filter((line) => !own.test(line)).sort(), ["ONE=1 with blank", "PATH=/usr/bin", "TZ=UTC"]);
});

test("there is no network: no interface but a loopback of its own, no way to the host's servers", async (t) => {
  const server = createServer().listen(0, "127.0.0.1");
  const abstract = createServer().listen(`\0anvil-test-${process.pid}`);
  await Promise.all([once(server, "listening"), once(abstract, "listening")]);
  t.after(() => [server, abstract].forEach((each) => each.close()));
  const { port } = server.address() as AddressInfo;
  const interfaces = inside("tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '");
  assert.deepEqual(
    interfaces.split("\n").filter((name) => name !== "lo" && !/^(?:tunl|sit|gre|ip6|erspan|ip_vti)/.test(name)),
    [],
  );
  const dial = `exec 3<>/dev/tcp/127.0.0.1/${port} && echo connected`;
  assert.equal(inside(`(${dial}) 2> /dev/null || echo refused`), "refused");
  assert.equal(inside(`(${dial}) 2> /dev/null || echo refused`, spec([], { network: true })), "connected");
  const unix = `use Socket; socket(S, AF_UNIX, SOCK_STREAM, 0); print connect(S, pack_sockaddr_un("\\0anvil-test-${process.pid}")) ? "connected" : "refused"`;
  assert.equal(inside(`perl -e '${unix}'`), "refused");
});

test("user, group, host name and rights are fixed", () => {
  assert.equal(inside("id -u; id -g; id -un; hostname"), "1000\n1000\nanvil\nanvil");
  const status = inside("grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status | tr '\\t' ' '");
  assert.match(status, /CapEff: 0000000000000000/);
  assert.match(status, /NoNewPrivs: 1/);
});

test("nothing can be written but what is bound for writing", (t) => {
  const [data, work] = [temporaryFolder(t), temporaryFolder(t)];
  writeFileSync(path.join(data, "file"), "data");
  const sandbox = spec([
    { from: data, at: "/in/data" },
    { from: work, at: "/build", writable: true },
  ]);
  for (const place of ["/new", "/usr/new", "/etc/new", "/usr/bin/bash", "/in/data/new", "/in/data/file", "/in/new"]) {
    assert.equal(inside(`(echo x > ${place}) 2> /dev/null && echo written || echo refused`, sandbox), "refused", place);
  }
  handOver(user, [work]);
  inside("echo built > /build/result", sandbox);
  assert.equal(readFileSync(path.join(work, "result"), "utf8"), "built\n");
});

test("a read-only folder cannot be made writable from inside", (t) => {
  const data = temporaryFolder(t);
  const sandbox = spec([{ from: data, at: "/in/data" }]);
  const tricks = [
    "mount -o remount,rw /in/data",
    "unshare -rm mount -o remount,rw,bind /in/data",
    "chmod 777 /in/data",
  ];
  inside(`(${tricks.join("; ")}) 2> /dev/null || true`, sandbox);
  assert.equal(inside("touch /in/data/new 2> /dev/null && echo written || echo refused", sandbox), "refused");
  assert.deepEqual(readdirSync(data), []);
});

test("devices are the harmless ones", () => {
  const names = inside("ls /dev").split("\n");
  const harmless = [
    "console",
    "core",
    "fd",
    "full",
    "null",
    "ptmx",
    "pts",
    "random",
    "shm",
    "stderr",
    "stdin",
    "stdout",
    "tty",
    "urandom",
    "zero",
  ];
  assert.deepEqual(
    names.filter((name) => !harmless.includes(name)),
    [],
  );
  assert.equal(inside("ls /dev/kvm 2> /dev/null || echo none"), "none");
});

test("everything in it ends with the process that started it", async (t) => {
  const work = temporaryFolder(t);
  const script = "(while :; do :; done) & mkfifo /build/ready; echo started; read -r line < /build/ready";
  handOver(user, [work]);
  const sandbox = spec([{ from: work, at: "/build", writable: true }]);
  const child = spawnSandbox(sandbox, ["/usr/bin/bash", "-c", script], { stdio: ["ignore", "pipe", "inherit"] });
  const stdout = child.stdout as Readable;
  await once(createInterface({ input: stdout }), "line");
  child.kill("SIGKILL");
  // the pipe is closed once nobody has it open any more: the busy loop has it too
  await once(stdout, "close");
});

/** What a step of a recipe finds, through the forge. */
async function stepSays(t: TestContext, script: string): Promise<string[]> {
  const own = await Rig.make(t);
  const file = own.projectFile("system/greeting", "hello");
  const tool = step(
    "tool",
    "mkdir -p /out/usr/bin; printf '#!/bin/sh\\necho from the tool\\n' > /out/usr/bin/tool; chmod +x /out/usr/bin/tool",
  );
  const data = step("data", "echo 1 > /out/number");
  const asker = step("asker", `${script}\ntouch /out/done`, {
    tools: [tool],
    inputs: [data],
    link: [data],
    files: [file],
    env: { FLAVOUR: "plain" },
  });
  const run = await own.forge(asker);
  assert.equal(run.ok, true, run.lines("asker").join("\n"));
  return run.lines("asker");
}

test("a step sees its inputs at fixed places, its tools on PATH, and its private folders", async (t) => {
  const said = await stepSays(
    t,
    "ls -d /* /*/* | grep -Ev '^/(usr|etc|proc|dev|bin|lib|lib64|sbin|var|opt|srv|home|root|mnt|media|boot|run|sys|selinux|lib32|libx32)(/|$)'; tool; cat /files/system/greeting /in/data/number; pwd",
  );
  const places = [
    "/anvil",
    "/anvil/step.sh",
    "/anvil/times",
    "/build",
    "/deps",
    "/deps/data",
    "/files",
    "/files/system",
    "/in",
    "/in/data",
    "/out",
    "/tmp",
    "/tools",
    "/tools/tool",
  ];
  assert.deepEqual(said, [...places, "from the tool", "hello1", "/build"]);
});

test("clock variables, locale, time zone, home and umask of a step are fixed, and nothing of the host's is there", async (t) => {
  const umask = process.umask(0o077);
  process.env["SECRET_OF_THE_HOST"] = "yes";
  t.after(() => {
    process.umask(umask);
    delete process.env["SECRET_OF_THE_HOST"];
  });
  const said = await stepSays(
    t,
    "env | grep -Ev '^(PWD|SHLVL|_|OLDPWD)=' | sort; umask; stat -c %a /build /out /tmp /files /files/system /files/system/greeting",
  );
  assert.deepEqual(said, [
    "ANVIL_TARGET=x86_64-anvil-linux-musl",
    "FLAVOUR=plain",
    "HOME=/build",
    "JOBS=2",
    "LC_ALL=C",
    "MAKEFLAGS=-j2 --jobserver-auth=3,3",
    "PATH=/tools/tool/usr/bin:/tools/tool/usr/sbin:/usr/bin:/usr/sbin",
    "SOURCE_DATE_EPOCH=1700000000",
    "TZ=UTC",
    "VERSION=",
    "0022",
    ...["755", "755", "755", "755", "755", "644"],
  ]);
});

test("a step has no terminal and no input, and the jobserver is the only open descriptor", async (t) => {
  const said = await stepSays(t, "cat; (echo > /dev/tty) 2> /dev/null || echo no terminal; ls /proc/$$/fd");
  // 255 is the shell's own: the script
  assert.deepEqual(said, ["no terminal", "0", "1", "2", "255", "3"]);
});

test("what a step left in its folders is not there for the next one", async (t) => {
  const own = await Rig.make(t);
  const first = step("first", "echo left > /tmp/left; echo left > /build/left; touch /out/a");
  const second = step("second", "ls -A /tmp /build; touch /out/b", { inputs: [first] });
  const run = await own.forge(second);
  assert.deepEqual(run.lines("second"), ["/build:", "", "/tmp:"]);
});
