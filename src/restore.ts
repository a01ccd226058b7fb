import { toHex } from "../client/hex.ts";
import { entryHash } from "../client/receipt.ts";
import type { Base, Config } from "./context.ts";
import { beforeCorrection } from "./corrections.ts";
import { purgeWrapped } from "./customer-sealed.ts";
import { STORES } from "./erasure.ts";
import type { ErasureScope } from "./erasure-scope.ts";
import { dropLost } from "./held-parts.ts";
import { repeatHeld } from "./kept-holds.ts";
import { hear, repeatRequests, type Told, toldBy } from "./kept-requests.ts";
import { FIRST, nextEntry } from "./ledger.ts";
import { bringMirror, lacking, type MirrorHead, mirroredEntries, mirrorHead, restored } from "./ledger-mirror.ts";
import { LIMITS } from "./limits.ts";
import { open } from "./seal.ts";
import { unopened } from "./sealed-fields.ts";
import { settle, tidy } from "./settle.ts";
import { silence } from "./silenced.ts";
import { freezeAccount, freezeDevices, trackersOf } from "./store/erasure.ts";
import * as ledger from "./store/ledger.ts";
import { readFixes, type StoredFix, writeFixes } from "./store/newest.ts";
import { replaceNewestStatement } from "./store/purge.ts";
import * as store from "./store/restore.ts";
import { replaceRows, type SealedRow, sealedIds, sealedRows, sealedTexts } from "./store/rotate-own.ts";
import { assertErasing, emptyLog } from "./store/scrub.ts";
import { SEALED, type SealedTable } from "./store/sealed.ts";
import { allTelemetry, type Telemetry } from "./telemetry.ts";
import { bury } from "./tombstones.ts";
import { markAllTracks, markTracks, restoredTracks } from "./track-marks.ts";
import { readObject } from "./vault-copies.ts";
import { accountName, type KeyObject, unavailable } from "./vault-object.ts";
import { accountObjects } from "./vault-upkeep.ts";

// A database that is put back as it was some time ago has rows that were erased since. The key store is not put back with
// it, and knows better: it has the ledger's mirror, by which such a database is noticed, and it does not have the secrets
// of what was erased, by which its rows are found. Until they are gone again nobody is served and nothing is taken.
//
// Nothing of those rows opens at any time. What else is lost with a restore: what was resealed after it under new secrets,
// as their old ones were destroyed with what was erased beside it.

interface State {
  /** When it was last looked at, Unix ms. */
  at: number;
  current: boolean;
  replaying: boolean;
}
/** Of each isolate. */
const STATES = new WeakMap<Config, State>();

/**
 * Lets nobody in while the database, or one with tracks, is older than the ledger; the replay is begun then, and goes on in the job.
 * @throws {AppError} unavailable
 */
export async function requireCurrent(ctx: Base): Promise<void> {
  const now = ctx.now();
  const known = STATES.get(ctx.config);
  if (known !== undefined && now >= known.at) {
    const everyMs = known.current ? LIMITS.currentEveryMs : LIMITS.restoredEveryMs;
    if (now - known.at < everyMs && known.current) return;
    if (now - known.at < everyMs) throw restored();
    // Others go by what was found a moment ago, while one looks.
    if (known.current) known.at = now;
  }
  let behind: boolean;
  try {
    behind = (await lacking(ctx)) !== null || (await restoredTracks(ctx)).length > 0;
  } catch (error) {
    // Nothing opens without the key store. Who was let in before is not turned away by what may be over in a moment.
    if (known?.current) return;
    throw error;
  }
  const state: State = { at: now, current: !behind, replaying: known?.replaying ?? false };
  STATES.set(ctx.config, state);
  if (!behind) return;
  if (!state.replaying) {
    state.replaying = true;
    ctx.log.error("database.restored");
    ctx.defer(
      replay(ctx).finally(() => {
        const last = STATES.get(ctx.config);
        if (last !== undefined) STATES.set(ctx.config, { ...last, replaying: false, at: Number.NEGATIVE_INFINITY });
      }),
    );
  }
  throw restored();
}

/** How far a replay is. It holds only as long as the mirror is what it was. */
interface Progress {
  size: number;
  after: number;
  gone: Counts;
}
const COUNTED = ["accounts", "devices", "segments", "newest", "fields"] as const;
type Counts = Record<(typeof COUNTED)[number], number>;

/**
 * Brings a database that was restored up to the ledger: deletes once more what the key store says is gone, then puts the
 * entries back. May be stopped anywhere, run twice and run beside itself: the entries come back last.
 * @returns rows that went; 0 where nothing was to do, or something is left for the next run
 */
export async function replay(ctx: Base): Promise<number> {
  await repairTracks(ctx);
  const head = await lacking(ctx);
  if (head === null) return 0;
  const begin = ctx.now();
  await assertErasing(ctx.db);
  const known = JSON.parse((await store.readProgress(ctx.db)) ?? "null") as Progress | null;
  const gone: Counts = { accounts: 0, devices: 0, segments: 0, newest: 0, fields: 0 };
  const progress = known?.size === head.size ? known : { size: head.size, after: 0, gone };
  if (progress.after === 0) await prepare(ctx, head);
  for (;;) {
    const some = await nextAccounts(allTelemetry(ctx), progress.after);
    for (const accountId of some) await repeatErasure(ctx, accountId, allTelemetry(ctx), progress.gone);
    const last = some.at(-1);
    if (last === undefined) break;
    progress.after = last;
    await store.writeProgress(ctx.db, JSON.stringify(progress), ctx.now());
    if (ctx.now() - begin >= LIMITS.replayRunMs) return 0;
  }
  await dropLost(ctx);
  await purgeWrapped(ctx);
  for (const { db } of allTelemetry(ctx)) await emptyLog(db);
  await putBack(ctx, head, progress.gone);
  for (const telemetry of allTelemetry(ctx)) await emptyLog(telemetry.db);
  const rows = Object.values(progress.gone).reduce((sum, count) => sum + count, 0);
  ctx.log.warn("database.replayed", { size: head.size, ...progress.gone });
  return rows;
}

/**
 * Requests are as the ledger says, and holds as they were, with what they keep; what waits is settled, or dropped where its keys are gone; and no number that the key
 * store knows is given out again.
 */
async function prepare(ctx: Base, head: MirrorHead): Promise<void> {
  const again = await repeatRequests(ctx, await toldOf(ctx, head));
  if (again > 0) ctx.log.warn("requests.reopened", { rows: again });
  await repeatHeld(ctx);
  for (const telemetry of allTelemetry(ctx)) {
    await settle(ctx, telemetry, { all: true });
    await tidy(ctx, telemetry);
  }
  const least = { accounts: 0, devices: 0 };
  for await (const { accountId, object } of accountObjects(ctx)) {
    least.accounts = Math.max(least.accounts, accountId);
    for (const id of object.erased) least.devices = Math.max(least.devices, id);
    for (const { kind, of } of object.secrets) if (kind === "device") least.devices = Math.max(least.devices, of);
  }
  await store.raiseSequences(ctx.db, least);
}

/** What the mirror says of requests, and what of it the database does not have. */
async function toldOf(ctx: Base, head: MirrorHead): Promise<Told> {
  const told = toldBy();
  for (let chunk = 0; chunk * LIMITS.ledgerChunk < head.size; chunk++) {
    const from = chunk * LIMITS.ledgerChunk + 1;
    const rows = await ledger.entriesFrom(ctx.db, from, LIMITS.ledgerChunk);
    const there = new Set(rows.map(({ entry }) => entry));
    for (const entry of await mirroredEntries(ctx, chunk, head.size)) hear(told, entry, !there.has(entry));
  }
  return told;
}

async function nextAccounts(databases: readonly Telemetry[], after: number): Promise<number[]> {
  const limit = LIMITS.replayAccounts;
  const found = await Promise.all(databases.map(({ db, main }) => store.accountsHere(db, main, after, limit)));
  return [...new Set(found.flat())].sort((a, b) => a - b).slice(0, limit);
}

/** Deletes what of an account is there although its secret is not. */
async function repeatErasure(
  ctx: Base,
  accountId: number,
  databases: readonly Telemetry[],
  gone: Counts,
): Promise<void> {
  const object = await readObject(ctx, accountName(accountId), true);
  // It never had a secret, so none was destroyed.
  if (object === null) return;
  if (object.gone) {
    await freezeAccount(ctx.db, accountId, ctx.now());
    await erase(ctx, accountId, { kind: "account" });
    gone.accounts += 1;
    return;
  }
  const devices = await store.devicesHere(ctx.db, accountId, object.erased);
  if (devices.length > 0) {
    await silence(ctx, await trackersOf(ctx.db, accountId, devices));
    for (const id of devices) await bury(ctx, accountId, id, null, null);
    // What they were called opens with the account's own secret.
    await beforeCorrection(ctx, accountId);
    await freezeDevices(ctx.db, accountId, devices, ctx.now());
    await erase(ctx, accountId, { kind: "devices", devices });
    gone.devices += devices.length;
  }
  for (const telemetry of databases) await eraseLost(telemetry, accountId, object, gone);
  gone.fields += await emptyLost(ctx, accountId);
}

/** As the engine does, in every store that it knows. */
async function erase(ctx: Base, accountId: number, scope: ErasureScope): Promise<void> {
  const job = { id: 0, name: "", accountId, userId: null, scope, frozenAt: ctx.now() };
  for (const eraser of STORES.filter((one) => one.applies(scope))) {
    const { done } = await eraser.purge(ctx, job, { left: LIMITS.erasureStatements });
    if (!done) throw unavailable("Something of what was erased is left, and goes with the next run");
  }
}

/** Segments and newest fixes of which the day or the device has no secret any more. */
async function eraseLost({ db }: Telemetry, accountId: number, object: KeyObject, gone: Counts): Promise<void> {
  const kids = new Set(object.secrets.map(({ kid }) => kid));
  // What only the customer can open does so although the device's secret is gone (vault-segments.ts).
  const halves = new Set(
    object.secrets.flatMap(({ kind, of, scope }) => (kind === "share" ? [`${of} ${scope.split(" ")[1]}`] : [])),
  );
  const lost = (await store.segmentKids(db, accountId)).filter((kid) => !kids.has(kid));
  for (let deleted = lost.length === 0 ? 0 : LIMITS.deleteSegments; deleted === LIMITS.deleteSegments; ) {
    deleted = await store.deleteSegmentsUnder(db, accountId, lost, [...halves], LIMITS.deleteSegments);
    gone.segments += deleted;
  }
  for (const { id, fixes: before } of await store.newestOf(db, accountId)) {
    const fixes = readFixes(before);
    const isTheirs = ({ dayKid, deviceKid, customerKid }: StoredFix) =>
      customerKid !== null && halves.has(`${dayKid} ${deviceKid}`);
    const kept = fixes.filter((fix) => kids.has(fix.dayKid) && (kids.has(fix.deviceKid) || isTheirs(fix)));
    if (kept.length === fixes.length) continue;
    await db.$client.execute(replaceNewestStatement(id, before, writeFixes(kept)));
    gone.newest += fixes.length - kept.length;
  }
}

/** Fields of people that nobody can open: emptied, or their row goes. @returns fields */
async function emptyLost(ctx: Base, accountId: number): Promise<number> {
  let fields = 0;
  for (const table of Object.keys(SEALED) as SealedTable[]) {
    const ids = await sealedIds(ctx.db, table, accountId);
    for (let at = 0; at < ids.length; at += LIMITS.sealRows) {
      const rows = await sealedRows(ctx.db, table, accountId, ids.slice(at, at + LIMITS.sealRows));
      for (const row of rows) fields += await emptyRow(ctx, table, accountId, row);
    }
  }
  for (const { kind, id, bound, sealed } of await sealedTexts(ctx.db, accountId)) {
    const purpose = kind === "tokens" ? "token" : "mail";
    if (await open(ctx, purpose, bound, sealed, accountId).catch(() => null)) continue;
    await store.deleteText(ctx.db, kind, id);
    fields += 1;
  }
  return fields;
}

async function emptyRow(ctx: Base, table: SealedTable, accountId: number, row: SealedRow): Promise<number> {
  const columns = await unopened(ctx, table, accountId, row.values);
  if (columns.length === 0) return 0;
  const what = store.whatToEmpty(table, columns);
  if (what === "delete") {
    await store.deleteSealedRow(ctx.db, table, row.rowid);
    return columns.length;
  }
  const anew: Record<string, unknown> = {};
  for (const column of [...what.empty, ...store.indexesOf(table, what.empty)]) anew[column] = null;
  const blank = Object.fromEntries(what.fill.map((column) => [column, ""]));
  const sealed: Record<string, unknown> = await ctx.db.$fields.seal(table, accountId, blank);
  // By its index a device is still known to ingest, and a person to sign-in: they can say anew what they are called.
  for (const column of what.fill) anew[column] = sealed[column];
  await replaceRows(ctx.db, table, [{ row, anew }]);
  return columns.length;
}

/** Puts the mirror's entries back, and one that says what was done. */
async function putBack(ctx: Base, head: MirrorHead, gone: Counts): Promise<void> {
  let prev = FIRST;
  let last: ledger.LedgerRow | null = null;
  for (let chunk = 0; chunk * LIMITS.ledgerChunk < head.size; chunk++) {
    const from = chunk * LIMITS.ledgerChunk + 1;
    const there = new Map((await ledger.entriesFrom(ctx.db, from, LIMITS.ledgerChunk)).map((row) => [row.seq, row]));
    const missing: ledger.LedgerRow[] = [];
    for (const entry of await mirroredEntries(ctx, chunk, head.size)) {
      const value = JSON.parse(entry) as { seq: number; at: number; type: string; prev: string };
      if (value.prev !== prev) throw unavailable("The ledger's mirror does not fit together");
      last = { seq: value.seq, at: value.at, type: value.type, entry, hash: await entryHash(entry) };
      prev = toHex(last.hash);
      const known = there.get(value.seq);
      if (known?.entry === entry && toHex(known.hash) === prev) continue;
      if (known !== undefined) {
        // What was added to the restored database before it was noticed.
        ctx.log.error("ledger.undone", { entries: await store.forgetEntries(ctx.db, value.seq) });
        there.clear();
      }
      missing.push(last);
    }
    const isEnd = from + LIMITS.ledgerChunk > head.size;
    if (isEnd && prev !== head.hash) throw unavailable("The ledger's mirror does not fit together");
    if (isEnd) {
      const stores = COUNTED.map((name) => ({ name, found: gone[name], erased: gone[name], ok: true }));
      const fields = { stores, scopeClass: "installation", result: "done", actorRole: "job" } as const;
      missing.push(await nextEntry(ctx, last, "restore_replayed", fields));
    }
    await store.putBack(ctx.db, missing, isEnd);
  }
  await bringMirror(ctx);
}

/** The rows of databases with tracks alone that were restored are deleted again. */
async function repairTracks(ctx: Base): Promise<void> {
  const head = await mirrorHead(ctx);
  for (const telemetry of head === null ? [] : await restoredTracks(ctx)) {
    ctx.log.error("telemetry.restored", { database: telemetry.name });
    await settle(ctx, telemetry, { all: true });
    await tidy(ctx, telemetry);
    await repeatTracks(ctx, telemetry);
    await markTracks(ctx, telemetry, head!);
  }
  await markAllTracks(ctx);
}

async function repeatTracks(ctx: Base, telemetry: Telemetry): Promise<void> {
  const gone: Counts = { accounts: 0, devices: 0, segments: 0, newest: 0, fields: 0 };
  await assertErasing(telemetry.db);
  for (let after = 0; ; ) {
    const some = await nextAccounts([telemetry], after);
    const last = some.at(-1);
    if (last === undefined) break;
    for (const accountId of some) {
      const object = await readObject(ctx, accountName(accountId), true);
      if (object?.gone) await erase(ctx, accountId, { kind: "account" });
      else if (object !== null) await eraseLost(telemetry, accountId, object, gone);
    }
    after = last;
  }
  await purgeWrapped(ctx);
  await emptyLog(telemetry.db);
}
