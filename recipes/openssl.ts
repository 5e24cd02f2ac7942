/** libcrypto and libssl, static: key derivation for OpenZFS, TLS for ANVIL-DB. */
import { assume } from "../src/recipe/assumption.ts";
import { builtByAnvilCc, exists, noBuildPaths } from "../src/recipe/proof.ts";
import { recipe, source, type Recipe, type Versions } from "../src/recipe/recipe.ts";
import { anvilCcEnvironment, command, tidyOutput, type Flags } from "../src/recipe/style.ts";
import { seedBase } from "./seed.ts";
import { anvilCc } from "./toolchain.ts";

// What is left: AES, ChaCha20-Poly1305, SHA-1/2/3, MD5 (old password hashes), RSA, DH, ECDSA, Ed25519, X25519, HKDF,
// PBKDF2, TLS 1.2 and 1.3. The tables of the default provider refer to every algorithm that is compiled in, so that no
// linker can drop one from a program: what is not wanted must not be there.
const without = {
  // a static program loads nothing
  loading: ["shared", "dso", "module", "engine", "legacy", "autoload-config"],
  ciphers: ["aria", "bf", "camellia", "cast", "des", "idea", "ocb", "rc2", "rc4", "seed", "siv", "sm4"],
  digests: ["blake2", "md4", "mdc2", "rmd160", "scrypt", "siphash", "sm3", "whirlpool"],
  curves: ["dsa", "ec2m", "gost", "sm2"],
  formats: ["cmp", "cms", "ct", "ocsp", "rfc3779", "srp", "ts"],
  protocols: ["comp", "dtls", "nextprotoneg", "srtp", "ssl3", "tls1", "tls1_1"],
  rest: ["tests", "ui-console"],
};
// names that Configure knows only from a release on
const since32 = ["apps", "argon2", "docs"];
const since35 = ["ml-dsa", "quic", "slh-dsa"];

interface Variant {
  readonly flags?: Flags;
  readonly options: readonly string[];
}

function configured(variant: Variant, versions: Versions): string {
  const off = [
    ...Object.values(without).flat(),
    ...(versions.atLeast("openssl", "3.2") ? since32 : []),
    ...(versions.atLeast("openssl", "3.5") ? since35 : []),
  ];
  return command("./Configure", [
    "linux-x86_64",
    "--prefix=/usr",
    "--libdir=lib",
    "--openssldir=/etc/ssl",
    ...variant.options,
    ...off.map((name) => `no-${name}`),
  ]);
}

const script = (variant: Variant) => (versions: Versions) =>
  [
    anvilCcEnvironment(versions, variant.flags),
    "cd /build/openssl\n",
    configured(variant, versions),
    "make build_libs\n",
    "make DESTDIR=/out install_dev\n",
    tidyOutput(),
  ].join("");

const libraries = (name: string, variant: Variant): Recipe =>
  recipe({
    name,
    folder: "openssl",
    licence: "Apache-2.0",
    source: source("openssl"),
    seed: seedBase,
    tools: [anvilCc],
    script: script(variant),
    assumes: (versions) => [
      assume("openssl").success(
        "Configure knows every option",
        `${anvilCcEnvironment(versions)}${configured(variant, versions)}`,
      ),
      assume("openssl").text("Configurations/unix-Makefile.tmpl", "build_libs"),
      assume("openssl").targets("Configurations/unix-Makefile.tmpl", "install_dev"),
    ],
    proves: [
      exists("usr/lib/libcrypto.a", "usr/lib/libssl.a", "usr/include/openssl/ssl.h", "usr/lib/pkgconfig/libcrypto.pc"),
      builtByAnvilCc(),
      noBuildPaths(),
    ],
  });

export const openssl = libraries("openssl", { options: ["enable-ec_nistp_64_gcc_128"] });

/**
 * For the server. What is hot is assembler, which no flag changes: the rest is compiled for size. P-256 has its own code
 * there; P-224 and P-521 take the code for any curve.
 */
export const opensslSmall = libraries("openssl-small", { flags: { cflags: ["-Os"] }, options: ["no-multiblock"] });
