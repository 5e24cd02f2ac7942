/**
 * The event stream as text: one JSON object per line, keys in a fixed order. docs/events.md describes it for readers
 * of other languages; the table below is the same in code, checked against the union by the compiler.
 */
import { Fault } from "../fault/fault.ts";
import { printableJson } from "../fault/printable.ts";
import type { ForgeEvent, PlanNode } from "../forge/events.ts";
import type { EventOf } from "./run.ts";
import type { View } from "./view.ts";

/** Types of fields by name. A `?` marks a field that may be undefined; in JSON it then is null. */
interface FieldTypes {
  string: string;
  number: number;
  boolean: boolean;
  "string?": string | undefined;
  "number?": number | undefined;
  strings: readonly string[];
  nodes: readonly PlanNode[];
  fault: Fault;
}

type FieldType = keyof FieldTypes;
type FieldTypeOf<T> = {
  [F in FieldType]: T extends FieldTypes[F]
    ? undefined extends FieldTypes[F]
      ? undefined extends T
        ? F
        : never
      : F
    : never;
}[FieldType];
type FieldsOf<T> = {
  readonly [K in Exclude<keyof T, "t" | "type">]: FieldTypeOf<T[K]>;
};

/** Every event with its fields, in the order in which they are written after `t` and `type`. */
export const EVENT_FIELDS: {
  readonly [T in ForgeEvent["type"]]: FieldsOf<EventOf<T>>;
} = {
  plan: { channel: "string", why: "string", jobs: "number", nodes: "nodes" },
  waiting: { key: "string", on: "string", detail: "string" },
  start: { key: "string", log: "string?" },
  progress: { key: "string", bytes: "number", total: "number?" },
  retry: { key: "string", url: "string", why: "string" },
  phase: { key: "string", phase: "string" },
  output: { key: "string", line: "string" },
  proof: { key: "string", proof: "string", ok: "boolean", detail: "string" },
  done: { key: "string", seconds: "number", cpu: "number?", bytes: "number" },
  failed: { key: "string", fault: "fault", tail: "strings" },
  skipped: { key: "string", because: "string" },
  notice: { text: "string" },
  end: { ok: "boolean", built: "number", reused: "number", failed: "number" },
};

/** The fields of a node of the plan, in their order. */
export const NODE_FIELDS: FieldsOf<PlanNode> = {
  key: "string",
  name: "string",
  version: "string",
  kind: "string",
  needs: "strings",
  present: "boolean",
};

/** Writes each event as one line of JSON. */
export function jsonView(write: (text: string) => void): View {
  return Object.assign(
    (event: ForgeEvent): void => {
      write(`${serialiseEvent(event)}\n`);
    },
    { close: () => undefined },
  );
}

/** One event as JSON without a newline. Faults take their own JSON form. */
export function serialiseEvent(event: ForgeEvent): string {
  const fields = event as unknown as Record<string, unknown>;
  const entries = fieldEntries(EVENT_FIELDS[event.type]).map(([name, type]): [string, unknown] => [
    name,
    plainValue(fields[name], type),
  ]);
  return printableJson(Object.fromEntries([["t", rounded(event.t)], ["type", event.type], ...entries]));
}

function plainValue(value: unknown, type: FieldType): unknown {
  if (type === "nodes") return (value as readonly PlanNode[]).map(orderedNode);
  return typeof value === "number" ? rounded(value) : (value ?? null);
}

/** Three decimals: whatever is finer in a measured time is noise. */
function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}

/**
 * Reads what `serialiseEvent` wrote, a line each. A last line without its newline is left out: the writer may have been
 * killed in the middle of it.
 * @throws Fault E_EVENTS_FORMAT, with the number of the line, for anything that is not an event.
 */
export function parseEvents(text: string): ForgeEvent[] {
  const lines = text.split("\n").slice(0, -1);
  return lines.map((line, index) => {
    const event = parseEvent(line);
    if (event !== undefined) return event;
    throw new Fault("E_EVENTS_FORMAT", `line ${index + 1} of the event log is not an event`, {
      details: [line.slice(0, 200)],
      hint: "an event log is what `--json` printed, unchanged; docs/events.md describes its lines",
    });
  });
}

function parseEvent(line: string): ForgeEvent | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (!isObject(value)) return undefined;
  const { t, type } = value;
  if (typeof t !== "number" || typeof type !== "string" || !Object.hasOwn(EVENT_FIELDS, type)) return undefined;
  const fields = revive(value, EVENT_FIELDS[type as ForgeEvent["type"]]);
  return fields === undefined ? undefined : ({ ...fields, t, type } as unknown as ForgeEvent);
}

/** The named fields of `value`, or undefined when one of them does not have its type. Other fields are left out. */
function revive(value: Record<string, unknown>, fields: object): Record<string, unknown> | undefined {
  const revived: Record<string, unknown> = {};
  for (const [name, type] of fieldEntries(fields)) {
    const field = reviveField(value[name], type);
    if (field === undefined && !type.endsWith("?")) return undefined;
    revived[name] = field;
  }
  return revived;
}

function reviveField(value: unknown, type: FieldType): unknown {
  switch (type) {
    case "string":
    case "string?":
      return typeof value === "string" ? value : undefined;
    case "number":
    case "number?":
      return typeof value === "number" ? value : undefined;
    case "boolean":
      return typeof value === "boolean" ? value : undefined;
    case "strings":
      return isStrings(value) ? value : undefined;
    case "nodes":
      return reviveNodes(value);
    case "fault":
      return reviveFault(value);
  }
}

function reviveNodes(value: unknown): unknown[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const nodes = value.map((node: unknown) => (isObject(node) ? revive(node, NODE_FIELDS) : undefined));
  return nodes.includes(undefined) ? undefined : nodes;
}

function reviveFault(value: unknown): Fault | undefined {
  if (!isObject(value)) return undefined;
  const { code, message, details, hint, log } = value;
  if (typeof code !== "string" || !code.startsWith("E_") || typeof message !== "string") return undefined;
  return new Fault(code as `E_${string}`, message, {
    ...(isStrings(details) ? { details } : {}),
    ...(typeof hint === "string" ? { hint } : {}),
    ...(typeof log === "string" ? { log } : {}),
  });
}

function orderedNode(node: PlanNode): object {
  return Object.fromEntries(fieldEntries(NODE_FIELDS).map(([name]) => [name, node[name as keyof PlanNode]]));
}

function fieldEntries(fields: object): [string, FieldType][] {
  return Object.entries(fields) as [string, FieldType][];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}
