/** An HTTP server on the loopback for the length of a test. */
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import { connect, createServer as createNetServer, type AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import type { TestContext } from "node:test";

export type Answer = (request: IncomingMessage, response: ServerResponse) => void;

export interface TestServer {
  /** `http://127.0.0.1:<port>` */
  readonly root: string;
  /** Of each request so far: method, path and Range header. */
  readonly requests: readonly string[];
}

export async function serve(t: TestContext, answer: Answer): Promise<TestServer> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push([request.method, request.url, request.headers.range].filter((part) => part !== undefined).join(" "));
    answer(request, response);
  });
  await listening(server);
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { root: rootOf(server), requests };
}

export interface ProxyRules {
  /** Status of the answer to CONNECT; 200 opens the tunnel, 0 is no answer. */
  readonly tunnel?: (authority: string) => number;
  /** Status of the answer to a plain request; 200 hands it on. */
  readonly plain?: (url: string) => number;
  /** Value of Proxy-Authorization without which everything is 407. */
  readonly login?: string;
  /** Answers to TLS as well: certificate and key in PEM. */
  readonly tls?: { readonly cert: string; readonly key: string };
}

/**
 * A proxy that leads to one server whatever it is asked for: plain requests in absolute form (RFC 9112, 3.2.2), tunnels by
 * CONNECT (RFC 9110, 9.3.6). `requests` has each with its target.
 */
export async function proxyTo(t: TestContext, root: string, rules: ProxyRules = {}): Promise<TestServer> {
  const requests: string[] = [];
  const { hostname, port } = new URL(root);
  const denied = (headers: IncomingMessage["headers"]): boolean =>
    rules.login !== undefined && headers["proxy-authorization"] !== rules.login;
  const plain: Answer = (request, response) => {
    const target = request.url ?? "";
    requests.push(`${request.method} ${target}`);
    const code = denied(request.headers) ? 407 : (rules.plain?.(target) ?? 200);
    if (code !== 200 || !target.startsWith("http://")) return void response.writeHead(code === 200 ? 400 : code).end();
    const { pathname, search } = new URL(target);
    const { "proxy-authorization": _login, ...headers } = request.headers;
    httpRequest({ hostname, port, method: request.method, path: `${pathname}${search}`, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 0, answer.headers);
      answer.on("error", () => response.destroy()).pipe(response);
    }).end();
  };
  const server = rules.tls === undefined ? createServer(plain) : createTlsServer(rules.tls, plain);
  server.on("connect", (request: IncomingMessage, socket: Duplex) => {
    const authority = request.url ?? "";
    requests.push(`CONNECT ${authority}`);
    socket.on("error", () => {});
    const code = denied(request.headers) ? 407 : (rules.tunnel?.(authority) ?? 200);
    if (code === 0) return;
    if (code !== 200) return void socket.end(`HTTP/1.1 ${code} No\r\nContent-Length: 0\r\n\r\n`);
    const onward = connect(Number(port), hostname, () => socket.write("HTTP/1.1 200 OK\r\n\r\n"));
    socket.pipe(onward).pipe(socket);
    onward.on("error", () => {});
    for (const end of [socket, onward]) t.after(() => end.destroy());
  });
  await listening(server);
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { root: rootOf(server, rules.tls === undefined ? "http" : "https"), requests };
}

/**
 * A SOCKS proxy of version 5 (RFC 1928, RFC 1929) that leads to one server whatever it is asked for. With a login it wants
 * that; `answer` is the code of its replies: 0 opens the way, 2 does not allow it.
 */
export async function socksTo(t: TestContext, root: string, { login = "", answer = 0 } = {}): Promise<TestServer> {
  const requests: string[] = [];
  const { hostname, port } = new URL(root);
  const server = createNetServer((socket) => {
    let step: "greeting" | "login" | "request" = "greeting";
    socket.on("error", () => {});
    t.after(() => socket.destroy());
    const take = (data: Buffer): void => {
      if (step === "greeting") {
        step = login === "" ? "request" : "login";
        socket.write(Buffer.from([5, login === "" ? 0 : 2]));
      } else if (step === "login") {
        step = "request";
        const name = data.subarray(2, 2 + (data[1] ?? 0)).toString();
        const password = data.subarray(3 + (data[1] ?? 0)).toString();
        socket.write(Buffer.from([1, `${name}:${password}` === login ? 0 : 1]));
      } else {
        socket.off("data", take);
        const length = data[4] ?? 0;
        const host = data[3] === 3 ? data.subarray(5, 5 + length).toString() : "an address";
        requests.push(`${host}:${data.readUInt16BE(data.length - 2)}`);
        const reply = Buffer.from([5, answer, 0, 1, 0, 0, 0, 0, 0, 0]);
        if (answer !== 0) return void socket.end(reply);
        const onward = connect(Number(port), hostname, () => socket.write(reply));
        onward.on("error", () => {});
        socket.pipe(onward).pipe(socket);
        t.after(() => onward.destroy());
      }
    };
    socket.on("data", take);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  return { root: `socks5h://127.0.0.1:${(server.address() as AddressInfo).port}`, requests };
}

/** As serve, over TLS. */
export async function serveTls(
  t: TestContext,
  tls: { cert: string; key: string },
  answer: Answer,
): Promise<TestServer> {
  const requests: string[] = [];
  const server = createTlsServer(tls, (request, response) => {
    requests.push(`${request.method} ${request.headers.host} ${request.url}`);
    answer(request, response);
  });
  await listening(server);
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { root: rootOf(server, "https"), requests };
}

/** The root of a server that was there a moment ago: connections to it are refused. */
export async function refusingRoot(): Promise<string> {
  const server = createServer();
  await listening(server);
  const root = rootOf(server);
  await new Promise((resolve) => server.close(resolve));
  return root;
}

function listening(server: Server | TlsServer): Promise<void> {
  return new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
}

function rootOf(server: Server | TlsServer, scheme = "http"): string {
  return `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

export interface FileAnswer {
  readonly etag?: string;
  /** Break the connection after this many bytes of a body. */
  readonly cutAfter?: number;
}

/** Serves bytes as a good server does: whole, or the range that is asked for unless the entity tag is another one. */
export function file(bytes: Buffer, { etag, cutAfter }: FileAnswer = {}): Answer {
  return (request, response) => {
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? Number.NaN);
    const condition = request.headers["if-range"];
    if (etag !== undefined) response.setHeader("etag", etag);
    if (start >= bytes.length) {
      response.writeHead(416, { "content-range": `bytes */${bytes.length}` }).end();
      return;
    }
    const partial = !Number.isNaN(start) && (condition === undefined || condition === etag);
    const body = partial ? bytes.subarray(start) : bytes;
    response.writeHead(partial ? 206 : 200, {
      "content-length": body.length,
      ...(partial && { "content-range": `bytes ${start}-${bytes.length - 1}/${bytes.length}` }),
    });
    if (cutAfter === undefined || cutAfter >= body.length) response.end(body);
    else response.write(body.subarray(0, cutAfter), () => response.destroy());
  };
}

export const status =
  (code: number): Answer =>
  (_request, response) => {
    response.writeHead(code).end("no");
  };

/** Answers the first requests one after the other, the rest as the last. */
export function inTurn(...answers: readonly [Answer, ...Answer[]]): Answer {
  let next = 0;
  return (request, response) => {
    const answer = answers[Math.min(next, answers.length - 1)];
    next++;
    answer?.(request, response);
  };
}
