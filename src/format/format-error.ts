/** Bytes that are not what their format demands: truncated, contradictory or beyond what is read here. */
export class FormatError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "FormatError";
  }
}
