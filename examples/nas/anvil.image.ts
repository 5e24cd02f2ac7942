/** A NAS: a pool of ZFS on disks of its own, shared with rsync and over SSH; sticks with exFAT can be read. */
import {
  anvilCc,
  builtByAnvilCc,
  configureMake,
  exists,
  image,
  isStaticPie,
  MiB,
  noBuildPaths,
  pinned,
  recipe,
  runs,
  seedBase,
  zlib,
} from "anvilos";

// Two packages of this image's own: what rsync is built with, and itself.

const popt = recipe({
  name: "popt",
  licence: "MIT",
  source: pinned("popt", {
    version: "1.19",
    archive: "pool/main/p/popt/popt_1.19+dfsg.orig.tar.xz",
    sha256: "4cd0cd2963d0c4078f65949599d97135c15ee6c09cf3a36a9a1b2753025bb06b",
    licence: "MIT",
  }),
  seed: seedBase,
  tools: [anvilCc],
  script: configureMake({ component: "popt", configure: ["--disable-nls"] }),
  proves: [exists("usr/lib/libpopt.a", "usr/include/popt.h"), builtByAnvilCc(), noBuildPaths()],
});

const without = ["acl-support", "iconv", "locale", "lz4", "md2man", "openssl", "roll-simd", "xxhash", "zstd"];

const rsync = recipe({
  name: "rsync",
  licence: "GPL-3.0-or-later AND MIT AND Zlib",
  source: pinned("rsync", {
    version: "3.5.0",
    // without its copies of popt and zlib
    archive: "pool/main/r/rsync/rsync_3.5.0+ds1.orig.tar.xz",
    sha256: "d5de0c8a95b00e0f50038ba04526bcbd5fe4f3ff97b4035bb97b084398bfbb60",
    licence: "GPL-3.0-or-later",
  }),
  seed: seedBase,
  tools: [anvilCc],
  link: [popt, zlib],
  script: configureMake({
    component: "rsync",
    configure: ["--without-included-popt", "--without-included-zlib", ...without.map((name) => `--disable-${name}`)],
  }),
  proves: [
    isStaticPie("usr/bin/rsync"),
    builtByAnvilCc(),
    noBuildPaths(),
    runs("usr/bin/rsync", "--version", /version 3/),
  ],
});

export default image({
  name: "nas",
  packages: [{ from: rsync, only: ["usr/bin/rsync"] }],
  // put your own keys here
  users: {
    root: { keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM1UExYwUwEiltx5y++zsDgs5ZeSqm9G56bqwXt0fxIQ you@there"] },
    share: { keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM1UExYwUwEiltx5y++zsDgs5ZeSqm9G56bqwXt0fxIQ you@there"] },
  },
  services: { tank: "tank", rsync: "rsync" },
  files: { "etc/rsyncd.conf": "rsyncd.conf" },
  kernel: { CONFIG_EXFAT_FS: true, CONFIG_EXFAT_DEFAULT_IOCHARSET: "utf8" },
  network: { address: "192.168.1.10/24", gateway: "192.168.1.1", dns: ["192.168.1.1"] },
  limits: { iso: 42_000_000, kernel: 10 * MiB },
});
