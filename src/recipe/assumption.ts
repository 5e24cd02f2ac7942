/**
 * What a recipe takes for granted of a source, as data: it can be looked at before anything is compiled. None of it is in the
 * key. What every recipe assumes is not declared: that its archives are sound, that patches apply, and that each
 * `configure` in its script knows the switches that it is given.
 */
import type { Versions } from "./recipe.ts";

export type Assumption =
  /** The file holds the text: once, or at least once. */
  | {
      readonly expects: "text";
      readonly component: string;
      readonly file: string;
      readonly text: string;
      readonly times: "once" | "some";
    }
  /** The text is in one of the files. */
  | {
      readonly expects: "mention";
      readonly component: string;
      readonly files: readonly string[];
      readonly text: string;
    }
  /** Each pattern of the shell matches something. */
  | { readonly expects: "paths"; readonly component: string; readonly paths: readonly string[] }
  /** The makefile, or what one is made from, has a rule for each. */
  | {
      readonly expects: "targets";
      readonly component: string;
      readonly makefile: string;
      readonly targets: readonly string[];
    }
  /** Switches of `configure` that some versions do not know, and then pass over. */
  | { readonly expects: "tolerated"; readonly component: string; readonly switches: readonly string[] }
  /**
   * Shell text that succeeds in the unpacked source: what needs no compiler but for the tools of configurations. It runs with
   * the seed's compiler, under the names of ANVIL-CC's tools, too.
   */
  | {
      readonly expects: "success";
      readonly component: string;
      readonly what: string;
      readonly script: string;
      /** Files of the project that it reads. */
      readonly files?: readonly string[];
      /** It comes before the others and gets the source ready for them. */
      readonly prepares?: true;
    };

export type Assumptions = readonly Assumption[] | ((versions: Versions) => readonly Assumption[]);

/** Words for the assumptions about one component. */
export function assume(component: string) {
  return {
    once: (file: string, text: string): Assumption => ({ expects: "text", component, file, text, times: "once" }),
    text: (file: string, text: string): Assumption => ({ expects: "text", component, file, text, times: "some" }),
    mention: (files: readonly string[], text: string): Assumption => ({ expects: "mention", component, files, text }),
    paths: (...paths: string[]): Assumption => ({ expects: "paths", component, paths }),
    targets: (makefile: string, ...targets: string[]): Assumption => ({
      ...{ expects: "targets", component, makefile, targets },
    }),
    tolerated: (...switches: string[]): Assumption => ({ expects: "tolerated", component, switches }),
    success: (what: string, script: string, files: readonly string[] = []): Assumption => ({
      ...{ expects: "success", component, what, script, files },
    }),
    prepared: (what: string, script: string): Assumption => ({
      ...{ expects: "success", component, what, script, prepares: true },
    }),
  };
}
