/** Boot sectors from annotated machine code, so that a test guest needs no assembler. */

const ORIGIN = 0x7c00;

/** One line of a listing: address, two spaces, bytes in hex, then two spaces and the instruction. */
const LINE = /^([0-9a-f]{4}) {2}((?:[0-9a-f]{2,}(?: |$))+)(?: |$)/;

/**
 * A raw disk image of 1 MiB (firmware reads nothing from a disk of a single sector) whose first sector holds the code of
 * a listing and the boot signature. Each address is checked against the bytes before it; lines without one are comments.
 * Throws an Error for a listing that does not add up: a mistake in the source.
 */
export function bootSector(listing: string): Buffer {
  const image = Buffer.alloc(1 << 20);
  let at = 0;
  for (const line of listing.split("\n")) {
    const [, address, hex] = LINE.exec(line) ?? [];
    if (address === undefined || hex === undefined) continue;
    if (parseInt(address, 16) !== ORIGIN + at) throw new Error(`expected ${(ORIGIN + at).toString(16)}: ${line}`);
    at += Buffer.from(hex.replaceAll(" ", ""), "hex").copy(image, at);
  }
  if (at > 510) throw new Error(`the code is ${at} bytes long, a boot sector holds 510`);
  image.writeUInt16LE(0xaa55, 510);
  return image;
}
