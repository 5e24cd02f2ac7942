/**
 * A process that takes locks, for the tests of locks. `locker hold <folder> <name>` takes one, says so and waits to be
 * killed; `halt` stops as Ctrl-Z does. `locker try <folder> <name>` says who has it, or "free". `locker contend <folder> <name> <rounds> <die>` takes and releases it `rounds` times, notes each time whether
 * it was alone, and with `die` = "yes" kills itself in the middle of a turn half way.
 */
import { closeSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import path from "node:path";
import { describeOwner, Owners } from "../../src/host/owner.ts";
import { identify } from "../../src/host/process.ts";
import { Locks, type Lock } from "../../src/store/lock.ts";

const [mode = "", folder = "", name = "", rounds = "0", die = ""] = process.argv.slice(2);

const locks = new Locks(folder, new Owners(path.join(folder, "../alive")));

async function take(): Promise<Lock> {
  for (;;) {
    const lock = await locks.take(name);
    if ("release" in lock) return lock;
  }
}

/** Whether nobody alive is in the room; then this process is. */
function enter(room: string): boolean {
  for (;;) {
    try {
      const fd = openSync(room, "wx");
      writeSync(fd, String(process.pid));
      closeSync(fd);
      return true;
    } catch {
      if (identify(Number(readFileSync(room, "utf8"))) !== undefined) return false;
      // who died in there held the lock, which is ours now
      rmSync(room);
    }
  }
}

if (mode === "hold" || mode === "halt") {
  await take();
  writeSync(1, "held\n");
  if (mode === "halt") process.kill(process.pid, "SIGSTOP");
  process.stdin.resume();
} else if (mode === "try") {
  const lock = await locks.take(name);
  writeSync(1, "heldBy" in lock ? `held ${describeOwner(lock.heldBy)}\n` : "free\n");
} else {
  const room = path.join(folder, "room");
  let crowded = 0;
  for (let round = 0; round < Number(rounds); round++) {
    const lock = await take();
    if (!enter(room)) crowded++;
    if (die === "yes" && round >= Number(rounds) / 2) process.kill(process.pid, "SIGKILL");
    rmSync(room, { force: true });
    lock.release();
  }
  writeSync(1, `crowded ${crowded}\n`);
}
