/**
 * The boundary around a cluster. Its superuser can run programs as the user of its server, and so may do all that this
 * user can: to its own files, of which root makes use, and to whatever of other clusters would be in reach.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { scratch } from "../boot/monolith.ts";
import { majorVersion, Monolith } from "./monolith.ts";
import { otherVersion } from "./other-version.ts";

const DATA = "/ingots/db/data";
const STATE = "/run/anvil-db";
const OUTSIDE = "/root/outside";

/** Files that nobody but root may change, as they are now: names, owners, modes, contents. */
const outside = (machine: Monolith): Promise<string> =>
  machine.inside(
    `find ${OUTSIDE} /etc ${DATA}/.anvil -exec stat -c '%n %F %u:%g %a %s %N' {} + | sort
     find ${OUTSIDE} /etc ${DATA}/.anvil -type f -exec sha256sum {} + | sort
     grep ${OUTSIDE} /proc/mounts || true`,
  );

const prepare = `mkdir -p ${OUTSIDE}/folder; echo kept > ${OUTSIDE}/file; echo kept > ${OUTSIDE}/folder/file`;

/** Gives every name in these folders, and names that root might use there, to links and folders. */
const HOSTILE = `\
names='boot failures guard.conf hba.conf ident.conf lock pgdata pg_wal postgresql.conf postmaster.pid refused socket started wal'
n=0
for folder; do
  [ -w "$folder" ] || continue
  for each in "$folder"/* $(for name in $names; do echo "$folder/$name" "$folder/$name.new"; done); do
    n=$((n + 1))
    rm -rf "$each"
    case $((n % 4)) in
      0) ln -s ${OUTSIDE}/file "$each" ;;
      1) ln -s ${OUTSIDE}/folder "$each" ;;
      2) ln -s ${OUTSIDE}/fresh-$n "$each" ;;
      3) mkdir "$each" && ln -s ${OUTSIDE}/file "$each/1" && ln -s ${OUTSIDE}/folder "$each/base" ;;
    esac
  done
done 2>/dev/null
true`;

const user = (machine: Monolith, cluster: string): Promise<string> =>
  machine.inside(`zfs get -H -o value anvil:uid $(zfs list -H -o name ${DATA}/${cluster})`);

test("a hostile cluster changes nothing outside, and reaches nothing of another", async (t) => {
  const folder = scratch(t);
  const machine = await Monolith.boot(t, `test-boundary-${process.pid}`);
  await machine.succeed("inject", "db", "--plain");
  await machine.sql("main", "create table t as select 1 as n");
  await machine.succeed("db", "branch", "main", "try-1");
  await machine.inside(prepare);
  const state = async (cluster: string): Promise<string | undefined> =>
    new RegExp(`^${cluster} +(\\S+)`, "m").exec(await machine.succeed("db", "list"))?.[1];
  /** Waits until a cluster is in another state than those that pass by themselves. */
  const settles = async (cluster: string): Promise<string | undefined> => {
    for (let attempt = 0; ; attempt++) {
      const now = await state(cluster);
      if ((now !== "starting" && now !== "stopped") || attempt === 60) return now;
    }
  };

  await t.test("a superuser of a branch sees no file, socket, process or memory of main", async () => {
    const [mine, theirs] = [await user(machine, "try-1"), await user(machine, "main")];
    assert.notEqual(mine, theirs);
    const server = await machine.server("main");
    const program = (script: string): Promise<string> => machine.program("try-1", script);
    assert.equal(await program("id -u; id -g; id -G"), `${mine}\n${mine}\n${mine}`);
    // files
    assert.equal(await program(`ls -A ${DATA}; ls -A ${STATE}`), "try-1\ntry-1");
    assert.match(await program(`cat ${DATA}/main/pgdata/PG_VERSION`), /No such file or directory/);
    assert.match(await program(`cat ${DATA}/.anvil/tls/server.key`), /No such file or directory/);
    assert.match(
      await program("ls -A /var /root /run/service /mnt /sys"),
      /^(ls: \S+: No such file or directory\n?){5}$/,
    );
    assert.equal(await program("ls -A /dev"), "fd\nfull\nnull\nrandom\nshm\nstderr\nstdin\nstdout\nurandom\nzero");
    assert.doesNotMatch(await program("cat /proc/mounts"), /main|outside/);
    const tops = `/ /usr /etc /run /proc/sys/kernel /dev ${DATA} ${DATA}/try-1 ${STATE} ${STATE}/try-1`;
    assert.equal(await program(`for each in ${tops}; do touch $each/x 2>/dev/null && echo $each; done`), "");
    // sockets
    const session = `psql -X -U postgres -p 5432 -c 'select 1' -h`;
    assert.match(await program(`${session} ${STATE}/main/socket`), /No such file or directory/);
    assert.match(await program(`${session} 127.0.0.1`), /Connection refused/);
    // processes and their memory
    assert.match(await program(`ls -d /proc/${server}; kill -0 ${server}`), /No such file.*\n.*No such process/);
    assert.doesNotMatch(await program("cat /proc/[0-9]*/cmdline | tr '\\0' ' '"), /\/main/);
    assert.equal(await program("ls -A /dev/shm | grep -c main; tail -n +2 /proc/sysvipc/shm | wc -l"), "0\n1");
    assert.match(
      await program("unshare -U true; unshare -m true; nsenter -t 1 -m true"),
      /^(.*(denied|not permitted)[^\n]*\n?){3}$/,
    );
    assert.match(
      await program("mount -t tmpfs t /tmp; mknod /tmp/m c 1 1"),
      /^(.*(denied|not permitted)[^\n]*\n?){2}$/,
    );
    // what it sees of its own cluster, its server is still outside of
    assert.match(
      await program(`${session.replace("5432", "5433")} ${STATE}/try-1/socket`),
      /Peer authentication failed/,
    );
  });

  await t.test("nor would it if it got out: another user is all it is", async () => {
    const as = `chpst -u ${await user(machine, "try-1")}:${await user(machine, "try-1")}`;
    const server = await machine.server("main");
    const tries = [
      `${as} cat ${DATA}/main/pgdata/PG_VERSION`,
      `${as} ls ${DATA}/main/wal`,
      `${as} ls /var/log/anvil-db/main`,
      `${as} cat ${DATA}/.anvil/tls/server.key`,
      `${as} ls /proc/${server}/fd`,
      `${as} kill -0 ${server}`,
      `${as} rm ${STATE}/main/socket/.s.PGSQL.5432`,
      `${as} psql -X -U postgres -h ${STATE}/main/socket -c 'select 1'`,
    ];
    for (const each of tries) assert.equal(await machine.inside(`${each} >/dev/null 2>&1 && echo ${each} || true`), "");
  });

  await t.test("who asks it does not get to another", async () => {
    const link = `ln -sf ${STATE}/main/socket/.s.PGSQL.5432 ${STATE}/try-1/socket/.s.PGSQL.5433`;
    await machine.program("try-1", link);
    const answer = await machine.inside(
      `psql -X -U postgres -p 5433 -h ${STATE}/try-1/socket -A -t -c "select 'got there'" 2>&1 || true`,
    );
    assert.match(answer, /Too many levels of symbolic links|Symbolic link loop/);
    await machine.succeed("db", "restart", "try-1");
    assert.equal(await machine.sql("try-1", "select count(*) from t"), "1");
  });

  await t.test("all that it leaves behind ends with its server", async () => {
    await machine.program("try-1", "setsid sleep 12345 </dev/null >/dev/null 2>&1 &");
    assert.notEqual(await machine.inside("pgrep -f 'sleep 12345' || true"), "");
    await machine.succeed("db", "restart", "try-1");
    assert.equal(await machine.inside("pgrep -f 'sleep 12345' || true"), "");
  });

  await t.test(
    "it replaces every name in its folders: restart, branch, upgrade and rollback change nothing outside",
    async () => {
      await machine.succeed("db", "snapshot", "try-1@well");
      await machine.inside(`cat > /tmp/hostile <<'END'\n${HOSTILE}\nEND`);
      const before = await outside(machine);
      const folders =
        ["", "/pgdata", "/wal"].map((each) => `${DATA}/try-1${each}`).join(" ") +
        ` ${STATE}/try-1 ${STATE}/try-1/socket`;
      const attack = async (): Promise<void> => {
        const id = await user(machine, "try-1");
        await machine.inside(`chpst -u ${id}:${id} sh /tmp/hostile ${folders}`);
        assert.notEqual(await machine.inside(`find ${DATA}/try-1/pgdata -type l`), "");
      };
      const unchanged = async (): Promise<void> => {
        assert.equal(await outside(machine), before);
        assert.equal(await machine.sql("main", "select count(*) from t"), "1");
        const id = await user(machine, "main");
        assert.equal(await machine.inside(`find ${DATA}/main -mindepth 1 ! -user ${id}`), "");
      };
      await attack();
      await machine.inside("sv -w 60 restart /run/anvil-db/.service/try-1 || true");
      await unchanged();
      await attack();
      await machine.run(["db", "restart", "try-1"]);
      await unchanged();
      await machine.run(["db", "branch", "try-1", "try-2"]);
      await unchanged();
      await machine.inside("sv -w 120 restart db");
      assert.notEqual(await settles("try-1"), "running");
      await unchanged();
      const file = await otherVersion(folder, `${await majorVersion()}.97`, {
        "usr/share/postgresql/changed": "yes\n",
      });
      await machine.succeed("inject", "--file", file, "--plain");
      await unchanged();
      await machine.succeed("ingot", "rollback", "db");
      await unchanged();
      await machine.run(["db", "destroy", "try-2"]);
      await machine.succeed("db", "rollback", "try-1@well", "--discard-later");
      assert.equal(await machine.sql("try-1", "select count(*) from t"), "1");
      await attack();
      await machine.succeed("db", "destroy", "try-1");
      await unchanged();
    },
  );
  await machine.powerOff();
});

/** What a version of the ingot left in which all clusters had user 70, which could write to all of a cluster's folders. */
const asBefore = (cluster: string): string => `\
set=$(zfs list -H -o name ${DATA}/${cluster})
chown -hR 70:70 ${DATA}/${cluster}
chmod 700 ${DATA}/${cluster}
zfs inherit anvil:uid $set
mkdir -p ${STATE}/${cluster}
ln -s ${OUTSIDE}/file ${STATE}/${cluster}/postgresql.conf.new
ln -s ${OUTSIDE}/folder ${STATE}/${cluster}/socket
ln -s ${OUTSIDE}/fresh ${STATE}/${cluster}/lock
ln -s ${OUTSIDE}/folder ${STATE}/${cluster}/etc
ln -s ${OUTSIDE}/fresh ${DATA}/${cluster}/boot
ln -s ${OUTSIDE}/folder ${DATA}/${cluster}/pgdata/elsewhere
chown -h 70:70 ${STATE}/${cluster} ${STATE}/${cluster}/*
`;

test("clusters of a version in which all had one user are taken over, and snapshots of them come back", async (t) => {
  const machine = await Monolith.boot(t, `test-take-over-${process.pid}`);
  await machine.succeed("inject", "db", "--plain");
  await machine.sql("main", "create table t as select 1 as n");
  await machine.succeed("db", "branch", "main", "old");
  await machine.succeed("db", "snapshot", "old@well");
  await machine.inside(prepare);
  const before = await outside(machine);
  const lines = [
    "sv -w 120 force-stop db",
    asBefore("main"),
    asBefore("old"),
    `zfs snapshot -r $(zfs list -H -o name ${DATA})@mid`,
    // a snapshot that has a link where the log is mounted
    `set=$(zfs list -H -o name ${DATA}/old)`,
    `zfs unmount $set/wal && rmdir ${DATA}/old/wal && ln -s ${OUTSIDE}/folder ${DATA}/old/wal`,
    "zfs snapshot -r $set@link",
    `rm ${DATA}/old/wal && mkdir ${DATA}/old/wal && zfs mount $set/wal`,
    "chpst -u 70:70 sleep 54321 </dev/null >/dev/null 2>&1 &",
    "sv start db",
    "until [ -e /run/anvil-db/prepared ]; do sleep 1; done",
  ];
  await machine.inside(lines.join("\n"));
  const owners = async (cluster: string): Promise<string> =>
    machine.inside(
      `stat -c '%u %a' ${DATA}/${cluster}; find ${DATA}/${cluster}/pgdata ${DATA}/${cluster}/wal -exec stat -c %u {} + | sort -u`,
    );

  assert.equal(await machine.sql("main", "insert into t values (2); select count(*) from t"), "2");
  assert.equal(await machine.sql("old", "select count(*) from t"), "1");
  const [main, old] = [await user(machine, "main"), await user(machine, "old")];
  assert.notEqual(main, old);
  assert.equal(await owners("main"), `0 711\n${main}`);
  assert.equal(await owners("old"), `0 711\n${old}`);
  assert.equal(await machine.inside("pgrep -f 'sleep 54321' || true"), "");
  assert.equal(await outside(machine), before);

  await t.test("a branch of such a snapshot", async () => {
    await machine.succeed("db", "branch", "main@mid", "new");
    assert.equal(await machine.sql("new", "select count(*) from t"), "1");
    assert.equal(await owners("new"), `0 711\n${await user(machine, "new")}`);
    await machine.succeed("db", "destroy", "new");
  });

  await t.test("one that has a link in the place of its log", async () => {
    await machine.refused("E_DB_FILES", "db", "branch", "old@link", "new");
    await machine.refused("E_DB_FILES", "db", "rollback", "old@link");
    await machine.inside("sv -w 120 restart db; until [ -e /run/anvil-db/prepared ]; do sleep 1; done");
    assert.match(await machine.succeed("db", "list"), /^old +refused/m);
    assert.equal(await outside(machine), before);
  });

  await t.test("a rollback to one of before", async () => {
    await machine.succeed("db", "rollback", "old@mid", "--discard-later");
    assert.equal(await machine.sql("old", "select count(*) from t"), "1");
    assert.equal(await owners("old"), `0 711\n${old}`);
    await machine.succeed("db", "rollback", "old@well", "--discard-later");
    assert.equal(await machine.sql("old", "select count(*) from t"), "1");
    assert.equal(await outside(machine), before);
  });
  await machine.powerOff();
});
