/** Compares the pins of a channel with what is published now, and takes it over. */
import { loadAdvisories } from "../source/advisories.ts";
import { mirrorHas, mirrorReader } from "../source/archive-index.ts";
import { AuthorKeys } from "../source/author-keys.ts";
import { AuthorSites } from "../source/author-site.ts";
import { isWritable, refreshChannel, type LockAccess, type Refresh } from "../source/lock.ts";
import { oneByOne } from "../source/mirror.ts";
import { debianKeyring } from "../source/openpgp.ts";
import { writeChannel } from "../source/pin-changes.ts";
import type { ArchiveAccess } from "../source/signed-archive.ts";
import { allNews } from "../source/watch.ts";
import { mirrors, type NamedPlaces } from "./places.ts";
import type { Project } from "./project.ts";
import { componentsOf, seedsOf } from "./targets.ts";

export interface LockRequest {
  readonly channel: string;
  /** Components or seeds; none is all that recipes name. */
  readonly names: readonly string[];
  readonly places: Omit<NamedPlaces, "crates">;
  /** Where the package with Debian's keys was unpacked. */
  readonly keyringRoot: string;
  /** Take release files that are no longer valid. */
  readonly acceptExpired: boolean;
  readonly signal: AbortSignal;
}

/** What is published now. With `write` it becomes the pins, unless something that has to hold does not. */
export async function lock(
  project: Project,
  request: LockRequest,
  { write }: { readonly write: boolean },
): Promise<Refresh & { readonly written: boolean }> {
  return withAccess(project, request, async (access) => {
    const { channel } = await project.selectChannel(request.channel);
    const targets = (await project.targets()).all();
    const wanted = { components: componentsOf(targets), seeds: seedsOf(targets) };
    const refresh = await refreshChannel(project.root, channel.name, access, wanted, request.names);
    const written = write && isWritable(refresh) && (refresh.changes.length > 0 || refresh.newer);
    if (written) writeChannel(project.root, refresh.channel);
    return { ...refresh, written };
  });
}

export interface News {
  readonly channel: string;
  readonly findings: Awaited<ReturnType<typeof allNews>>;
}

/** What became known since the pins were taken. */
export async function checkPins(project: Project, request: LockRequest): Promise<News> {
  return withAccess(project, request, async (access) => {
    const { channel } = await project.selectChannel(request.channel);
    const known = await loadAdvisories(project.root);
    return { channel: channel.name, findings: await allNews(channel, access, known, request.names) };
  });
}

async function withAccess<T>(
  project: Project,
  request: LockRequest,
  act: (access: LockAccess) => Promise<T>,
): Promise<T> {
  const { store, root } = project;
  const { signal } = request;
  const sites = new AuthorSites({ sources: store.paths.sources, folder: store.workFolder("lock"), signal });
  try {
    return await act({
      archive: () => archiveAccess(project, request),
      releases: () => ({ sites, keys: new AuthorKeys(root) }),
      signal,
    });
  } finally {
    await sites.close();
  }
}

async function archiveAccess(
  project: Project,
  { places, keyringRoot, acceptExpired, signal }: LockRequest,
): Promise<ArchiveAccess> {
  const all = await mirrors(project, places);
  return {
    read: mirrorReader(all, signal),
    mirrors: oneByOne(all).map((each) => mirrorReader(each, signal)),
    has: mirrorHas(all, signal),
    keyring: await debianKeyring(keyringRoot),
    acceptExpired,
  };
}
