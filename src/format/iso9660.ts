/** ECMA-119, of which only the beginning is read. */

/** Where the volume descriptors begin: sector 16 (ECMA-119, 6.2.1), bytes from the start of the image. */
export const DESCRIPTORS_AT = 16 * 2048;

/** Whether the first volume descriptor (ECMA-119, 8.1) begins so; bytes from `DESCRIPTORS_AT` on, six of them are enough. */
export function isIso9660(descriptor: Uint8Array): boolean {
  return Buffer.from(descriptor.subarray(1, 6)).toString("latin1") === "CD001";
}
