/** A release site made by the test, and a project that knows the key of its author. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { TestContext } from "node:test";
import { createMessage, generateKey, readPrivateKey, sign, type PrivateKey } from "openpgp";
import { fingerprintOf } from "../../src/source/openpgp.ts";
import { file, serve, status, type Answer } from "./http-server.ts";

export interface Author {
  readonly key: PrivateKey;
  readonly fingerprint: string;
}

export async function newAuthor(name = "Author"): Promise<Author> {
  const date = new Date("2020-01-01T12:00:00Z");
  const pair = await generateKey({ userIDs: [{ name, email: "author@site.example" }], date });
  const key = await readPrivateKey({ armoredKey: pair.privateKey });
  return { key, fingerprint: fingerprintOf(key) };
}

export async function detached(data: string | Buffer, { key }: Author): Promise<string> {
  const message = await createMessage({ binary: new Uint8Array(Buffer.from(data)) });
  return (await sign({ message, signingKeys: key, detached: true })) as string;
}

export const origin = {
  package: "tool",
  version: "1-1",
  archive: "pool/main/t/tool/tool_1-1.debian.tar.xz",
  sha256: "0".repeat(64),
  file: "upstream/signing-key.asc",
};

/** Puts the authors' keys into `channels/keys` of a project. */
export function plantKeys(project: string, authors: readonly Author[]): void {
  const folder = path.join(project, "channels/keys");
  mkdirSync(folder, { recursive: true });
  for (const { key, fingerprint } of authors)
    writeFileSync(path.join(folder, `${fingerprint}.asc`), key.toPublic().armor());
  const known = authors.map(({ fingerprint }) => [fingerprint, { user: "Author <author@site.example>", origin }]);
  writeFileSync(path.join(folder, "origin.json"), JSON.stringify(Object.fromEntries(known)));
}

/** Files of a site by path, and other answers. What it has not is 404. */
export type Site = Record<string, string | Buffer | Answer>;

export interface AuthorSite {
  readonly root: string;
  readonly requests: readonly string[];
}

export async function publish(t: TestContext, site: Site): Promise<AuthorSite> {
  return serve(t, (request, response) => {
    const found = site[request.url ?? ""];
    const answer = found === undefined ? status(404) : typeof found === "function" ? found : file(Buffer.from(found));
    answer(request, response);
  });
}

/** The listing of a folder, as servers make it. */
export const listing = (...names: readonly string[]): string =>
  `<html><body><h1>Index of /</h1><pre>${names.map((name) => `<a href="${name}">${name}</a>\n`).join("")}</pre></body></html>`;

/** An empty folder that is removed after the test. */
export function emptyFolder(t: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), "anvil-author-test-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export const filesIn = (folder: string): string[] => readdirSync(folder).sort();
