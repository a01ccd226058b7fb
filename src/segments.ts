import { fixBinding, segmentBinding } from "../client/sealed.ts";
import { ByteSink, decodeStoredInto, encodeStored, StoredPositions } from "../codec/segment.ts";
import { noteBroken } from "./broken.ts";
import type { Base } from "./context.ts";
import { heldKeys } from "./customer-sealed.ts";
import { retentionTime } from "./periods.ts";
import type { BrokenThing } from "./store/broken.ts";
import type { StoredFix } from "./store/newest.ts";
import type { SegmentHead, SegmentRow } from "./store/segments.ts";
import type { Telemetry } from "./telemetry.ts";
import { openingKeys, type SealingKey } from "./vault.ts";

const NONCE_BYTES = 12;

/** A key to seal rows with, and what the rows then say of it. */
export interface RowKey extends SealingKey {
  /** Names the customer's half of it; null: the whole of it is ours. */
  customerKid: number | null;
}

async function seal(
  ctx: Base,
  key: CryptoKey,
  additionalData: Uint8Array<ArrayBuffer>,
  plain: Uint8Array,
): Promise<Uint8Array> {
  const iv = ctx.random(NONCE_BYTES) as Uint8Array<ArrayBuffer>;
  const algorithm = { name: "AES-GCM", iv, additionalData };
  const sealed = await crypto.subtle.encrypt(algorithm, key, plain as Uint8Array<ArrayBuffer>);
  const whole = new Uint8Array(NONCE_BYTES + sealed.byteLength);
  whole.set(iv);
  whole.set(new Uint8Array(sealed), NONCE_BYTES);
  return whole;
}

/** @returns null when it was altered, moved, or sealed under another key */
async function open(
  key: CryptoKey,
  additionalData: Uint8Array<ArrayBuffer>,
  sealed: Uint8Array,
): Promise<Uint8Array | null> {
  const bytes = sealed as Uint8Array<ArrayBuffer>;
  const algorithm = { name: "AES-GCM", iv: bytes.subarray(0, NONCE_BYTES), additionalData };
  try {
    return new Uint8Array(await crypto.subtle.decrypt(algorithm, key, bytes.subarray(NONCE_BYTES)));
  } catch {
    return null;
  }
}

/** The time that retention goes by of a row. */
export function dueOf(stored: StoredPositions, row: number): number {
  return retentionTime(stored.fixTimeAt(row), stored.receivedAt[row]);
}

const sink = new ByteSink();

function encoded(stored: StoredPositions, order: Uint32Array, from: number, to: number): Uint8Array<ArrayBuffer> {
  sink.reset();
  encodeStored(stored, order, from, to, sink);
  return sink.bytes.slice(0, sink.length) as Uint8Array<ArrayBuffer>;
}

/**
 * Seals rows order[from..to) of one device, which are in the order of their fixes, as a segment with the given id.
 * @param plain the rows as they are encoded, if that was done
 */
export function sealSegment(
  ctx: Base,
  id: number,
  accountId: number,
  sealing: RowKey,
  stored: StoredPositions,
  order: Uint32Array,
  from: number,
  to: number,
  isAlarm: (event: number) => boolean,
  plain: Uint8Array<ArrayBuffer> | null = null,
): Promise<SegmentRow> {
  const head: SegmentHead = {
    id,
    deviceId: stored.deviceIds[order[from]],
    accountId,
    dayKid: sealing.dayKid,
    deviceKid: sealing.deviceKid,
    fromTime: stored.fixTimeAt(order[from]),
    toTime: stored.fixTimeAt(order[to - 1]),
    dueFrom: Number.POSITIVE_INFINITY,
    dueTo: Number.NEGATIVE_INFINITY,
    firstId: Number.POSITIVE_INFINITY,
    lastId: 0,
    positions: to - from,
    alarms: 0,
    clockless: 0,
    customerKid: sealing.customerKid,
  };
  let dueFrom = Number.POSITIVE_INFINITY;
  let dueTo = Number.NEGATIVE_INFINITY;
  for (let at = from; at < to; at++) {
    const row = order[at];
    const due = dueOf(stored, row);
    dueFrom = Math.min(dueFrom, due);
    dueTo = Math.max(dueTo, due);
    head.firstId = Math.min(head.firstId, stored.ids[row]);
    head.lastId = Math.max(head.lastId, stored.ids[row]);
    if (isAlarm(stored.table.eventAt(row))) head.alarms += 1;
    head.clockless += stored.clock[row];
  }
  head.dueFrom = dueFrom === head.fromTime ? null : dueFrom;
  head.dueTo = dueTo === head.toTime ? null : dueTo;
  const bytes = plain ?? encoded(stored, order, from, to);
  return seal(ctx, sealing.key, segmentBinding(head), bytes).then((sealed) => ({ ...head, sealed }));
}

/**
 * Who opens: a reader opens nothing that is sealed to the customer; a keeper neither, and what it opens is within its
 * period, so that its key must be there; a settler opens what it has sealed itself a moment ago, too.
 */
export type Opener = "reader" | "keeper" | "settler";

function keysFor(
  ctx: Base,
  accountId: number,
  rows: readonly { deviceId: number; dayKid: number; deviceKid: number; customerKid: number | null }[],
  opener: Opener,
): Promise<(CryptoKey | null)[]> {
  if (rows.every(({ customerKid }) => customerKid === null)) return openingKeys(ctx, accountId, rows);
  return keysOfBoth(ctx, accountId, rows, opener);
}

async function keysOfBoth(ctx: Base, accountId: number, rows: Parameters<typeof keysFor>[2], opener: Opener) {
  const own = rows.filter(({ customerKid }) => customerKid === null);
  const theirs = opener !== "settler" ? [] : rows.filter(({ customerKid }) => customerKid !== null);
  const found = new Map<object, CryptoKey | null>();
  for (const [i, key] of (await openingKeys(ctx, accountId, own)).entries()) found.set(own[i], key);
  for (const [i, key] of (await heldKeys(ctx, accountId, theirs)).entries()) found.set(theirs[i], key);
  return rows.map((row) => found.get(row) ?? null);
}

/**
 * Opens segments of one account and appends their rows. One whose key was destroyed, or is the customer's, is left out in
 * silence; one that does not open is named in the log and left out.
 * @returns for each segment where its rows are in `into`; null for one that is left out
 */
export async function openSegments(
  ctx: Base,
  telemetry: Telemetry,
  accountId: number,
  segments: readonly SegmentRow[],
  into: StoredPositions,
  opener: Opener = "reader",
): Promise<({ from: number; to: number } | null)[]> {
  if (segments.length === 0) return [];
  const keys = await keysFor(ctx, accountId, segments, opener);
  const plains = await Promise.all(
    segments.map((segment, i) => {
      const key = keys[i];
      // A row of another account is not opened with this one's keys, whatever brought it here.
      if (key === null || segment.accountId !== accountId) return null;
      return open(key, segmentBinding(segment), segment.sealed);
    }),
  );
  const broken: BrokenThing[] = [];
  into.reserve(segments.reduce((rows, { positions }, i) => rows + (plains[i] === null ? 0 : positions), 0));
  const places = segments.map((segment, i) => {
    const plain = plains[i];
    if (keys[i] === null && (opener !== "keeper" || segment.customerKid !== null)) return null;
    try {
      if (keys[i] === null) throw new Error("its key is not there");
      if (plain === null) throw new Error("it does not open");
      const from = into.count;
      decodeStoredInto(into, plain);
      return { from, to: into.count };
    } catch (error) {
      ctx.log.error("segment.broken", { database: telemetry.name, segment: segment.id, kid: segment.dayKid }, error);
      broken.push({ kind: "segment", telemetry: telemetry.name, thing: segment.id });
      return null;
    }
  });
  noteBroken(ctx, broken);
  return places;
}

const one = Uint32Array.of(0);
/** A row alone, while it is encoded. */
const single = new StoredPositions(1);

/** Seals a row as the newest fix of its device. */
export async function sealFix(
  ctx: Base,
  accountId: number,
  sealing: RowKey,
  stored: StoredPositions,
  row: number,
): Promise<StoredFix> {
  const fix = {
    deviceId: stored.deviceIds[row],
    dayKid: sealing.dayKid,
    deviceKid: sealing.deviceKid,
    due: dueOf(stored, row),
    customerKid: sealing.customerKid,
  };
  single.reset();
  single.addFrom(stored, row);
  const plain = encoded(single, one, 0, 1);
  return { ...fix, sealed: await seal(ctx, sealing.key, fixBinding(accountId, fix), plain) };
}

/** Opens newest fixes of one account and appends their rows, as openSegments() does. @returns the row of each, or null */
export async function openFixes(
  ctx: Base,
  telemetry: Telemetry,
  accountId: number,
  fixes: readonly StoredFix[],
  into: StoredPositions,
  opener: Opener = "reader",
): Promise<(number | null)[]> {
  if (fixes.length === 0) return [];
  const keys = await keysFor(ctx, accountId, fixes, opener);
  const plains = await Promise.all(
    fixes.map((fix, i) => (keys[i] === null ? null : open(keys[i], fixBinding(accountId, fix), fix.sealed))),
  );
  return fixes.map((fix, i) => {
    if (keys[i] === null && (opener !== "keeper" || fix.customerKid !== null)) return null;
    const row = into.count;
    try {
      const plain = plains[i];
      if (keys[i] === null) throw new Error("its key is not there");
      if (plain === null || decodeStoredInto(into, plain) !== 1) throw new Error("it does not open");
      return row;
    } catch (error) {
      ctx.log.error("newest.broken", { database: telemetry.name, device: fix.deviceId, kid: fix.dayKid }, error);
      noteBroken(ctx, [{ kind: "newest", telemetry: telemetry.name, thing: fix.deviceId }]);
      return null;
    }
  });
}
