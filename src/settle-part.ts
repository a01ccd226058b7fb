import type { StoredPositions } from "../codec/segment.ts";
import { isAlarm } from "./alarms.ts";
import type { Base } from "./context.ts";
import { type Halves, halvesFor, keysOfBoth } from "./customer-sealed.ts";
import { openSome } from "./inbox.ts";
import { LIMITS } from "./limits.ts";
import { cutoffAt, keepingOf } from "./periods.ts";
import { dueOf, openFixes, openSegments, type RowKey, sealFix, sealSegment } from "./segments.ts";
import {
  byDevice,
  CLOSED,
  cutSegments,
  dayOf,
  FULL_BYTES,
  freshRows,
  type Group,
  groupsOf,
  isNewer,
  isOpen,
  Known,
  knownSince,
  newestOf,
  nextId,
  pairsOf,
  sortByFix,
} from "./settle-plan.ts";
import { withPositions } from "./spare.ts";
import type { Statement } from "./store/db.ts";
import { partRuns, STILL_AT, settledStatement } from "./store/inbox.ts";
import {
  newestIdOf,
  newestStatement,
  readFixes,
  type StoredFix,
  writeFixes,
  writeNewestStatement,
} from "./store/newest.ts";
import {
  clocklessStatement,
  firstIdOf,
  headsOfDay,
  idsOfDay,
  reachedRows,
  reachedStatement,
  SEGMENTS_A_DAY,
  type SegmentHead,
  type SegmentRow,
  segmentRows,
  segmentsById,
  writeSegmentsStatement,
} from "./store/segments.ts";
import { liveDevices, type SettledDevice } from "./store/settling.ts";
import { type Erased, isErased } from "./store/tombstones.ts";
import { writeWrappedStatement } from "./store/wrapped.ts";
import type { Telemetry } from "./telemetry.ts";
import { sealingKeys } from "./vault.ts";

/** What a part's runs hold of one device that is there. */
interface Arrival {
  device: SettledDevice;
  scope: string;
  groups: Group[];
}

/** A segment to be written. */
interface Plan {
  accountId: number;
  scope: string;
  day: number;
  id: number;
  rows: Uint32Array;
  /** The rows as they are encoded; null: that is still to be done. */
  plain: Uint8Array<ArrayBuffer> | null;
}

/**
 * Moves what waits in the runs of a part into segments, and drops what came twice, what was past its period when it came
 * and what belongs to no device any more.
 * @returns positions that were in the runs; 0 when another settler was faster
 */
export async function settlePart(ctx: Base, telemetry: Telemetry, part: number): Promise<number> {
  const limits = { positions: LIMITS.partPositions, bytes: LIMITS.partBytes };
  const { settled, last: end, rows } = await partRuns(telemetry.db, part, limits);
  if (end === settled) return 0;
  return withPositions(async (stored) => {
    const opened = await openSome(ctx, telemetry, rows, stored, 1);
    if (opened === 0 && rows.length > 0) return 0;
    const last = opened === rows.length ? end : rows[opened - 1].upTo;
    const count = stored.count;
    const writes = await segmentWrites(ctx, telemetry, stored, STILL_AT, [part, settled]);
    const results = await telemetry.db.$client.batch([...writes, settledStatement(part, settled, last)], "write");
    return results.at(-1)!.rowsAffected === 1 ? count : 0;
  });
}

/**
 * The statements that put positions into segments, and their newest fixes beside them.
 * @param condition in SQL with ?1 and ?2: nothing is written unless it holds
 */
export async function segmentWrites(
  ctx: Base,
  telemetry: Telemetry,
  stored: StoredPositions,
  condition: string,
  args: readonly [number, number],
): Promise<Statement[]> {
  const arrivals = await arrivalsOf(ctx, telemetry, stored);
  if (arrivals.length === 0) return [];
  const days = arrivals.flatMap(({ device: { accountId }, groups }) => groups.map(({ day }) => ({ accountId, day })));
  const halves = await halvesFor(ctx, days);
  const { plans, newest, taken } = await planned(ctx, telemetry, stored, arrivals, halves);
  const { segments, fixes } = await sealedPlans(ctx, stored, plans, newest, halves);
  const wrapped = halves.wrapped();
  return [
    ...(wrapped.length > 0 ? [writeWrappedStatement(wrapped, condition, args)] : []),
    ...(segments.length > 0 ? [writeSegmentsStatement(segments, condition, args)] : []),
    ...(fixes.length > 0 ? [writeNewestStatement(newestRows(taken, fixes), condition, args)] : []),
    { sql: "UPDATE settlement SET span = max(span, ?1) WHERE span < ?1", args: [spanOf(segments)] },
  ];
}

const spanOf = (segments: readonly SegmentHead[]) =>
  segments.reduce((span, { firstId, lastId }) => Math.max(span, lastId - firstId), 0);

async function arrivalsOf(ctx: Base, telemetry: Telemetry, stored: StoredPositions): Promise<Arrival[]> {
  const rows = byDevice(stored);
  const devices = await liveDevices(ctx.db, [...rows.keys()]);
  const now = ctx.now();
  return [...devices.values()].flatMap((device) => {
    // What is here of an account that is placed elsewhere goes: src/ingest.ts says why nothing that counts can be.
    if ((device.database ?? "main") !== telemetry.name) return [];
    const keeping = keepingOf(device, ctx.config.retentionMonths);
    const came = without(stored, rows.get(device.deviceId) ?? [], device.erased);
    const groups = groupsOf(stored, device.deviceId, came, cutoffAt(now, keeping));
    return groups.length === 0 ? [] : { device, scope: keeping.scope, groups };
  });
}

/** Rows of a device without those that lie in a stretch that was erased. */
function without(stored: StoredPositions, rows: number[], erased: Erased | null): number[] {
  if (erased === null) return rows;
  return rows.filter((row) => !isErased(erased, stored.fixTimeAt(row), stored.receivedAt[row]));
}

/** The rows of newest fixes that an account's devices have, by their ids. */
type Taken = Map<number, { accountId: number; fixes: StoredFix[] }>;

async function planned(
  ctx: Base,
  telemetry: Telemetry,
  stored: StoredPositions,
  arrivals: readonly Arrival[],
  halves: Halves,
) {
  const newestId = ({ accountId, deviceId }: SettledDevice) => newestIdOf(accountId, deviceId, LIMITS.newestDevices);
  const taken: Taken = new Map();
  for (const { device } of arrivals) taken.set(newestId(device), { accountId: device.accountId, fixes: [] });
  const [reached, clockless, newestFound] = await telemetry.db.$client.batch(
    [
      reachedStatement(
        arrivals.flatMap(({ groups }) => groups),
        {
          small: LIMITS.segmentPositionsMin,
          most: LIMITS.segmentPositions,
          ms: LIMITS.segmentMs,
          bytes: FULL_BYTES,
        },
      ),
      clocklessStatement(
        arrivals.map(({ device }) => device.deviceId),
        knownSince(
          stored,
          arrivals.flatMap(({ groups }) => groups.flatMap(({ rows }) => rows)),
        ),
      ),
      newestStatement([...taken.keys()]),
    ],
    "read",
  );
  for (const row of newestFound!.rows) taken.get(Number(row[0]))!.fixes = readFixes(row[1]);
  const heads = reachedRows(reached!.rows);
  const found = new Map<number, SegmentRow>();
  const headsOf = new Map<number, (SegmentHead | Pick<SegmentHead, "id">)[]>();
  for (const { sealed, ...head } of heads) {
    headsOf.set(head.deviceId, [...(headsOf.get(head.deviceId) ?? []), head]);
    if (sealed !== null) found.set(head.id, { ...head, sealed });
  }
  for (const row of segmentRows(clockless!.rows)) found.set(row.id, row);

  const opened = await openAll(ctx, telemetry, [...found.values()], stored);

  const plans: Plan[] = [];
  const joinedIds = new Set<number>();
  const candidates: Newest[] = [];
  for (const { device, scope, groups } of arrivals) {
    const { accountId, deviceId } = device;
    const known = new Known(stored);
    for (const { from, to } of opened.ofDevice.get(deviceId) ?? [])
      for (let row = from; row < to; row++) known.add(row);
    const came: number[] = [];
    const used = headsOf.get(deviceId) ?? [];
    const only = groups.length === 1 ? groups[0]!.rows : null;
    const kept = freshRows(
      stored,
      only ??
        sortByFix(
          stored,
          groups.flatMap(({ rows }) => rows),
        ),
      known,
    );
    const isKept = new Set(only === null ? kept : []);
    for (const group of groups) {
      const fresh = only === null ? group.rows.filter((row) => isKept.has(row)) : kept;
      if (fresh.length === 0) continue;
      came.push(...fresh);
      const half = halves.of(accountId, group.day);
      const last = lastOpen(used, group, found, opened.byId, half?.kid ?? null);
      const open = last === null || joinedIds.has(last.id) ? null : last;
      // Read before a stretch was erased and written after, it would bring it back.
      const before = open === null ? [] : without(stored, rowsBetween(opened.byId.get(open.id)!), device.erased);
      const rows = Uint32Array.from(open === null ? fresh : sortByFix(stored, [...before, ...fresh]));
      let start = 0;
      const cut = cutSegments(stored, rows, half === null ? undefined : CLOSED);
      const places = await placesFor(telemetry, group, used, cut.length);
      if (places.length === 0 && open === null) {
        const joined = await join(ctx, telemetry, device, group, { stored, plans, halves });
        if (joined !== null) {
          plans.push({ accountId, scope, ...joined.plan });
          places.push(joined.free);
          joinedIds.add(joined.plan.id).add(joined.free);
        }
      }
      // A day with few places left gets one long segment with each settling.
      for (const { end, plain } of places.length < cut.length ? [{ end: rows.length, plain: null }] : cut) {
        const id = start === 0 && open !== null ? open.id : places.shift();
        if (id === undefined) {
          ctx.log.error("settle.full", { device: deviceId, positions: rows.length - start });
          break;
        }
        plans.push({ accountId, scope, day: group.day, id, rows: rows.subarray(start, end), plain });
        used.push({ id });
        start = end;
      }
    }
    const row = newestOf(stored, came, null);
    if (row !== null) candidates.push({ accountId, scope, row });
  }
  const newest = await newerFixes(ctx, telemetry, taken, candidates, stored);
  return { plans, newest, taken };
}

/**
 * Free ids of a device and day: one after the other behind those that are taken, or what was left free among these.
 * @returns as many as are wanted, or fewer
 */
async function placesFor(
  telemetry: Telemetry,
  { deviceId, from }: Group,
  used: readonly Pick<SegmentHead, "id">[],
  wanted: number,
): Promise<number[]> {
  const end = firstIdOf(deviceId, from) + SEGMENTS_A_DAY;
  const next = nextId(deviceId, from, used);
  if (next !== null && next + wanted <= end) return Array.from({ length: wanted }, (_, i) => next + i);
  const taken = new Set([...(await idsOfDay(telemetry.db, deviceId, from)), ...used.map(({ id }) => id)]);
  const free: number[] = [];
  for (let id = firstIdOf(deviceId, from); id < end; id++) if (!taken.has(id)) free.push(id);
  // The last of them are for one segment each time.
  return free.slice(0, free.length < wanted + SEGMENTS_A_DAY / 8 ? 1 : wanted);
}

/** Pairs of segments that are tried: some may not open. */
const JOIN_TRIES = 16;

/**
 * Makes one of two segments of a day that has no place left.
 * @returns the one, and the id of the other, which is free then; null: none of them could be opened
 */
async function join(
  ctx: Base,
  telemetry: Telemetry,
  { accountId, deviceId, erased }: SettledDevice,
  { from }: Group,
  { stored, plans, halves }: { stored: StoredPositions; plans: readonly Plan[]; halves: Halves },
): Promise<{ plan: Omit<Plan, "accountId" | "scope">; free: number } | null> {
  const planned = new Set(plans.map(({ id }) => id));
  const heads = (await headsOfDay(telemetry.db, deviceId, from)).filter(({ id }) => !planned.has(id));
  const pairs = pairsOf(heads, (day) => halves.of(accountId, day)?.kid ?? null);
  for (const { day, ids } of pairs.slice(0, JOIN_TRIES)) {
    const segments = await segmentsById(telemetry.db, ids);
    const places = await openSegments(ctx, telemetry, accountId, segments, stored, "settler");
    const opened = places.filter((place) => place !== null);
    if (opened.length < ids.length) continue;
    const rows = sortByFix(stored, without(stored, opened.flatMap(rowsBetween), erased));
    if (rows.length === 0) continue;
    return { plan: { day, id: ids[0], rows: Uint32Array.from(rows), plain: null }, free: ids[1] };
  }
  return null;
}

interface Newest {
  accountId: number;
  scope: string;
  row: number;
}

interface Rows {
  from: number;
  to: number;
}

const rowsBetween = ({ from, to }: Rows) => Array.from({ length: to - from }, (_, i) => from + i);

/** The last segment of a group's days, when it takes more positions, could be opened and is sealed as they will be. */
function lastOpen(
  used: readonly (Pick<SegmentHead, "id"> | SegmentHead)[],
  group: Group,
  found: ReadonlyMap<number, SegmentRow>,
  opened: ReadonlyMap<number, Rows>,
  customerKid: number | null,
): SegmentHead | null {
  const first = firstIdOf(group.deviceId, group.from);
  let last: Pick<SegmentHead, "id"> | null = null;
  for (const head of used) {
    if (head.id >= first && head.id < first + SEGMENTS_A_DAY && (last === null || head.id > last.id)) last = head;
  }
  const head = last !== null && "fromTime" in last && opened.has(last.id) ? found.get(last.id) : undefined;
  if (head === undefined) return null;
  const ofDay = dayOf(head.dueFrom ?? head.fromTime) === group.day && dayOf(head.dueTo ?? head.toTime) === group.day;
  return ofDay && isOpen(head) && head.customerKid === customerKid ? head : null;
}

/** Opens segments, each with the keys of its account. */
async function openAll(ctx: Base, telemetry: Telemetry, segments: readonly SegmentRow[], into: StoredPositions) {
  const byId = new Map<number, Rows>();
  const ofDevice = new Map<number, Rows[]>();
  for (const [accountId, rows] of Map.groupBy(segments, (segment) => segment.accountId)) {
    const places = await openSegments(ctx, telemetry, accountId, rows, into, "settler");
    for (const [i, { id, deviceId }] of rows.entries()) {
      const place = places[i];
      if (place === null) continue;
      byId.set(id, place);
      ofDevice.set(deviceId, [...(ofDevice.get(deviceId) ?? []), place]);
    }
  }
  return { byId, ofDevice };
}

/** Those that are newer than what is stored of their devices. Most are later than any part of it, which needs no opening. */
async function newerFixes(
  ctx: Base,
  telemetry: Telemetry,
  taken: Taken,
  candidates: readonly Newest[],
  into: StoredPositions,
): Promise<Newest[]> {
  const newer: Newest[] = [];
  const doubtful: { candidate: Newest; fix: StoredFix }[] = [];
  for (const candidate of candidates) {
    const { accountId, row } = candidate;
    const deviceId = into.deviceIds[row];
    const fixes = taken.get(newestIdOf(accountId, deviceId, LIMITS.newestDevices))?.fixes ?? [];
    const fix = fixes.find((stored) => stored.deviceId === deviceId);
    const later = fix === undefined || Math.min(into.fixTimeAt(row), into.receivedAt[row]) > fix.due;
    if (fix === undefined || (later && into.clock[row] === 0)) newer.push(candidate);
    else doubtful.push({ candidate, fix });
  }
  for (const [accountId, of] of Map.groupBy(doubtful, ({ candidate }) => candidate.accountId)) {
    const fixes = of.map(({ fix }) => fix);
    const rows = await openFixes(ctx, telemetry, accountId, fixes, into, "settler");
    for (const [i, { candidate, fix }] of of.entries()) {
      const row = rows[i] ?? null;
      // One that only the customer can open says of itself no more than its time.
      if (row === null ? fix.customerKid === null : isNewer(into, candidate.row, row)) newer.push(candidate);
    }
  }
  return newer;
}

/** Seals what was planned, with keys that are made in one write for each account. Devices that were erased get none. */
async function sealedPlans(
  ctx: Base,
  stored: StoredPositions,
  plans: readonly Plan[],
  newest: readonly Newest[],
  halves: Halves,
) {
  const wishes = [
    ...plans.map(({ accountId, scope, day, rows }) => ({ accountId, scope, day, deviceId: stored.deviceIds[rows[0]] })),
    ...newest.map(({ accountId, scope, row }) => ({
      accountId,
      scope,
      day: dayOf(dueOf(stored, row)),
      deviceId: stored.deviceIds[row],
    })),
  ];
  const keys: (RowKey | null)[] = [];
  await Promise.all(
    [...Map.groupBy(wishes.keys(), (i) => wishes[i].accountId)].map(async ([accountId, places]) => {
      const wanted = places.map((i) => wishes[i]);
      const made = await keysOfBoth(ctx, accountId, wanted, await sealingKeys(ctx, accountId, wanted), halves);
      for (const [n, i] of places.entries()) keys[i] = made[n];
    }),
  );
  const segments = await Promise.all(
    plans.flatMap(({ accountId, id, rows, plain }, i) => {
      const key = keys[i];
      if (key === null || key === undefined) return [];
      return sealSegment(ctx, id, accountId, key, stored, rows, 0, rows.length, isAlarm, plain);
    }),
  );
  const fixes = await Promise.all(
    newest.flatMap(({ accountId, row }, i) => {
      const key = keys[plans.length + i];
      if (key === null || key === undefined) return [];
      return sealFix(ctx, accountId, key, stored, row).then((fix) => ({ accountId, fix }));
    }),
  );
  return { segments, fixes };
}

/** The rows of newest fixes that change, whole. */
function newestRows(taken: Taken, fixes: readonly { accountId: number; fix: StoredFix }[]) {
  const changed = new Map<number, { accountId: number; fixes: StoredFix[] }>();
  for (const { accountId, fix } of fixes) {
    const id = newestIdOf(accountId, fix.deviceId, LIMITS.newestDevices);
    const row = changed.get(id) ?? { accountId, fixes: [...(taken.get(id)?.fixes ?? [])] };
    row.fixes = [...row.fixes.filter(({ deviceId }) => deviceId !== fix.deviceId), fix];
    changed.set(id, row);
  }
  return [...changed].map(([id, row]) => ({ id, accountId: row.accountId, fixes: writeFixes(row.fixes) }));
}
