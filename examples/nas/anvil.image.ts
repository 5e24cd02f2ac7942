/** A NAS: a pool of ZFS on disks of its own, shared with rsync and over SSH; sticks with exFAT can be read. */
import {
  anvilCc,
  builtByAnvilCc,
  configureMake,
  image,
  isStaticPie,
  MiB,
  noBuildPaths,
  pinned,
  recipe,
  runs,
  seedBase,
} from "anvilos";

/** A package of this image's own. */
const rsync = recipe({
  name: "rsync",
  licence: "GPL-3.0-or-later",
  source: pinned("rsync", {
    version: "3.4.1",
    // upstream's files but for its copies of popt and zlib's build files, which some may not pass on
    archive: "pool/main/r/rsync/RSYNC_FILE",
    sha256: "RSYNC_SHA",
    licence: "GPL-3.0-or-later",
  }),
  seed: seedBase,
  tools: [anvilCc],
  script: configureMake({
    component: "rsync",
    configure: [
      ...["openssl", "xxhash", "zstd", "lz4", "md2man", "locale", "roll-simd", "roll-asm"].map((name) => `--disable-${name}`),
      ...["popt", "zlib"].map((name) => `--with-included-${name}`),
    ],
  }),
  proves: [isStaticPie("usr/bin/rsync"), builtByAnvilCc(), noBuildPaths(), runs("usr/bin/rsync", "--version", /version 3/)],
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
