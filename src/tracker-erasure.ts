import { type CommandCode, commandOf, encodeCommand, IDENTIFIERS, identifierAt } from "../codec/commands.ts";
import type { Base } from "./context.ts";
import { LIMITS } from "./limits.ts";
import { type CommandRow, insertCommand, listCommands, openCommands } from "./store/commands.ts";
import { deviceById } from "./store/devices.ts";

// A tracker that is erased here still has what it has not delivered, numbers to call, cards that it knows, pictures. Before
// its device goes it is told to delete what commands are known for. Best effort: a tracker that is silent is not waited
// for, and nothing of an erasure hangs on its answer. A device that is marked gets no command any more, so this comes first.

/** What a tracker may hold about people, and the command that deletes it, where our table of commands has one. */
const CLEARS: readonly { what: Cleared; code: string; arguments: Readonly<Record<string, unknown>> }[] = [
  // Meitrack GPRS protocol V1.8, F09: 3 is what waits for SMS and for GPRS.
  { what: "cache", code: "F09", arguments: { buffer: 3 } },
  // These take lists of what to delete, or forms that differ between models: they are not in the table.
  { what: "phones", code: "A71", arguments: {} },
  { what: "listeners", code: "A72", arguments: {} },
  { what: "cards", code: "D14", arguments: {} },
  { what: "pictures", code: "D02", arguments: {} },
];

export type Cleared = "cache" | "phones" | "listeners" | "cards" | "pictures";

/**
 * confirmed: the tracker said so. sent: it was told and has not answered. refused: it said no. waiting: it may still be told.
 * offline: it was not there to be told. unknown: no command for it is known.
 */
export type ClearResult = "confirmed" | "sent" | "refused" | "waiting" | "offline" | "unknown";

const RESULTS: Readonly<Record<CommandRow["state"], ClearResult>> = {
  acked: "confirmed",
  sent: "sent",
  refused: "refused",
  queued: "waiting",
  expired: "offline",
};

/** Commands of a device that are this module's: of those that look the same the newest. */
async function clearing(ctx: Base, accountId: number, deviceId: number): Promise<Map<string, CommandRow>> {
  const reach = { accountId, devices: null };
  const since = ctx.now() - LIMITS.clearingMs;
  const found = new Map<string, CommandRow>();
  for (const row of await listCommands(ctx.db, reach, deviceId, null, LIMITS.pageDefault, ctx.now())) {
    const is = CLEARS.find(
      (clear) => clear.code === row.code && JSON.stringify(clear.arguments) === JSON.stringify(row.arguments),
    );
    if (is !== undefined && row.createdAt >= since && !found.has(row.code)) found.set(row.code, row);
  }
  return found;
}

/**
 * Queues what a tracker is told before its device is erased, once however often it is called. Call it before the device is
 * marked; what no bridge takes within LIMITS.clearTtlMs is over.
 * @returns as clearedTracker()
 */
export async function clearTracker(
  ctx: Base,
  accountId: number,
  deviceId: number,
): Promise<Record<Cleared, ClearResult>> {
  const device = await deviceById(ctx.db, { accountId, devices: null }, deviceId);
  const queued = device === null ? null : await clearing(ctx, accountId, deviceId);
  for (const { code, arguments: given } of CLEARS) {
    if (device === null || queued === null || queued.has(code) || commandOf(code) === undefined) continue;
    const now = ctx.now();
    const open = await openCommands(ctx.db, { accountId, devices: null }, deviceId, now, now - LIMITS.commandReplyMs);
    const used = new Set(open.map(({ identifier }) => identifier));
    const start = ctx.random(1)[0]!;
    const free = Array.from({ length: IDENTIFIERS.count }, (_, i) => identifierAt(start + i));
    const identifier = free.find((each) => !used.has(each)) ?? free[0]!;
    await insertCommand(ctx.db, accountId, {
      ...{ deviceId, code: code as CommandCode, arguments: { ...given }, identifier, createdAt: now },
      frame: encodeCommand({ imei: device.imei, identifier, code, arguments: given }),
      expiresAt: now + LIMITS.clearTtlMs,
    });
  }
  return clearedTracker(ctx, accountId, deviceId);
}

/** What became of it so far, for the receipt. Nothing in it is about a person. */
export async function clearedTracker(
  ctx: Base,
  accountId: number,
  deviceId: number,
): Promise<Record<Cleared, ClearResult>> {
  const found = await clearing(ctx, accountId, deviceId);
  const resultOf = (code: string): ClearResult => {
    if (commandOf(code) === undefined) return "unknown";
    const row = found.get(code);
    return row === undefined ? "offline" : RESULTS[row.state];
  };
  return Object.fromEntries(CLEARS.map(({ what, code }) => [what, resultOf(code)])) as Record<Cleared, ClearResult>;
}

/** Whether nothing more is to come of it by waiting: then the device may go at once. */
export const isOver = (results: Readonly<Record<Cleared, ClearResult>>): boolean =>
  Object.values(results).every((result) => result !== "waiting" && result !== "sent");
