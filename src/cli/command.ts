/**
 * The one shape of a command: it parses, calls something of `src/project`, and renders an answer. What all have in common,
 * wrong usage, `--json`, signals and exit status, is here.
 */
import { parseArgs, type ParseArgsConfig } from "node:util";
import { Fault } from "../fault/fault.ts";
import type { Project } from "../project/project.ts";
import { INTERRUPTED, onInterrupt, type Interrupt } from "./interrupt.ts";
import type { Terminal } from "./terminal.ts";

/** What a command is run in. */
export interface World {
  readonly project: Project;
  readonly terminal: Terminal;
}

export interface Command {
  /** One line for `anvil --help`. */
  readonly summary: string;
  /** The text of `anvil <command> --help`: usage, options, examples. */
  readonly help: string;
  /** Runs it; the result is the exit status: 0 done, 1 failed, 2 wrong usage. */
  run(args: readonly string[], world: World): Promise<number>;
}

type NoOptions = Readonly<Record<string, never>>;

export type Options = NonNullable<ParseArgsConfig["options"]>;
export type Values<O extends Options> = ReturnType<typeof parse<O>>["values"];

/** How many words are wanted, least and most. */
type Count = readonly [least: number, most: number];

/** Any number of words. */
export const ANY: Count = [0, Infinity];

/** A command line that was understood. */
export interface Call<O extends Options, A extends string = never> extends World {
  readonly values: Values<O>;
  readonly action: A;
  /** Behind the action, when there is one. */
  readonly words: readonly string[];
  /** What stands behind `--`, for somebody else. */
  readonly rest: readonly string[];
  /** From its first use on a signal does not end the process, but this; the exit status is 130 then. */
  readonly signal: AbortSignal;
}

/** What was found, for people and for programs. */
export interface Answer {
  /** Lines, each of which stays one; or text of several lines, which ends with a line feed. */
  readonly text: readonly string[] | string;
  /** What `--json` prints instead. */
  readonly document?: unknown;
  /** The document takes one line: events stand before it, a line each. */
  readonly oneLine?: true;
  /** Default: 0. */
  readonly status?: number;
}

export interface CommandFields<O extends Options, A extends string> {
  readonly summary: string;
  readonly help: string;
  readonly options?: O;
  /** What the first word may be, with how many words may follow. */
  readonly actions?: Readonly<Record<A, Count>>;
  /** The action when there is no word. */
  readonly usually?: NoInfer<A>;
  /** How many words are wanted without actions; none when it is absent. */
  readonly words?: Count;
  /** What the words name, for whoever gave too many or too few: "one recipe". */
  readonly named?: string;
  /** Takes what stands behind `--`. */
  readonly takesRest?: true;
  /** Answers, or has printed by itself and returns the exit status. */
  run(call: Call<O, A>): Promise<Answer | number> | Answer | number;
}

export function command<const O extends Options = NoOptions, A extends string = never>(
  fields: CommandFields<O, A>,
): Command {
  const { summary, help } = fields;
  return {
    summary,
    help,
    async run(args, world) {
      const line = understand(fields, args);
      let interrupt: Interrupt | undefined;
      const call: Call<O, A> = {
        ...world,
        ...line,
        get signal() {
          return (interrupt ??= onInterrupt()).signal;
        },
      };
      try {
        const answer = await fields.run(call);
        const status = typeof answer === "number" ? answer : render(answer, call);
        return status !== 0 && interrupt?.signal.aborted === true ? INTERRUPTED : status;
      } catch (error) {
        if (interrupt?.signal.aborted === true) return INTERRUPTED;
        throw isBareUsage(error) ? usage(error.message, help) : error;
      } finally {
        interrupt?.close();
      }
    },
  };
}

type Line<O extends Options, A extends string> = Pick<Call<O, A>, "values" | "action" | "words" | "rest">;

/** Throws E_USAGE. */
function understand<O extends Options, A extends string>(
  { help, options, actions, usually, words: count = [0, 0], named, takesRest }: CommandFields<O, A>,
  args: readonly string[],
): Line<O, A> {
  const end = takesRest === true ? args.indexOf("--") : -1;
  const { values, positionals } = parse(end === -1 ? args : args.slice(0, end), help, options ?? ({} as O));
  const rest = end === -1 ? [] : args.slice(end + 1);
  if (actions === undefined) {
    const [least, most] = count;
    if (positionals.length >= least && positionals.length <= most)
      return { values, action: undefined as never, words: positionals, rest };
    throw usage(named === undefined ? `"${positionals[most]}" means nothing here` : `name ${named}`, help);
  }
  const [action = usually, ...words] = positionals;
  if (action === undefined || !isOneOf(actions, action))
    throw usage(`name what to do: ${Object.keys(actions).join(", ")}`, help);
  const [least, most] = actions[action];
  if (words.length < least || words.length > most) throw usage(`"${action}" wants other names`, help);
  return { values, action, words, rest };
}

const isOneOf = <A extends string>(actions: Readonly<Record<A, Count>>, name: string): name is A =>
  Object.hasOwn(actions, name);

function render({ text, document, oneLine, status = 0 }: Answer, { terminal, values }: Call<Options, string>): number {
  if (document !== undefined && (values as { json?: unknown }).json === true)
    terminal.json(document, oneLine === true ? undefined : 1);
  else if (typeof text === "string") terminal.print(text);
  else terminal.lines(text);
  return status;
}

/** Of a command or of what it called, which knows nothing of its help. */
function isBareUsage(error: unknown): error is Fault {
  return error instanceof Fault && error.code === "E_USAGE" && error.details.length === 0 && error.hint === undefined;
}

/** Parses strictly; throws E_USAGE with the command's usage line. */
export function parse<O extends Options>(args: readonly string[], help: string, options: O) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    throw usage((error as Error).message.split(". ")[0] ?? "", help);
  }
}

function usage(message: string, help: string): Fault {
  const line = help.split("\n").find((text) => text.startsWith("usage:")) ?? "";
  return new Fault("E_USAGE", message, { details: [line], hint: "--help shows options and examples" });
}
