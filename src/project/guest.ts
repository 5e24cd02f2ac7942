import path from "node:path";
import type { Key } from "../recipe/derivation.ts";
import { build, type Builder } from "./build.ts";
import { copyFiles } from "./publish.ts";

const FILES = ["vmlinux", "guest.cpio"];

/** Makes kernel and initramfs of a minimal guest and copies them to a folder; undefined when the build failed. */
export async function makeGuest(
  builder: Builder,
  folder: string,
): Promise<readonly { readonly file: string; readonly bytes: number }[] | undefined> {
  const guest = (await builder.project.targets()).find("guest");
  const built = await build({ ...builder, targets: [guest], silentWhenDone: true });
  if (built === undefined) return undefined;
  const output = builder.store.outputs.path(built.evaluation.targets[0] as Key);
  return copyFiles(path.join(output, "usr/share/anvil-vmm/guest"), FILES, folder);
}
