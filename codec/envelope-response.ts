import { bytesOf, latin1 } from "./bytes.ts";
import { checkCommandId, failing, MARK_BYTES, OUTCOME_NAMES, open } from "./envelope-layout.ts";
import { CodecError } from "./errors.ts";

const MARK = 0x31525045; // "EPR1"
const OUTCOME_BYTES = 4;
const DOWNLINK_BYTES = 14;
const OFFER_BYTES = 9;
const NO_REPLY = new Uint8Array(0);

/** A command that waits for the bridge that holds the connection of `imei`. */
export interface Offer {
  commandId: number;
  imei: string;
}

/** Bytes of a claimed command, to be written to `connection`. */
export interface Downlink {
  commandId: number;
  connection: number;
  bytes: Uint8Array;
}

/** What the edge answers. `reply` null is the same as no bytes. */
export interface ResponseParts {
  frames: readonly { outcome: number; reply: Uint8Array | null }[];
  downlinks?: readonly Downlink[];
  offers?: readonly Offer[];
}

/** @throws {CodecError} `length` when a reply, a command or an IMEI does not fit its length field */
export function encodeResponse({ frames, downlinks = [], offers = [] }: ResponseParts): Uint8Array {
  let size = MARK_BYTES + 4 + 4;
  for (const { reply } of frames) size += OUTCOME_BYTES + fitting(reply?.length ?? 0, 0xffff, "a reply");
  for (const { bytes } of downlinks) size += DOWNLINK_BYTES + fitting(bytes.length, 0xffff, "a command");
  for (const { imei } of offers) size += OFFER_BYTES + fitting(imei.length, 0xff, "an IMEI");
  const body = new Uint8Array(size);
  const view = new DataView(body.buffer);
  view.setUint32(0, MARK, true);
  view.setUint32(4, frames.length, true);
  let at = MARK_BYTES;
  for (const { outcome, reply } of frames) {
    body[at] = outcome;
    if (reply !== null) {
      view.setUint16(at + 2, reply.length, true);
      body.set(reply, at + OUTCOME_BYTES);
    }
    at += OUTCOME_BYTES + (reply?.length ?? 0);
  }
  view.setUint32(at, downlinks.length, true);
  at += 4;
  for (const { commandId, connection, bytes } of downlinks) {
    view.setFloat64(at, commandId, true);
    view.setUint32(at + 8, connection, true);
    view.setUint16(at + 12, bytes.length, true);
    body.set(bytes, at + DOWNLINK_BYTES);
    at += DOWNLINK_BYTES + bytes.length;
  }
  view.setUint32(at, offers.length, true);
  at += 4;
  for (const { commandId, imei } of offers) {
    view.setFloat64(at, commandId, true);
    body[at + 8] = imei.length;
    body.set(bytesOf(imei), at + OFFER_BYTES);
    at += OFFER_BYTES + imei.length;
  }
  return body;
}

/** A response taken apart; byte arrays are views into the body. */
export interface ReadResponse {
  /** In the order of the request's frames. No bytes: nothing to write. */
  frames: { outcome: number; reply: Uint8Array }[];
  downlinks: Downlink[];
  offers: Offer[];
}

/** @throws {CodecError} `prefix`, `truncated`, `length` or `value`, with the offset in `body` */
export function readResponse(body: Uint8Array): ReadResponse {
  const fail = failing("response");
  const view = open(body, MARK, "response");
  const response: ReadResponse = { frames: [], downlinks: [], offers: [] };
  let at = 4;
  const need = (bytes: number) => {
    if (at + bytes > body.length) throw fail("truncated", body.length, `${at + bytes - body.length} bytes are missing`);
  };
  // A count is believed only if the body has room for as many entries.
  const readCount = (entryBytes: number, what: string) => {
    need(4);
    const count = view.getUint32(at, true);
    if (count * entryBytes > body.length - at - 4) throw fail("truncated", at, `${count} ${what} do not fit into it`);
    at += 4;
    return count;
  };
  const readBytes = (length: number) => {
    need(length);
    at += length;
    return body.subarray(at - length, at);
  };

  for (let left = readCount(OUTCOME_BYTES, "outcomes"); left > 0; left--) {
    need(OUTCOME_BYTES);
    const outcome = body[at];
    if (outcome >= OUTCOME_NAMES.length) throw fail("value", at, `there is no outcome ${outcome}`);
    const length = view.getUint16(at + 2, true);
    at += OUTCOME_BYTES;
    response.frames.push({ outcome, reply: length === 0 ? NO_REPLY : readBytes(length) });
  }
  for (let left = readCount(DOWNLINK_BYTES, "commands"); left > 0; left--) {
    need(DOWNLINK_BYTES);
    const commandId = checkCommandId(view.getFloat64(at, true), at, "response");
    const connection = view.getUint32(at + 8, true);
    const length = view.getUint16(at + 12, true);
    at += DOWNLINK_BYTES;
    response.downlinks.push({ commandId, connection, bytes: readBytes(length) });
  }
  for (let left = readCount(OFFER_BYTES, "offers"); left > 0; left--) {
    need(OFFER_BYTES);
    const commandId = checkCommandId(view.getFloat64(at, true), at, "response");
    const length = body[at + 8];
    at += OFFER_BYTES;
    response.offers.push({ commandId, imei: latin1(readBytes(length)) });
  }
  if (at < body.length) throw fail("length", at, `${body.length - at} bytes follow its end`);
  return response;
}

function fitting(length: number, most: number, what: string): number {
  if (length <= most) return length;
  throw new CodecError("length", 0, `Cannot write response: ${what} has ${length} bytes, more than ${most}`);
}
