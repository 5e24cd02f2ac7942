/** Clients elsewhere: TCP is closed until it is opened, and then for TLS and passwords only. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { connect as connectSocket, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { test, type TestContext } from "node:test";
import { Monolith } from "./monolith.ts";

/** The request for TLS and that for a session, of PostgreSQL's protocol 3.0 (its documentation, "Message Formats"). */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);
const SESSION = ((): Buffer => {
  const words = Buffer.from("\0\x03\0\0user\0app\0database\0postgres\0\0", "latin1");
  const length = Buffer.alloc(4);
  length.writeUInt32BE(words.length + 4);
  return Buffer.concat([length, words]);
})();

async function open(t: TestContext, port: number): Promise<Socket> {
  const socket = connectSocket(port, "127.0.0.1");
  t.after(() => socket.destroy());
  socket.on("error", () => undefined);
  await new Promise((resolve) => socket.once("connect", resolve));
  return socket;
}

/** The first bytes of the answer; empty when the connection is closed without one. */
function answer(socket: Socket | TLSSocket): Promise<Buffer> {
  return new Promise((resolve) => {
    socket.once("data", resolve);
    socket.once("close", () => resolve(Buffer.alloc(0)));
  });
}

test("from elsewhere nobody gets in until TCP is opened, and then with TLS and a password", async (t) => {
  const machine = await Monolith.boot(t, `test-remote-${process.pid}`);
  await machine.succeed("inject", "db", "--plain");
  await machine.sql("main", "create role app login password 'secret'");
  const port = await machine.forward(5432);

  await t.test("closed", async (t) => {
    const socket = await open(t, port);
    const said = answer(socket);
    socket.write(SSL_REQUEST);
    assert.equal((await said).length, 0);
  });

  await machine.succeed("db", "set", "main", "listen", "*");

  await t.test("without TLS it is refused", async (t) => {
    const socket = await open(t, port);
    const said = answer(socket);
    socket.write(SESSION);
    assert.match((await said).toString("latin1"), /^E.*no pg_hba\.conf entry .* no encryption/s);
  });

  await t.test("with TLS it asks for SCRAM, and shows the certificate of this system", async (t) => {
    const socket = await open(t, port);
    const yes = answer(socket);
    socket.write(SSL_REQUEST);
    assert.equal((await yes).toString(), "S");
    const certificate = await machine.inside("cat /ingots/db/data/.anvil/tls/server.crt");
    const tls = connectTls({ socket, ca: certificate, servername: "localhost" });
    await new Promise((resolve, reject) => {
      tls.once("secureConnect", resolve);
      tls.once("error", reject);
    });
    assert.equal(tls.getProtocol(), "TLSv1.3");
    const body = Buffer.from(certificate.replace(/-----[^-]+-----|\s/g, ""), "base64");
    assert.equal(
      createHash("sha256").update(tls.getPeerCertificate().raw).digest("hex"),
      createHash("sha256").update(body).digest("hex"),
    );
    const said = answer(tls);
    tls.write(SESSION);
    // AuthenticationSASL with its mechanisms
    assert.match((await said).toString("latin1"), /^R.{4}\0\0\0\nSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0/s);
    tls.destroy();
  });

  await machine.succeed("db", "set", "main", "listen", "off");
  assert.doesNotMatch(await machine.inside("netstat -ltn"), /:5432/);
  await machine.powerOff();
});
