/** Connections to sites by way of a proxy that passes on what it does not see. */
import http from "node:http";
import https from "node:https";
import { isIP } from "node:net";
import type { Duplex } from "node:stream";
import tls, { type SecureContext } from "node:tls";
import { LimitError, NEEDS_LOGIN, proxyRefusal, unreachableProxy } from "./http-error.ts";
import type { Proxy } from "./proxy.ts";

/** Milliseconds until a connection, or a tunnel through a proxy, has to be there. */
export const CONNECT_LIMIT = 15_000;

/** The signal reaches the agent under a name of its own: Node keeps `signal` from it. */
export type TunnelOptions = https.RequestOptions & { readonly tunnelSignal?: AbortSignal };

type Connected = (error: Error | null, stream: Duplex) => void;

/** Plain HTTP to a site through a tunnel: by a SOCKS proxy. */
export class PlainTunnelAgent extends http.Agent {
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
export class SecureTunnelAgent extends https.Agent {
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
export class Tunnel {
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

export const isSocks = ({ protocol }: Proxy): boolean => protocol === "socks4:" || protocol === "socks5:";

export function proxyAuthorization({ login }: Proxy): Record<string, string> {
  if (login === undefined) return {};
  return { "proxy-authorization": `Basic ${Buffer.from(`${login.name}:${login.password}`).toString("base64")}` };
}

/** Node would take the site's name, from the header, for the proxy's. An address is none (RFC 6066, 3). */
export const serverName = (host: string): string => (isIP(host) === 0 ? host : "");
