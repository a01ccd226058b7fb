import type { Json } from "../client/canonical.ts";
import { type CommandCode, encodeCommand, IDENTIFIERS, identifierAt } from "../codec/commands.ts";
import type { Base } from "./context.ts";
import { devicesOnHold } from "./held-parts.ts";
import { LIMITS } from "./limits.ts";
import { CLEARING } from "./store/commands.ts";
import { newestIdOf, newestStatement, readFixes } from "./store/newest.ts";
import * as store from "./store/tracker-erasure.ts";
import type { ErasureJob } from "./store-eraser.ts";
import { openTail, steady, tailStatements } from "./tail.ts";
import { telemetryFor } from "./telemetry.ts";

// A tracker that is erased here still has what it has not delivered, numbers to call, cards that it knows, pictures. When
// its device is marked it is told to delete what commands are known for: the only ones that a marked device still gets, as
// long as the secret is there that opens them. Best effort: nothing of an erasure hangs on the answer, and who is not
// there is not waited for. Who is under a hold is not told.

/** What a tracker may hold about people, and the command that deletes it, where our table of commands has one. */
const CLEARS: readonly { what: string; code: string; arguments: Readonly<Record<string, unknown>> }[] = [
  // Meitrack GPRS protocol V1.8, F09: 3 is what waits for SMS and for GPRS.
  { what: "cache", code: "F09", arguments: { buffer: 3 } },
  // These take lists of what to delete, or forms that differ between models: they are not in the table.
  { what: "phones", code: "A71", arguments: {} },
  { what: "listeners", code: "A72", arguments: {} },
  { what: "cards", code: "D14", arguments: {} },
  { what: "pictures", code: "D02", arguments: {} },
];

const KNOWN = CLEARS.filter(({ code }) => (CLEARING as readonly string[]).includes(code));

interface Tracker {
  id: number;
  imei: string;
}

/** Trackers that a bridge can hold the connection of: they sent lately, and some bridge is there. */
async function thoseOnline(ctx: Base, accountId: number, trackers: readonly Tracker[]): Promise<Tracker[]> {
  const now = ctx.now();
  if (trackers.length === 0 || !(await store.bridgeSeenSince(ctx.db, now - LIMITS.bridgeLatelyMs))) return [];
  const seen = await steady(() => seenSince(ctx, accountId, trackers, now - LIMITS.clearOnlineMs));
  return trackers.filter(({ id }) => seen.has(id)).slice(0, LIMITS.clearTrackers);
}

/** Devices of which something waits that came since a time, or whose newest fix is that new. */
async function seenSince(
  ctx: Base,
  accountId: number,
  trackers: readonly Tracker[],
  since: number,
): Promise<Set<number>> {
  const telemetry = await telemetryFor(ctx, accountId);
  const wanted = new Set(trackers.map(({ id }) => id));
  const ids = new Set([...wanted].map((id) => newestIdOf(accountId, id, LIMITS.newestDevices)));
  const [newest, ...waiting] = await telemetry.db.$client.batch(
    [newestStatement([...ids]), ...tailStatements(accountId, wanted.size === 1 ? trackers[0]!.id : null)],
    "read",
  );
  const seen = new Set<number>();
  for (const row of newest!.rows)
    for (const { deviceId, due } of readFixes(row[1])) if (due >= since) seen.add(deviceId);
  const tail = await openTail(ctx, telemetry, waiting, wanted);
  for (let row = 0; row < tail.count; row++) if (tail.receivedAt[row]! >= since) seen.add(tail.deviceIds[row]!);
  return seen;
}

/**
 * Queues what those of some marked trackers are told that are online, once however often it is called.
 * @returns how many those are; how many are under a hold
 */
async function tell(
  ctx: Base,
  accountId: number,
  trackers: readonly Tracker[],
): Promise<{ told: number; held: number }> {
  const onHold = await devicesOnHold(
    ctx,
    accountId,
    trackers.map(({ id }) => id),
  );
  const online = await thoseOnline(
    ctx,
    accountId,
    trackers.filter(({ id }) => !onHold.has(id)),
  );
  const now = ctx.now();
  const commands = online.flatMap(({ id, imei }) =>
    KNOWN.map(({ code, arguments: given }): store.ClearingCommand => {
      const identifier = identifierAt(ctx.random(1)[0]! % IDENTIFIERS.count);
      const frame = encodeCommand({ imei, identifier, code, arguments: given });
      const text = JSON.stringify(given);
      return { deviceId: id, code: code as CommandCode, arguments: text, identifier, frame };
    }),
  );
  if (commands.length > 0) await store.insertClearing(ctx.db, accountId, commands, now, now + LIMITS.clearMs);
  return { told: online.length, held: onHold.size };
}

/** Tells the tracker of a device that is removed. Call it when the device is marked and silenced. */
export async function tellTracker(ctx: Base, device: Tracker & { accountId: number }): Promise<void> {
  try {
    await tell(ctx, device.accountId, [device]);
  } catch (error) {
    ctx.log.error("tracker.untold", { deviceId: device.id }, error);
  }
}

/** Whether the tracker of a marked device may still be told, or answer: its row stays that long, and no longer. */
export const mayAnswer = (ctx: Base, deviceId: number): Promise<boolean> =>
  store.isClearing(ctx.db, deviceId, ctx.now() - LIMITS.clearMs);

/** Tells the trackers of an erasure, and notes how many. Call it when they are silenced, and it is in the ledger. */
export async function tellTrackers(ctx: Base, { id, name, accountId }: ErasureJob, trackers: readonly Tracker[]) {
  try {
    if (trackers.length === 0 || (await store.saidOf(ctx.db, id)) !== null) return;
    const { told, held } = await tell(ctx, accountId, trackers);
    const said = Object.fromEntries(KNOWN.map(({ code }) => [code, { told, confirmed: 0, refused: 0, waiting: 0 }]));
    await store.saveSaid(ctx.db, id, { trackers: trackers.length, held, said });
  } catch (error) {
    ctx.log.error("tracker.untold", { request: name }, error);
  }
}

/**
 * Notes what the trackers of an erasure have said so far.
 * @returns whether it is worth waiting for more: not for long, and never when that fails
 */
export async function mayHearMore(ctx: Base, { id, name, accountId, scope, frozenAt }: ErasureJob): Promise<boolean> {
  try {
    const before = await store.saidOf(ctx.db, id);
    if (before === null || !Object.values(before.said).some(({ told }) => told > 0)) return false;
    const counts = await store.countClearing(ctx.db, accountId, scope.kind === "devices" ? scope.devices : null);
    let open = 0;
    const said = Object.entries(before.said).map(([code, { told }]) => {
      const of = (...states: string[]) =>
        counts.reduce((sum, row) => sum + (row.code === code && states.includes(row.state) ? row.count : 0), 0);
      open += of("queued", "sent");
      return [
        code,
        { told, confirmed: of("acked"), refused: of("refused"), waiting: of("queued", "expired") },
      ] as const;
    });
    await store.saveSaid(ctx.db, id, { ...before, said: Object.fromEntries(said) });
    // A clock that was set back since makes it no longer.
    return open > 0 && Math.abs(ctx.now() - frozenAt) < LIMITS.clearMs;
  } catch (error) {
    ctx.log.error("tracker.unheard", { request: name }, error);
    return false;
  }
}

/**
 * What an erasure's receipt says of the trackers, in numbers of them. confirmed: the tracker said so. sent: it was told and
 * did not answer in time. refused: it said no. offline: it was not there to be told. held: it is under a hold, and was not.
 * unknown: no command for it is known.
 */
export async function trackersSaid(ctx: Base, requestId: number): Promise<Record<string, Json> | null> {
  const saved = await store.saidOf(ctx.db, requestId);
  if (saved === null || saved.trackers === 0) return null;
  const all = CLEARS.map(({ what, code }): [string, Json] => {
    const said = saved.said[code];
    if (said === undefined) return [what, { unknown: saved.trackers }];
    const { told, confirmed, refused, waiting } = said;
    const sent = Math.max(0, told - confirmed - refused - waiting);
    const { held = 0 } = saved;
    const counts = { confirmed, sent, refused, held, offline: saved.trackers - held - told + waiting };
    return [what, Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0))];
  });
  return Object.fromEntries(all);
}
