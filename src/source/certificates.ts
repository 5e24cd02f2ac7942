/**
 * The certificate authorities that a connection may trust: those that Node brings, those of this machine's store, where a
 * company's own usually is, and those that a variable names. Node by itself knows the first and NODE_EXTRA_CA_CERTS.
 */
import { X509Certificate } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { createSecureContext, rootCertificates, type SecureContext } from "node:tls";

/** Bundles of the distributions, the first that is there: Debian and Arch, Fedora, older ones, SUSE, Alpine and BSD. */
const BUNDLES = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

/** Variables that name a file with further ones; OpenSSL knows the first, Nix the second, Node the third. */
const FILES = ["SSL_CERT_FILE", "NIX_SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"];

/** Certificates as PEM, each once. What cannot be read or is no certificate is passed over. */
export function trustedCertificates(env: Readonly<NodeJS.ProcessEnv>): string[] {
  const system = BUNDLES.map(certificatesIn).find((found) => found.length > 0) ?? [];
  const named = FILES.flatMap((name) => (env[name] ? certificatesIn(env[name]) : []));
  const folders = (env["SSL_CERT_DIR"] ?? "").split(":").filter((folder) => folder !== "");
  // the folder of the system's bundle holds the same certificates once more, one by one
  const further = folders.filter((folder) => !BUNDLES.some((file) => path.dirname(file) === path.resolve(folder)));
  return [
    ...new Set([...rootCertificates.map((text) => text.trim()), ...system, ...named, ...further.flatMap(inFolder)]),
  ];
}

/** What TLS connections use. One for all: reading the authorities takes some ten milliseconds. */
export function trustContext(env: Readonly<NodeJS.ProcessEnv>): SecureContext {
  const ca = trustedCertificates(env);
  try {
    return createSecureContext({ ca });
  } catch {
    // one that OpenSSL does not take must not cost the others
    return createSecureContext({ ca: ca.filter(isCertificate) });
  }
}

function isCertificate(pem: string): boolean {
  try {
    new X509Certificate(pem);
    return true;
  } catch {
    return false;
  }
}

function inFolder(folder: string): string[] {
  try {
    return readdirSync(folder).flatMap((name) => certificatesIn(path.join(folder, name)));
  } catch {
    return [];
  }
}

function certificatesIn(file: string): string[] {
  try {
    const pem = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;
    return readFileSync(file, "latin1").match(pem) ?? [];
  } catch {
    return [];
  }
}
