/** What can be wrong with bytes from outside. `value` is a field that is there but not allowed. */
export type CodecErrorCode = "truncated" | "prefix" | "length" | "checksum" | "type" | "value";

/**
 * The only error the codec throws. The message reads "Cannot do what: why".
 * `offset` counts bytes from the start of what was given to the function that threw.
 */
export class CodecError extends Error {
  override readonly name = "CodecError";
  readonly code: CodecErrorCode;
  readonly offset: number;

  constructor(code: CodecErrorCode, offset: number, message: string) {
    super(message);
    this.code = code;
    this.offset = offset;
  }
}
