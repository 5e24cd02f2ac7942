/** A system that was forged with SSH public keys, reached over the network: logins, and ingots with `--to ssh://…`. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createPrivateKey, createPublicKey } from "node:crypto";
import { chmodSync, copyFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { dropbear } from "../../recipes/dropbear.ts";
import { rootfs } from "../../recipes/rootfs.ts";
import { openStore, projectRoot } from "../../src/cli/command.ts";
import { userKeys } from "../../src/cli/user-keys.ts";
import { keyPaths, trustedKeys } from "../../src/inject/key-file.ts";
import { boot, output, scratch } from "./monolith.ts";

/** A field of an SSH key, RFC 4251: its length and itself. */
function field(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

const type = "ssh-ed25519";

/** The same pair for the same number, so that systems which know it are forged once. */
function pair(number: number): { readonly line: string; readonly dropbear: Buffer } {
  const seed = Buffer.alloc(32, number);
  // RFC 8410: what stands before the 32 bytes of an ed25519 key in PKCS #8
  const der = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), seed]);
  const key = createPublicKey(createPrivateKey({ key: der, format: "der", type: "pkcs8" }));
  const point = key.export({ format: "der", type: "spki" }).subarray(-32);
  const name = field(Buffer.from(type));
  return {
    line: `${type} ${Buffer.concat([name, field(point)]).toString("base64")}`,
    dropbear: Buffer.concat([name, field(Buffer.concat([seed, point]))]),
  };
}

test("without SSH keys there is no SSH server", async () => {
  const tree = await output(rootfs({ rootLogin: true, trust: trustedKeys(userKeys()), logins: [] }));
  assert.ok(existsSync(path.join(tree, "usr/bin/busybox")));
  for (const name of ["usr/sbin/dropbear", "etc/service/ssh", "etc/ssh"]) assert.ok(!existsSync(path.join(tree, name)));
});

test("a system that was forged with SSH keys lets in those who have them, and takes ingots over SSH", async (t) => {
  const folder = scratch(t);
  const [mine, other] = [pair(1), pair(2)];
  const keys = keyPaths({ XDG_CONFIG_HOME: folder }, "/");
  mkdirSync(path.dirname(keys.own));
  copyFileSync(userKeys().own, keys.own);
  writeFileSync(keys.logins, `# who may\n\n${mine.line} somebody@somewhere\n`);

  // dropbear's client in the place of the user's: it knows neither `-e none` nor `--`
  const client = path.join(await output(dropbear), "usr/bin/ssh");
  const ssh = (key: string): string => {
    const bin = path.join(folder, `bin-${key}`);
    mkdirSync(bin);
    writeFileSync(
      path.join(bin, "ssh"),
      `#!${process.execPath}
const args = process.argv.slice(2).filter((arg, index, all) => !["-e", "--"].includes(arg) && all[index - 1] !== "-e");
const { status } = require("child_process").spawnSync(
  ${JSON.stringify(client)}, ["-y", "-y", "-i", ${JSON.stringify(path.join(folder, key))}, ...args], { stdio: "inherit" });
process.exitCode = status ?? 1;
`,
    );
    chmodSync(path.join(bin, "ssh"), 0o755);
    return bin;
  };
  writeFileSync(path.join(folder, "mine"), mine.dropbear, { mode: 0o600 });
  writeFileSync(path.join(folder, "other"), other.dropbear, { mode: 0o600 });
  const [withMine, withOther] = [ssh("mine"), ssh("other")];

  const anvil = async (args: readonly string[], bin: string): Promise<{ status: number | null; said: string }> => {
    const child = spawn(process.execPath, [path.join(projectRoot(), "bin/anvil"), ...args], {
      env: { HOME: folder, ANVIL_CACHE: openStore().paths.top, XDG_CONFIG_HOME: folder, PATH: bin },
    });
    const status = new Promise<number | null>((resolve) => child.on("close", resolve));
    const said = (await Promise.all([text(child.stdout), text(child.stderr)])).join("");
    return { status: await status, said };
  };
  const succeed = async (args: readonly string[]): Promise<string> => {
    const { status, said } = await anvil(args, withMine);
    assert.equal(status, 0, `${args.join(" ")}\n${said}`);
    return said;
  };

  const out = path.join(folder, "out");
  await succeed(["forge", "iso", "--out", out, "--plain"]);
  const machine = await boot(t, {
    cdrom: path.join(out, "anvilos-phase2.iso"),
    network: { forwards: [{ guest: 22 }] },
  });
  const inside = async (command: string): Promise<string> => (await machine.console.succeed(command)).trim();
  await inside(
    "until ip -4 addr show dev eth0 | grep -q inet && nc 127.0.0.1 22 </dev/null | grep -q SSH; do sleep 1; done",
  );
  const to = `ssh://root@127.0.0.1:${machine.forwards[0]?.host}`;

  assert.doesNotMatch(await succeed(["ingot", "list", "--to", to]), /tools/);
  assert.match(await succeed(["inject", "tools", "--to", to, "--plain"]), /tools/);
  assert.match(await inside("/ingots/bin/lz4 --version"), /lz4 v/);
  assert.match(await succeed(["ingot", "list", "--to", to]), /tools .* active/);

  const refused = await anvil(["ingot", "list", "--to", to], withOther);
  assert.equal(refused.status, 1);
  assert.match(refused.said, /^E_SSH {2}/);

  // the host's key stays the same
  assert.match(await inside("ls /etc/ssh"), /^authorized_keys\nhost_ed25519/);
});
