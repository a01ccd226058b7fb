/** What can be wrong: the key file or public key, the answer of the API, or a secret, segment or file that does not open. */
export type SealErrorCode = "key" | "answer" | "secret" | "segment" | "file";

/** Something that cannot be sealed or opened. The message says what and why; it never holds a key or a position. */
export class SealError extends Error {
  readonly code: SealErrorCode;

  constructor(code: SealErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "SealError";
    this.code = code;
  }
}
