import assert from "node:assert/strict";
import { test } from "node:test";
import { hostOfGuests } from "./micro.ts";

test("four guests run at once, each with its own user, drive and console, and end one by one", async (t) => {
  const host = await hostOfGuests(t);
  const names = ["one", "two", "three", "four"];
  const guests = [];
  for (const name of names) {
    await host.succeed(`echo drive-of-${name} > /tmp/${name}.img; truncate -s 1M /tmp/${name}.img`);
    guests.push(await host.boot(name, `--drive root=/tmp/${name}.img`));
  }
  const list = await host.succeed("anvilctl list");
  for (const guest of guests) {
    assert.match(list, new RegExp(`^${guest.name} +Running `, "m"));
    assert.match(await guest.succeed("head -n 1 /dev/vda"), new RegExp(`^drive-of-${guest.name}$`, "m"));
  }
  // each in a process of another user
  const users = new Set<number>();
  for (const name of names) users.add((await host.jail(name)).user);
  assert.equal(users.size, names.length);
  await host.succeed("anvilctl pause two");
  assert.match(await host.succeed("anvilctl list"), /^two +Paused /m);
  assert.match((await guests[2]?.succeed("echo $((40 + 2))")) ?? "", /^42$/m);
  await host.succeed("anvilctl stop two --force --timeout 0");
  for (const name of ["one", "three", "four"]) await host.succeed(`anvilctl stop ${name} --timeout 600`);
  assert.equal(await host.succeed("anvilctl list | wc -l"), "1");
});
