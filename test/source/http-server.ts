/** An HTTP server on the loopback for the length of a test. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { connect, type AddressInfo } from "node:net";
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

/** A proxy (CONNECT, RFC 9110 9.3.6) that leads to one server whatever it is asked for. */
export async function proxyTo(t: TestContext, root: string): Promise<TestServer> {
  const requests: string[] = [];
  const { hostname, port } = new URL(root);
  const server = createServer();
  server.on("connect", (request, socket) => {
    requests.push(`CONNECT ${request.url}`);
    const onward = connect(Number(port), hostname, () => socket.write("HTTP/1.1 200 OK\r\n\r\n"));
    socket.pipe(onward).pipe(socket);
    for (const end of [socket, onward]) {
      end.on("error", () => {});
      t.after(() => end.destroy());
    }
  });
  await listening(server);
  t.after(() => server.close());
  return { root: rootOf(server), requests };
}

/** The root of a server that was there a moment ago: connections to it are refused. */
export async function refusingRoot(): Promise<string> {
  const server = createServer();
  await listening(server);
  const root = rootOf(server);
  await new Promise((resolve) => server.close(resolve));
  return root;
}

function listening(server: Server): Promise<void> {
  return new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
}

function rootOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
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
