/** fetch() that goes through the proxy of the environment, which Node's own does only when it is told to. */

const VARIABLES = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"];

let ready: Promise<void> | undefined;

/** As the global fetch; honours `http_proxy`, `https_proxy` and `no_proxy`, in small or capital letters. */
export async function httpRequest(url: string, init: RequestInit): Promise<Response> {
  ready ??= useProxy();
  await ready;
  return fetch(url, init);
}

async function useProxy(): Promise<void> {
  if (!VARIABLES.some((name) => process.env[name])) return;
  // loaded only when needed: it takes a tenth of a second
  const { EnvHttpProxyAgent, setGlobalDispatcher } = await import("undici");
  setGlobalDispatcher(new EnvHttpProxyAgent());
}
