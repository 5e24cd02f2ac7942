/**
 * Everything that happens while a plan is realised. The terminal, plain lines, JSON, the profile, the report and the
 * tests read this one stream. `t` is milliseconds since the forge started.
 */
import type { Fault } from "../fault/fault.ts";
import type { Key } from "../recipe/derivation.ts";

export type EventBody =
  /** First event. What there is to do, in an order in which every node stands after what it needs. */
  | {
      readonly type: "plan";
      readonly channel: string;
      readonly why: string;
      readonly jobs: number;
      readonly nodes: readonly PlanNode[];
    }
  /** Work on a node waits: for other nodes, for a token of the jobserver, or for another forge that builds it now. */
  | { readonly type: "waiting"; readonly key: Key; readonly on: "token" | "lock" | "disk"; readonly detail: string }
  | { readonly type: "start"; readonly key: Key; readonly log: string | undefined }
  /** Bytes downloaded so far of a fetch. */
  | { readonly type: "progress"; readonly key: Key; readonly bytes: number; readonly total: number | undefined }
  /** A mirror or URL failed and the next one is tried. */
  | { readonly type: "retry"; readonly key: Key; readonly url: string; readonly why: string }
  /** A phase within a node: "unpack", "build", "prove", "store". */
  | { readonly type: "phase"; readonly key: Key; readonly phase: string }
  /** A line of a step's output. */
  | { readonly type: "output"; readonly key: Key; readonly line: string }
  | { readonly type: "proof"; readonly key: Key; readonly proof: string; readonly ok: boolean; readonly detail: string }
  /** A node is in the store. `seconds` is wall-clock time, `cpu` the processor seconds of its step. */
  | {
      readonly type: "done";
      readonly key: Key;
      readonly seconds: number;
      readonly cpu: number | undefined;
      readonly bytes: number;
    }
  | { readonly type: "failed"; readonly key: Key; readonly fault: Fault; readonly tail: readonly string[] }
  /** Not tried, because `because` failed. */
  | { readonly type: "skipped"; readonly key: Key; readonly because: Key }
  /** Something that the user should know; nothing stops. */
  | { readonly type: "notice"; readonly text: string }
  /** Last event. */
  | {
      readonly type: "end";
      readonly ok: boolean;
      readonly built: number;
      readonly reused: number;
      readonly failed: number;
    };

export type ForgeEvent = EventBody & { readonly t: number };

export interface PlanNode {
  readonly key: Key;
  readonly name: string;
  readonly version: string;
  readonly kind: "fetch" | "seed" | "step" | "cpio";
  readonly needs: readonly Key[];
  /** True when the output is in the store already. */
  readonly present: boolean;
}

export type Listener = (event: ForgeEvent) => void;
