import { SealError } from "./errors.ts";

// What is sealed, as the platform stores it and gives it out: a row whose numbers lie open and are bound to its content
// (AES-256-GCM, associated data), so that a row that was altered or took another's place does not open.
//
//   sealed = nonce (12) | ciphertext | tag (16); the content is a block of codec/segment.ts

/** Everything of a segment but its positions. Times are Unix ms. */
export interface SegmentHead {
  id: number;
  deviceId: number;
  accountId: number;
  dayKid: number;
  deviceKid: number;
  /** First and last fix. */
  fromTime: number;
  toTime: number;
  /** First and last time that retention goes by, where that is not the fix. */
  dueFrom: number | null;
  dueTo: number | null;
  firstId: number;
  lastId: number;
  positions: number;
  /** Positions whose event is not routine. */
  alarms: number;
  /** Positions of a tracker whose clock was unusable. */
  clockless: number;
  /** Names the customer's half of the key; null: the platform has the whole of it. */
  customerKid: number | null;
}

/** Everything of a device's newest fix but the position. */
export interface FixHead {
  deviceId: number;
  dayKid: number;
  deviceKid: number;
  /** The time that retention goes by, Unix ms. */
  due: number;
  customerKid: number | null;
}

const NONCE_BYTES = 12;

const bytesOf = (...parts: readonly (string | number | null)[]) =>
  new TextEncoder().encode(parts.join("|")) as Uint8Array<ArrayBuffer>;
const ofCustomer = (kid: number | null) => (kid === null ? [] : [kid]);

/** What a segment's content is bound to. */
export function segmentBinding(head: SegmentHead): Uint8Array<ArrayBuffer> {
  const { id, deviceId, accountId, dayKid, deviceKid, fromTime, toTime, dueFrom, dueTo } = head;
  const { firstId, lastId, positions, alarms, clockless, customerKid } = head;
  const times = [fromTime, toTime, dueFrom ?? "null", dueTo ?? "null"];
  const counts = [firstId, lastId, positions, alarms, clockless];
  const kids = [dayKid, deviceKid];
  return bytesOf("segments", 1, id, deviceId, accountId, ...kids, ...times, ...counts, ...ofCustomer(customerKid));
}

/** What a newest fix is bound to. */
export function fixBinding(accountId: number, fix: FixHead): Uint8Array<ArrayBuffer> {
  const { deviceId, dayKid, deviceKid, due, customerKid } = fix;
  return bytesOf("newest", 1, accountId, deviceId, dayKid, deviceKid, due, ...ofCustomer(customerKid));
}

/** @throws {SealError} segment: it was altered, moved, or sealed under another key */
export async function openSealed(
  key: CryptoKey,
  binding: Uint8Array<ArrayBuffer>,
  sealed: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer>> {
  const algorithm = { name: "AES-GCM", iv: sealed.subarray(0, NONCE_BYTES), additionalData: binding };
  try {
    return new Uint8Array(await crypto.subtle.decrypt(algorithm, key, sealed.subarray(NONCE_BYTES)));
  } catch (error) {
    throw new SealError(
      "segment",
      "Cannot open what is sealed: it was altered, moved or sealed under another key",
      error,
    );
  }
}
