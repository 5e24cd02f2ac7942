/** Why a request got no response, in words. */
import { errno } from "../fault/fault.ts";
import type { Proxy } from "./proxy.ts";

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

/** A connection that is not there in time. */
export class LimitError extends Error {
  readonly code = "ETIMEDOUT";
}

const TLS_HINT =
  "behind a company's proxy: name the file with its certificate authority by NODE_EXTRA_CA_CERTS=<file>.pem; else look at this machine's clock";

export const NEEDS_LOGIN = "it wants a name and a password";

export function proxyRefusal({ shown, source }: Proxy, what: string): HttpError {
  return new HttpError("E_PROXY", `the proxy ${shown} (${source}) refuses with ${what}`, proxyHint(source));
}

export function unreachableProxy({ shown, source }: Proxy, error: Error): HttpError {
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
export function described(error: Error, url: URL, proxy: Proxy | undefined, reused: boolean): HttpError {
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
