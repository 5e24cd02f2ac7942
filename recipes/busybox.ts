/** The small userland: shell, init, supervision and the everyday commands in one program. */
import { assume } from "../src/recipe/assumption.ts";
import { builtByAnvilCc, exists, isStaticPie, noBuildPaths, runs } from "../src/recipe/proof.ts";
import { recipe, source, type Versions } from "../src/recipe/recipe.ts";
import { anvilCcEnvironment, tidyOutput } from "../src/recipe/style.ts";
import { seedBase } from "./seed.ts";
import { anvilCc } from "./toolchain.ts";

// Its Makefiles take these from the command line only. They would strip off .comment too, which says who compiled it.
const make = 'make CROSS_COMPILE="$ANVIL_TARGET-" CC="$CC" HOSTCC="$HOSTCC" SKIP_STRIP=y';

// Its kconfig reads no fragment (KCONFIG_ALLCONFIG is forgotten in a second pass) and answers open questions with the
// default, which is mostly yes: so each symbol that the fragment does not name gets a "no" beforehand. Symbols that
// are not yes-or-no ignore that and take their default, the empty line.
const configure = `\
fragment=/files/system/busybox/config
${make} gen_build_files
grep '^CONFIG_' "$fragment" | sort > wanted
sed 's/=.*//' wanted | sort > named
find . -name Config.in -exec sed -n 's/^[[:space:]]*config \\([A-Za-z0-9_]*\\)$/CONFIG_\\1/p' {} + | sort -u > known
{ comm -13 named known | sed 's/.*/# & is not set/'; cat wanted; } > .config
# yes ends by a broken pipe
{ yes '' || true; } | ${make} oldconfig > /dev/null
grep '^CONFIG_' .config | sort | comm -23 wanted - > lost
if [ -s lost ]; then
  echo "busybox $VERSION does not take these lines of system/busybox/config:" >&2
  cat lost >&2
  exit 1
fi
`;

// The ash of 1.38 notes that there was a signal, and forgets it at its prompt only, where no script comes: services would not
// restart. It is made to forget it where it has taken the signal up, in one place, which has to be there.
const forgetSignals = `\
[ "$(grep -c '^\tpending_sig = 0;$' shell/ash.c)" = 1 ]
sed -i 's/^\tpending_sig = 0;$/& bb_got_signal = 0;/' shell/ash.c
grep -q '^\tpending_sig = 0; bb_got_signal = 0;$' shell/ash.c
`;
const remembersSignals = (versions: Versions): boolean => versions.atLeast("busybox", "1.38");

// util-linux has the better one; in the initramfs it is called as "busybox blkid"
const notLinked = "/sbin/blkid";

// The system has one /usr: /bin and /sbin are links to its folders.
const install = `\
install -D busybox /out/usr/bin/busybox
mkdir -p /out/usr/sbin
grep -vxF ${notLinked} busybox.links | while read -r path; do
  case $path in
    */sbin/*) ln -s ../bin/busybox "/out/usr/sbin/\${path##*/}" ;;
    *) ln -s busybox "/out/usr/bin/\${path##*/}" ;;
  esac
done
`;

export const busybox = recipe({
  name: "busybox",
  licence: "GPL-2.0-only",
  source: source("busybox"),
  files: ["system/busybox/config"],
  seed: seedBase,
  tools: [anvilCc],
  // it shows this instead of the time of its configuration
  env: { KCONFIG_NOTIMESTAMP: "1" },
  script: (versions) =>
    [
      anvilCcEnvironment(versions),
      "cd /build/busybox\n",
      configure,
      remembersSignals(versions) ? forgetSignals : "",
      `${make} busybox busybox.links\n`,
      install,
      tidyOutput(),
    ].join(""),
  assumes: (versions) => [
    assume("busybox").success(
      "each line of system/busybox/config is taken",
      `VERSION=$VERSION\nKCONFIG_NOTIMESTAMP=1\n${anvilCcEnvironment(versions)}${configure}`,
      ["system/busybox/config"],
    ),
    ...(remembersSignals(versions)
      ? [assume("busybox").success("its shell notes signals where it is made to forget them", forgetSignals)]
      : []),
    assume("busybox").text("scripts/gen_build_files.sh", "#!"),
    assume("busybox").targets("Makefile.custom", "busybox.links"),
    assume("busybox").text("Makefile", "SKIP_STRIP"),
  ],
  proves: [
    exists("usr/bin/sh", "usr/bin/runsv", "usr/bin/vi", "usr/sbin/init", "usr/sbin/switch_root", "usr/sbin/udhcpc"),
    isStaticPie("usr/bin/busybox"),
    builtByAnvilCc(),
    noBuildPaths(),
    runs("usr/bin/busybox", "", /^BusyBox v1\./),
    runs("usr/bin/busybox", ["ash", "-c", "echo $((6 * 7))"], /^42\b/),
  ],
});
