import { StoredPositions } from "../../codec/segment.ts";
import { isAlarm } from "../alarms.ts";
import type { Base } from "../context.ts";
import { partOf } from "../inbox.ts";
import { LIMITS } from "../limits.ts";
import type { Budget } from "../purge.ts";
import { openFixes, openSegments, sealFix, sealSegment } from "../segments.ts";
import { drainPart, leaseOf, tidy } from "../settle.ts";
import { newestOf } from "../settle-plan.ts";
import { bytesOf } from "../store/db.ts";
import { newestIdOf, newestStatement, readFixes, type StoredFix, writeFixes } from "../store/newest.ts";
import { moveOf } from "../store/placements.ts";
import { replaceNewestStatement, segmentIs } from "../store/purge.ts";
import {
  countOldRows,
  deleteOldRowsOf,
  deleteSegment,
  deleteStretch,
  devicesHere,
  noteRotation,
  type Rotation,
  rotationOf,
  type StretchOf,
} from "../store/ranges.ts";
import { assertErasing, emptyLog } from "../store/scrub.ts";
import {
  headOf,
  headsStatement,
  type SegmentHead,
  type SegmentRow,
  segmentsById,
  writeSegmentsStatement,
} from "../store/segments.ts";
import type { ErasureJob, Gone, StoreEraser } from "../store-eraser.ts";
import { openTail, steady, tailStatements } from "../tail.ts";
import { allTelemetry, type Telemetry, telemetryFor } from "../telemetry.ts";
import { bury } from "../tombstones.ts";
import { destroyDeviceSecret, deviceKids, openingKeys, rotateDevice } from "../vault.ts";

// Erasing a stretch of a track while the rest stays. The secret of a device opens all of its track, so it gets another
// one: the stretch is cut out, what stays is sealed anew under the new secret, and then the old ones are destroyed, so
// that the stretch does not open in any older copy of the database either.
//
// First a tombstone is written, and from then on ingest and settling take nothing of the stretch: what comes late, or
// again, cannot bring it back. What a step finds it finds in the stores themselves; all that is remembered is which secret
// the device got for the request, and when, as other isolates go on sealing under the one before for a while.
//
// What is sealed to a key of the customer nobody here can cut or seal anew. Segments of it that reach into the stretch go
// whole: at each end of it up to LIMITS.closedSegmentMs more than was asked for. Others stay as they are, and their keys
// are made of the old secret, too. So of that stays what they need and no more: our half of the keys of each of their days,
// with which nothing opens that was sealed to us alone. In an older copy the stretch opens then to the customer's own
// private key where something else of the same day is there, and to nobody else; the evidence counts these halves.
//
// What waited in the inbox when an older copy was made is sealed under a key of the inbox, which goes within the hour.

/** A stretch, and before when it must have been: the request takes nothing that came after it. */
interface Stretch extends StretchOf {
  before: number;
}

/** Whether a row is of the stretch. */
const isIn = ({ from, to, before }: Stretch, stored: StoredPositions, row: number): boolean => {
  const fix = stored.fixTimeAt(row);
  return fix >= from && fix < to && Math.min(fix, stored.receivedAt[row]) < before;
};

/** What came at the moment of the request is the request's. */
const momentAfter = ({ frozenAt }: ErasureJob) => frozenAt + 1;

async function stretchesOf(ctx: Base, job: ErasureJob): Promise<Stretch[]> {
  const { accountId, scope } = job;
  const before = momentAfter(job);
  const named = scope.kind === "range" ? [scope.device] : null;
  // A tracker's clock may be ahead.
  const [from, to] =
    scope.kind === "range"
      ? [scope.from, scope.to]
      : [Number.MIN_SAFE_INTEGER, before + LIMITS.fixTimeAheadMs + DAY_MS];
  const devices = await devicesHere(ctx.db, accountId, named);
  return devices.map((deviceId) => ({ accountId, deviceId, from, to, before }));
}

const DAY_MS = 86_400_000;

/** A stretch of one device's track, or the tracks of all devices, which stay. */
export const RANGE: StoreEraser = {
  name: "tracks",
  applies: ({ kind }) => kind === "range" || kind === "tracks",

  /** Nothing is destroyed yet: what stays hangs on the old secrets. But from here on nothing of it is taken. */
  async shred(ctx, job) {
    for (const stretch of await stretchesOf(ctx, job)) await begin(ctx, job, stretch);
    return { rows: 0, bytes: 0, done: true };
  },

  async purge(ctx, job, budget) {
    const total = { rows: 0, bytes: 0, done: true, kids: [] as number[] };
    const stretches = await stretchesOf(ctx, job);
    if (stretches.length === 0) return total;
    // What is being copied is erased where it then is.
    if ((await moveOf(ctx.db, job.accountId)) !== null) return { ...total, done: false };
    const telemetry = await telemetryFor(ctx, job.accountId);
    await assertErasing(telemetry.db);
    const rotations = new Map<Stretch, Rotation | null>();
    for (const stretch of stretches) rotations.set(stretch, await begin(ctx, job, stretch));
    if (!(await drainPart(ctx, telemetry, partOf(job.accountId)))) return { ...total, done: false };
    await tidy(ctx, telemetry);
    const lease = leaseOf(ctx, telemetry);
    try {
      for (const [stretch, rotation] of rotations) {
        // Who settles beside this would write what was cut, or under a secret that goes.
        if (budget.left <= 0 || !(await lease.take())) return { ...total, done: false };
        const gone = await eraseStretch({ ctx, telemetry, stretch, budget, take: lease.take }, rotation);
        total.rows += gone.rows;
        total.bytes += gone.bytes;
        total.done &&= gone.done;
        total.kids.push(...(gone.kids ?? []));
      }
    } finally {
      await lease.end();
    }
    return total;
  },

  async scrub(ctx) {
    const logs = await Promise.all(allTelemetry(ctx).map(({ db }) => emptyLog(db)));
    return { rows: 0, bytes: 0, done: !logs.includes("busy") };
  },

  async verify(ctx, job) {
    const evidence = { devices: 0, positions: 0, waiting: 0, newest: 0, oldKeys: 0, halvesForCustomer: 0 };
    const telemetry = await telemetryFor(ctx, job.accountId);
    for (const stretch of await stretchesOf(ctx, job)) {
      const left = await leftOf(ctx, telemetry, stretch, await rotationOf(ctx.db, job.id, stretch.deviceId));
      evidence.devices += 1;
      for (const name of Object.keys(left) as (keyof typeof left)[]) evidence[name] += left[name];
    }
    const { positions, waiting, newest, oldKeys } = evidence;
    return { found: positions + waiting + newest + oldKeys, evidence };
  },
};

const buryStretch = (ctx: Base, { accountId, deviceId, from, to, before }: Stretch) =>
  bury(ctx, accountId, deviceId, from === Number.MIN_SAFE_INTEGER ? null : from, to, before);

/** Writes the tombstones of a request once more: nothing of it is taken. */
export async function buryStretches(ctx: Base, job: ErasureJob): Promise<void> {
  for (const stretch of await stretchesOf(ctx, job)) await buryStretch(ctx, stretch);
}

/** The tombstone first, then another secret. @returns null for a device that has none and gets none: it was erased */
async function begin(ctx: Base, { id }: ErasureJob, stretch: Stretch): Promise<Rotation | null> {
  const { accountId, deviceId } = stretch;
  await buryStretch(ctx, stretch);
  const known = await rotationOf(ctx.db, id, deviceId);
  if (known !== null) return known;
  const rotated = await rotateDevice(ctx, accountId, deviceId);
  if (rotated === null) return null;
  // Stopped before this is written, it gets one more, and both older ones go.
  await noteRotation(ctx.db, id, deviceId, { kid: rotated.kid, at: ctx.now() });
  return rotationOf(ctx.db, id, deviceId);
}

/** One device's turn. */
interface Turn {
  ctx: Base;
  telemetry: Telemetry;
  stretch: Stretch;
  budget: Budget;
  /** Keeps the right to write segments. */
  take: () => Promise<boolean>;
}

async function eraseStretch(turn: Turn, rotation: Rotation | null): Promise<Gone> {
  const { ctx, telemetry, stretch } = turn;
  const { accountId, deviceId } = stretch;
  const gone = { rows: 0, bytes: 0, done: false, kids: [] as number[] };
  if (!(await cut(turn, gone))) return gone;
  if (!(await cutNewest(turn))) return gone;
  if (rotation === null) return { ...gone, done: true };
  if (ctx.now() - rotation.at < LIMITS.shredEveryMs) return gone;
  const { live } = await deviceKids(ctx, accountId, deviceId);
  const old = olderThan(live, rotation.kid);
  if (old.length === 0) return { ...gone, done: true };
  const newest = live.at(-1)!;
  if (!(await reseal(turn, new Set(old), newest))) return gone;
  if (!(await turn.take())) return gone;
  const days = await customerDays(telemetry, stretch);
  // The oldest first: which are old is told from the one that was made for the request, and that may be old by now.
  for (const kid of old) gone.kids.push(...(await destroyDeviceSecret(ctx, accountId, kid, days.get(kid))));
  return { ...gone, done: true };
}

/** The secrets that were there before one; none when that is gone itself: a later request destroys all before its own. */
const olderThan = (live: readonly number[], kid: number): number[] => live.slice(0, Math.max(live.indexOf(kid), 0));

async function headsOf({ db }: Telemetry, { deviceId }: StretchOf, from: number, to: number): Promise<SegmentHead[]> {
  return (await db.$client.execute(headsStatement(deviceId, from, to))).rows.map((row) => headOf(row));
}

const allHeads = (telemetry: Telemetry, stretch: StretchOf) =>
  headsOf(telemetry, stretch, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);

/** Of segments alone the times are known: those that end before the request are the stretch's as a whole. */
const certain = ({ before, ...stretch }: Stretch): StretchOf => ({ ...stretch, to: Math.min(stretch.to, before) });

/** Deletes what lies in the stretch, and writes anew what reaches beyond it. @returns false when something is left */
async function cut({ ctx, telemetry, stretch, budget, take }: Turn, gone: { rows: number; bytes: number }) {
  const { db } = telemetry;
  for (let last: number = LIMITS.deleteSegments; last === LIMITS.deleteSegments; ) {
    if (budget.left-- <= 0) return false;
    const deleted = await deleteStretch(db, certain(stretch), LIMITS.deleteSegments);
    gone.rows += deleted.positions;
    gone.bytes += deleted.bytes;
    last = deleted.segments;
  }
  for (let last: number = LIMITS.deleteRows; telemetry.main && last === LIMITS.deleteRows; ) {
    if (budget.left-- <= 0) return false;
    last = await deleteOldRowsOf(db, stretch, stretch.before, LIMITS.deleteRows);
    gone.rows += last;
  }
  const reaching = await headsOf(telemetry, stretch, stretch.from, stretch.to);
  const ours = reaching.filter(({ customerKid }) => customerKid === null);
  for (let at = 0; at < ours.length; at += LIMITS.rewriteSegments) {
    if (budget.left <= 0 || !(await take())) return false;
    const ids = ours.slice(at, at + LIMITS.rewriteSegments).map(({ id }) => id);
    for (const segment of await opened(ctx, telemetry, stretch.accountId, await segmentsById(db, ids))) {
      const shorter = await withoutStretch(ctx, stretch, segment);
      if (shorter === "same") continue;
      budget.left -= 1;
      const { row } = segment;
      if (shorter === null) {
        if (!(await deleteSegment(db, row))) return false;
      } else {
        const write = writeSegmentsStatement([shorter], segmentIs(row), [row.id, row.lastId]);
        if ((await db.$client.execute(write)).rowsAffected === 0) return false;
      }
      gone.rows += row.positions - (shorter?.positions ?? 0);
      gone.bytes += row.sealed.length - (shorter?.sealed.length ?? 0);
    }
  }
  return true;
}

interface Opened {
  row: SegmentRow;
  /** null: it does not open. */
  place: { from: number; to: number } | null;
  stored: StoredPositions;
  key: CryptoKey | null;
}

async function opened(
  ctx: Base,
  telemetry: Telemetry,
  accountId: number,
  segments: readonly SegmentRow[],
): Promise<Opened[]> {
  const stored = new StoredPositions();
  const places = await openSegments(ctx, telemetry, accountId, segments, stored, "settler");
  const keys = await openingKeys(ctx, accountId, segments);
  return segments.map((row, i) => ({ row, place: places[i] ?? null, stored, key: keys[i] ?? null }));
}

/** @returns null when nothing is left of it; what does not open goes whole, as nobody can say what of it is asked for */
async function withoutStretch(
  ctx: Base,
  stretch: Stretch,
  { row, place, stored, key }: Opened,
): Promise<SegmentRow | null | "same"> {
  if (place === null || key === null) return null;
  const kept: number[] = [];
  for (let at = place.from; at < place.to; at++) if (!isIn(stretch, stored, at)) kept.push(at);
  if (kept.length === place.to - place.from) return "same";
  if (kept.length === 0) return null;
  const { id, accountId, dayKid, deviceKid } = row;
  const sealing = { dayKid, deviceKid, customerKid: null, key };
  return sealSegment(ctx, id, accountId, sealing, stored, Uint32Array.from(kept), 0, kept.length, isAlarm);
}

/** The row with a device's newest fix, and the fix in it. */
async function newestRow({ db }: Telemetry, { accountId, deviceId }: StretchOf) {
  const id = newestIdOf(accountId, deviceId, LIMITS.newestDevices);
  const { rows } = await db.$client.execute(newestStatement([id]));
  const bytes = rows[0] === undefined ? null : bytesOf(rows[0][1]);
  const fixes = bytes === null ? [] : readFixes(bytes);
  return { id, bytes, fixes, fix: fixes.find((fix) => fix.deviceId === deviceId) ?? null };
}

type NewestRow = Awaited<ReturnType<typeof newestRow>>;

/** @param after null: none. @returns false when the row was changed meanwhile */
async function replaceNewest({ db }: Telemetry, { id, bytes, fixes, fix }: NewestRow, after: StoredFix | null) {
  const kept = fixes.flatMap((each) => (each !== fix ? [each] : after === null ? [] : [after]));
  return (await db.$client.execute(replaceNewestStatement(id, bytes!, writeFixes(kept)))).rowsAffected > 0;
}

/** Whether a newest fix is of the stretch; one that only the customer can open is by the time that retention goes by. */
async function isFixIn(ctx: Base, telemetry: Telemetry, stretch: Stretch, fix: StoredFix): Promise<boolean> {
  if (fix.customerKid !== null) return fix.due >= stretch.from && fix.due < Math.min(stretch.to, stretch.before);
  const stored = new StoredPositions(1);
  const [row] = await openFixes(ctx, telemetry, stretch.accountId, [fix], stored, "settler");
  // What does not open shows nobody anything, and goes.
  return row === null || row === undefined || isIn(stretch, stored, row);
}

/** Segments that are looked at for another newest fix. */
const LOOKED_AT = 8;

/** Puts the newest fix of what stays in the place of one of the stretch. @returns false when it must be tried again */
async function cutNewest({ ctx, telemetry, stretch }: Turn): Promise<boolean> {
  const row = await newestRow(telemetry, stretch);
  if (row.fix === null || !(await isFixIn(ctx, telemetry, stretch, row.fix))) return true;
  return replaceNewest(telemetry, row, await otherNewest(ctx, telemetry, stretch));
}

async function otherNewest(ctx: Base, telemetry: Telemetry, stretch: StretchOf): Promise<StoredFix | null> {
  const heads = (await allHeads(telemetry, stretch)).filter(({ customerKid }) => customerKid === null);
  const last = heads.sort((a, b) => b.toTime - a.toTime).slice(0, LOOKED_AT);
  const segments = await segmentsById(
    telemetry.db,
    last.map(({ id }) => id),
  );
  const open = await opened(ctx, telemetry, stretch.accountId, segments);
  const rowsOf = ({ place }: Opened) => Array.from({ length: place!.to - place!.from }, (_, i) => place!.from + i);
  const candidates = open.filter(({ place, key }) => place !== null && key !== null);
  if (candidates.length === 0) return null;
  const { stored } = candidates[0]!;
  const newest = newestOf(stored, candidates.flatMap(rowsOf), null);
  const from = candidates.find(({ place }) => newest !== null && newest >= place!.from && newest < place!.to);
  if (newest === null || from === undefined) return null;
  const { dayKid, deviceKid } = from.row;
  return sealFix(ctx, stretch.accountId, { dayKid, deviceKid, customerKid: null, key: from.key! }, stored, newest);
}

/** Seals anew what stays under old secrets. @returns whether nothing of it is left that opens */
async function reseal(turn: Turn, old: ReadonlySet<number>, newest: number): Promise<boolean> {
  const { ctx, telemetry, stretch, budget, take } = turn;
  const { accountId, deviceId } = stretch;
  /** What does not open now will not open later. */
  const broken = new Set<number>();
  const stale = (heads: readonly SegmentHead[]) =>
    heads.filter(({ id, deviceKid, customerKid }) => customerKid === null && old.has(deviceKid) && !broken.has(id));
  const heads = stale(await allHeads(telemetry, stretch));
  for (let at = 0; at < heads.length; at += LIMITS.resealSegments) {
    if (budget.left <= 0 || !(await take())) return false;
    budget.left -= 2;
    const ids = heads.slice(at, at + LIMITS.resealSegments).map(({ id }) => id);
    const segments = await opened(ctx, telemetry, accountId, await segmentsById(telemetry.db, ids));
    const keys = await openingKeys(
      ctx,
      accountId,
      segments.map(({ row: { dayKid } }) => ({ deviceId, dayKid, deviceKid: newest })),
    );
    const again = await Promise.all(
      segments.map(({ row, place, stored }, i) => {
        const key = keys[i];
        if (place === null || !key) {
          broken.add(row.id);
          return null;
        }
        const order = Uint32Array.from({ length: place.to - place.from }, (_, n) => place.from + n);
        const sealing = { dayKid: row.dayKid, deviceKid: newest, customerKid: null, key };
        return sealSegment(ctx, row.id, accountId, sealing, stored, order, 0, order.length, isAlarm);
      }),
    );
    const writes = again.flatMap((segment, i) => {
      const { row } = segments[i]!;
      return segment === null ? [] : writeSegmentsStatement([segment], segmentIs(row), [row.id, row.lastId]);
    });
    if (writes.length > 0) await telemetry.db.$client.batch(writes, "write");
  }
  if (!(await resealNewest(turn, old, newest))) return false;
  return stale(await allHeads(telemetry, stretch)).length === 0;
}

async function resealNewest({ ctx, telemetry, stretch }: Turn, old: ReadonlySet<number>, newest: number) {
  const { accountId, deviceId } = stretch;
  const row = await newestRow(telemetry, stretch);
  if (row.fix === null || row.fix.customerKid !== null || !old.has(row.fix.deviceKid)) return true;
  const stored = new StoredPositions(1);
  const { dayKid } = row.fix;
  const [place] = await openFixes(ctx, telemetry, accountId, [row.fix], stored, "settler");
  const [key] = await openingKeys(ctx, accountId, [{ deviceId, dayKid, deviceKid: newest }]);
  const isOpen = place !== null && place !== undefined && !!key;
  const sealing = { dayKid, deviceKid: newest, customerKid: null };
  const again = isOpen ? await sealFix(ctx, accountId, { ...sealing, key }, stored, place) : null;
  return replaceNewest(telemetry, row, again);
}

/** Days of which something is there that is sealed to a key of the customer, by secret of the device; all kids. */
async function customerDays(telemetry: Telemetry, stretch: StretchOf): Promise<Map<number, number[]>> {
  const { fix } = await newestRow(telemetry, stretch);
  const days = new Map<number, Set<number>>();
  for (const { customerKid, deviceKid, dayKid } of [...(await allHeads(telemetry, stretch)), ...(fix ? [fix] : [])]) {
    if (customerKid !== null) days.set(deviceKid, (days.get(deviceKid) ?? new Set()).add(dayKid));
  }
  return new Map([...days].map(([kid, of]) => [kid, [...of]]));
}

/** What is left of a stretch, as the stores have it. */
async function leftOf(ctx: Base, telemetry: Telemetry, stretch: Stretch, rotation: Rotation | null) {
  const { accountId, deviceId, from, to } = stretch;
  const left = { positions: 0, waiting: 0, newest: 0, oldKeys: 0, halvesForCustomer: 0 };
  const inside = certain(stretch);
  const reaching = await headsOf(telemetry, stretch, from, to);
  const unknown: number[] = [];
  for (const { id, customerKid, fromTime, toTime, positions } of reaching) {
    const isWhole = fromTime >= inside.from && toTime < inside.to;
    if (isWhole || (customerKid !== null && fromTime < inside.to)) left.positions += positions;
    else if (customerKid === null) unknown.push(id);
  }
  for (let at = 0; at < unknown.length; at += LIMITS.rewriteSegments) {
    const segments = await segmentsById(telemetry.db, unknown.slice(at, at + LIMITS.rewriteSegments));
    for (const { row, place, stored } of await opened(ctx, telemetry, accountId, segments)) {
      if (place === null) left.positions += row.positions;
      else for (let n = place.from; n < place.to; n++) if (isIn(stretch, stored, n)) left.positions += 1;
    }
  }
  if (telemetry.main) left.positions += await countOldRows(telemetry.db, stretch, stretch.before);
  left.waiting = await steady(async () => {
    const found = await telemetry.db.$client.batch(tailStatements(accountId, deviceId), "read");
    const tail = await openTail(ctx, telemetry, found, new Set([deviceId]));
    let waiting = 0;
    for (let row = 0; row < tail.count; row++) {
      if (tail.deviceIds[row] === deviceId && isIn(stretch, tail, row)) waiting += 1;
    }
    return waiting;
  });
  const { fix } = await newestRow(telemetry, stretch);
  if (fix !== null && (await isFixIn(ctx, telemetry, stretch, fix))) left.newest = 1;
  const { live, elsewhere, halves } = await deviceKids(ctx, accountId, deviceId);
  // Without a rotation nobody can say which secret is old: all of them.
  const old = rotation === null ? live : olderThan(live, rotation.kid);
  left.oldKeys = old.length + elsewhere;
  left.halvesForCustomer = halves;
  return left;
}
