/** Certificates (RFC 5280) made for a test: an authority that nobody knows, and servers of it. */
import { generateKeyPairSync, randomBytes, sign, type KeyObject } from "node:crypto";

export interface Credentials {
  /** PEM. */
  readonly cert: string;
  readonly key: string;
}

export class Authority {
  readonly cert: string;
  private readonly pair = generateKeyPairSync("ec", { namedCurve: "P-256" });

  constructor(private readonly name: string) {
    this.cert = certificate(this.name, this.name, this.pair.publicKey, this.pair.privateKey, [isAuthority]);
  }

  /** A server's certificate for these names; valid from so many days ago, for a hundred more. */
  server(hosts: readonly string[], { since = 1, days = 101 } = {}): Credentials {
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const names = hosts.map((host) =>
      /^[\d.]+$/.test(host) ? der(0x87, Buffer.from(host.split(".").map(Number))) : der(0x82, Buffer.from(host)),
    );
    const alternatives = extension("551d11", false, der(0x30, ...names));
    const cert = certificate(hosts[0] ?? "", this.name, publicKey, this.pair.privateKey, [alternatives], {
      since,
      days,
    });
    return {
      cert,
      key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    };
  }
}

function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const { length } = body;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), body]);
}

const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, "hex"));
const ecdsaWithSha256 = der(0x30, oid("2a8648ce3d040302"));

const extension = (id: string, critical: boolean, value: Buffer): Buffer =>
  der(0x30, oid(id), ...(critical ? [der(0x01, Buffer.from([0xff]))] : []), der(0x04, value));

const isAuthority = extension("551d13", true, der(0x30, der(0x01, Buffer.from([0xff]))));

const commonName = (name: string): Buffer =>
  der(0x30, der(0x31, der(0x30, oid("550403"), der(0x0c, Buffer.from(name)))));

const time = (ms: number): Buffer => der(0x18, Buffer.from(new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, "")));

function certificate(
  subject: string,
  issuer: string,
  key: KeyObject,
  signer: KeyObject,
  extensions: readonly Buffer[],
  { since = 1, days = 101 } = {},
): string {
  const day = 86_400_000;
  const start = Date.now() - since * day;
  const body = der(
    0x30,
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    ecdsaWithSha256,
    commonName(issuer),
    der(0x30, time(start), time(start + days * day)),
    commonName(subject),
    key.export({ type: "spki", format: "der" }),
    der(0xa3, der(0x30, ...extensions)),
  );
  const whole = der(0x30, body, ecdsaWithSha256, der(0x03, Buffer.from([0]), sign("sha256", body, signer)));
  const lines = whole.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}
