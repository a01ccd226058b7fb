import { checkCommandId, ENVELOPE_LIMITS, failing, MARK_BYTES, open, TRANSPORTS } from "./envelope-layout.ts";

const KINDS = { frame: 1, claim: 2, release: 3 } as const;
const MARK = 0x31425045; // "EPB1"
const ENTRY_BYTES = 16;
const FRAME_ENTRY_BYTES = 20;

/** Writes a request entry by entry. */
export class RequestWriter {
  #bytes: Uint8Array;
  #view: DataView;
  #end = MARK_BYTES;
  #count = 0;

  /** @param sizeHint bytes to make room for at once */
  constructor(sizeHint = 4096) {
    this.#bytes = new Uint8Array(Math.max(sizeHint, MARK_BYTES));
    this.#view = new DataView(this.#bytes.buffer);
    this.#view.setUint32(0, MARK, true);
  }

  /** Entries so far. */
  get count(): number {
    return this.#count;
  }

  /** Bytes so far, the mark and the count included. */
  get bytes(): number {
    return this.#end;
  }

  /** @param receivedAt Unix ms */
  frame(connection: number, transport: number, receivedAt: number, bytes: Uint8Array): void {
    const at = this.#entry(KINDS.frame, transport, connection, receivedAt, FRAME_ENTRY_BYTES + bytes.length);
    this.#view.setUint32(at + ENTRY_BYTES, bytes.length, true);
    this.#bytes.set(bytes, at + FRAME_ENTRY_BYTES);
  }

  claim(commandId: number, connection: number): void {
    this.#entry(KINDS.claim, 0, connection, commandId, ENTRY_BYTES);
  }

  release(commandId: number): void {
    this.#entry(KINDS.release, 0, 0, commandId, ENTRY_BYTES);
  }

  /** The request so far, as a view: write nothing more while it is in use. */
  finish(): Uint8Array {
    this.#view.setUint32(4, this.#count, true);
    return this.#bytes.subarray(0, this.#end);
  }

  #entry(kind: number, transport: number, connection: number, number: number, size: number): number {
    const at = this.#end;
    if (at + size > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(at + size, 2 * this.#bytes.length));
      grown.set(this.#bytes.subarray(0, at));
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    // The low byte is the kind, the next one the transport.
    this.#view.setUint32(at, kind | (transport << 8), true);
    this.#view.setUint32(at + 4, connection, true);
    this.#view.setFloat64(at + 8, number, true);
    this.#end = at + size;
    this.#count++;
    return at;
  }
}

/** What `forEachEntry` calls. Frames are given as `[start, end)` in the body. */
export interface EntryVisitor {
  /** `receivedAt` is whatever number the bridge wrote, `transport` a value of TRANSPORTS. */
  frame(connection: number, receivedAt: number, start: number, end: number, transport: number): void;
  claim(commandId: number, connection: number): void;
  release(commandId: number): void;
}

/**
 * Walks a request in order. Copies and keeps nothing; what was visited before an error stands.
 * @throws {CodecError} `prefix`, `truncated`, `length`, `type` or `value`, with the offset in `body`
 */
export function forEachEntry(body: Uint8Array, visit: EntryVisitor): void {
  const fail = failing("request");
  const view = open(body, MARK, "request");
  const count = view.getUint32(4, true);
  const { framesPerBatch, commandsPerBatch } = ENVELOPE_LIMITS;
  const most = framesPerBatch + commandsPerBatch;
  if (count > most) throw fail("length", 4, `it claims ${count} entries, more than ${most}`);
  let frames = 0;
  let commands = 0;
  let at = MARK_BYTES;
  for (let left = count; left > 0; left--) {
    if (at + ENTRY_BYTES > body.length) throw fail("truncated", body.length, `${left} entries are missing`);
    const connection = view.getUint32(at + 4, true);
    const number = view.getFloat64(at + 8, true);
    const kind = body[at];
    if (kind === KINDS.frame) {
      const transport = body[at + 1];
      if (transport > TRANSPORTS.udp) throw fail("value", at + 1, `there is no transport ${transport}`);
      if (++frames > framesPerBatch) throw fail("length", at, `it has more than ${framesPerBatch} frames`);
      const start = at + FRAME_ENTRY_BYTES;
      const end = start > body.length ? start : start + view.getUint32(at + ENTRY_BYTES, true);
      if (end > body.length) throw fail("truncated", body.length, `a frame ends ${end - body.length} bytes behind it`);
      visit.frame(connection, number, start, end, transport);
      at = end;
      continue;
    }
    if (kind !== KINDS.claim && kind !== KINDS.release) throw fail("type", at, `there is no entry kind ${kind}`);
    if (++commands > commandsPerBatch) throw fail("length", at, `it has more than ${commandsPerBatch} commands`);
    checkCommandId(number, at + 8, "request");
    if (kind === KINDS.claim) visit.claim(number, connection);
    else visit.release(number);
    at += ENTRY_BYTES;
  }
  if (at < body.length) throw fail("length", at, `${body.length - at} bytes follow its last entry`);
}

export type RequestEntry =
  | { kind: "frame"; connection: number; transport: number; receivedAt: number; bytes: Uint8Array }
  | { kind: "claim"; commandId: number; connection: number }
  | { kind: "release"; commandId: number };

/**
 * The entries of a request as objects; `bytes` are views into `body`.
 * @throws {CodecError} like `forEachEntry`
 */
export function readRequest(body: Uint8Array): RequestEntry[] {
  const entries: RequestEntry[] = [];
  forEachEntry(body, {
    frame(connection, receivedAt, start, end, transport) {
      entries.push({ kind: "frame", connection, transport, receivedAt, bytes: body.subarray(start, end) });
    },
    claim: (commandId, connection) => entries.push({ kind: "claim", commandId, connection }),
    release: (commandId) => entries.push({ kind: "release", commandId }),
  });
  return entries;
}
