/**
 * ANVIL-DB beside another PostgreSQL of the same major version, such as Debian's: same settings, same file system, same
 * client (the other's), in turn (ABBA), so that what else the machine does meets both.
 * `node dist/bench/db.mjs [options] <folder of the other's programs>`; pgvector has to be installed there. Prints a markdown
 * table; a ratio above 1 says that ANVIL-DB is faster. fsync is off, as the disk is not what is measured, and so is
 * jit, which ANVIL-DB does not have.
 */
import { execFileSync, spawn, type ChildProcess, type SpawnOptions } from "node:child_process";
import {
  chmodSync,
  chownSync,
  closeSync,
  cpSync,
  existsSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { postgres } from "../recipes/postgres/postgres.ts";
import { make } from "./make.ts";
import { project } from "../test/this-project.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: "string", default: "10" },
    scale: { type: "string", default: "20" },
    megabytes: { type: "string", default: "1024" },
    vectors: { type: "string", default: "100000" },
    rounds: { type: "string", default: "2" },
    only: { type: "string", default: "" },
  },
});
const other = positionals[0];
if (other === undefined) {
  process.stderr.write(
    "usage: node dist/bench/db.mjs [--seconds 10] [--scale 20] [--megabytes 1024] [--vectors 100000] [--rounds 2]\n" +
      "         [--only start|pgbench|copy|vectors] <folder of the other's programs>\n",
  );
  process.exit(2);
}
const rounds = Number(values.rounds);
const DIMENSIONS = 128;
const QUERIES = 200;
const RECALL = 0.95;
const SETTINGS = [
  "listen_addresses=",
  "fsync=off",
  "jit=off",
  "autovacuum=off",
  "shared_buffers=2GB",
  "max_wal_size=16GB",
  "checkpoint_timeout=1h",
  "work_mem=64MB",
  "maintenance_work_mem=1GB",
  // two processes in all, as there are two clients elsewhere
  "max_parallel_workers_per_gather=1",
  "max_parallel_maintenance_workers=1",
];

const folder = mkdtempSync(path.join(os.tmpdir(), "anvil-bench-"));
// no server runs as root
const user: SpawnOptions = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
if (user.uid !== undefined) chownSync(folder, user.uid, user.uid);
chmodSync(folder, 0o755);

const client = (program: string, args: readonly string[]): string =>
  execFileSync(path.join(other, program), args, {
    ...user,
    cwd: folder,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });

class Server {
  private running: ChildProcess | undefined;
  private readonly data: string;

  constructor(
    private readonly name: string,
    private readonly programs: string,
  ) {
    this.data = path.join(folder, name);
  }

  /** Milliseconds. */
  create(): number {
    const started = performance.now();
    execFileSync(
      path.join(this.programs, "initdb"),
      ["-D", this.data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale", "--no-sync"],
      { ...user, cwd: folder, stdio: ["ignore", "ignore", "inherit"] },
    );
    return performance.now() - started;
  }

  /** Milliseconds until a client has the answer to its first query. */
  async start(): Promise<number> {
    const started = performance.now();
    const log = openSync(path.join(folder, `${this.name}.log`), "a");
    const settings = [...SETTINGS, `unix_socket_directories=${folder}`].flatMap((each) => ["-c", each]);
    this.running = spawn(path.join(this.programs, "postgres"), ["-D", this.data, "-p", this.port, ...settings], {
      ...user,
      cwd: folder,
      stdio: ["ignore", log, log],
    });
    closeSync(log);
    const socket = path.join(folder, `.s.PGSQL.${this.port}`);
    for (;;) {
      if (this.running.exitCode !== null) throw new Error(`${this.name} did not start`);
      if (existsSync(socket)) {
        try {
          this.sql("select 1", "postgres");
          return performance.now() - started;
        } catch {
          // it starts still
        }
      }
      await sleep(1);
    }
  }

  async stop(): Promise<void> {
    const running = this.running;
    if (running === undefined || running.exitCode !== null) return;
    this.running = undefined;
    const ended = new Promise((resolve) => running.once("exit", resolve));
    running.kill("SIGINT");
    await ended;
  }

  private get port(): string {
    return this.name === "ours" ? "54321" : "54322";
  }

  get connection(): string[] {
    return ["-h", folder, "-p", this.port, "-U", "postgres"];
  }

  sql(text: string, database = "bench"): string {
    return client("psql", [...this.connection, "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", text]).trim();
  }

  /** Seconds of the last command. */
  time(...commands: readonly string[]): number {
    const said = client("psql", [
      ...[...this.connection, "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", "bench", "-o", "/dev/null"],
      ...commands.slice(0, -1).flatMap((each) => ["-c", each]),
      ...["-c", "\\timing on", "-c", commands.at(-1) ?? ""],
    ]);
    return Number(/^Time: ([\d.]+) ms/m.exec(said)?.[1]) / 1000;
  }

  /** Transactions per second of two clients. */
  pgbench(...args: readonly string[]): number {
    const said = client("pgbench", [...this.connection, "-n", "-c", "2", "-T", values.seconds, ...args, "bench"]);
    return Number(/^tps = ([\d.]+)/m.exec(said)?.[1]);
  }
}

const row = (...cells: readonly string[]): void => void process.stdout.write(`| ${cells.join(" | ")} |\n`);

/** The median of each, measured in turn. */
async function inTurn<T>(
  pair: readonly [T, T],
  measure: (each: T) => number | Promise<number>,
): Promise<[number, number]> {
  const found: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    for (const which of round % 2 === 0 ? ([0, 1, 1, 0] as const) : ([1, 0, 0, 1] as const)) {
      found[which].push(await measure(pair[which]));
    }
  }
  const [a, b] = found.map((each) => {
    const sorted = each.sort((x, y) => x - y);
    const low = sorted[(sorted.length - 1) >> 1] ?? Number.NaN;
    const high = sorted[sorted.length >> 1] ?? Number.NaN;
    return (low + high) / 2;
  });
  return [a ?? Number.NaN, b ?? Number.NaN];
}

const rates = (what: string, bound: string, [a, b]: readonly [number, number]): void => {
  row(what, bound, `${a.toFixed(0)}/s`, `${b.toFixed(0)}/s`, (a / b).toFixed(2));
};
const times = (what: string, bound: string, [a, b]: readonly [number, number]): void => {
  row(what, bound, `${a.toFixed(2)} s`, `${b.toFixed(2)} s`, (b / a).toFixed(2));
};

/** Equal on every machine. */
function* numbers(): Generator<number, never> {
  for (let state = 1; ;) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    yield (state >>> 8) / (1 << 24);
  }
}

/** Vectors around a thousand centres, as those of texts or pictures lie; ids from 1. */
function writeVectors(file: string, queries: string): void {
  const random = numbers();
  const next = (): number => random.next().value;
  const centres = Array.from({ length: 1000 }, () => Float32Array.from({ length: DIMENSIONS }, () => next() - 0.5));
  const write = (to: string, count: number): void => {
    const out = openSync(to, "w");
    for (let id = 1; id <= count; id++) {
      const centre = centres[Math.floor(next() * centres.length)] as Float32Array;
      const numbers = Array.from(centre, (each) => (each + next() + next() - 1).toFixed(4));
      writeSync(out, `${id}\t[${numbers.join(",")}]\n`);
    }
    closeSync(out);
    chmodSync(to, 0o644);
  };
  write(file, Number(values.vectors));
  write(queries, QUERIES);
}

const [made] = (await make(project.store, [postgres])) as [string];
const copied = path.join(folder, "anvil");
cpSync(made, copied, { recursive: true, verbatimSymlinks: true });
const programs = path.join(copied, "usr/bin");
const pair = [new Server("ours", programs), new Server("other", other)] as const;
const [ours, theirs] = pair;

const wanted = (part: string): boolean => values.only === "" || values.only.split(",").includes(part);

async function starting(): Promise<void> {
  const figures = await inTurn(pair, async (each) => {
    await each.stop();
    return each.start();
  });
  const [a, b] = figures;
  row("start to the first query", "300 ms at most", `${a.toFixed(0)} ms`, `${b.toFixed(0)} ms`, (b / a).toFixed(2));
}

async function transactions(): Promise<void> {
  for (const each of pair) client("pgbench", [...each.connection, "-i", "-q", "-s", values.scale, "bench"]);
  rates("pgbench -S, 2 clients", "0.95", await inTurn(pair, (each) => each.pgbench("-S")));
  rates("pgbench -S -M prepared", "", await inTurn(pair, (each) => each.pgbench("-S", "-M", "prepared")));
  rates("pgbench TPC-B, 2 clients", "0.95", await inTurn(pair, (each) => each.pgbench()));
}

async function tables(): Promise<void> {
  // a line as TPC-H's lineitem has it: about 100 bytes
  const columns =
    "id bigint, quantity numeric(12,2), price numeric(12,2), discount numeric(12,2), tax numeric(12,2), flag char(1)," +
    " status char(1), shipped date, note text";
  const file = path.join(folder, "lines");
  ours.sql(
    `copy (select n, (n * 7 % 50 + 1)::numeric(12,2), (n::bigint * 7919 % 10000000 / 100.0)::numeric(12,2), (n % 11 / 100.0)::numeric(12,2),
      (n % 9 / 100.0)::numeric(12,2), substr('ANR', n % 3 + 1, 1), substr('OF', n % 2 + 1, 1), date '1992-01-01' + n % 2500,
      md5(n::text) || ' ' || n from generate_series(1, ${Number(values.megabytes) * 11_300}) n) to '${file}'`,
  );
  for (const each of pair) each.sql(`create table line (${columns})`);
  const size = `${(statSync(file).size / 1e6).toFixed(0)} MB`;
  times(
    `COPY of ${size} from a file`,
    "0.95",
    await inTurn(pair, (each) => each.time("truncate line", "checkpoint", `copy line from '${file}'`)),
  );
  for (const each of pair) each.sql("vacuum (analyze, freeze) line");
  times("COPY to a file", "", await inTurn(pair, (each) => each.time(`copy line to '${folder}/out'`)));
  rmSync(path.join(folder, "out"));
  const index = (column: string) => (each: Server) =>
    each.time("drop index if exists line_index", "checkpoint", `create index line_index on line (${column})`);
  times("CREATE INDEX, bigint", "0.95", await inTurn(pair, index("(id * 7919 % 1000003)")));
  times("CREATE INDEX, text", "0.95", await inTurn(pair, index("note")));
  const aggregate = `select flag, status, sum(quantity), sum(price), sum(price * (1 - discount)),
    sum(price * (1 - discount) * (1 + tax)), avg(quantity), avg(price), avg(discount), count(*)
    from line where shipped <= date '1998-09-01' group by flag, status order by flag, status`;
  times("aggregate as TPC-H's first", "0.95", await inTurn(pair, (each) => each.time(aggregate)));
  for (const each of pair) each.sql("drop table line");
}

async function vectors(): Promise<void> {
  const [items, queries, script] = ["items", "queries", "nearest.sql"].map((name) => path.join(folder, name)) as [
    string,
    string,
    string,
  ];
  writeVectors(items, queries);
  for (const each of pair) {
    each.sql("create extension vector");
    for (const [name, file] of Object.entries({ items, queries })) {
      each.sql(`create table ${name} (id int primary key, v vector(${DIMENSIONS}))`);
      each.sql(`copy ${name} from '${file}'`);
      each.sql(`alter table ${name} alter v set storage plain`);
    }
    each.sql("vacuum analyze");
  }
  const build = "create index nearest on items using hnsw (v vector_l2_ops)";
  times(
    `HNSW of ${values.vectors} × ${DIMENSIONS}, build`,
    "1.00",
    await inTurn(pair, (each) => each.time("drop index if exists nearest", "checkpoint", build)),
  );
  const nearest = "array(select i.id from items i order by i.v <-> q.v limit 10)";
  for (const each of pair) {
    each.sql(`set enable_indexscan = off; create table exact as select q.id, ${nearest} as ids from queries q`);
  }
  const recall = (each: Server, ef: number): number =>
    Number(
      each.sql(
        `set enable_seqscan = off; set hnsw.ef_search = ${ef}; select avg((select count(*) from unnest(e.ids) id
          where id = any(found.ids)) / 10.0) from exact e join queries q using (id), lateral (select ${nearest} as ids) found`,
      ),
    );
  let ef = 10;
  while (ef < 1000 && pair.some((each) => recall(each, ef) < RECALL)) ef = Math.ceil(ef * 1.1);
  const out = openSync(script, "w");
  writeSync(
    out,
    `\\set q random(1, ${QUERIES})\nselect id from items order by v <-> (select v from queries where id = :q) limit 10;\n`,
  );
  closeSync(out);
  for (const each of pair) each.sql(`alter database bench set hnsw.ef_search = ${ef}`);
  rates(
    `HNSW queries, recall ${recall(ours, ef).toFixed(2)} and ${recall(theirs, ef).toFixed(2)} (ef_search ${ef})`,
    "1.00",
    await inTurn(pair, (each) => each.pgbench("-f", script)),
  );
}

try {
  row("what", "at least", "ANVIL-DB", "other", "ratio");
  row("---", "---", "---", "---", "---");
  for (const each of pair) {
    each.create();
    await each.start();
  }
  for (const each of pair) each.sql("create database bench", "postgres");
  if (wanted("start")) await starting();
  if (wanted("pgbench")) await transactions();
  if (wanted("copy")) await tables();
  if (wanted("vectors")) await vectors();
} finally {
  for (const each of pair) await each.stop();
  rmSync(folder, { recursive: true, force: true });
}
