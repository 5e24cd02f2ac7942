/**
 * The table of the API (`native/anvil-vmm/tests/data/api.txt`), sent to a program over its socket. It needs neither KVM nor a
 * Monolith. The program is anvil-vmm unless `ANVIL_TEST_MONITOR` names another file: of another one statuses are compared,
 * and where Firecracker answers otherwise, `firecracker.txt` says how; the texts of its messages are its own.
 */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import http from "node:http";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { anvilVmm } from "../../recipes/anvil-vmm.ts";
import { output, scratch } from "../boot/monolith.ts";
import { project } from "../this-project.ts";
import { otherMonitor } from "./monitor.ts";

interface Row {
  readonly line: number;
  readonly method: string;
  readonly path: string;
  readonly body: string;
  /** Undefined where nothing is compared. */
  readonly status: number | undefined;
  readonly holds: string;
}

function tableOf(file: string, folder: string): Row[] {
  const lines = readFileSync(path.join(project.root, file), "utf8").replaceAll("{tmp}", folder).split("\n");
  return lines.flatMap((line, index) => {
    if (line === "" || line.startsWith("#")) return [];
    const [call = "", body = "", status = "", holds = ""] = line.split(" |").map((part) => part.trim());
    const [method = "", target = ""] = call.split(" ");
    return [
      { line: index + 1, method, path: target, body, status: status === "-" ? undefined : Number(status), holds },
    ];
  });
}

/** An ELF kernel of one segment: a processor that waits for ever. */
function kernel(): Buffer {
  const file = Buffer.alloc(124);
  file.write("\x7fELF\x02\x01\x01", "latin1");
  file.writeUInt16LE(2, 16);
  file.writeUInt16LE(62, 18);
  file.writeBigUInt64LE(0x10_0000n, 24);
  file.writeBigUInt64LE(64n, 32);
  file.writeUInt16LE(56, 54);
  file.writeUInt16LE(1, 56);
  file.writeUInt32LE(1, 64);
  for (const [at, value] of [
    [72, 120n],
    [88, 0x10_0000n],
    [96, 4n],
    [104, 4096n],
  ] as const)
    file.writeBigUInt64LE(value, at);
  file.set([0xfa, 0xf4, 0xeb, 0xfd], 120);
  return file;
}

function filesIn(folder: string): void {
  const image = Buffer.alloc(1 << 20);
  image.write("HdrS", 0x202);
  writeFileSync(path.join(folder, "kernel"), kernel());
  writeFileSync(path.join(folder, "bzimage"), image);
  for (const name of ["drive", "drive2"]) writeFileSync(path.join(folder, name), Buffer.alloc(1 << 20));
}

/** A monitor at its socket. It ends with the test. */
async function started(t: TestContext, program: string, folder: string): Promise<string> {
  const socket = path.join(folder, "api");
  const own = program.endsWith("anvil-vmm") ? ["--no-stdio"] : [];
  const child: ChildProcess = spawn(program, ["--api-sock", socket, "--id", "test", ...own], { stdio: "ignore" });
  const ended = new Promise<void>((resolve) => child.on("close", () => resolve()));
  t.after(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  while (!existsSync(socket)) {
    assert.equal(child.exitCode, null, `${program} ended`);
    await sleep(20);
  }
  return socket;
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

function ask(socketPath: string, { method, path: target, body }: Row): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = body === "" ? {} : { "Content-Length": Buffer.byteLength(body) };
    const request = http.request({ socketPath, method, path: target, headers }, (response) => {
      text(response).then((answer) => resolve({ status: response.statusCode ?? 0, body: answer }), reject);
    });
    request.on("error", reject).end(body);
  });
}

test("every row of the table holds over the socket", async (t) => {
  const folder = scratch(t);
  filesIn(folder);
  const other = otherMonitor();
  const program = other ?? path.join(await output(anvilVmm), "usr/bin/anvil-vmm");
  const socket = await started(t, program, folder);
  const rows = tableOf("native/anvil-vmm/tests/data/api.txt", folder);
  assert.ok(rows.length > 90);
  const theirs = other === undefined ? [] : tableOf("test/vmm/firecracker.txt", folder);
  const complaints: string[] = [];
  for (const row of rows) {
    const { method, path: target, body } = row;
    const known = theirs.find((each) => each.method === method && each.path === target && each.body === body);
    const { status: expected, holds } = known ?? (other === undefined ? row : { ...row, holds: "" });
    const answer = await ask(socket, row);
    const said = `line ${row.line}: ${method} ${target} ${body}: ${answer.status} ${answer.body}`;
    if (expected !== undefined && answer.status !== expected) complaints.push(`${said}; not ${expected}`);
    else if (!answer.body.includes(holds)) complaints.push(`${said}; not ${holds}`);
    if (answer.status === 400 && !/^\{"fault_message":"/.test(answer.body))
      complaints.push(`${said}; no fault_message`);
  }
  assert.deepEqual(complaints, []);
});
