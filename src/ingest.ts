import { ENVELOPE_LIMITS, encodeResponse, OUTCOMES, type ResponseParts } from "../codec/envelope.ts";
import type { StoredPositions } from "../codec/segment.ts";
import { answersOf } from "./answers.ts";
import type { Base, Config } from "./context.ts";
import { AppError } from "./errors.ts";
import { sealBatches } from "./inbox.ts";
import { type Batch, BatchReader } from "./ingest-batch.ts";
import { LIMITS } from "./limits.ts";
import { recentOf } from "./recent.ts";
import { type Registry, registryOf } from "./registry.ts";
import { keyInForce, settle } from "./settle.ts";
import { noteSilenced, silencedAmong } from "./silenced.ts";
import { type Exchange, exchange } from "./store/exchange.ts";
import { type Appended, append, readSettlement, type SealedBatch } from "./store/inbox.ts";
import { readRegistry } from "./store/registry.ts";
import { mainTelemetry, type Telemetry, telemetryNamed } from "./telemetry.ts";
import { flushUnclaimed, noteUnclaimed } from "./unclaimed.ts";

/**
 * Takes a batch of frames from a bridge: decodes them, stores their positions in one statement, exchanges commands,
 * and says for each frame what became of it and which bytes to write to its connection. When this returns, everything
 * that it calls stored is committed; delivering a batch again changes nothing.
 * @param bridgeId 0 for the configured bridge
 * @param body a request envelope, codec/envelope.ts
 * @returns the response envelope
 * @throws {CodecError} when the envelope cannot be read; {AppError} unauthenticated when the bridge was revoked,
 *   unavailable when devices change faster than batches are stored
 */
export async function ingest(ctx: Base, bridgeId: number, body: Uint8Array): Promise<Uint8Array> {
  const reader = SPARE.pop() ?? new BatchReader();
  try {
    return await store(ctx, reader, bridgeId, body);
  } finally {
    if (SPARE.length < LIMITS.spareReaders) SPARE.push(reader);
  }
}

// Each request that is under way has a reader of its own.
const SPARE: BatchReader[] = [];

async function store(ctx: Base, reader: BatchReader, bridgeId: number, body: Uint8Array): Promise<Uint8Array> {
  const registry = registryOf(ctx);
  const telemetry = mainTelemetry(ctx);
  /** Answers to commands, and those that a bridge gives back, are written once, also when positions must be sealed again. */
  let isExchanged = false;
  for (let tries = 0; tries < LIMITS.registryRetries; tries++) {
    const batch = await readKnown(ctx, reader, registry, bridgeId, body);
    if (batch.held) {
      // Only what is read anew can say that it is over.
      registry.restart(-1);
      throw new AppError("unavailable", "The tracks of an account are just being moved", { retryAfterS: 1 });
    }
    const candidates = isExchanged ? [] : batch.candidates;
    const answers = candidates.length === 0 ? [] : await answersOf(ctx, candidates);
    const batches = batch.positions.count === 0 ? [] : await sealed(ctx, telemetry, batch.positions);
    const isApart = batch.elsewhere.size > 0;
    const claims = batch.claims.map((claim) => claim.commandId);
    const write = { version: batch.version, bridgeId, now: ctx.now(), offers: ENVELOPE_LIMITS.offers };
    const done = await exchange(ctx.db, {
      ...write,
      batches,
      answers,
      releases: isExchanged ? [] : batch.releases,
      // Of a try whose positions were not stored none is claimed: the next one may fail, and nobody would send it.
      claims: isApart ? [] : claims,
    });
    const { kid } = done.settlement;
    const sameKey = batches.every((sealed) => sealed.kid === kid);
    if (done.version === batch.version) {
      isExchanged = true;
      if (sameKey) {
        recentOf(ctx).add(batch.positions);
        await settleSoon(ctx, telemetry, done, batch.positions);
        if (!isApart) return respond(ctx, batch, done);
        await storeElsewhere(ctx, batch.elsewhere);
        const none = { batches: [], answers: [], releases: [] };
        const { claimed } = claims.length > 0 ? await exchange(ctx.db, { ...write, ...none, claims }) : done;
        return respond(ctx, batch, { ...done, claimed });
      }
    } else if (registry.version !== done.version) registry.restart(done.version);
    // A device or a bridge has changed since it was read, or the inbox has another key by now; no position was stored.
    if (!sameKey) inboxesOf(ctx).delete(telemetry.name);
  }
  throw new AppError("unavailable", "Devices are changing too fast to store this batch", { retryAfterS: 1 });
}

// A batch for several databases is no transaction. First comes the one with the accounts, as its write tells that the
// registry is as it was read: an old view of it stores nothing. Then the others, each of which takes nothing for an account
// that is not placed there, whoever believes so. If one of them fails, the whole request does, and the bridge repeats it:
// what the others have stored by then are duplicates. Commands are claimed last, as they cannot be claimed twice.
// A device may be removed between the two writes: settling drops what is of no device. An account cannot be moved away
// between them: its database takes nothing for it any more from when the last of it is copied.

async function storeElsewhere(ctx: Base, elsewhere: Batch["elsewhere"]): Promise<void> {
  const results = await Promise.allSettled(
    [...elsewhere].map(([name, { positions, accounts }]) =>
      positions.count === 0 ? null : storeIn(ctx, telemetryNamed(ctx, name), positions, [...accounts]),
    ),
  );
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

async function storeIn(
  ctx: Base,
  telemetry: Telemetry,
  positions: StoredPositions,
  accounts: readonly number[],
): Promise<void> {
  const { name, db } = telemetry;
  const unavailable = new AppError("unavailable", "A database with tracks does not take them", { retryAfterS: 5 });
  for (let tries = 0; tries < LIMITS.registryRetries; tries++) {
    const batches = await sealed(ctx, telemetry, positions).catch(failure(ctx, name, unavailable));
    const done: Appended = await append(db, batches, accounts).catch(failure(ctx, name, unavailable));
    if (done.refused) {
      ctx.log.error("telemetry.refused", { database: name });
      throw unavailable;
    }
    if (batches.every(({ kid }) => kid === done.settlement.kid)) {
      recentOf(ctx).add(positions);
      await settleSoon(ctx, telemetry, done, positions);
      return;
    }
    inboxesOf(ctx).delete(name);
  }
  throw unavailable;
}

const failure = (ctx: Base, database: string, answer: AppError) => (error: unknown) => {
  ctx.log.error("telemetry.failed", { database }, error);
  throw answer;
};

interface Inbox {
  /** The key as this isolate knows it; one that is old is refused by the write. */
  kid: number;
  key: CryptoKey;
}

const INBOXES = new WeakMap<Config, Map<string, Inbox>>();

function inboxesOf(ctx: Base): Map<string, Inbox> {
  let inboxes = INBOXES.get(ctx.config);
  if (inboxes === undefined) {
    inboxes = new Map();
    INBOXES.set(ctx.config, inboxes);
  }
  return inboxes;
}

async function sealed(ctx: Base, telemetry: Telemetry, positions: StoredPositions): Promise<SealedBatch[]> {
  let inForce = inboxesOf(ctx).get(telemetry.name);
  if (inForce === undefined) {
    inForce = await keyInForce(ctx, telemetry);
    inboxesOf(ctx).set(telemetry.name, inForce);
  }
  return sealBatches(ctx, telemetry, positions, inForce.kid, inForce.key);
}

/** Reads the batch; again when it needs something of the registry that this isolate had not read. */
async function readKnown(
  ctx: Base,
  reader: BatchReader,
  registry: Registry,
  bridgeId: number,
  body: Uint8Array,
): Promise<Batch> {
  for (let tries = 0; tries < LIMITS.registryRetries; tries++) {
    const batch = reader.read(registry, recentOf(ctx), body, ctx.now());
    if (batch.unread.size === 0 && registry.allows(bridgeId)) return batch;
    const read = await readRegistry(ctx.db, bridgeId, [...batch.unread]);
    if (!read.bridge) throw new AppError("unauthenticated", "This bridge is revoked");
    const known = new Set(read.devices.map(({ imei }) => imei));
    const strangers = [...batch.unread].filter((imei) => !known.has(imei));
    registry.learn(read, batch.unread, await silencedAmong(ctx, strangers, read.silenced));
  }
  throw new AppError("unavailable", "Devices are changing too fast to read this batch", { retryAfterS: 1 });
}

// Most frames get no answer, and need no object of their own.
const UNANSWERED = Object.values(OUTCOMES).map((outcome): FrameAnswer => ({ outcome, reply: null }));

type FrameAnswer = ResponseParts["frames"][number];

function respond(ctx: Base, batch: Batch, done: Exchange): Uint8Array {
  for (const imei of batch.unknown) noteUnclaimed(ctx, imei);
  noteSilenced(ctx, batch.silenced);
  flushUnclaimed(ctx);
  const downlinks = [];
  for (const { commandId, connection } of batch.claims) {
    const bytes = done.claimed.get(commandId);
    if (bytes === undefined) continue;
    downlinks.push({ commandId, connection, bytes });
    done.claimed.delete(commandId);
  }
  const frames = batch.outcomes.map((outcome) => UNANSWERED[outcome]);
  for (const [frame, reply] of batch.replies) frames[frame] = { outcome: batch.outcomes[frame], reply };
  return encodeResponse({ frames, downlinks, offers: done.offers });
}

/** Positions, by their weight, that this isolate has appended to a database since it last settled it. */
const APPENDED = new WeakMap<Config, Map<string, number>>();

/** Settles after the response when enough waits. The job settles what waits long. */
async function settleSoon(
  ctx: Base,
  telemetry: Telemetry,
  { lastBatch, settlement }: Pick<Exchange, "lastBatch" | "settlement">,
  positions: StoredPositions,
): Promise<void> {
  let counts = APPENDED.get(ctx.config);
  if (counts === undefined) {
    counts = new Map();
    APPENDED.set(ctx.config, counts);
  }
  // Long texts and unreadable parts of frames count by their bytes: readers of the inbox have to read them too.
  const weight = positions.count + (positions.table.tailUsed * LIMITS.mergePositions) / LIMITS.mergeBytes;
  const appended = (counts.get(telemetry.name) ?? 0) + weight;
  const waiting = lastBatch - settlement.merged;
  const due = waiting >= LIMITS.mergeBatches || appended >= LIMITS.mergePositions;
  counts.set(telemetry.name, due ? 0 : appended);
  if (due) ctx.defer(settle(ctx, telemetry));
  if (waiting > LIMITS.inboxBatches) await mergedUpTo(ctx, telemetry, lastBatch - LIMITS.inboxBatches);
}

/**
 * Readers pay for what waits, and a bridge that waits for its answer brings nothing more. Where merging fails the
 * positions are stored all the same.
 */
async function mergedUpTo(ctx: Base, { name, db }: Telemetry, batch: number): Promise<void> {
  try {
    for (let waits = 0; waits < LIMITS.inboxWaits; waits++) {
      await new Promise((resolve) => setTimeout(resolve, LIMITS.inboxWaitMs));
      if ((await readSettlement(db)).merged >= batch) return;
    }
    ctx.log.warn("inbox.behind", { database: name });
  } catch (error) {
    ctx.log.error("inbox.behind", { database: name }, error);
  }
}
