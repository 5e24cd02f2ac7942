import type { Recipe, SourceRef } from "./recipe.ts";

/** What is sent into a running system. `recipes/ingot.ts` makes one. */
export interface Ingot {
  readonly name: string;
  /** The component whose version it has, or the version itself. */
  readonly version: SourceRef | string;
  /** It keeps data of its own. */
  readonly data: boolean;
  /** What it holds, each laid out from the root. */
  readonly trees: readonly [Recipe, ...Recipe[]];
  /** Its output is the body: `manifest` and `payload`. */
  readonly body: Recipe;
}
