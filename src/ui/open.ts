/** Chooses how a run is shown. */
import { systemClock, type Clock } from "./clock.ts";
import { jsonView } from "./json.ts";
import { plainView } from "./plain.ts";
import { emptyProfile, type Profile } from "./profile.ts";
import type { TerminalStream } from "./screen.ts";
import { terminalView } from "./terminal.ts";
import type { View } from "./view.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

export interface ViewOptions {
  /** `--json`. */
  readonly json: boolean;
  /** `--plain`: lines even on a terminal. */
  readonly plain: boolean;
  /** Where everything is written, for example `process.stdout`. */
  readonly stream: TerminalStream & { readonly isTTY?: boolean | undefined };
  /** TERM, NO_COLOR (no-color.org) and the locale are read. */
  readonly env: Environment;
  readonly clock?: Clock;
  readonly profile?: Profile;
}

/** JSON when asked for; live rows on a terminal that can move its cursor; else plain lines. */
export function chooseView({ json, plain, stream, env, clock, profile }: ViewOptions): View {
  const write = (text: string): void => {
    stream.write(text);
  };
  if (json) return jsonView(write);
  if (!hasLiveRows({ plain, stream, env })) return plainView(write);
  return terminalView(stream, {
    clock: clock ?? systemClock,
    colour: (env["NO_COLOR"] ?? "") === "",
    unicode: hasUnicode(env),
    profile: profile ?? emptyProfile,
  });
}

/** True for a terminal that can move its cursor, unless lines were asked for. */
export function hasLiveRows({ plain, stream, env }: Pick<ViewOptions, "plain" | "stream" | "env">): boolean {
  return !plain && stream.isTTY === true && !isDumb(env);
}

function isDumb(env: Environment): boolean {
  return ["", "dumb", "unknown"].includes(env["TERM"] ?? "");
}

/** The kernel's own console has few glyphs; a locale that is set without UTF-8 has none but ASCII. */
function hasUnicode(env: Environment): boolean {
  if (env["TERM"] === "linux") return false;
  const locale = [env["LC_ALL"], env["LC_CTYPE"], env["LANG"]].find((value) => value !== undefined && value !== "");
  return locale === undefined || /utf-?8/i.test(locale);
}
