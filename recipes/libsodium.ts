/** Ed25519 and BLAKE2b, for the agent that takes ingots. */
import { assume } from "../src/recipe/assumption.ts";
import { builtByAnvilCc, exists, noBuildPaths } from "../src/recipe/proof.ts";
import { recipe, source } from "../src/recipe/recipe.ts";
import { anvilCcEnvironment, tidyOutput } from "../src/recipe/style.ts";
import { seedBase } from "./seed.ts";
import { anvilCc } from "./toolchain.ts";

// Debian's archive is the one of the repository, without configure. It would find out little: the portable C of every
// primitive needs no macro but these, and what is written for vector units is empty without theirs.
const build = `\
sed -e "s/@VERSION@/$VERSION/" -e '/@SODIUM_LIBRARY_MINIMAL_DEF@/d' \\
  -e "s/@SODIUM_LIBRARY_VERSION_MAJOR@/$(sed -n 's/^SODIUM_LIBRARY_VERSION_MAJOR=//p' ../../configure.ac)/" \\
  -e "s/@SODIUM_LIBRARY_VERSION_MINOR@/$(sed -n 's/^SODIUM_LIBRARY_VERSION_MINOR=//p' ../../configure.ac)/" \\
  include/sodium/version.h.in > include/sodium/version.h
cat > Makefile <<'END'
objects = $(patsubst %.c,%.o,$(sort $(shell find . -name '*.c')))
libsodium.a: $(objects)
	$(AR) rcs $@ $^
%.o: %.c
	$(CC) $(CFLAGS) -DCONFIGURED=1 -DNATIVE_LITTLE_ENDIAN=1 -DHAVE_TI_MODE=1 \\
	  -Iinclude/sodium -Iinclude -c -o $@ $<
END
make libsodium.a
install -D -m 644 -t /out/usr/lib libsodium.a
install -D -m 644 -t /out/usr/include include/sodium.h
install -D -m 644 -t /out/usr/include/sodium include/sodium/*.h
`;

export const libsodium = recipe({
  name: "libsodium",
  licence: "ISC",
  source: source("libsodium"),
  seed: seedBase,
  tools: [anvilCc],
  script: (versions) =>
    [anvilCcEnvironment(versions), "cd /build/libsodium/src/libsodium\n", build, tidyOutput()].join(""),
  assumes: [
    assume("libsodium").paths("src/libsodium/include/sodium.h", "src/libsodium/include/sodium/version.h.in"),
    assume("libsodium").text("configure.ac", "\nSODIUM_LIBRARY_VERSION_MAJOR="),
    assume("libsodium").text("configure.ac", "\nSODIUM_LIBRARY_VERSION_MINOR="),
    ...["VERSION", "SODIUM_LIBRARY_MINIMAL_DEF", "SODIUM_LIBRARY_VERSION_MAJOR", "SODIUM_LIBRARY_VERSION_MINOR"].map(
      (name) => assume("libsodium").text("src/libsodium/include/sodium/version.h.in", `@${name}@`),
    ),
  ],
  proves: [
    exists("usr/lib/libsodium.a", "usr/include/sodium.h", "usr/include/sodium/version.h"),
    builtByAnvilCc(),
    noBuildPaths(),
  ],
});
