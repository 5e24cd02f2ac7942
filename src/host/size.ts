/** Numbers of bytes as users write them. */

const UNITS = { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 } as const;

/** Bytes of "4096", "512M", "12G", in powers of 1024; undefined for what is no such number. */
export function parseSize(text: string): number | undefined {
  const [, digits, unit = ""] = /^(\d+)([KMGT]?)$/i.exec(text) ?? [];
  const bytes = Number(digits) * UNITS[unit.toUpperCase() as keyof typeof UNITS];
  return digits !== undefined && Number.isSafeInteger(bytes) ? bytes : undefined;
}
