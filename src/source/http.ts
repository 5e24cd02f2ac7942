/**
 * Requests over HTTP/1.1 (RFC 9110, RFC 9112) by way of this machine's proxies and with the authorities that it trusts.
 * The client inside Node knows neither before Node 24, and it unpacks what a server calls packed: here bodies come as
 * they were sent.
 */
import { setMaxListeners } from "node:events";
import http from "node:http";
import https from "node:https";
import tls, { type SecureContext } from "node:tls";
import { aptSettings, type AptSettings } from "./apt-config.ts";
import { trustContext } from "./certificates.ts";
import { described, HttpError, LimitError, NEEDS_LOGIN, proxyRefusal } from "./http-error.ts";
import { proxyFor, type Proxy } from "./proxy.ts";
import {
  CONNECT_LIMIT,
  isSocks,
  PlainTunnelAgent,
  proxyAuthorization,
  SecureTunnelAgent,
  serverName,
  Tunnel,
  type TunnelOptions,
} from "./tunnel.ts";

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

export interface HttpSettings {
  readonly env: Readonly<NodeJS.ProcessEnv>;
  /** APT's folder, for its proxies. */
  readonly apt: string;
}

const MAX_REDIRECTS = 10;
/** Bytes of a body that is not wanted. */
const LITTLE = 1 << 16;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
/** What a proxy answers by itself when it does not let a request through, or finds no site there. */
export const PROXY_STATUS: ReadonlySet<number> = new Set([403, 407, 502, 503, 504]);

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

let shared: HttpClient | undefined;

/** The client of this process, with its environment and the machine's APT. */
export function httpClient(): HttpClient {
  return (shared ??= new HttpClient({ env: process.env, apt: "/etc/apt" }));
}
