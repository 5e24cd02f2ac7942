/** Perl: OpenSSL is configured by it, and its makefiles are made by it. Nothing else that is built here needs it. */
import { assume } from "../src/recipe/assumption.ts";
import { builtByAnvilCc, isStaticPie, noBuildPaths, runs } from "../src/recipe/proof.ts";
import { recipe, source } from "../src/recipe/recipe.ts";
import { anvilCcEnvironment, command, tidyOutput } from "../src/recipe/style.ts";
import { seedBase } from "./seed.ts";
import { anvilCc } from "./toolchain.ts";

// a static program loads no extension: those that Configure and its templates use are linked in, and re, which
// the build itself uses
const extensions = [
  ...["Cwd", "Data/Dumper", "Encode", "Fcntl", "File/Glob", "I18N/Langinfo", "IO", "List/Util", "POSIX", "Socket"],
  ...["Storable", "Time/HiRes", "Time/Piece", "re"],
];

/** Folders of extensions that are not called after them. */
const distributions: Readonly<Record<string, string>> = { Cwd: "PathTools", "List/Util": "Scalar-List-Utils" };

// What Configure would ask the machine, or look for in /usr/include and /usr/lib.
const answers = {
  cc: '"$CC"',
  ar: '"$AR"',
  ranlib: '"$RANLIB"',
  nm: '"$NM"',
  ccflags: '"-D_GNU_SOURCE $CFLAGS -fno-strict-aliasing"',
  ldflags: '"$LDFLAGS"',
  optimize: "-O2",
  libs: '"-lm"',
  libpth: "$sysroot/lib",
  loclibpth: "none",
  locincpth: "none",
  usrinc: "$sysroot/include",
  osname: "linux",
  myhostname: "forge",
  mydomain: ".anvil",
  cf_by: "anvil",
  cf_email: "anvil@forge.anvil",
  cf_time: '"$(date -u -d "@$SOURCE_DATE_EPOCH")"',
  myuname: "anvil",
  perladmin: "anvil@forge.anvil",
  prefix: "/usr",
  privlib: "/usr/lib/perl5",
  archlib: "/usr/lib/perl5",
  sitelib: "/usr/lib/perl5/site",
  sitearch: "/usr/lib/perl5/site",
  man1dir: "none",
  man3dir: "none",
  onlyextensions: `"${extensions.join(" ")}"`,
};

export const perl = recipe({
  name: "perl",
  licence: "GPL-1.0-or-later OR Artistic-1.0-Perl",
  source: source("perl"),
  seed: seedBase,
  tools: [anvilCc],
  script: (versions) =>
    [
      anvilCcEnvironment(versions),
      "sysroot=/tools/anvil-cc/usr/$ANVIL_TARGET\n",
      "cd /build/perl\n",
      command(
        "./Configure -des -Uusedl",
        Object.entries(answers).map(([name, answer]) => `-D${name}=${answer}`),
      ),
      "make perl\n",
      "make DESTDIR=/out install.perl\n",
      // where the compiler stood is of no use to anybody
      "chmod -R u+w /out\n",
      "sed -i 's|/tools/anvil-cc||g' /out/usr/lib/perl5/Config*.p[lm]\n",
      "rm -rf /out/usr/lib/perl5/pod /out/usr/lib/perl5/unicore/Name.p[lm] /out/usr/lib/perl5/CORE\n",
      "find /out/usr/bin ! -type d ! -name perl -delete\n",
      tidyOutput(),
    ].join(""),
  assumes: [
    assume("perl").targets("Makefile.SH", "install.perl"),
    // an extension is a folder by its name, but for those that are part of another distribution
    ...extensions.map((name) =>
      assume("perl").success(
        `it has ${name}`,
        `for top in ext dist cpan; do [ ! -d "$top/${distributions[name] ?? name.replaceAll("/", "-")}" ] || exit 0; done; exit 1`,
      ),
    ),
    ...Object.keys(answers).map((name) => assume("perl").mention(["Configure"], name)),
  ],
  proves: [
    isStaticPie("usr/bin/perl"),
    builtByAnvilCc(),
    noBuildPaths(),
    runs("usr/bin/perl", ["-e", "print 6 * 7"], /^42$/),
    runs("usr/bin/perl", ["-I/out/usr/lib/perl5", "-MEncode", "-MTime::Piece", "-e", "print 6 * 7"], /^42$/),
  ],
});
