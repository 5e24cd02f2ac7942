/** A Debian archive made by the test: signed release files, indexes, packaging archives. */
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { createCleartextMessage, generateKey, readPrivateKey, sign, type PrivateKey } from "openpgp";
import { pack as tar } from "tar-stream";

export interface Signer {
  readonly key: PrivateKey;
  readonly publicKey: string;
}

export async function newSigner(): Promise<Signer> {
  const pair = await generateKey({ userIDs: [{ name: "archive" }] });
  return { key: await readPrivateKey({ armoredKey: pair.privateKey }), publicKey: pair.publicKey };
}

export async function signed(text: string, ...signers: readonly Signer[]): Promise<string> {
  const message = await createCleartextMessage({ text });
  return sign({ message, signingKeys: signers.map(({ key }) => key) });
}

export const hashOf = (data: string | Buffer): string => createHash("sha256").update(data).digest("hex");

export interface FakeSuite {
  readonly release?: string;
  readonly signers?: readonly Signer[];
  /** Plain indexes by path. */
  readonly indexes: Record<string, string>;
}

/** The files of an archive with these suites, by path. */
export async function archiveFiles(suites: Record<string, FakeSuite>, signer: Signer): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  for (const [name, { release, signers = [signer], indexes }] of Object.entries(suites)) {
    const lines: string[] = [];
    for (const [index, text] of Object.entries(indexes)) {
      const packed = gzipSync(text);
      files.set(`dists/${name}/${index}.gz`, packed);
      lines.push(` ${hashOf(text)} ${text.length} ${index}`, ` ${hashOf(packed)} ${packed.length} ${index}.gz`);
    }
    const head = release ?? `Suite: oldstable\nCodename: ${name}\nDate: Sat, 11 Jul 2026 10:16:37 UTC`;
    const text = `${head}\nSHA256:\n${lines.join("\n")}\n`;
    files.set(`dists/${name}/InRelease`, Buffer.from(await signed(text, ...signers)));
  }
  return files;
}

export interface FakeSource {
  /** Folder of its pool; "pool/main" when absent. */
  readonly pool?: string;
  readonly packaging?: Buffer;
}

/** The tarball's hash is that of the upstream version: a new Debian revision has the same. */
export function sourceParagraph(
  name: string,
  version: string,
  { pool = "pool/main", packaging }: FakeSource = {},
): string {
  const short = version.replace(/^\d+:/, "");
  const [upstream = ""] = short.split("-");
  const files = [`${hashOf(upstream)} 700 ${name}_${upstream}.orig.tar.xz`, `${hashOf("x")} 5 ${name}_${short}.dsc`];
  if (packaging !== undefined) files.push(`${hashOf(packaging)} ${packaging.length} ${name}_${short}.debian.tar.gz`);
  return [
    `Package: ${name}`,
    `Version: ${version}`,
    `Directory: ${pool}/${name}`,
    "Checksums-Sha256:",
    ...files.map((line) => ` ${line}`),
    "",
    "",
  ].join("\n");
}

/** A packaging archive with these files below its top folder. */
export async function packagingWith(files: Record<string, string>): Promise<Buffer> {
  const pack = tar();
  for (const [name, text] of Object.entries(files)) pack.entry({ name: `debian/${name}` }, text);
  pack.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of pack) chunks.push(chunk as Buffer);
  return gzipSync(Buffer.concat(chunks));
}
