/** The kernel: Linux with OpenZFS inside, one image without modules. What is on is said in system/kernel/config. */
import { assume } from "../src/recipe/assumption.ts";
import { atMost, builtByAnvilCc, contains, exists, noBuildPaths } from "../src/recipe/proof.ts";
import { recipe, source, type Recipe } from "../src/recipe/recipe.ts";
import { command } from "../src/recipe/style.ts";
import { libelf } from "./libelf.ts";
import { seedBase } from "./seed.ts";
import { anvilCc } from "./toolchain.ts";
import { zlib } from "./zlib.ts";
import { zstdProgram } from "./zstd-program.ts";

// Programs that the build itself runs (kconfig, objtool, …) come from the same compiler: there is no other. objtool
// takes plain -lelf when there is no pkg-config. Who built the kernel, where and when is part of it (/proc/version), so
// these are constants.
const environment = `\
export ARCH=x86 CROSS_COMPILE="$ANVIL_TARGET-"
export KBUILD_BUILD_USER=anvil KBUILD_BUILD_HOST=forge KBUILD_BUILD_VERSION=1
KBUILD_BUILD_TIMESTAMP="$(date -u -d "@$SOURCE_DATE_EPOCH")"
export KBUILD_BUILD_TIMESTAMP
kbuild() {
  make -C /build/linux HOSTCC="$ANVIL_TARGET-gcc" HOSTAR="$ANVIL_TARGET-ar" HOSTLD="$ANVIL_TARGET-ld" \\
    HOSTCFLAGS=-I/deps/libelf/usr/include HOSTLDFLAGS="-L/deps/libelf/usr/lib -L/deps/zlib/usr/lib -lz" \\
    HOSTPKG_CONFIG=false "$@"
}
`;

// Twice: OpenZFS is configured against a configured kernel, and only then becomes part of it.
const configureKernel = (fragment: string): string => `\
configure_kernel() {
  kbuild allnoconfig > /dev/null
  (
    cd /files/system/kernel
    ./check-config merge "$VERSION" ${fragment} /build/linux/.config "$@" > /build/config
    mv /build/config /build/linux/.config
    kbuild olddefconfig
    ./check-config check "$VERSION" ${fragment} /build/linux "$@"
  )
}
`;

// While it starts, OpenZFS measures which of its checksum and parity routines is the fastest: for 1 ms each, but at least
// a fixed number of rounds, which an emulated processor takes over a second for. One round is enough.
const shortenBenchmarks = `\
one_round() {
  grep -qF "$2" "$1"
  sed -i "s/$2/$3/" "$1"
}
one_round module/zcommon/zfs_fletcher.c "l < 32" "l < 1"
one_round module/zfs/vdev_raidz_math.c "i < 5" "i < 1"
if [ -e module/zfs/zfs_chksum.c ]; then
  one_round module/zfs/zfs_chksum.c "l < loops" "l < 1"
fi
`;

// META names the newest series that its authors built it with. A kernel's newer one may lack what it calls.
const knowsLinux = (version: string): string => `\
newest=$(sed -n 's/^Linux-Maximum: *//p' META)
oldest=$(sed -n 's/^Linux-Minimum: *//p' META)
series=$(echo ${version} | cut -d . -f 1,2)
echo "META: from Linux $oldest to $newest"
[ "$(printf '%s\\n' "$oldest" "$series" "$newest" | sort -V | tr '\\n' ' ')" = "$oldest $series $newest " ]
`;

const graftZfs = `\
configure_kernel CONFIG_ZFS
kbuild prepare
cd /build/zfs
${shortenBenchmarks}\
# its test modules share the jobs of all builds instead of starting as many again
sed -i 's/ -j\\$TEST_JOBS / /' configure
${command("./configure", [
  '--build="$ANVIL_TARGET"',
  '--host="$ANVIL_TARGET"',
  "--with-config=kernel",
  "--enable-linux-builtin",
  "--with-linux=/build/linux",
  "--with-linux-obj=/build/linux",
  'CC="$ANVIL_TARGET-gcc"',
])}./copy-builtin /build/linux
configure_kernel
`;

/** What an image asks of its kernel. */
export interface KernelWishes {
  /** In addition to the lines of system/kernel/config, or in the place of those with the same option. */
  readonly options: Readonly<Record<string, boolean | number | string>>;
  /** Bytes that the compressed kernel may have. */
  readonly atMost?: number;
}

const LIMIT = 9 * 1024 * 1024;

// check-config refuses an option that is set twice
const ownFragment = (options: KernelWishes["options"]): string => `\
grep -vE '^(# )?(${Object.keys(options).join("|")})[ =]' /files/system/kernel/config > /build/fragment
cat >> /build/fragment <<'END_OF_OPTIONS'
${Object.entries(options)
  .map(([option, value]) => `${optionLine(option, value)}\n`)
  .join("")}END_OF_OPTIONS
`;

function optionLine(option: string, value: boolean | number | string): string {
  if (value === false) return `# ${option} is not set`;
  if (value === true) return `${option}=y`;
  return `${option}=${typeof value === "number" || /^0x[0-9a-fA-F]+$/.test(value) ? value : `"${value}"`}`;
}

/**
 * `boot/vmlinuz`: bzImage, for boot loaders and QEMU's -kernel. `boot/vmlinux`: the same kernel uncompressed, with its
 * PVH entry note, for micro virtual machines; without symbols, which System.map has.
 *
 * @param prepare shell text that runs before the kernel is configured: what has to be different in the root in which it is built
 */
export function linuxWith(prepare: string, wishes?: KernelWishes): Recipe {
  const hasOptions = wishes !== undefined && Object.keys(wishes.options).length > 0;
  const configure = hasOptions
    ? ownFragment(wishes.options) + configureKernel("/build/fragment")
    : configureKernel("config");
  return recipe({
    name: wishes === undefined ? "linux" : "linux-of-image",
    folder: "linux",
    licence: "GPL-2.0-only WITH Linux-syscall-note AND CDDL-1.0",
    source: [source("linux"), source("zfs")],
    files: ["system/kernel/check-config", "system/kernel/config"],
    seed: seedBase,
    // the image is packed with zstd: by ours, so that its bytes depend on no program of the seed
    tools: [anvilCc, zstdProgram],
    link: [libelf, zlib],
    script: [
      environment,
      prepare,
      configure,
      graftZfs,
      "kbuild bzImage\n",
      "cd /build/linux\n",
      "mkdir /out/boot\n",
      "cp arch/x86/boot/bzImage /out/boot/vmlinuz\n",
      "cp System.map /out/boot/System.map\n",
      "cp .config /out/boot/config\n",
      '"$ANVIL_TARGET-strip" --strip-all -o /out/boot/vmlinux vmlinux\n',
    ].join(""),
    assumes: (versions) => [
      assume("linux").text("Makefile", "HOSTPKG_CONFIG"),
      ...["allnoconfig", "olddefconfig"].map((name) => assume("linux").mention(["scripts/kconfig/Makefile"], name)),
      assume("linux").targets("arch/x86/Makefile", "bzImage"),
      assume("linux").targets("Makefile", "prepare"),
      assume("linux").success(
        `each line of system/kernel/config${hasOptions ? " and of the image" : ""} is taken`,
        `VERSION=${versions.of("linux")}\n${environment}${configure}configure_kernel CONFIG_ZFS`,
        ["system/kernel/check-config", "system/kernel/config"],
      ),
      assume("zfs").success(`it is made for Linux ${versions.of("linux")}`, knowsLinux(versions.of("linux"))),
      assume("zfs").success("the rounds of its benchmarks are where they are shortened", shortenBenchmarks),
      assume("zfs").text("configure", " -j$TEST_JOBS "),
      assume("zfs").paths("copy-builtin", "module/Kbuild.in"),
      assume("zfs").text("copy-builtin", "fs/Kconfig"),
    ],
    proves: [
      exists("boot/vmlinuz", "boot/vmlinux", "boot/System.map", "boot/config"),
      contains("boot/config", /^CONFIG_ZFS=y$/),
      contains("boot/config", /^# CONFIG_MODULES is not set$/),
      contains("boot/System.map", / T spa_import$/),
      contains("boot/System.map", / pvh_start_xen$/),
      builtByAnvilCc("boot/vmlinux"),
      noBuildPaths(),
      atMost("boot/vmlinuz", wishes?.atMost ?? LIMIT),
    ],
  });
}

export const linux = linuxWith("");
