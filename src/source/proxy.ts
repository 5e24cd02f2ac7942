/**
 * Which proxy a URL is asked through. The environment says it, by the names that curl knows; where it names none, APT's
 * own settings do.
 */
import { isIPv4, isIPv6, BlockList } from "node:net";
import { Fault } from "../fault/fault.ts";
import type { AptSettings } from "./apt-config.ts";

export interface Proxy {
  /** How the proxy itself is spoken to; SOCKS of version 4 or 5. */
  readonly protocol: "http:" | "https:" | "socks4:" | "socks5:";
  readonly host: string;
  readonly port: number;
  readonly login: { readonly name: string; readonly password: string } | undefined;
  /** What says so: `https_proxy`, or `Acquire::http::Proxy of APT's configuration`. */
  readonly source: string;
  /** The proxy's address without name and password, for messages. */
  readonly shown: string;
  /** Named by APT's settings, which may be meant for packages alone: what this proxy refuses is asked for directly. */
  readonly optional: boolean;
}

/**
 * The proxy for a URL, or undefined for a direct connection. For `http:` that is `http_proxy`, for `https:`
 * `https_proxy`, else `all_proxy`; names in small letters win over those in capitals, and an empty value says nothing.
 * `HTTP_PROXY` is not believed where REQUEST_METHOD is set: there it may be a header of a web server's request.
 * `no_proxy` names exceptions. Throws E_PROXY for a value that is no address of a proxy.
 */
export function proxyFor(url: URL, env: Readonly<NodeJS.ProcessEnv>, apt: () => AptSettings): Proxy | undefined {
  if (isExempt(url, env["no_proxy"] || env["NO_PROXY"] || "")) return undefined;
  const scheme = url.protocol === "https:" ? "https" : "http";
  for (const name of [`${scheme}_proxy`, `${scheme.toUpperCase()}_PROXY`, "all_proxy", "ALL_PROXY"]) {
    if (name === "HTTP_PROXY" && env["REQUEST_METHOD"] !== undefined) continue;
    const value = env[name]?.trim();
    if (value) return parseProxy(value, name, false);
  }
  if (namesProxy(env)) return undefined;
  return aptProxy(url, scheme, apt());
}

/** Whether the environment says anything about proxies: then APT is not asked. */
function namesProxy(env: Readonly<NodeJS.ProcessEnv>): boolean {
  const names = ["http_proxy", "https_proxy", "all_proxy"];
  return [...names, ...names.map((name) => name.toUpperCase())].some((name) => env[name]?.trim());
}

/** `Acquire::http::Proxy::<host>` wins over `Acquire::http::Proxy`; `https` falls back to `http` (apt-transport-https(1)). */
function aptProxy(url: URL, scheme: "http" | "https", apt: AptSettings): Proxy | undefined {
  for (const each of scheme === "https" ? ["https", "http"] : ["http"]) {
    for (const ending of [`::${url.hostname}`, ""]) {
      const value = apt.get(`acquire::${each}::proxy${ending}`.toLowerCase())?.trim();
      if (value === undefined || value === "") continue;
      if (/^(?:direct|false)$/i.test(value)) return undefined;
      return parseProxy(value, `Acquire::${each}::Proxy of APT's configuration`, true);
    }
  }
  return undefined;
}

function parseProxy(value: string, source: string, optional: boolean): Proxy {
  const text = /^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.hostname === "") {
    throw new Fault("E_PROXY", `${source} is no address of a proxy`, {
      hint: "write it as http://<host>:<port>, or <host>:<port>",
    });
  }
  const protocol = PROTOCOLS.get(url.protocol);
  if (protocol === undefined) {
    throw new Fault("E_PROXY", `${source} names a proxy of the kind ${url.protocol.slice(0, -1)}`, {
      hint: `known are ${[...PROTOCOLS.keys()].map((each) => `${each}//`).join(", ")}`,
    });
  }
  const { username, password } = url;
  return {
    protocol,
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: Number(url.port || PORTS[protocol]),
    login: username === "" ? undefined : { name: decoded(username), password: decoded(password) },
    source,
    shown: `${url.protocol}//${url.host}`,
    optional,
  };
}

/** The endings of curl's names say who resolves host names: here it is always the proxy. */
const PROTOCOLS: ReadonlyMap<string, Proxy["protocol"]> = new Map([
  ["http:", "http:"],
  ["https:", "https:"],
  ["socks:", "socks5:"],
  ["socks5:", "socks5:"],
  ["socks5h:", "socks5:"],
  ["socks4:", "socks4:"],
  ["socks4a:", "socks4:"],
]);

const PORTS = { "http:": 80, "https:": 443, "socks4:": 1080, "socks5:": 1080 } as const;

/** A name or password may hold a percent sign that was meant as it stands. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * Whether `no_proxy` names the host: names between commas or blanks. `example.org`, `.example.org` and `*.example.org` are
 * that host and all below it; `host:port` is only that port; an address matches itself, `10.0.0.0/8` a range; `*` is all.
 * Host names are not resolved to compare them with addresses.
 */
function isExempt(url: URL, list: string): boolean {
  const host = url.hostname
    .replace(/^\[|\]$/g, "")
    .replace(/\.$/, "")
    .toLowerCase();
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  return list.split(/[\s,]+/).some((entry) => entry !== "" && matches(entry.toLowerCase(), host, port));
}

function matches(entry: string, host: string, port: string): boolean {
  if (entry === "*") return true;
  const range = /^(.*)\/(\d{1,3})$/.exec(entry);
  if (range !== null) return inRange(host, unbracketed(range[1] ?? ""), Number(range[2]));
  if (isIPv6(entry)) return sameAddress(host, entry);
  const [, name = "", only] = /^(\[[^\]]*\]|[^:]*)(?::(\d+))?$/.exec(entry) ?? [];
  if (only !== undefined && only !== port) return false;
  const bare = unbracketed(name);
  if (isIPv4(bare) || isIPv6(bare)) return sameAddress(host, bare);
  const suffix = bare.replace(/^\*?\./, "").replace(/\.$/, "");
  return suffix !== "" && (host === suffix || host.endsWith(`.${suffix}`));
}

const unbracketed = (text: string): string => text.replace(/^\[|\]$/g, "");

function sameAddress(host: string, address: string): boolean {
  return inRange(host, address, isIPv4(address) ? 32 : 128);
}

function inRange(host: string, network: string, prefix: number): boolean {
  const family = isIPv4(network) ? "ipv4" : isIPv6(network) ? "ipv6" : undefined;
  if (family === undefined || prefix > (family === "ipv4" ? 32 : 128)) return false;
  if (family === "ipv4" ? !isIPv4(host) : !isIPv6(host)) return false;
  const list = new BlockList();
  list.addSubnet(network, prefix, family);
  return list.check(host, family);
}
