/** The tree of the root: the skeleton, busybox with its links, ZFS and partitioning tools, installer, ingots' agent. */
import { builtByAnvilCc, contains, exists, isStaticPie, noBuildPaths } from "../src/recipe/proof.ts";
import { recipe, type Recipe } from "../src/recipe/recipe.ts";
import { anvilIngot } from "./anvil-ingot.ts";
import { busybox } from "./busybox.ts";
import { seedBase } from "./seed.ts";
import { utilLinux } from "./util-linux.ts";
import { zfs } from "./zfs.ts";

export interface RootOptions {
  /** Opens a root shell without a password on every console. */
  readonly rootLogin: boolean;
  /** Ed25519 public keys whose ingots the system takes, 64 hexadecimal digits each. Without one it takes none. */
  readonly trust: readonly string[];
}

// Outputs are read-only, their copies are not; a link of busybox gives way to the better program of that name.
const copy = `\
add() {
  cp -a --remove-destination "$@"
  chmod -R u+w /out
}
`;

const fill = `\
mkdir -p /out/dev /out/ingots /out/mnt /out/proc /out/root /out/run /out/sys /out/tmp /out/usr/local/bin /out/usr/share
mkdir -p /out/var/cache /out/var/empty /out/var/lib /out/var/log /out/var/tmp
add /in/busybox/usr/bin /in/busybox/usr/sbin /out/usr
add /in/util-linux/usr/bin /in/util-linux/usr/sbin /out/usr
add /in/zfs/usr/sbin /out/usr
add /in/anvil-ingot/usr/sbin /out/usr
add /in/zfs/usr/share/zfs /out/usr/share
add /files/system/root/. /out
add /files/system/install/anvil-install /out/usr/sbin
ln -s usr/bin usr/sbin /out
`;

// A key is known by the first digits of its BLAKE2b.
const trustKeys = (keys: readonly string[]): string => `\
mkdir /out/etc/anvil/trust
for key in ${keys.join(" ")}; do
  id=$(printf "$(echo "$key" | sed 's/../\\\\x&/g')" | b2sum | cut -c 1-16)
  echo "$key" > "/out/etc/anvil/trust/$id.pub"
done
`;

// What the root dataset of this tree is called. Of the contents alone, as nothing else tells two builds apart.
const nameBuild = `\
cd /out
build=$({ find . -type f | sort | xargs -d '\\n' sha256sum; find . -type l -printf '%p %l\\n' | sort; } | sha256sum)
echo "BUILD_ID=$(echo "$build" | cut -c 1-12)" >> etc/os-release
`;

/** Recipes for the two kinds of system have names of their own, since the store tells users about outputs by name. */
export function suffix(options: RootOptions): string {
  return options.rootLogin ? "" : "-no-login";
}

export function rootfs(options: RootOptions): Recipe {
  if (!options.trust.every((key) => /^[0-9a-f]{64}$/.test(key)))
    throw new Error("a trusted key is 64 hexadecimal digits, lower case");
  return recipe({
    name: `rootfs${suffix(options)}`,
    licence:
      "Apache-2.0 AND GPL-2.0-only AND GPL-2.0-or-later AND LGPL-2.1-or-later AND CDDL-1.0 AND ISC AND BSD-3-Clause",
    files: ["system/root", "system/install"],
    seed: seedBase,
    inputs: [anvilIngot, busybox, utilLinux, zfs],
    script: [
      copy,
      fill,
      options.rootLogin ? "touch /out/etc/anvil/root-login\n" : "",
      trustKeys(options.trust),
      nameBuild,
    ].join(""),
    proves: [
      exists("etc/inittab", "etc/anvil/rc", "usr/bin/sh", "usr/sbin/init", "usr/sbin/zpool", "usr/sbin/anvil-install"),
      contains("etc/os-release", /^BUILD_ID=[0-9a-f]{12}$/),
      isStaticPie("usr/sbin/anvil-ingot", "usr/bin/busybox", "usr/sbin/zfs-tools", "usr/sbin/sfdisk", "usr/bin/lsblk"),
      builtByAnvilCc(),
      noBuildPaths(),
    ],
  });
}
