/** The tree of the root: the skeleton, busybox with its links, ZFS and partitioning tools, installer, ingots' agent. */
import { builtByAnvilCc, contains, exists, isStaticPie, noBuildPaths } from "../src/recipe/proof.ts";
import { recipe, type Recipe } from "../src/recipe/recipe.ts";
import { anvilExec } from "./anvil-exec.ts";
import { anvilIngot } from "./anvil-ingot.ts";
import { busybox } from "./busybox.ts";
import { dropbear } from "./dropbear.ts";
import { seedBase } from "./seed.ts";
import { utilLinux } from "./util-linux.ts";
import { zfs } from "./zfs.ts";

export interface RootOptions {
  /** A root shell without a password on every console, a rescue shell, and a boot menu that can be edited; or none of them. */
  readonly rootLogin: boolean;
  /** Ed25519 public keys whose ingots the system takes, 64 hexadecimal digits each. Without one it takes none. */
  readonly trust: readonly string[];
  /** SSH public keys, type and key in base64, of those who may log in as root. Without one there is no SSH server. */
  readonly logins: readonly string[];
}

const licences = "Apache-2.0 GPL-2.0-only GPL-2.0-or-later LGPL-2.1-or-later CDDL-1.0 ISC BSD-3-Clause".split(" ");

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
add /in/anvil-exec/usr/sbin /out/usr
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

// The server takes no passwords: system/ssh/localoptions.h.
const sshServer = (keys: readonly string[]): string => `\
add /in/dropbear/usr/. /out/usr
mkdir /out/etc/service/ssh /out/etc/ssh
cp /files/system/ssh/run /out/etc/service/ssh
cat > /out/etc/ssh/authorized_keys <<'END'
${keys.join("\n")}
END
`;

// What the root dataset of this tree is called. Of the contents alone, as nothing else tells two builds apart.
const nameBuild = `\
cd /out
build=$({ find . -type f | sort | xargs -d '\\n' sha256sum; find . -type l -printf '%p %l\\n' | sort; } | sha256sum)
echo "BUILD_ID=$(echo "$build" | cut -c 1-12)" >> etc/os-release
`;

/** What names of recipes of a system without root login end in. */
export const CLOSED = "-no-login";

/** Recipes for the two kinds of system have names of their own, since the store tells users about outputs by name. */
export function suffix({ rootLogin }: Pick<RootOptions, "rootLogin">): string {
  return rootLogin ? "" : CLOSED;
}

export function rootfs(options: RootOptions): Recipe {
  if (!options.trust.every((key) => /^[0-9a-f]{64}$/.test(key)))
    throw new Error("a trusted key is 64 hexadecimal digits, lower case");
  if (!options.logins.every((key) => /^[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,2}$/.test(key)))
    throw new Error("an SSH key is its type and itself in base64");
  const ssh = options.logins.length > 0;
  return recipe({
    name: `rootfs${suffix(options)}`,
    licence: [...licences, ...(ssh ? [dropbear.licence] : [])].join(" AND "),
    files: ["system/root", "system/install", ...(ssh ? ["system/ssh/run"] : [])],
    seed: seedBase,
    inputs: [anvilExec, anvilIngot, busybox, utilLinux, zfs, ...(ssh ? [dropbear] : [])],
    script: [
      copy,
      fill,
      options.rootLogin ? "touch /out/etc/anvil/root-login\n" : "",
      trustKeys(options.trust),
      ssh ? sshServer(options.logins) : "",
      nameBuild,
    ].join(""),
    proves: [
      exists("etc/inittab", "etc/anvil/rc", "usr/bin/sh", "usr/sbin/init", "usr/sbin/zpool", "usr/sbin/anvil-install"),
      contains("etc/os-release", /^BUILD_ID=[0-9a-f]{12}$/),
      isStaticPie(
        "usr/sbin/anvil-exec",
        "usr/sbin/anvil-ingot",
        "usr/bin/busybox",
        "usr/sbin/zfs-tools",
        "usr/sbin/sfdisk",
        "usr/bin/lsblk",
      ),
      builtByAnvilCc(),
      noBuildPaths(),
    ],
  });
}
