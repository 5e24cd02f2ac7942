/**
 * Classic BPF as the kernel takes it for a filter of system calls, see seccomp(2) and linux/filter.h: a list of
 * instructions that run on the number, architecture and arguments of a call (struct seccomp_data). Jumps go forward to
 * a label; the assembler counts the distance.
 */

/** Offsets in struct seccomp_data, little-endian. */
export const NUMBER = 0;
export const ARCHITECTURE = 4;

/** The low half of an argument, counted from 0: of an argument of 32 bits the kernel looks at no more. */
export const lowHalf = (argument: number): number => 16 + 8 * argument;

export type Instruction =
  /** Loads 32 bits of the call. */
  | { readonly op: "load"; readonly offset: number }
  /** Keeps the bits of the mask in what was loaded. */
  | { readonly op: "and"; readonly mask: number }
  /** Goes on at the label when it holds, else with the next instruction. */
  | { readonly op: "if"; readonly is: "equal" | "at-least" | "any-bit"; readonly value: number; readonly then: string }
  | { readonly op: "label"; readonly name: string }
  /** Ends with an action: SECCOMP_RET_*. */
  | { readonly op: "return"; readonly action: number };

export const ALLOW = 0x7fff0000;
export const KILL_PROCESS = 0x80000000;

/** The call is not made and fails with this number. */
export const failWith = (errno: number): number => 0x00050000 | errno;

/** BPF_LD | BPF_W | BPF_ABS, BPF_ALU | BPF_AND | BPF_K, BPF_RET | BPF_K, BPF_JMP | … | BPF_K */
const CODES = { load: 0x20, and: 0x54, return: 0x06, equal: 0x15, "at-least": 0x35, "any-bit": 0x45 };

/** Bytes of a struct sock_filter. */
const SIZE = 8;
/** BPF_MAXINSNS. */
const MOST = 4096;

/** An array of struct sock_filter. Throws an Error for a label that is missing, twice, behind, or more than 255 away. */
export function assemble(program: readonly Instruction[]): Buffer {
  const labels = new Map<string, number>();
  const steps: Exclude<Instruction, { op: "label" }>[] = [];
  for (const instruction of program) {
    if (instruction.op !== "label") steps.push(instruction);
    else if (labels.has(instruction.name)) throw new Error(`label ${instruction.name} stands twice`);
    else labels.set(instruction.name, steps.length);
  }
  if (steps.length === 0 || steps.length > MOST) throw new Error(`a filter of ${steps.length} instructions`);
  const bytes = Buffer.alloc(steps.length * SIZE);
  for (const [index, step] of steps.entries()) {
    const at = index * SIZE;
    bytes.writeUInt16LE(CODES[step.op === "if" ? step.is : step.op], at);
    if (step.op === "if") bytes.writeUInt8(distance(labels.get(step.then), index, step.then), at + 2);
    bytes.writeUInt32LE(operand(step) >>> 0, at + 4);
  }
  return bytes;
}

function operand(step: Exclude<Instruction, { op: "label" }>): number {
  switch (step.op) {
    case "load":
      return step.offset;
    case "and":
      return step.mask;
    case "if":
      return step.value;
    case "return":
      return step.action;
  }
}

function distance(target: number | undefined, from: number, name: string): number {
  if (target === undefined) throw new Error(`there is no label ${name}`);
  const far = target - from - 1;
  if (far < 0 || far > 255) throw new Error(`label ${name} is ${far} instructions away`);
  return far;
}
