/**
 * A process that takes locks, for the tests of locks. `locker hold <folder> <name>` takes one, says so and waits to be
 * killed. `locker contend <folder> <name> <rounds> <die>` takes and releases it `rounds` times, notes each time whether
 * it was alone, and with `die` = "yes" kills itself in the middle of a turn half way.
 */
import { closeSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import path from "node:path";
import { startTime, tryLock, type Lock } from "../../src/store/lock.ts";

const [mode = "", folder = "", name = "", rounds = "0", die = ""] = process.argv.slice(2);

function take(): Lock {
  for (;;) {
    const lock = tryLock(folder, name);
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
      if (startTime(Number(readFileSync(room, "utf8"))) !== undefined) return false;
      // who died in there held the lock, which is ours now
      rmSync(room);
    }
  }
}

if (mode === "hold") {
  take();
  writeSync(1, "held\n");
  process.stdin.resume();
} else {
  const room = path.join(folder, "room");
  let crowded = 0;
  for (let round = 0; round < Number(rounds); round++) {
    const lock = take();
    if (!enter(room)) crowded++;
    if (die === "yes" && round >= Number(rounds) / 2) process.kill(process.pid, "SIGKILL");
    rmSync(room, { force: true });
    lock.release();
  }
  writeSync(1, `crowded ${crowded}\n`);
}
