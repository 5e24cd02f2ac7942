/**
 * anvil-vmm beside QEMU's microvm machine, both with KVM in the same Monolith, with the same kernel, initramfs and command
 * line, in turns: from the start to the first line of the guest's init and of its kernel, and memory beside that of the guest. Prints a
 * markdown table; run with `node dist/bench/vmm.mjs` after `anvil forge iso ingot-vmm`. Where the Monolith itself is emulated
 * the times are long, and their ratio is what counts. The first and last rows are of this machine.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import type { TestContext } from "node:test";
import { anvilVmm } from "../recipes/anvil-vmm.ts";
import { anvilctl } from "../recipes/anvilctl.ts";
import { seedVm } from "../recipes/seed.ts";
import { output } from "../test/boot/monolith.ts";
import { GUEST, hostOfGuests, overhead, type Host } from "../test/vmm/micro.ts";

const RUNS = 5;
const STARTS = 100;
const MEMORY = 128;
const CMDLINE = "console=ttyS0 reboot=k panic=1 pci=off i8042.noaux i8042.nomux i8042.dumbkbd quiet";
/** A guest without pools. OpenZFS measures its own routines while it starts, which is most of the time of such a kernel. */
const NO_ZFS = `${CMDLINE} initcall_blacklist=openzfs_init`;
const INIT = "guest: init";
/** Until here a monitor is at work alone; what follows is the guest's, on what the monitor gives it. */
const EARLY = `${CMDLINE.replace(" quiet", "")} earlyprintk=serial,ttyS0`;
const KERNEL = "Linux version";

const cleaning: (() => unknown)[] = [];
const t = { after: (act: () => unknown): void => void cleaning.push(act) } as unknown as TestContext;

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

/** QEMU of the seed with what it loads, as a tar for the Monolith, which has no dynamic loader. */
async function packQemu(folder: string): Promise<string> {
  const seed = await output(seedVm);
  const libraries = "usr/lib/x86_64-linux-gnu";
  const loader = `${libraries}/ld-linux-x86-64.so.2`;
  const program = "usr/bin/qemu-system-x86_64-microvm";
  const list = execFileSync(
    path.join(seed, loader),
    ["--library-path", path.join(seed, libraries), "--list", path.join(seed, program)],
    { encoding: "utf8" },
  );
  const names = [...list.matchAll(/^\s*([^/\s]+\.so\S*) => /gm)].map(([, name]) => `${libraries}/${name ?? ""}`);
  const data = ["usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"].filter((each) =>
    statSync(path.join(seed, each), { throwIfNoEntry: false }),
  );
  const tar = path.join(folder, "qemu.tar");
  execFileSync("tar", ["-C", seed, "-chf", tar, loader, program, ...names, ...data]);
  return tar;
}

// Shell text that sets `name` to the time since the Monolith was booted; hundredths of seconds.
const now = (name: string): string => `read ${name} rest < /proc/uptime`;

interface Start {
  /** From InstanceStart, or from the start of the process where there is no such thing. */
  readonly started: number;
  readonly process: number;
  /** Of the process and its guest until then. */
  readonly processor: number;
  readonly kilobytes: number;
}

function parse(said: string): Start {
  const [, begin, start, end, ticks, kilobytes] = /^figures (\S+) (\S+) (\S+) (\d+) (\d+)$/m.exec(said) ?? [];
  return {
    processor: Number(ticks) / 100,
    started: Number(end) - Number(start),
    process: Number(end) - Number(begin),
    kilobytes: Number(kilobytes),
  };
}

// Of the process and of the one in which its guest runs, if there is one: hundredths of seconds, KiB.
const each = "$pid $(pgrep -P $pid)";
const ticks = `$(for p in ${each}; do cat /proc/$p/stat; done | awk '{ sum += $14 + $15 } END { print sum }')`;
const kilobytes = `$(for p in ${each}; do ${overhead("$p", MEMORY)}; done | awk '{ sum += $1 } END { print sum }')`;

/** A folder that names the socket as a console makes `anvilctl console` wait for the guest's line. */
async function startMonitor(host: Host, cmdline: string, text: string): Promise<Start> {
  return parse(
    await host.succeed(`
rm -rf /tmp/bench; mkdir -p /tmp/bench/b; cd /tmp/bench/b
${now("begin")}
anvil-vmm --api-sock sock --console-sock /tmp/bench/b/console --no-stdio & pid=$!
echo $pid $(cut -d' ' -f22 /proc/$pid/stat) > process
until anvilctl request --sock sock GET / > said 2>&1; do usleep 1000; done
anvilctl request --sock sock PUT /machine-config '{"vcpu_count":1,"mem_size_mib":${MEMORY}}'
anvilctl request --sock sock PUT /boot-source \\
  '{"kernel_image_path":"${GUEST}/vmlinux","initrd_path":"${GUEST}/guest.cpio","boot_args":"${cmdline}"}'
${now("start")}
anvilctl request --sock sock PUT /actions '{"action_type":"InstanceStart"}'
ANVIL_VMM_RUN=/tmp/bench anvilctl console b --until '${text}' --timeout 600 < /dev/null > said
${now("end")}
echo "figures $begin $start $end ${ticks} ${kilobytes}"
kill $pid; wait $pid; cd /`),
  );
}

/**
 * As little as it can have, but the clock: without one the guest's kernel asks for it 10 000 times, which takes longer than all
 * the rest. The line is looked for in its standard output.
 */
async function startQemu(host: Host, cmdline: string, text: string): Promise<Start> {
  return parse(
    await host.succeed(`
rm -rf /tmp/bench; mkdir /tmp/bench; mkfifo /tmp/bench/serial
cd /tmp/qemu
${now("begin")}
usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 --library-path usr/lib/x86_64-linux-gnu usr/bin/qemu-system-x86_64-microvm \\
  -L usr/share/qemu -L usr/share/seabios -M microvm,x-option-roms=off,pit=off,pic=off,rtc=on -accel kvm -cpu host \\
  -m ${MEMORY} -nodefaults -no-user-config -display none -no-reboot -serial stdio \\
  -kernel ${GUEST}/vmlinux -initrd ${GUEST}/guest.cpio -append '${cmdline}' < /dev/null > /tmp/bench/serial 2> /tmp/bench/said &
pid=$!
exec 9< /tmp/bench/serial
grep -m 1 -q '${text}' <&9
${now("end")}
echo "figures $begin $begin $end ${ticks} ${kilobytes}"
kill $pid; wait $pid; exec 9<&-; cd /`),
  );
}

interface Both {
  readonly ours: Start;
  readonly qemu: Start;
}

/** In turns, so that what else the machine does meets both. */
async function measure(host: Host, cmdline: string, text: string): Promise<Both> {
  const runs: Both[] = [];
  for (let run = 0; run < RUNS; run++)
    runs.push({ ours: await startMonitor(host, cmdline, text), qemu: await startQemu(host, cmdline, text) });
  const of = (who: keyof Both): Start => ({
    started: median(runs.map((run) => run[who].started)),
    process: median(runs.map((run) => run[who].process)),
    processor: median(runs.map((run) => run[who].processor)),
    kilobytes: median(runs.map((run) => run[who].kilobytes)),
  });
  return { ours: of("ours"), qemu: of("qemu") };
}

/** Processor time of a monitor from its start to its first answer, with that of the client that asks: milliseconds. */
function processorTime(monitor: string, control: string): number {
  const folder = mkdtempSync(path.join(os.tmpdir(), "anvil-bench-"));
  const script = `
for i in $(seq ${STARTS}); do
  "$1" --api-sock s --no-stdio & p=$!
  until [ -S s ]; do :; done
  "$2" request --sock s GET /version > said
  kill $p; wait $p 2>/dev/null
done
times`;
  const { stdout } = spawnSync("sh", ["-c", script, "sh", monitor, control], { cwd: folder, encoding: "utf8" });
  rmSync(folder, { recursive: true, force: true });
  const children = stdout.trim().split("\n").at(-1) ?? "";
  const seconds = [...children.matchAll(/(\d+)m([\d.]+)s/g)].map(([, m, s]) => Number(m) * 60 + Number(s));
  return ((seconds[0] ?? Number.NaN) + (seconds[1] ?? Number.NaN)) * (1000 / STARTS);
}

function row(...cells: readonly string[]): void {
  process.stdout.write(`| ${cells.join(" | ")} |\n`);
}

const seconds = (value: number): string => `${value.toFixed(2)} s`;
const mebibytes = (kilobytes: number): string => `${(kilobytes / 1024).toFixed(1)} MiB`;

try {
  const monitor = path.join(await output(anvilVmm), "usr/bin/anvil-vmm");
  const control = path.join(await output(anvilctl), "usr/bin/anvilctl");
  const folder = mkdtempSync(path.join(os.tmpdir(), "anvil-bench-"));
  cleaning.push(() => rmSync(folder, { recursive: true, force: true }));
  const host = await hostOfGuests(t, {
    disks: [{ path: await packQemu(folder), bus: "virtio", readOnly: true }],
    memory: 4096,
  });
  await host.succeed("mkdir /tmp/qemu; tar -x -C /tmp/qemu -f /dev/vda");
  const { ours, qemu } = await measure(host, CMDLINE, INIT);
  const measured = {
    "the guest's init": { ours, qemu },
    "the same without ZFS": await measure(host, NO_ZFS, INIT),
    "the first line of the guest's kernel": await measure(host, EARLY, KERNEL),
  };
  row("what", "at most", "anvil-vmm", "QEMU microvm");
  row("---", "---", "---", "---");
  row("binary", "2.5 MB", `${(statSync(monitor).size / 1e6).toFixed(2)} MB`, "7.69 MB, and libraries");
  for (const [name, each] of Object.entries(measured)) {
    row(
      `InstanceStart to ${name}`,
      "0.5 × QEMU",
      `${seconds(each.ours.started)}, ratio ${(each.ours.started / each.qemu.started).toFixed(2)}`,
      `${seconds(each.qemu.started)} from the start of its process`,
    );
    row("start of the process until then", "", seconds(each.ours.process), seconds(each.qemu.process));
    row(
      "processor time until then",
      "",
      `${seconds(each.ours.processor)}, ratio ${(each.ours.processor / each.qemu.processor).toFixed(2)}`,
      seconds(each.qemu.processor),
    );
  }
  row("memory beside the guest's", "5 MiB", mebibytes(ours.kilobytes), mebibytes(qemu.kilobytes));
  row(
    "start to first answer, processor time",
    "8 ms",
    `${processorTime(monitor, control).toFixed(1)} ms, with the client's`,
    "",
  );
} finally {
  for (const act of cleaning.reverse()) await act();
}
