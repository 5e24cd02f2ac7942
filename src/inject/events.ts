/**
 * Everything that happens while an ingot is injected. The terminal, plain lines, JSON, the benchmark and the tests read
 * this one stream. `t` is milliseconds since the connection was begun.
 */
export type InjectEventBody =
  /** First event. Who is spoken to: a machine's name or an address. */
  | { readonly type: "connect"; readonly to: string }
  /** The Monolith has answered. `pool` takes the ingot; what is not `kept` is gone after a restart. */
  | { readonly type: "system"; readonly system: string; readonly pool: string; readonly kept: boolean }
  /** What is about to be sent. */
  | {
      readonly type: "ingot";
      readonly name: string;
      readonly version: string;
      readonly key: string;
      /** Of the payload, as it is sent. */
      readonly bytes: number;
      readonly files: number;
    }
  /** What the Monolith does now: "receive", "prove", "snapshot", "activate", "start <service>", "health". */
  | { readonly type: "phase"; readonly phase: string }
  /** Bytes of the payload that are verified and written over there, with those that were there before. */
  | { readonly type: "progress"; readonly bytes: number; readonly total: number }
  /** Last event of a success. `facts` is what the Monolith reports: the key that was active before, times in ms, … */
  | { readonly type: "injected"; readonly sent: number; readonly facts: Readonly<Record<string, string>> };

export type InjectEvent = InjectEventBody & { readonly t: number };

export type InjectListener = (event: InjectEvent) => void;
