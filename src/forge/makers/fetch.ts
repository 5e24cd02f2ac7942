/** Downloads one pinned file. */
import { renameSync } from "node:fs";
import { Fault } from "../../fault/fault.ts";
import type { Digest, FetchDerivation } from "../../recipe/derivation.ts";
import { download } from "../../source/fetch.ts";
import { placesOf } from "../places.ts";
import type { Maker } from "./maker.ts";

export const makeFetch: Maker<FetchDerivation> = async ({ node: { key }, derivation: fetch, run }) => {
  refuseDoubtful(fetch, run.acceptUnverified);
  if (fetch.local !== undefined && fetch.archive === undefined && fetch.urls.length === 0) throw noCopy(fetch);
  const { store, emit } = run;
  emit({ type: "start", key, log: undefined });
  const to = store.sources.path(fetch.sha256 ?? (`unpinned-${key}` as Digest));
  const { sha256, size } = await download({
    name: fetch.file,
    urls: await placesOf(fetch, run),
    supersededHint: fetch.urls.length === 0 ? run.superseded([fetch]) : undefined,
    sha256: fetch.sha256,
    size: fetch.size,
    to,
    signal: run.signal,
    onProgress: (bytes, total) => emit({ type: "progress", key, bytes, total }),
    onRetry: (url, why) => emit({ type: "retry", key, url, why }),
  });
  if (fetch.sha256 === undefined) {
    const found = sha256 as Digest;
    renameSync(to, store.sources.path(found));
    run.onPin(fetch.name, found);
  }
  return { bytes: size, isSound: true };
};

function noCopy({ name }: FetchDerivation): Fault {
  return new Fault("E_LOCAL_SOURCE", `the store has no sound copy of the local source of ${name}`, {
    hint: "start again with the same --source: it is copied anew",
  });
}

/** Throws E_UNVERIFIED. */
function refuseDoubtful({ name, version, unverified, urls }: FetchDerivation, accepted: ReadonlySet<string>): void {
  if (unverified === undefined || accepted.has(name)) return;
  throw new Fault("E_UNVERIFIED", `the pin of ${name} ${version} is doubtful`, {
    details: [unverified, ...urls],
    hint: `check it, then: anvil forge --accept-unverified ${name}`,
  });
}
