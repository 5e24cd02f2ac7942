/** Version numbers of Debian packages: `[epoch:]upstream[-revision]`, ordered by Debian Policy 5.6.12. */

/** Negative, zero or positive, as for Array.prototype.sort. */
export function compareDebianVersions(a: string, b: string): number {
  const left = split(a);
  const right = split(b);
  return (
    left.epoch - right.epoch || comparePart(left.upstream, right.upstream) || comparePart(left.revision, right.revision)
  );
}

export type Relation = "<<" | "<=" | "=" | ">=" | ">>";

export function satisfies(version: string, relation: Relation, wanted: string): boolean {
  const order = compareDebianVersions(version, wanted);
  switch (relation) {
    case "<<":
      return order < 0;
    case "<=":
      return order <= 0;
    case "=":
      return order === 0;
    case ">=":
      return order >= 0;
    case ">>":
      return order > 0;
  }
}

/**
 * The version that the upstream author gave: "1:1.3.dfsg+really1.3.1-1" is "1.3.1", "6.3.0+dfsg-3" is "6.3.0".
 * Repacked tarballs carry "+dfsg" or "+ds"; "+really" names the true version after a mistaken upload.
 */
export function upstreamVersion(version: string): string {
  const { upstream } = split(version);
  return upstream.replace(/^.*\+really/, "").replace(/[.+~](?:dfsg|ds)[.0-9]*$/, "");
}

function split(version: string): { epoch: number; upstream: string; revision: string } {
  const colon = version.indexOf(":");
  const rest = version.slice(colon + 1);
  const dash = rest.lastIndexOf("-");
  return {
    epoch: colon === -1 ? 0 : Number(version.slice(0, colon)),
    upstream: dash === -1 ? rest : rest.slice(0, dash),
    revision: dash === -1 ? "" : rest.slice(dash + 1),
  };
}

/** Compares alternately the longest non-digit and the longest digit prefix. */
function comparePart(a: string, b: string): number {
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    while ((i < a.length && !isDigit(a, i)) || (j < b.length && !isDigit(b, j))) {
      const difference = rank(a, i) - rank(b, j);
      if (difference !== 0) return difference;
      i++;
      j++;
    }
    const startA = i;
    const startB = j;
    while (i < a.length && isDigit(a, i)) i++;
    while (j < b.length && isDigit(b, j)) j++;
    const difference = BigInt(a.slice(startA, i) || "0") - BigInt(b.slice(startB, j) || "0");
    if (difference !== 0n) return difference < 0n ? -1 : 1;
  }
  return 0;
}

function isDigit(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code >= 48 && code <= 57;
}

/** "~" sorts before the end of the part, letters before everything else. */
function rank(text: string, at: number): number {
  if (at >= text.length || isDigit(text, at)) return 0;
  const code = text.charCodeAt(at);
  if (code === 126) return -1;
  return (code >= 65 && code <= 90) || (code >= 97 && code <= 122) ? code : code + 256;
}
