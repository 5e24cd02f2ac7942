/** All that can be built here, by what it is for. */
import type { Catalogue } from "../src/recipe/catalogue.ts";
import type { ImageFields } from "../src/recipe/image.ts";
import { checks } from "./checks.ts";
import { firecrackerPurge } from "./firecracker/purge.ts";
import { ingots } from "./ingots/index.ts";
import { isoImage } from "./iso.ts";
import { lintShell } from "./lint.ts";
import { CLOSED } from "./rootfs.ts";
import { seedRust } from "./seed-rust.ts";
import { seedBase, seedCc, seedVm } from "./seed.ts";
import { portableSteps, workshop } from "./workshop.ts";

/** Both kinds of image, with everything that is in one of them only when there is a key. */
const images = [true, false].map((rootLogin) =>
  isoImage({ rootLogin, trust: ["0".repeat(64)], logins: ["ssh-ed25519 AAAA"] }),
);

const allChecks = [...checks, lintShell([...images, ...ingots.map(({ body }) => body), ...checks])];

/** @param own an image of a user's, in the place of the plain one */
export const catalogueOf = (own?: ImageFields): Catalogue => ({
  image: {
    ...{ name: "iso", closed: CLOSED, file: "anvilos-phase2.iso" },
    ...(own?.users === undefined ? {} : { users: own.users }),
    make: (options) => isoImage(options, own),
  },
  ingots,
  checks: allChecks,
  seeds: { base: seedBase, cc: seedCc, vm: seedVm, rust: seedRust },
  workshop: { steps: portableSteps, ingot: workshop },
  purge: firecrackerPurge,
});

export const catalogue = catalogueOf();
