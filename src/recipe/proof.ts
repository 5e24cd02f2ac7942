/**
 * Proofs: checks that must hold on an output before it enters the store. Plain data; `src/forge` carries them out.
 * Paths are relative to the output (`usr/sbin/zpool`); `*` matches within one path segment, `**` any depth.
 */
export type Proof =
  /** Every path matches at least one file or folder. */
  | { readonly check: "exists"; readonly paths: readonly string[] }
  /** ELF files of type EXEC or DYN without PT_INTERP and without DT_NEEDED; at least one per pattern. */
  | { readonly check: "static"; readonly paths: readonly string[] }
  /** As "static", and position-independent (ET_DYN) with PT_GNU_RELRO and a non-executable stack. */
  | { readonly check: "static-pie"; readonly paths: readonly string[] }
  /** Every ELF file in the output carries a `.comment` of ANVIL-CC and of no other compiler. */
  | { readonly check: "built-by-anvil-cc"; readonly paths: readonly string[] }
  /** The `.comment` of each names the Rust compiler and ANVIL-CC, and no other compiler. */
  | { readonly check: "rust-by-anvil-cc"; readonly paths: readonly string[] }
  /** No file contains a path of the sandbox (/build/, /deps/, /tools/, /in/, /out/) or of the store. */
  | { readonly check: "no-build-paths"; readonly except: readonly string[] }
  /** The program runs in the sandbox, exits with 0 and its output (stdout and stderr) matches. */
  | { readonly check: "runs"; readonly path: string; readonly args: readonly string[]; readonly matches: string }
  /** A file holds a line that matches. */
  | { readonly check: "contains"; readonly path: string; readonly matches: string }
  /** No file at the path holds bytes that match, in text or in a program; at least one file is there. */
  | { readonly check: "lacks"; readonly path: string; readonly matches: string }
  /** No file has the bit set-user-ID or set-group-ID. */
  | { readonly check: "no-set-id" }
  /** A file is at most this many bytes. */
  | { readonly check: "at-most"; readonly path: string; readonly bytes: number };

export const exists = (...paths: string[]): Proof => ({ check: "exists", paths });
export const isStatic = (...paths: string[]): Proof => ({ check: "static", paths });
export const isStaticPie = (...paths: string[]): Proof => ({ check: "static-pie", paths });
export const builtByAnvilCc = (...paths: string[]): Proof => ({
  check: "built-by-anvil-cc",
  paths: paths.length === 0 ? ["**"] : paths,
});
export const rustByAnvilCc = (...paths: string[]): Proof => ({ check: "rust-by-anvil-cc", paths });
export const noBuildPaths = (...except: string[]): Proof => ({ check: "no-build-paths", except });
export const runs = (path: string, args: string | readonly string[], matches: RegExp): Proof => ({
  check: "runs",
  path,
  args: typeof args === "string" ? (args === "" ? [] : args.split(" ")) : args,
  matches: matches.source,
});
export const contains = (path: string, matches: RegExp): Proof => ({
  check: "contains",
  path,
  matches: matches.source,
});
export const lacks = (path: string, matches: RegExp): Proof => ({ check: "lacks", path, matches: matches.source });
export const noSetId = (): Proof => ({ check: "no-set-id" });
export const atMost = (path: string, bytes: number): Proof => ({ check: "at-most", path, bytes });

/** One line for the manifest and for messages. */
export function describeProof(proof: Proof): string {
  switch (proof.check) {
    case "exists":
      return `has ${proof.paths.join(", ")}`;
    case "static":
      return `static ELF: ${proof.paths.join(", ")}`;
    case "static-pie":
      return `static-PIE ELF with RELRO: ${proof.paths.join(", ")}`;
    case "built-by-anvil-cc":
      return `compiled by ANVIL-CC: ${proof.paths.join(", ")}`;
    case "rust-by-anvil-cc":
      return `compiled by Rust's compiler, linked by ANVIL-CC with its C library: ${proof.paths.join(", ")}`;
    case "no-build-paths":
      return "holds no build or store path";
    case "runs":
      return `runs: ${[proof.path, ...proof.args].join(" ")} =~ /${proof.matches}/`;
    case "contains":
      return `${proof.path} =~ /${proof.matches}/`;
    case "lacks":
      return `${proof.path} holds no /${proof.matches}/`;
    case "no-set-id":
      return "holds no program that runs as another user or group";
    case "at-most":
      return `${proof.path} is at most ${proof.bytes} bytes`;
  }
}
