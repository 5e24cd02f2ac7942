/** Tar archives for tests, with whatever names and types are asked for. */
import { pack, type Header } from "tar-stream";

export interface TarItem {
  readonly name: string;
  readonly type?: Header["type"];
  readonly target?: string;
  readonly mode?: number;
  readonly data?: string;
}

export async function buildTar(items: readonly TarItem[]): Promise<Buffer> {
  const packing = pack();
  for (const { name, type = "file", target, mode, data = "" } of items) {
    const header = {
      name,
      type,
      mtime: new Date(0),
      ...(target !== undefined && { linkname: target }),
      ...(mode !== undefined && { mode }),
    };
    if (type === "file") packing.entry(header, data);
    else packing.entry(header);
  }
  packing.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of packing) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
