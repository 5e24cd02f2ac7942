/**
 * Requests over HTTP/1.1 (RFC 9110, RFC 9112) by way of this machine's proxies and with the authorities that it trusts.
 * The client inside Node knows neither before Node 24, and it unpacks what a server calls packed: here bodies come as
 * they were sent.
 */
import { setMaxListeners } from "node:events";
import http from "node:http";
import https from "node:https";
import { isIP } from "node:net";
import tls, { type SecureContext } from "node:tls";
import type { Duplex } from "node:stream";
import { errno } from "../fault/fault.ts";
import { aptSettings, type AptSettings } from "./apt-config.ts";
import { trustContext } from "./certificates.ts";
import { proxyFor, type Proxy } from "./proxy.ts";

export interface HttpRequest {
  readonly method?: "GET" | "HEAD";
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Milliseconds until the header of the response has to be there, redirections included. */
  readonly limit?: number;
  /** "manual": a redirection is the response. */
  readonly redirect?: "follow" | "manual";
  /** Follow a redirection from https to http: for what is checked against a pinned hash. */
  readonly allowDowngrade?: boolean;
}

export interface HttpResponse {
  readonly status: number;
  /** Value of a header by its name in small letters. */
  header(name: string): string | undefined;
  /** Ends with an error when the connection breaks before the end of the message. */
  readonly body: AsyncIterable<Buffer>;
  /** Gives the rest of the body up. */
  discard(): void;
  /** The proxy that it came through, if that is one that could have answered itself. */
  readonly proxy: Proxy | undefined;
}

/** A request that got no response. The message has no name or password in it. */
export class HttpError extends Error {
  constructor(
    /** E_PROXY: the proxy is in the way; E_TLS: the site's certificate or TLS itself; E_REDIRECT: it leads from https to http. */
    readonly code: "E_PROXY" | "E_TLS" | "E_REDIRECT" | "E_FETCH",
    message: string,
    readonly hint: string | undefined,
    /** "broken": the connection was there and broke, so that the same may succeed at once; "slow": no answer in time. */
    readonly how?: "broken" | "slow",
  ) {
    super(message);
  }
}

export interface HttpSettings {
  readonly env: Readonly<NodeJS.ProcessEnv>;
  /** APT's folder, for its proxies. */
  readonly apt: string;
}

/** Milliseconds until a connection, or a tunnel through a proxy, has to be there. */
const CONNECT_LIMIT = 15_000;
const MAX_REDIRECTS = 10;
/** Bytes of a body that is not wanted. */
const LITTLE = 1 << 16;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
/** What a proxy answers by itself when it does not let a request through, or finds no site there. */
export const PROXY_STATUS: ReadonlySet<number> = new Set([403, 407, 502, 503, 504]);

const TLS_HINT =
  "behind a company's proxy: name the file with its certificate authority by NODE_EXTRA_CA_CERTS=<file>.pem; else look at this machine's clock";

/** Connections of one process, kept open between requests. */
export class HttpClient {
  private readonly agents = new Map<string, http.Agent>();
  /** Optional proxies that did not lead to a site. */
  private readonly refused = new Set<string>();
  private readonly settings: HttpSettings;
  private trust: SecureContext | undefined;
  private apt: AptSettings | undefined;

  constructor(settings: HttpSettings) {
    this.settings = settings;
  }

  /**
   * The response to a request, after up to ten redirections. A name and password in the URL go to that server alone, as
   * Basic authentication (RFC 7617). Throws HttpError, the reason of the signal, or a fault
   * E_PROXY for a setting that names no proxy.
   */
  async request(url: string, request: HttpRequest = {}): Promise<HttpResponse> {
    const { limit, signal } = request;
    // one listener per request that runs
    if (signal !== undefined) setMaxListeners(0, signal);
    if (limit === undefined) return this.follow(url, request);
    const controller = new AbortController();
    const stop = (): void => controller.abort(signal?.reason);
    const late = new HttpError("E_FETCH", `no answer within ${limit / 1000} s`, undefined, "slow");
    const timer = setTimeout(() => controller.abort(late), limit);
    signal?.addEventListener("abort", stop, { once: true });
    try {
      signal?.throwIfAborted();
      return await this.follow(url, { ...request, signal: controller.signal });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", stop);
    }
  }

  private async follow(url: string, request: HttpRequest): Promise<HttpResponse> {
    let from = new URL(url);
    let headers = { ...authorization(from), ...request.headers };
    for (let count = 0; ; count++) {
      const response = await this.send(from, request, headers);
      const location = response.header("location");
      if (request.redirect === "manual" || !REDIRECTS.has(response.status) || location === undefined) return response;
      response.discard();
      if (count === MAX_REDIRECTS)
        throw new HttpError("E_FETCH", "leads from place to place without an end", undefined);
      const to = redirectTarget(location, from, request.allowDowngrade === true);
      if (to.origin !== from.origin) headers = { ...withoutAuthorization(headers), ...authorization(to) };
      from = to;
    }
  }

  /** The proxy for a URL; throws E_PROXY. */
  proxyFor(url: URL): Proxy | undefined {
    return proxyFor(url, this.settings.env, () => (this.apt ??= aptSettings(this.settings.apt, this.settings.env)));
  }

  private async send(url: URL, request: HttpRequest, headers: Record<string, string>): Promise<HttpResponse> {
    const proxy = this.proxyFor(url);
    if (proxy?.optional !== true) return this.sendBy(proxy, url, request, headers);
    const use = `${proxy.shown} ${url.origin}`;
    if (this.refused.has(use)) return this.sendBy(undefined, url, request, headers);
    try {
      const response = await this.sendBy(proxy, url, request, headers);
      if (response.proxy === undefined || !PROXY_STATUS.has(response.status)) return response;
      response.discard();
    } catch (error) {
      if (!(error instanceof HttpError) || error.code !== "E_PROXY") throw error;
    }
    this.refused.add(use);
    return this.sendBy(undefined, url, request, headers);
  }

  private sendBy(
    proxy: Proxy | undefined,
    url: URL,
    { method = "GET", signal }: HttpRequest,
    headers: Record<string, string>,
  ): Promise<HttpResponse> {
    const absolute = proxy !== undefined && url.protocol === "http:" && !isSocks(proxy);
    const target = withoutFragment(url);
    const { hostname, port } = absolute ? { hostname: proxy.host, port: proxy.port } : url;
    const options: TunnelOptions = {
      method,
      agent: this.agent(url.protocol, proxy),
      protocol: (absolute ? proxy : url).protocol,
      hostname: hostname.replace(/^\[|\]$/g, ""),
      port: port === "" ? undefined : port,
      // a plain request goes to the proxy as it is (RFC 9112, 3.2.2): many allow a tunnel to port 443 only
      path: absolute ? target.href : `${target.pathname}${target.search}`,
      headers: {
        "user-agent": "anvilos-forge",
        host: url.host,
        ...headers,
        ...(absolute && proxyAuthorization(proxy)),
      },
      ...(absolute && { servername: serverName(proxy.host) }),
      ...(signal !== undefined && { signal, tunnelSignal: signal }),
    };
    return new Promise((resolve, reject) => {
      const sent = (options.protocol === "http:" ? http : https).request(options);
      const limit = new ConnectLimit(sent, proxy !== undefined && !absolute);
      const aborted = (): void => reject(signal?.reason as Error);
      // Node tells of an abort only once there is a socket, and a proxy may never give one
      signal?.addEventListener("abort", aborted, { once: true });
      const settled = (): void => {
        limit.clear();
        signal?.removeEventListener("abort", aborted);
      };
      sent.on("response", (message) => {
        settled();
        const from = absolute ? proxy : undefined;
        if (message.statusCode !== 407 || from === undefined) return resolve(responseOf(message, method, from));
        message.on("error", () => {}).destroy();
        reject(proxyRefusal(from, `status 407: ${NEEDS_LOGIN}`));
      });
      sent.on("error", (error) => {
        settled();
        reject(described(error, url, absolute ? proxy : undefined, sent.reusedSocket));
      });
      sent.end();
    });
  }

  private agent(protocol: string, proxy: Proxy | undefined): http.Agent {
    const key = `${protocol} ${proxy === undefined ? "" : `${proxy.shown} ${JSON.stringify(proxy.login)}`}`;
    let agent = this.agents.get(key);
    if (agent === undefined) this.agents.set(key, (agent = this.newAgent(protocol, proxy)));
    return agent;
  }

  private newAgent(protocol: string, proxy: Proxy | undefined): http.Agent {
    const context = (): SecureContext => (this.trust ??= trustContext(this.settings.env));
    if (protocol === "https:") {
      if (proxy === undefined) return new https.Agent({ keepAlive: true, secureContext: context() });
      return new SecureTunnelAgent(new Tunnel(proxy, context), context());
    }
    if (proxy !== undefined && isSocks(proxy)) return new PlainTunnelAgent(new Tunnel(proxy, context));
    return proxy?.protocol === "https:"
      ? new https.Agent({ keepAlive: true, secureContext: context() })
      : new http.Agent({ keepAlive: true });
  }
}

class LimitError extends Error {
  readonly code = "ETIMEDOUT";
}

/** Ends a request whose connection is not there in time. A tunnel has the limit for itself, and then TLS has it. */
class ConnectLimit {
  private timer: NodeJS.Timeout | undefined;

  constructor(sent: http.ClientRequest, isTunnelled: boolean) {
    const start = (): void => {
      this.timer ??= setTimeout(() => sent.destroy(new LimitError()), CONNECT_LIMIT);
    };
    if (!isTunnelled) start();
    sent.on("socket", (socket) => {
      const secure = socket instanceof tls.TLSSocket;
      if (sent.reusedSocket || (!secure && !socket.connecting)) return this.clear();
      start();
      socket.once(secure ? "secureConnect" : "connect", () => this.clear());
    });
  }

  clear(): void {
    clearTimeout(this.timer);
  }
}

/** The signal reaches the agent under a name of its own: Node keeps `signal` from it. */
type TunnelOptions = https.RequestOptions & { readonly tunnelSignal?: AbortSignal };

type Connected = (error: Error | null, stream: Duplex) => void;

/** Plain HTTP to a site through a tunnel: by a SOCKS proxy. */
class PlainTunnelAgent extends http.Agent {
  constructor(private readonly tunnel: Tunnel) {
    super({ keepAlive: true });
  }

  override createConnection(options: TunnelOptions, callback?: Connected): undefined {
    this.tunnel.open(String(options.host), Number(options.port ?? 80), options.tunnelSignal).then(
      (socket) => callback?.(null, socket),
      (error: unknown) => callback?.(error as Error, undefined as unknown as Duplex),
    );
  }
}

/** TLS to a site through a tunnel. */
class SecureTunnelAgent extends https.Agent {
  constructor(
    private readonly tunnel: Tunnel,
    private readonly trust: SecureContext,
  ) {
    super({ keepAlive: true });
  }

  override createConnection(options: TunnelOptions, callback?: Connected): undefined {
    const host = String(options.host);
    this.tunnel.open(host, Number(options.port ?? 443), options.tunnelSignal).then(
      (socket) => {
        const servername = options.servername ?? host;
        callback?.(null, tls.connect({ socket, servername, secureContext: this.trust, host }));
      },
      (error: unknown) => callback?.(error as Error, undefined as unknown as Duplex),
    );
  }
}

/** The way through one proxy to any host. */
class Tunnel {
  constructor(
    private readonly proxy: Proxy,
    private readonly trust: () => SecureContext,
  ) {}

  open(host: string, port: number, signal: AbortSignal | undefined): Promise<Duplex> {
    return isSocks(this.proxy) ? this.bySocks(host, port) : this.byConnect(host, port, signal);
  }

  private async bySocks(host: string, port: number): Promise<Duplex> {
    const { proxy } = this;
    // loaded only when needed
    const { SocksClient } = await import("socks");
    try {
      const { socket } = await SocksClient.createConnection({
        command: "connect",
        destination: { host, port },
        proxy: {
          ...{ host: proxy.host, port: proxy.port, type: proxy.protocol === "socks4:" ? 4 : 5 },
          ...(proxy.login !== undefined && { userId: proxy.login.name, password: proxy.login.password }),
        },
        timeout: CONNECT_LIMIT,
      });
      return socket;
    } catch (error) {
      throw unreachableProxy(proxy, error as Error);
    }
  }

  /** CONNECT (RFC 9110, 9.3.6). */
  private byConnect(host: string, port: number, signal: AbortSignal | undefined): Promise<Duplex> {
    const { proxy } = this;
    const authority = `${host.includes(":") ? `[${host}]` : host}:${port}`;
    const secure = proxy.protocol === "https:";
    const asked = (secure ? https : http).request({
      method: "CONNECT",
      host: proxy.host,
      port: proxy.port,
      path: authority,
      agent: false,
      headers: { host: authority, "user-agent": "anvilos-forge", ...proxyAuthorization(proxy) },
      ...(secure && { secureContext: this.trust(), servername: serverName(proxy.host) }),
      ...(signal !== undefined && { signal }),
    });
    return new Promise((resolve, reject) => {
      const limit = setTimeout(() => asked.destroy(new LimitError()), CONNECT_LIMIT);
      asked.on("connect", ({ statusCode = 0 }, socket) => {
        clearTimeout(limit);
        if (statusCode >= 200 && statusCode < 300) return resolve(socket);
        socket.destroy();
        const why = statusCode === 407 ? `: ${NEEDS_LOGIN}` : "";
        reject(proxyRefusal(proxy, `status ${statusCode}${why} for ${authority}`));
      });
      asked.on("response", (message) => {
        clearTimeout(limit);
        message.destroy();
        reject(proxyRefusal(proxy, `status ${message.statusCode} for ${authority}`));
      });
      asked.on("error", (error) => {
        clearTimeout(limit);
        reject(unreachableProxy(proxy, error));
      });
      asked.end();
    });
  }
}

const isSocks = ({ protocol }: Proxy): boolean => protocol === "socks4:" || protocol === "socks5:";

function proxyAuthorization({ login }: Proxy): Record<string, string> {
  if (login === undefined) return {};
  return { "proxy-authorization": `Basic ${Buffer.from(`${login.name}:${login.password}`).toString("base64")}` };
}

/** Node would take the site's name, from the header, for the proxy's. An address is none (RFC 6066, 3). */
const serverName = (host: string): string => (isIP(host) === 0 ? host : "");

function redirectTarget(location: string, from: URL, allowDowngrade: boolean): URL {
  if (!URL.canParse(location, from.href))
    throw new HttpError("E_FETCH", `leads to "${location}", which is no URL`, undefined);
  const to = new URL(location, from);
  if (to.protocol !== "http:" && to.protocol !== "https:") {
    throw new HttpError("E_FETCH", `leads to a URL of the kind ${to.protocol}`, undefined);
  }
  if (from.protocol === "https:" && to.protocol === "http:" && !allowDowngrade) {
    throw new HttpError(
      "E_REDIRECT",
      `leads from https to http, to ${to.host}`,
      "what has no pinned hash is taken over https only: anybody on the way could change the rest",
    );
  }
  return to;
}

function authorization({ username, password }: URL): Record<string, string> {
  if (username === "") return {};
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { authorization: `Basic ${Buffer.from(credentials).toString("base64")}` };
}

function withoutAuthorization(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.toLowerCase() !== "authorization"));
}

function withoutFragment(url: URL): URL {
  const target = new URL(url);
  target.hash = "";
  target.username = "";
  target.password = "";
  return target;
}

function responseOf(message: http.IncomingMessage, method: string, proxy: Proxy | undefined): HttpResponse {
  return {
    status: message.statusCode ?? 0,
    header: (name) => {
      const value = message.headers[name];
      return typeof value === "object" ? value.join(", ") : value;
    },
    body: message,
    discard: () => {
      message.on("error", () => {});
      // the connection of what is read to its end is used again; for much of it a new one costs less
      const rest = method === "HEAD" ? 0 : Number(message.headers["content-length"] ?? Infinity);
      if (rest <= LITTLE) message.resume();
      else message.destroy();
    },
    proxy,
  };
}

const NEEDS_LOGIN = "it wants a name and a password";

function proxyRefusal({ shown, source }: Proxy, what: string): HttpError {
  return new HttpError("E_PROXY", `the proxy ${shown} (${source}) refuses with ${what}`, proxyHint(source));
}

function unreachableProxy({ shown, source }: Proxy, error: Error): HttpError {
  return new HttpError(
    "E_PROXY",
    `the proxy ${shown} (${source}) cannot be used: ${describeNetworkError(error)}`,
    proxyHint(source),
  );
}

const proxyHint = (source: string): string =>
  source.includes(" ")
    ? `correct ${source}`
    : `correct ${source} (http://<name>:<password>@<host>:<port>), or name the site in no_proxy`;

/** An error of Node's client in words. `proxy` is the one that the request itself went to. */
function described(error: Error, url: URL, proxy: Proxy | undefined, reused: boolean): HttpError {
  if (error instanceof HttpError) return error;
  const code = errno(error) ?? "";
  const broken = ["ECONNRESET", "EPIPE"].includes(code);
  if (proxy !== undefined && !broken) return unreachableProxy(proxy, error);
  const certificate = certificateProblem(error, url);
  if (certificate !== undefined) return new HttpError("E_TLS", certificate, TLS_HINT);
  return new HttpError("E_FETCH", describeNetworkError(error), undefined, broken || reused ? "broken" : undefined);
}

/** What is wrong with a site's certificate or its TLS; undefined for any other error. */
function certificateProblem(error: Error, url: URL): string | undefined {
  const code = errno(error) ?? "";
  switch (code) {
    case "UNABLE_TO_GET_ISSUER_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
      return `the certificate of ${url.host} is by an authority that is not trusted here`;
    case "CERT_HAS_EXPIRED":
      return `the certificate of ${url.host} has expired`;
    case "CERT_NOT_YET_VALID":
      return `the certificate of ${url.host} is not valid yet`;
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return `the certificate of ${url.host} is for another host`;
    default:
      if (/^CERT_|^ERR_(?:SSL|TLS)_|^EPROTO$|_CERT_|SIGNATURE/.test(code)) return `TLS with ${url.host} fails: ${code}`;
      return undefined;
  }
}

/** Without the name and password that it may hold, for messages. */
export function withoutCredentials(url: string): string {
  const parsed = new URL(url);
  parsed.username = "";
  parsed.password = "";
  return parsed.href;
}

/** A network error of Node in words. */
export function describeNetworkError(error: unknown): string {
  // connections to several addresses of a host fail together
  const inner = error instanceof AggregateError ? ((error.errors as unknown[])[0] ?? error) : error;
  switch (errno(inner)) {
    case "ECONNREFUSED":
      return "connection refused";
    case "ECONNRESET":
    case "EPIPE":
      return "connection broken";
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "host name not found";
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return "not reachable";
    case "ETIMEDOUT":
      return "no connection in time";
    default:
      return inner instanceof Error ? inner.message : String(inner);
  }
}

let shared: HttpClient | undefined;

/** The client of this process, with its environment and the machine's APT. */
export function httpClient(): HttpClient {
  return (shared ??= new HttpClient({ env: process.env, apt: "/etc/apt" }));
}
