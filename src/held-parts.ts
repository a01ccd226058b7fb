import type { Base, Ctx, UserPrincipal } from "./context.ts";
import type { ErasureScope } from "./erasure-scope.ts";
import { AppError } from "./errors.ts";
import { archive, EXPORT_CATEGORIES, type ExportScope } from "./export-archive.ts";
import { signature } from "./exports.ts";
import { partOf } from "./inbox.ts";
import { appendLedger } from "./ledger.ts";
import { LIMITS } from "./limits.ts";
import { drainPart } from "./settle.ts";
import { isStatute, STATUTES } from "./statutes.ts";
import * as store from "./store/held-parts.ts";
import { assertErasing, emptyLog } from "./store/scrub.ts";
import { telemetryFor } from "./telemetry.ts";
import { deletePieces, destroyHeldKeys, heldKey, keepPart, newHeldKey, pieceOf, putPiece } from "./vault-held.ts";
import { unavailable } from "./vault-object.ts";
import { type ZipFile, zip } from "./zip.ts";

// What a hold, a law or an obligation keeps from being erased. It is not left where it is, among what people and their
// programs read: before it goes, it is copied, as an export of exactly that, under a secret of its own. Everything else is
// then done as ever, in every store, and nothing but this module reads the copy. With its reason the copy's secret goes,
// then its rows, and the request that left it is finished.

const DAY_MS = 86_400_000;

/** What is about to go: of an erasure its scope; or a stretch of some devices' tracks, as its period ends. */
type Going = ErasureScope | { kind: "stretch"; devices: number[]; from: number; to: number };

/** What is about to go, and by what. */
export interface Threat {
  accountId: number;
  scope: Going;
  /** "request:<id>", "device:<id>", "day:<days since 1970>:<whose period>" */
  cause: string;
  requestId: number | null;
}

/** A copy that has to be made. */
interface Wanted extends store.PartOf {
  /** Unix ms; null: as long as its hold. */
  until: number | null;
  files(ctx: Ctx, alive: () => Promise<void>): AsyncIterable<ZipFile>;
}

const SEALED_IN = { name: "AES-GCM", ivBytes: 12 } as const;

/** Whether something of an account must be kept, so that it is worth looking closer. */
export async function isKept(ctx: Base, accountId: number): Promise<boolean> {
  const { holds, statutes, obligations } = await store.groundsOf(ctx.db, accountId, ctx.now());
  return holds.length + statutes.length + obligations.length > 0;
}

/** Of some devices those under a hold: what their trackers have not delivered is not to be deleted, either. */
export async function devicesOnHold(ctx: Base, accountId: number, deviceIds: readonly number[]): Promise<Set<number>> {
  const { holds } = await store.groundsOf(ctx.db, accountId, ctx.now());
  const held = holds.flatMap(({ scope }) => tracksIn(JSON.parse(scope) as ErasureScope) ?? []);
  return new Set(deviceIds.filter((id) => held.some(({ devices }) => devices?.includes(id) ?? true)));
}

/**
 * To be called before devices are marked: what waits to be sorted would be dropped with them, and not be copied.
 * @returns false when somebody else is at it: ask again
 */
export async function settleKept(ctx: Base, accountId: number): Promise<boolean> {
  if (!(await isKept(ctx, accountId))) return true;
  return drainPart(ctx, await telemetryFor(ctx, accountId), partOf(accountId));
}

/**
 * Copies what must be kept of what is about to go. May be stopped anywhere and run again: what is whole is not made anew.
 * @param alive throws when somebody else has taken over
 * @returns the time up to which holds were looked at
 */
export async function keep(ctx: Base, threat: Threat, alive: () => Promise<void> = async () => {}): Promise<number> {
  const at = ctx.now();
  for (const wanted of await wantedOf(ctx, threat, at)) await copy(ctx, threat, wanted, alive);
  return at;
}

async function wantedOf(ctx: Base, threat: Threat, now: number): Promise<Wanted[]> {
  const { accountId, cause, scope } = threat;
  const { holds, statutes, obligations } = await store.groundsOf(ctx.db, accountId, now);
  const wanted: Wanted[] = [];
  for (const { id, basis, scope: held } of holds) {
    const both = within(JSON.parse(held) as ErasureScope, scope);
    if (both === null) continue;
    const of = { accountId, reason: "hold", basis, holdId: id, cause, item: 0 } as const;
    wanted.push({ ...of, until: null, files: (of, alive) => exported(of, accountId, both, alive) });
  }
  for (const name of statutes) if (isStatute(name)) wanted.push(...(await ofStatute(ctx, threat, name, now)));
  if (scope.kind !== "account") return wanted;
  for (const { id, expiresAt, ...owed } of obligations) {
    const of = { accountId, reason: "obligation", basis: owed.basis, holdId: 0, cause, item: id } as const;
    const bytes = new TextEncoder().encode(`${JSON.stringify({ ...owed, expiresAt }, null, 1)}\n`);
    wanted.push({ ...of, until: expiresAt, files: () => oneFile("obligation.json", bytes) });
  }
  return wanted;
}

async function* oneFile(name: string, bytes: Uint8Array): AsyncGenerator<ZipFile> {
  yield {
    name,
    bytes: (async function* () {
      yield bytes;
    })(),
  };
}

/** The days of positions that a law wants kept longer than they now are. */
async function ofStatute(
  ctx: Base,
  { accountId, cause, scope }: Threat,
  name: keyof typeof STATUTES,
  now: number,
): Promise<Wanted[]> {
  const threatened = within({ kind: "tracks" }, scope);
  if (threatened === null) return [];
  const { devices = null, from = 0, to = LIMITS.timeMs } = threatened;
  const { db } = await telemetryFor(ctx, accountId);
  const days = await store.daysOf(db, accountId, devices);
  return days.flatMap((day): Wanted[] => {
    const [begin, end] = [Math.max(from, day * DAY_MS), Math.min(to, (day + 1) * DAY_MS)];
    const until = (day + 1) * DAY_MS + STATUTES[name].days * DAY_MS;
    if (begin >= end || until <= now) return [];
    const of = { accountId, reason: "statute", basis: name, holdId: 0, cause, item: day } as const;
    const only: ExportScope = { ...threatened, from: begin, to: end };
    return [{ ...of, until, files: (of, alive) => exported(of, accountId, only, alive) }];
  });
}

const OF_TRACKS = ["location", "device"] as const;

/** What of a hold is about to go, as an export would be asked for; null: nothing. */
function within(held: ErasureScope, gone: Going): ExportScope | null {
  const [kept, going] = [tracksIn(held), tracksIn(gone)];
  if (held.kind === "account" && gone.kind === "account") return {};
  if (going === null) {
    // Of the account's own rows, without its tracks.
    return held.kind === "account" ? { categories: EXPORT_CATEGORIES.filter((each) => each !== "location") } : null;
  }
  if (kept === null) return null;
  const from = Math.max(kept.from, going.from);
  const to = Math.min(kept.to, going.to);
  const devices =
    kept.devices === null ? going.devices : kept.devices.filter((id) => going.devices?.includes(id) ?? true);
  if (from >= to || devices?.length === 0) return null;
  return {
    ...(devices !== null && { devices }),
    ...(from > -LIMITS.timeMs && { from }),
    ...(to < LIMITS.timeMs && { to }),
    categories: OF_TRACKS,
  };
}

/** Of which devices and when a scope has positions; null: of none. */
function tracksIn(scope: Going): { devices: readonly number[] | null; from: number; to: number } | null {
  const all = { from: -LIMITS.timeMs, to: LIMITS.timeMs };
  switch (scope.kind) {
    case "account":
    case "tracks":
      return { devices: null, ...all };
    case "devices":
      return { devices: scope.devices, ...all };
    case "stretch":
      return scope;
    case "range":
      return { devices: [scope.device], from: scope.from, to: scope.to };
    default:
      return null;
  }
}

/** As an export has it, but of what is frozen, too, and of everybody; as JSON Lines, and as it was stored. */
function exported(ctx: Ctx, accountId: number, scope: ExportScope, alive: () => Promise<void>) {
  const me = {
    accountId,
    userId: 0,
    role: "owner",
    devices: scope.devices ?? null,
  } as const satisfies Partial<UserPrincipal>;
  const formats = { formats: ["jsonl", "blocks"] } as const;
  return archive(ctx, me, scope, alive, (manifest) => signature(ctx, manifest), undefined, formats);
}

/** Whoever copies acts for the account, and for no person. */
function asPlatform(ctx: Base, accountId: number): Ctx {
  const principal = { kind: "key", accountId, keyId: 0, scope: "read", devices: null, standing: "closing" } as const;
  return { ...ctx, requestId: "job", principal, client: { origin: "", address: "-", userAgent: "" } };
}

async function copy(ctx: Base, threat: Threat, wanted: Wanted, alive: () => Promise<void>): Promise<void> {
  const { accountId, reason, basis, holdId, cause, item, until } = wanted;
  const { requestId } = threat;
  const { id, madeAt, complete } = await store.beginPart(ctx.db, wanted, { requestId, until, at: ctx.now() });
  if (complete) return;
  const kid = await newHeldKey(ctx, accountId, id);
  if (typeof kid !== "number") {
    // It was stopped before its last step; or the database was restored a moment ago, and gives a number anew.
    if (kid.madeAt !== madeAt || kid.cause !== cause) throw unavailable("What must be kept is not told apart yet");
    return store.endPart(ctx.db, id, { kid: kid.kid, bytes: kid.bytes, at: ctx.now() });
  }
  const key = await heldKey(ctx, accountId, kid);
  if (key === null) throw unavailable("Somebody else is copying this, too");
  let [seq, bytes] = [0, 0];
  for await (const piece of piecesOf(zip(wanted.files(asPlatform(ctx, accountId), alive), ctx.now()))) {
    await alive();
    await putPiece(ctx, kid, seq, await sealPiece(ctx, key, id, seq, piece));
    bytes += piece.length;
    seq += 1;
  }
  await alive();
  const request = requestId === null ? null : await store.nameOfRequest(ctx.db, requestId);
  await keepPart(ctx, accountId, { id, reason, basis, holdId, cause, item, request, kid, until, bytes, madeAt });
  await store.endPart(ctx.db, id, { kid, bytes, at: ctx.now() });
}

async function* piecesOf(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  let whole = new Uint8Array(LIMITS.heldPieceBytes);
  let used = 0;
  for await (const some of bytes) {
    for (let at = 0; at < some.length; ) {
      const taken = Math.min(some.length - at, whole.length - used);
      whole.set(some.subarray(at, at + taken), used);
      at += taken;
      used += taken;
      if (used < whole.length) continue;
      yield whole;
      whole = new Uint8Array(LIMITS.heldPieceBytes);
      used = 0;
    }
  }
  if (used > 0) yield whole.subarray(0, used);
}

const boundTo = (partId: number, seq: number) => new TextEncoder().encode(`held|${partId}|${seq}`);

async function sealPiece(ctx: Base, key: CryptoKey, partId: number, seq: number, piece: Uint8Array<ArrayBuffer>) {
  const iv = ctx.random(SEALED_IN.ivBytes) as Uint8Array<ArrayBuffer>;
  const algorithm = { name: SEALED_IN.name, iv, additionalData: boundTo(partId, seq) };
  const sealed = new Uint8Array(await crypto.subtle.encrypt(algorithm, key, piece));
  const both = new Uint8Array(iv.length + sealed.length);
  both.set(iv);
  both.set(sealed, iv.length);
  return both;
}

/**
 * What is kept, opened: a ZIP. Who may read it, and that they did, is the caller's to see to.
 * @throws {AppError} not_found
 */
export async function heldArchive(ctx: Base, partId: number): Promise<ReadableStream<Uint8Array>> {
  const part = await store.partById(ctx.db, partId);
  const key = part === null ? null : await heldKey(ctx, part.accountId, part.kid);
  if (part === null || key === null) throw new AppError("not_found", "Nothing is held under this number");
  let [seq, left] = [0, part.bytes];
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const sealed = left === 0 ? null : await pieceOf(ctx, part.kid, seq);
        // Released while it was read: cut off, and not a shorter file that looks whole.
        if (sealed === null && left > 0) return controller.error(new Error("What was held is not held any more"));
        if (sealed === null) return controller.close();
        const iv = sealed.subarray(0, SEALED_IN.ivBytes);
        const algorithm = { name: SEALED_IN.name, iv, additionalData: boundTo(partId, seq) };
        const opened = await crypto.subtle.decrypt(algorithm, key, sealed.subarray(SEALED_IN.ivBytes));
        seq += 1;
        left -= opened.byteLength;
        controller.enqueue(new Uint8Array(opened));
      },
    },
    { highWaterMark: 0 },
  );
}

/**
 * Copies what must be kept of positions whose period ends, before they go: whole days, the last of which are within it yet
 * for a while. What comes for such a day later than this is not copied.
 * @param devices of an account: whose period it is (Keeping.scope), and before when it has ended
 */
export async function keepDue(
  ctx: Base,
  accountId: number,
  devices: readonly { deviceId: number; scope: string; cutoff: number }[],
): Promise<void> {
  const { db } = await telemetryFor(ctx, accountId);
  for (const [scope, some] of Map.groupBy(devices, ({ scope }) => scope)) {
    const ids = some.map(({ deviceId }) => deviceId);
    const cutoff = Math.max(...some.map(({ cutoff }) => cutoff));
    for (const day of await store.daysOf(db, accountId, ids)) {
      if (day * DAY_MS > cutoff + LIMITS.keepAheadMs) break;
      const stretch = { kind: "stretch", devices: ids, from: day * DAY_MS, to: (day + 1) * DAY_MS } as const;
      await keep(ctx, { accountId, scope: stretch, cause: `day:${day}:${scope}`, requestId: null });
    }
  }
}

/**
 * Brings copies back that a restored database does not know of; call it when its requests and holds are as they were. May
 * be stopped anywhere and run again.
 */
export async function repeatParts(ctx: Base, accountId: number, parts: readonly store.KeptPart[]): Promise<void> {
  for (const part of parts) {
    if (await store.putPartBack(ctx.db, accountId, part)) continue;
    ctx.log.error("held.unknown", { account: accountId, part: part.id });
  }
}

/**
 * Deletes rows of copies that a restored database has brought back although their secrets are gone.
 * @returns rows
 */
export async function dropLost(ctx: Base): Promise<number> {
  let rows = 0;
  for (let before = Number.MAX_SAFE_INTEGER; ; ) {
    const parts = await store.listParts(ctx.db, null, before, LIMITS.heldPartsAStep);
    const lost: number[] = [];
    for (const { id, accountId, kid } of parts) if ((await heldKey(ctx, accountId, kid)) === null) lost.push(id);
    if (lost.length > 0) rows += await store.deleteParts(ctx.db, lost);
    if (parts.length < LIMITS.heldPartsAStep) return rows;
    before = parts.at(-1)!.id;
  }
}

/**
 * Lets go what nothing keeps any more: its secrets, then its rows. The requests that it was left of are then finished by
 * their engine. Safe to stop, repeat and overlap.
 * @returns rows that went
 */
export async function releaseHeld(ctx: Base): Promise<number> {
  let rows = 0;
  for (let run = 0; run < LIMITS.heldReleases; run++) {
    const over = await store.partsOver(ctx.db, ctx.now(), LIMITS.heldPartsAStep);
    if (over.length === 0) break;
    await assertErasing(ctx.db);
    for (const [accountId, parts] of Map.groupBy(over, ({ accountId }) => accountId)) {
      for (const [requestId, ofRequest] of Map.groupBy(parts, ({ requestId }) => requestId)) {
        const ids = ofRequest.map(({ id }) => id);
        const kids = await destroyHeldKeys(ctx, accountId, ids);
        await deletePieces(ctx, kids);
        const request = requestId === null ? null : await store.nameOfRequest(ctx.db, requestId);
        await appendLedger(ctx, "hold_released", { request, kids, actorRole: "job" });
        rows += await store.deleteParts(ctx.db, ids);
      }
    }
    await emptyLog(ctx.db);
  }
  return rows + (await store.purgeHolds(ctx.db, ctx.now() - LIMITS.requestsMs, LIMITS.deleteRows));
}
