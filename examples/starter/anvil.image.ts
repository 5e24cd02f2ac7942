/** An AnvilOS of your own. `anvil forge` in this folder builds it, `anvil boot` boots it. docs/images.md has all fields. */
import { image } from "anvilos";

export default image({
  // VARIANT_ID in /etc/os-release, and the host name
  name: "mine",

  // what is installed: recipes that are there already, or your own
  // packages: [rsync],

  // paths in the system, without the first "/": a file or folder of this folder, or a text
  files: {
    "etc/motd": { text: "\n  This is mine.\n\n", wins: true },
  },

  // what keeps running: a script `run` for runsv, or a folder with one
  services: {
    hello: { text: "#!/bin/sh\necho 'hello is up' | logger -t hello\nexec sv down .\n", executable: true },
  },

  // options of Linux; every one has to survive its configuration
  // kernel: { CONFIG_EXFAT_FS: true },

  // who logs in over SSH, by key; nobody has a password. Consoles are closed then; without users they are open
  // users: { root: { keys: ["ssh-ed25519 AAAA… you@there"] }, ada: { keys: ["ssh-ed25519 AAAA… ada@there"] } },

  // DHCP when absent
  // network: { address: "192.168.1.10/24", gateway: "192.168.1.1", dns: ["192.168.1.1"] },

  // bytes that the results may have
  // limits: { iso: 60_000_000 },
});

// A package of your own is a recipe; its source is pinned here. docs/recipes.md has all fields.
//
// import { anvilCc, builtByAnvilCc, configureMake, image, isStaticPie, noBuildPaths, pinned, recipe, seedBase } from "anvilos";
//
// const hello = recipe({
//   name: "hello",
//   licence: "GPL-3.0-or-later",
//   source: pinned("hello", {
//     version: "2.12.1",
//     urls: ["https://ftp.gnu.org/gnu/hello/hello-2.12.1.tar.gz"],
//     sha256: "8d99142afd92576f30b0cd7cb42a8dc6809998bc5d607d88761f512e26c7db20",
//     licence: "GPL-3.0-or-later",
//   }),
//   seed: seedBase,
//   tools: [anvilCc],
//   script: configureMake({ component: "hello", configure: ["--disable-nls"] }),
//   proves: [isStaticPie("usr/bin/hello"), builtByAnvilCc(), noBuildPaths()],
// });
