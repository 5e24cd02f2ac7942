/**
 * Looks through a source archive once before its first use: no entry may lead out of the folder it is unpacked in.
 * A marker file beside the source remembers which version of the
 * check it passed.
 */
import { createReadStream, existsSync, openSync, readFileSync, readSync, closeSync, writeFileSync } from "node:fs";
import { PassThrough, pipeline, type Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import type { Digest } from "../recipe/derivation.ts";
import { spawnSandbox, type SandboxUser } from "../sandbox/sandbox.ts";
import { ARCHIVE_CHECK, checkArchive } from "../source/archive.ts";
import type { Store } from "../store/store.ts";

const PASSED = `${ARCHIVE_CHECK}\n`;

/** Throws E_ARCHIVE. @param seedTree a seed with xz and bzip2 */
export async function checkSource(
  store: Store,
  sha256: Digest,
  name: string,
  seedTree: string,
  user: SandboxUser,
): Promise<void> {
  const file = store.sources.path(sha256);
  const marker = `${file}.checked`;
  if (existsSync(marker) && readFileSync(marker, "latin1") === PASSED) return;
  await checkArchive(decompressed(file, seedTree, user), name);
  writeFileSync(marker, PASSED);
}

/** The tar stream of a .tar, .tar.gz, .tar.xz or .tar.bz2 file, told by its first bytes. Fails when decompression does. */
function decompressed(file: string, seedTree: string, user: SandboxUser): Readable {
  const head = Buffer.alloc(6);
  const fd = openSync(file, "r");
  readSync(fd, head);
  closeSync(fd);
  const raw = (): Readable => createReadStream(file, { highWaterMark: 1 << 20 });
  // an error destroys both ends and so reaches whoever reads the last one
  if (head[0] === 0x1f && head[1] === 0x8b) return pipeline(raw(), createGunzip(), () => {});
  if (head.toString("latin1") === "\xfd7zXZ\0") return output(seedTree, user, "/usr/bin/xz", file);
  if (head.toString("latin1", 0, 3) === "BZh") return output(seedTree, user, "/usr/bin/bzip2", file);
  return raw();
}

/**
 * What a program of the seed makes of the file, in a sandbox: the file is somebody else's. It ends only when the program
 * ended well: some notice damage last.
 */
function output(seedTree: string, user: SandboxUser, program: string, file: string): Readable {
  const spec = { bubblewrap: seedTree, user, root: seedTree, binds: [], env: {}, cwd: "/" };
  const fd = openSync(file, "r");
  const child = spawnSandbox(spec, [program, "-dc"], { stdio: [fd, "pipe", "pipe"] });
  closeSync(fd);
  const stdout = child.stdout as Readable;
  const result = stdout.pipe(new PassThrough(), { end: false });
  let complaint = "";
  child.stderr?.on("data", (data: Buffer) => (complaint += data.toString("utf8")));
  child.on("close", (status) => {
    if (status === 0) result.end();
    else result.destroy(new Error(complaint.trim()));
  });
  child.on("error", (error) => result.destroy(error));
  // who stops reading does not need the rest
  result.on("close", () => stdout.destroy());
  return result;
}
