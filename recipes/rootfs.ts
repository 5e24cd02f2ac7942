/** The tree of the root: the skeleton, busybox with its links, ZFS and partitioning tools, installer, ingots' agent. */
import type { ImageOptions } from "../src/recipe/catalogue.ts";
import type { ImageFields } from "../src/recipe/image.ts";
import { contains, exists } from "../src/recipe/proof.ts";
import type { Recipe } from "../src/recipe/recipe.ts";
import { tree } from "../src/recipe/tree.ts";
import { anvilExec } from "./anvil-exec.ts";
import { anvilIngot } from "./anvil-ingot.ts";
import { busybox } from "./busybox.ts";
import { dropbear } from "./dropbear.ts";
import { rootOf } from "./image.ts";
import { seedBase } from "./seed.ts";
import { utilLinux } from "./util-linux.ts";
import { zfs } from "./zfs.ts";

// A key is known by the first digits of its BLAKE2b.
const trustKeys = (keys: readonly string[]): string => `\
mkdir etc/anvil/trust
for key in ${keys.join(" ")}; do
  id=$(printf "$(echo "$key" | sed 's/../\\\\x&/g')" | b2sum | cut -c 1-16)
  echo "$key" > "etc/anvil/trust/$id.pub"
done
`;

// What the root dataset of this tree is called. Of the contents alone, as nothing else tells two builds apart.
const nameBuild = `\
build=$({ find . -type f | sort | xargs -d '\\n' sha256sum; find . -type l -printf '%p %l\\n' | sort; } | sha256sum)
echo "BUILD_ID=$(echo "$build" | cut -c 1-12)" >> etc/os-release
`;

/** What names of recipes of a system without root login end in. */
export const CLOSED = "-no-login";

/** Recipes for the two kinds of system have names of their own, since the store tells users about outputs by name. */
export function suffix({ rootLogin }: Pick<ImageOptions, "rootLogin">): string {
  return rootLogin ? "" : CLOSED;
}

/** @param own what a user's image has beside that of every system */
export function rootfs(options: ImageOptions, own?: ImageFields): Recipe {
  if (!options.trust.every((key) => /^[0-9a-f]{64}$/.test(key)))
    throw new Error("a trusted key is 64 hexadecimal digits, lower case");
  if (!options.logins.every((key) => /^[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,2}$/.test(key)))
    throw new Error("an SSH key is its type and itself in base64");
  const ssh = options.logins.length > 0;
  const more = rootOf(own, options.logins);
  return tree({
    name: `rootfs${suffix(options)}`,
    seed: seedBase,
    from: [busybox, utilLinux, zfs, anvilExec, anvilIngot, ...(ssh || more.ssh ? [dropbear] : []), ...more.from],
    only: {
      busybox: ["usr/bin", "usr/sbin"],
      "util-linux": ["usr/bin", "usr/sbin"],
      zfs: ["usr/sbin", "usr/share/zfs"],
      "anvil-exec": ["usr/sbin"],
      "anvil-ingot": ["usr/sbin"],
      ...more.only,
    },
    wins: more.wins,
    files: {
      ".": "system/root",
      "usr/sbin/anvil-install": "system/install/anvil-install",
      ...(options.rootLogin ? { "etc/anvil/root-login": { text: "" } } : {}),
      ...(ssh ? { "etc/ssh/authorized_keys": { text: lines(options.logins) } } : {}),
      ...more.files,
    },
    links: { bin: "usr/bin", sbin: "usr/sbin" },
    folders: [
      ...["dev", "ingots", "mnt", "proc", "root", "run", "sys", "tmp", "usr/local/bin"],
      ...["var/cache", "var/empty", "var/lib", "var/log", "var/tmp"],
      ...more.folders,
    ],
    // the server takes no passwords: system/ssh/localoptions.h
    services: { ...(ssh || more.ssh ? { ssh: "system/ssh/run" } : {}), ...more.services },
    after: trustKeys(options.trust) + more.after + nameBuild,
    proves: [
      exists("etc/inittab", "etc/anvil/rc", "usr/bin/sh", "usr/sbin/init", "usr/sbin/zpool", "usr/sbin/anvil-install"),
      contains("etc/os-release", /^BUILD_ID=[0-9a-f]{12}$/),
    ],
  });
}

const lines = (texts: readonly string[]): string => texts.map((text) => `${text}\n`).join("");
