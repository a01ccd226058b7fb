import { ENVELOPE_LIMITS, encodeResponse, OUTCOMES, type ResponseParts } from "../codec/envelope.ts";
import { answersOf } from "./answers.ts";
import type { Base } from "./context.ts";
import { AppError } from "./errors.ts";
import { type Batch, BatchReader } from "./ingest-batch.ts";
import { LIMITS } from "./limits.ts";
import { type Registry, registryOf } from "./registry.ts";
import { type Exchange, exchange } from "./store/exchange.ts";
import { storedRows } from "./store/ingest.ts";
import { readRegistry } from "./store/registry.ts";
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
  for (let tries = 0; tries < LIMITS.registryRetries; tries++) {
    const batch = await readKnown(ctx, reader, registry, bridgeId, body);
    const answers = batch.candidates.length === 0 ? [] : await answersOf(ctx, batch.candidates);
    const done = await exchange(ctx.db, {
      ...batch,
      bridgeId,
      answers,
      claims: batch.claims.map((claim) => claim.commandId),
      now: ctx.now(),
      offers: ENVELOPE_LIMITS.offers,
    });
    if (done.version === batch.version) return await respond(ctx, batch, done);
    // A device or a bridge has changed since it was read; nothing was stored.
    if (registry.version !== done.version) registry.restart(done.version);
  }
  throw new AppError("unavailable", "Devices are changing too fast to store this batch", { retryAfterS: 1 });
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
    const batch = reader.read(registry, body, ctx.now());
    if (batch.unread.size === 0 && registry.allows(bridgeId)) return batch;
    const read = await readRegistry(ctx.db, bridgeId, [...batch.unread]);
    if (!read.bridge) throw new AppError("unauthenticated", "This bridge is revoked");
    registry.learn(read, batch.unread);
  }
  throw new AppError("unavailable", "Devices are changing too fast to read this batch", { retryAfterS: 1 });
}

// Most frames get no answer, and need no object of their own.
const UNANSWERED = Object.values(OUTCOMES).map((outcome): FrameAnswer => ({ outcome, reply: null }));

type FrameAnswer = ResponseParts["frames"][number];

async function respond(ctx: Base, batch: Batch, done: Exchange): Promise<Uint8Array> {
  for (const imei of batch.unknown) noteUnclaimed(ctx, imei);
  flushUnclaimed(ctx);
  if (done.inserted !== batch.positions.count) await markDuplicates(ctx, batch, done);
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

/** A frame of which no position was new is a duplicate. It is answered like a stored one: its positions are safe. */
async function markDuplicates(ctx: Base, batch: Batch, done: Exchange): Promise<void> {
  const stored = await storedRows(ctx.db, batch.positions, done.inserted, done.lastId);
  let row = 0;
  for (const [frame, end] of batch.rowEnds.entries()) {
    let fresh = row === end;
    for (; row < end; row++) if (stored[row] === 1) fresh = true;
    if (!fresh) batch.outcomes[frame] = OUTCOMES.duplicate;
  }
}
