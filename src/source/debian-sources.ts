/**
 * Where the channel `debian` takes each component from: suite, archive area and source package. The lock picks the
 * newest version there. Bookworm no longer changes; the toolchain comes from trixie, the kernel and OpenZFS from
 * bookworm-backports, because only there are versions near the ones that the design asks for.
 */
export interface DebianSource {
  readonly suite: string;
  readonly area: "main" | "contrib";
  readonly package: string;
  /** SPDX expression of the part that is built here. */
  readonly licence: string;
}

const from =
  (suite: string, area: DebianSource["area"]) =>
  (name: string, licence: string): DebianSource => ({ suite, area, package: name, licence });

const bookworm = from("bookworm", "main");
const backports = from("bookworm-backports", "main");
const backportsContrib = from("bookworm-backports", "contrib");
const trixie = from("trixie", "main");

export const debianSources: Readonly<Record<string, DebianSource>> = {
  linux: backports("linux", "GPL-2.0-only WITH Linux-syscall-note"),
  zfs: backportsContrib("zfs-linux", "CDDL-1.0"),
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
  "util-linux": bookworm("util-linux", "GPL-2.0-or-later AND LGPL-2.1-or-later AND BSD-3-Clause"),
  openssl: bookworm("openssl", "Apache-2.0"),
  postgresql: bookworm("postgresql-15", "PostgreSQL"),
  pgvector: trixie("pgvector", "PostgreSQL"),
  xz: bookworm("xz-utils", "0BSD AND LGPL-2.1-or-later"),
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

/** The suite whose packages are the seed. Its date is the clock of every step: it does not change any more. */
export const seedSuite = "bookworm";

/** What has the seed's packages: of each the newest counts. */
export const seedSuites = [seedSuite, `${seedSuite}-security`];
