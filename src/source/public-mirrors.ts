/**
 * Where Debian packages come from on a machine that names no mirror: public mirrors at universities and at the kernel's
 * own site, which also carry the security archive beside it. Every file is pinned, so that none of them is trusted with
 * more than being there.
 */
import { readFile } from "node:fs/promises";
import { Fault } from "../fault/fault.ts";
import { replaceFile } from "../host/replace-file.ts";
import { seedSuite } from "./seed-suites.ts";
import { describeNetworkError } from "./http-error.ts";
import type { HttpClient } from "./http.ts";

/** Roots without a trailing slash; each has `debian-security` beside `debian`. */
export const PUBLIC_MIRRORS: readonly string[] = [
  "https://mirrors.kernel.org/debian",
  "https://mirror.csclub.uwaterloo.ca/debian",
  "https://mirrors.ocf.berkeley.edu/debian",
  "https://mirrors.dotsrc.org/debian",
  "https://ftp.halifax.rwth-aachen.de/debian",
  "https://mirrors.tuna.tsinghua.edu.cn/debian",
];

export interface PublicMirrorOptions {
  readonly client: HttpClient;
  /** File that remembers the answers. */
  readonly memory?: string | undefined;
  /** Milliseconds that a mirror has to answer; 5000 when absent. */
  readonly limit?: number;
  /** PUBLIC_MIRRORS when absent. */
  readonly roots?: readonly string[];
}

/** Milliseconds for which the order is remembered: a day. */
const REMEMBERED = 86_400_000;

/**
 * The public mirrors that answer, the quickest first, asked at the same time; for a day they are not asked again. Throws
 * E_NO_MIRROR, with a line for each, when none does.
 */
export async function publicMirrors(options: PublicMirrorOptions): Promise<string[]> {
  const { memory, roots = PUBLIC_MIRRORS } = options;
  const known = memory === undefined ? undefined : await remembered(memory, roots);
  if (known !== undefined) return known;
  const silent: string[] = [];
  const answered: string[] = [];
  await Promise.all(
    roots.map(async (root) => {
      const problem = await silence(root, options);
      if (problem === undefined) answered.push(root);
      else silent.push(`${root}: ${problem}`);
    }),
  );
  if (answered.length === 0) {
    throw new Fault("E_NO_MIRROR", "no Debian mirror is known, and none of the public ones answers", {
      details: silent.sort(),
      hint: "check the network (http_proxy and https_proxy name a proxy), or name a mirror with --debian-mirror <url> or ANVIL_DEBIAN_MIRROR=<url>",
    });
  }
  if (memory !== undefined) remember(memory, { at: Date.now(), roots, answered });
  return answered;
}

/** Why a mirror is of no use, or undefined when it has the suite of the seed. */
async function silence(root: string, { client, limit = 5000 }: PublicMirrorOptions): Promise<string | undefined> {
  try {
    const response = await client.request(`${root}/dists/${seedSuite}/InRelease`, { method: "HEAD", limit });
    response.discard();
    return response.status < 300 ? undefined : `HTTP status ${response.status}`;
  } catch (error) {
    if (error instanceof Fault) throw error;
    return describeNetworkError(error);
  }
}

async function remembered(file: string, roots: readonly string[]): Promise<string[] | undefined> {
  try {
    const known = JSON.parse(await readFile(file, "utf8")) as { at: number; roots: string[]; answered: string[] };
    const age = Date.now() - known.at;
    if (age < 0 || age >= REMEMBERED || known.roots.join() !== roots.join()) return undefined;
    const answered = known.answered.filter((root) => roots.includes(root));
    return answered.length > 0 ? answered : undefined;
  } catch {
    return undefined;
  }
}

/** No more than a convenience: a folder that cannot be written is found out about elsewhere. */
function remember(memory: string, answers: object): void {
  try {
    replaceFile(memory, JSON.stringify(answers));
  } catch {
    /* asked again then */
  }
}
