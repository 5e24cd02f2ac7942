/**
 * A Debian archive whose release files are verified with a keyring and never older than those seen before: a signature
 * alone would let a mirror hand out the archive of last year, with all that was mended since.
 */
import { Fault } from "../fault/fault.ts";
import {
  readIndex,
  readSources,
  readSuite,
  type ReadArchive,
  type SourcePackage,
  type Suite,
} from "./archive-index.ts";
import type { ListedFile } from "./control.ts";
import type { Channel } from "../recipe/channel.ts";
import type { Keyring } from "./openpgp.ts";

export interface ArchiveAccess {
  /** Reads a file from whichever mirror has it. */
  readonly read: ReadArchive;
  /** The mirrors one by one, for release files: the first counts that is not behind. `read` alone when absent. */
  readonly mirrors?: readonly ReadArchive[];
  /** Whether a mirror has a file that an index lists; when absent, all are there. */
  readonly has?: (file: Pick<ListedFile, "path">) => Promise<boolean>;
  readonly keyring: Keyring;
  /** Whether a release file counts that was valid until a day that is past: of an archive that stands still. */
  readonly acceptExpired?: boolean;
}

/** Dates of release files by suite, ISO 8601 in UTC. */
export type SuiteDates = Readonly<Record<string, string>>;

/** Suites and indexes are read once. */
export class Archive {
  private readonly suites = new Map<string, Promise<Suite>>();
  private readonly indexes = new Map<string, Promise<string>>();
  private readonly sourceIndexes = new Map<string, Promise<readonly SourcePackage[]>>();
  private readonly files = new Map<string, Promise<boolean>>();
  private readonly packages: ReadonlySet<string>;

  /** Of the indexes of sources only the packages of the channel's places are kept; its `suites` are the dates seen before. */
  constructor(
    private readonly access: ArchiveAccess,
    private readonly channel: Pick<Channel, "name" | "suites" | "places">,
  ) {
    this.packages = new Set(Object.values(channel.places ?? {}).map((each) => each.package));
  }

  /** Throws E_ARCHIVE_OLD when each mirror is behind what was seen before, E_SIGNATURE, E_ARCHIVE_INDEX, E_FETCH. */
  suite(name: string): Promise<Suite> {
    return remember(this.suites, name, () => this.readSuite(name));
  }

  async index(suite: string, path: string): Promise<string> {
    const release = await this.suite(suite);
    return remember(this.indexes, `${suite} ${path}`, () => readIndex(this.access.read, release, path));
  }

  /** Versions of a source package that a suite lists. */
  async sources(suite: string, area: string, name: string): Promise<SourcePackage[]> {
    const all = await remember(this.sourceIndexes, `${suite} ${area}`, async () =>
      readSources(await this.index(suite, `${area}/source/Sources`), this.packages),
    );
    return all.filter((each) => each.package === name);
  }

  has(file: Pick<ListedFile, "path">): Promise<boolean> {
    const { has } = this.access;
    return has === undefined ? Promise.resolve(true) : remember(this.files, file.path, () => has(file));
  }

  read(file: ListedFile): Promise<Buffer> {
    return this.access.read(file.path, file);
  }

  /** Of each suite that was read. */
  async dates(): Promise<SuiteDates> {
    const suites = await Promise.all(this.suites.values());
    return Object.fromEntries(suites.map(({ name, date }) => [name, isoDate(date)]));
  }

  /** What to say of suites that were read although their release file is no longer valid. */
  async expired(): Promise<string[]> {
    const suites = await Promise.all(this.suites.values());
    return suites.flatMap(({ name, expired }) =>
      expired === undefined
        ? []
        : [`dists/${name}/InRelease was valid until ${expired}: what it lists may be superseded`],
    );
  }

  private async readSuite(name: string): Promise<Suite> {
    const { mirrors = [this.access.read], keyring, acceptExpired } = this.access;
    const faults: Fault[] = [];
    for (const read of mirrors) {
      try {
        const suite = await readSuite(read, name, keyring, acceptExpired);
        this.refuseOlder(suite);
        return suite;
      } catch (error) {
        if (!(error instanceof Fault)) throw error;
        faults.push(error);
      }
    }
    throw worst(faults);
  }

  private refuseOlder({ name, date }: Suite): void {
    const seen = this.channel.suites?.[name];
    if (seen === undefined || date >= Date.parse(seen) / 1000) return;
    throw new Fault("E_ARCHIVE_OLD", `dists/${name}/InRelease is older than the one that was seen before`, {
      details: [`here ${isoDate(date)}`, `seen ${seen} (suites in channels/${this.channel.name}.json)`],
      hint: "an archive never goes back: this mirror is behind, or hides what was mended since; name another",
    });
  }
}

function remember<T>(known: Map<string, Promise<T>>, key: string, make: () => Promise<T>): Promise<T> {
  const value = known.get(key) ?? make();
  known.set(key, value);
  return value;
}

const isoDate = (seconds: number): string => new Date(seconds * 1000).toISOString().replace(".000Z", "Z");

/** That a mirror is wrong says more than that another does not answer. */
function worst(faults: readonly Fault[]): Fault {
  const wrong = faults.find(({ code }) => code !== "E_FETCH");
  const [first] = faults;
  if (wrong !== undefined || first === undefined) return wrong ?? new Fault("E_NO_MIRROR", "no Debian mirror is known");
  return new Fault(first.code, first.message, {
    details: faults.flatMap(({ details }) => details),
    ...(first.hint !== undefined && { hint: first.hint }),
  });
}
