/**
 * Where the channel `debian` takes each component from: suites, archive area and source package. The lock picks the
 * newest version there that a mirror has. The toolchain comes from trixie, because only there are versions near the ones
 * that the design asks for, and OpenZFS from bookworm-backports. Security updates of a suite stand beside it.
 */
export interface DebianSource {
  /** The newest version counts, in whichever it is; of the same one the place in the suite that stands first. */
  readonly suites: readonly string[];
  readonly area: "main" | "contrib";
  readonly package: string;
  /** Only versions that begin so: a newer series is a decision, not an update. */
  readonly series?: string;
  /** SPDX expression of the part that is built here. */
  readonly licence: string;
}

type Place = Pick<DebianSource, "area" | "series">;

const from =
  (...suites: readonly string[]) =>
  (name: string, licence: string, { area = "main", series }: Partial<Place> = {}): DebianSource => ({
    suites,
    area,
    package: name,
    ...(series !== undefined && { series }),
    licence,
  });

/** The suite whose packages are the seed; its first release file gave the channel's clock. */
export const seedSuite = "bookworm";

/** What has the seed's packages: of each the newest counts. */
export const seedSuites = [seedSuite, `${seedSuite}-security`];

const bookworm = from(...seedSuites);
const trixie = from("trixie", "trixie-security");
const backports = from("bookworm-backports", "trixie", "trixie-security");

export const debianSources: Readonly<Record<string, DebianSource>> = {
  linux: trixie("linux", "GPL-2.0-only WITH Linux-syscall-note", { series: "6.12." }),
  zfs: backports("zfs-linux", "CDDL-1.0", { area: "contrib", series: "2.3." }),
  gcc: trixie("gcc-14", "GPL-3.0-or-later WITH GCC-exception-3.1"),
  binutils: trixie("binutils", "GPL-3.0-or-later"),
  musl: trixie("musl", "MIT"),
  gmp: trixie("gmp", "LGPL-3.0-or-later OR GPL-2.0-or-later"),
  mpfr: trixie("mpfr4", "LGPL-3.0-or-later"),
  mpc: trixie("mpclib3", "LGPL-3.0-or-later"),
  zlib: trixie("zlib", "Zlib"),
  libtirpc: trixie("libtirpc", "BSD-3-Clause"),
  libedit: trixie("libedit", "BSD-3-Clause"),
  elfutils: trixie("elfutils", "LGPL-3.0-or-later OR GPL-2.0-or-later"),
  zstd: trixie("libzstd", "BSD-3-Clause OR GPL-2.0-only"),
  libsodium: bookworm("libsodium", "ISC"),
  lz4: trixie("lz4", "BSD-2-Clause"),
  busybox: bookworm("busybox", "GPL-2.0-only"),
  "util-linux": trixie("util-linux", "GPL-2.0-or-later AND LGPL-2.1-or-later AND BSD-3-Clause"),
  openssl: bookworm("openssl", "Apache-2.0"),
  postgresql: bookworm("postgresql-15", "PostgreSQL"),
  pgvector: trixie("pgvector", "PostgreSQL"),
  make: trixie("make-dfsg", "GPL-3.0-or-later"),
  m4: trixie("m4", "GPL-3.0-or-later"),
  bison: trixie("bison", "GPL-3.0-or-later WITH Bison-exception-2.2"),
  flex: trixie("flex", "BSD-3-Clause-flex"),
  gawk: trixie("gawk", "GPL-3.0-or-later"),
  bash: trixie("bash", "GPL-3.0-or-later"),
  perl: trixie("perl", "GPL-1.0-or-later OR Artistic-1.0-Perl"),
  pkgconf: bookworm("pkgconf", "ISC"),
  mimalloc: bookworm("mimalloc", "MIT"),
  bzip2: bookworm("bzip2", "bzip2-1.0.6"),
  dropbear: trixie("dropbear", "MIT AND BSD-2-Clause"),
  posixtestsuite: bookworm("posixtestsuite", "GPL-2.0-only"),
  picolibc: trixie("picolibc", "MIT"),
};
