/** Clients of others, over TCP with TLS and SCRAM: node-postgres, pgvector's types for it, and Kysely on top of both. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Kysely, PostgresDialect, sql, type Generated } from "kysely";
import pg from "pg";
import { l2Distance, toSql } from "pgvector/kysely";
import { registerTypes } from "pgvector/pg";
import { Monolith } from "./monolith.ts";

const PASSWORD = "correct horse";

interface Schema {
  readonly document: { readonly id: Generated<number>; readonly title: string; readonly embedding: string };
  readonly tag: { readonly document_id: number; readonly name: string };
}

test("clients log in with certificate and password, and work", async (t) => {
  const machine = await Monolith.boot(t, `test-clients-${process.pid}`);
  await machine.succeed("inject", "db", "--plain");
  await machine.sql("main", `create role app login password '${PASSWORD}'; create database app owner app`);
  await machine.succeed("db", "set", "main", "listen", "*");
  const port = await machine.forward(5432);
  const ca = await machine.inside("cat /ingots/db/data/.anvil/tls/server.crt");
  const login = {
    host: "127.0.0.1",
    port,
    user: "app",
    database: "app",
    password: PASSWORD,
    ssl: { ca, servername: "localhost" },
  };
  const connected = async (changes: pg.ClientConfig = {}): Promise<pg.Client> => {
    const client = new pg.Client({ ...login, ...changes });
    await client.connect();
    return client;
  };

  await t.test("SCRAM over TLS, with and without channel binding", async () => {
    for (const enableChannelBinding of [false, true]) {
      const client = await connected({ enableChannelBinding });
      const { rows } = await client.query("select ssl, version from pg_stat_ssl where pid = pg_backend_pid()");
      assert.deepEqual(rows, [{ ssl: true, version: "TLSv1.3" }]);
      await client.end();
    }
  });

  await t.test("nobody else gets in", async () => {
    await assert.rejects(connected({ password: "wrong" }), { code: "28P01" });
    await assert.rejects(connected({ user: "postgres" }), { code: "28P01" });
    await assert.rejects(connected({ ssl: false }), { code: "28000" });
    await assert.rejects(connected({ ssl: { servername: "localhost" } }), { code: "DEPTH_ZERO_SELF_SIGNED_CERT" });
  });

  await t.test("values come back as they went", async () => {
    const client = await connected();
    const values = [
      "Grüße, 世界",
      12.5,
      true,
      new Date("2026-07-11T10:16:37.123Z"),
      Buffer.from([0, 1, 255]),
      ["a", "b,c", null],
    ];
    const types = ["text", "float8", "bool", "timestamptz", "bytea", "text[]"];
    const columns = types.map((type, index) => `$${index + 1}::${type}`).join(", ");
    const { rows } = await client.query<unknown[]>({ text: `select ${columns}`, values, rowMode: "array" });
    assert.deepEqual(rows, [values]);
    await assert.rejects(client.query("select 1 / 0"), { code: "22012" });
    await client.end();
  });

  // extensions are for the superuser
  await machine.inside("anvil-db psql main -- -q -d app -c 'create extension vector' </dev/null");

  await t.test("vectors, found by an index", async () => {
    const client = await connected();
    await registerTypes(client);
    await client.query("create table item (id int primary key, at vector(3))");
    await client.query("insert into item select i, array[i, i % 7, i % 11]::vector from generate_series(1, 2000) i");
    await client.query("create index on item using hnsw (at vector_l2_ops)");
    await client.query("set enable_seqscan = off");
    const nearest = { text: "select id, at from item order by at <-> $1 limit 1", values: ["[77,0,0]"] };
    const { rows } = await client.query<{ id: number; at: number[] }>(nearest);
    assert.deepEqual(rows, [{ id: 77, at: [77, 0, 0] }]);
    const plan = await client.query<Record<string, string>>({ ...nearest, text: `explain ${nearest.text}` });
    assert.match(JSON.stringify(plan.rows), /Index Scan using item_at_idx/);
    await client.end();
  });

  await t.test("Kysely: a schema, transactions, joins and vectors", async () => {
    const db = new Kysely<Schema>({ dialect: new PostgresDialect({ pool: new pg.Pool({ ...login, max: 2 }) }) });
    await db.schema
      .createTable("document")
      .addColumn("id", "serial", (column) => column.primaryKey())
      .addColumn("title", "text", (column) => column.notNull().unique())
      .addColumn("embedding", sql`vector(2)`, (column) => column.notNull())
      .execute();
    await db.schema
      .createTable("tag")
      .addColumn("document_id", "integer", (column) => column.references("document.id").onDelete("cascade"))
      .addColumn("name", "text")
      .execute();
    const ids = await db
      .insertInto("document")
      .values([
        { title: "near", embedding: toSql([1, 1]) as string },
        { title: "far", embedding: toSql([9, 9]) as string },
      ])
      .returning("id")
      .execute();
    await db
      .insertInto("tag")
      .values(ids.map(({ id }) => ({ document_id: id, name: `tag ${id}` })))
      .execute();
    const abandoned = db.transaction().execute(async (within) => {
      await within.deleteFrom("document").execute();
      throw new Error("abandoned");
    });
    await assert.rejects(abandoned, /abandoned/);
    await assert.rejects(db.insertInto("document").values({ title: "far", embedding: "[0,0]" }).execute(), {
      code: "23505",
    });
    const found = await db
      .selectFrom("document")
      .innerJoin("tag", "tag.document_id", "document.id")
      .select(["title", "tag.name"])
      .orderBy(l2Distance("embedding", [2, 2]))
      .execute();
    assert.deepEqual(found, [
      { title: "near", name: "tag 1" },
      { title: "far", name: "tag 2" },
    ]);
    await db.destroy();
  });
  await machine.powerOff();
});
