import { CodecError } from "./errors.ts";

// What a bridge posts to the edge and what it gets back. Little-endian; lengths in bytes.
//
//   request   "EPB1"  u32 entries, then per entry u8 kind and
//     1 frame     u8 transport  u16 0  u32 connection  f64 receivedAt  u32 length  bytes
//     2 claim     u8 0          u16 0  u32 connection  f64 commandId
//     3 release   u8 0          u16 0  u32 0           f64 commandId
//
//   response  "EPR1"
//     u32 frames     each  u8 outcome  u8 0  u16 length  reply bytes    in the order of the request
//     u32 downlinks  each  f64 commandId  u32 connection  u16 length  bytes
//     u32 offers     each  f64 commandId  u8 length  IMEI in ASCII
//
// A bridge claims a command when it holds the tracker's connection, and releases it when that closed before a byte was
// written. A request without entries asks for commands only.

/** Bounds on one exchange. */
export const ENVELOPE_LIMITS = {
  /** Bytes of a request or a response. */
  bodyBytes: 4 * 1024 * 1024,
  framesPerBatch: 5000,
  /** Claims and releases of one request together. */
  commandsPerBatch: 4096,
  /** Queued commands that one response offers. */
  offers: 256,
} as const;

/** What became of a frame. All but `refused` and `invalid` may carry a reply for the tracker. */
export const OUTCOMES = { stored: 0, duplicate: 1, unknown_device: 2, refused: 3, invalid: 4 } as const;
export type Outcome = keyof typeof OUTCOMES;
/** The names by number. */
export const OUTCOME_NAMES = Object.keys(OUTCOMES) as readonly Outcome[];

export const TRANSPORTS = { tcp: 0, udp: 1 } as const;

/** Bytes of the mark and the first count. */
export const MARK_BYTES = 8;

export type Subject = "request" | "response";

/** Makes the errors of one reader. */
export const failing = (subject: Subject) => (code: CodecError["code"], offset: number, why: string) =>
  new CodecError(code, offset, `Cannot read ${subject}: ${why}`);

/** Checks size and mark of a body. */
export function open(body: Uint8Array, mark: number, subject: Subject): DataView {
  const fail = failing(subject);
  if (body.length < MARK_BYTES) throw fail("truncated", body.length, `it has ${body.length} bytes`);
  const most = ENVELOPE_LIMITS.bodyBytes;
  if (body.length > most) throw fail("length", most, `it has ${body.length} bytes, more than ${most}`);
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  if (view.getUint32(0, true) !== mark) throw fail("prefix", 0, "it does not begin with its mark and version");
  return view;
}

export function checkCommandId(id: number, offset: number, subject: Subject): number {
  if (Number.isSafeInteger(id) && id > 0) return id;
  throw failing(subject)("value", offset, "a command id is not a positive integer");
}
