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
import { type Exchange, exchange } from "./store/exchange.ts";
import type { SealedBatch } from "./store/inbox.ts";
import { readRegistry } from "./store/registry.ts";
import { mainTelemetry, type Telemetry } from "./telemetry.ts";
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
  /** What came of the commands: they are exchanged once, also when the positions must be sealed again. */
  let commands: Exchange | null = null;
  for (let tries = 0; tries < LIMITS.registryRetries; tries++) {
    const batch = await readKnown(ctx, reader, registry, bridgeId, body);
    const candidates = commands === null ? batch.candidates : [];
    const answers = candidates.length === 0 ? [] : await answersOf(ctx, candidates);
    const batches = batch.positions.count === 0 ? [] : await sealed(ctx, telemetry, batch.positions);
    const done = await exchange(ctx.db, {
      version: batch.version,
      bridgeId,
      batches,
      answers,
      releases: commands === null ? batch.releases : [],
      claims: commands === null ? batch.claims.map((claim) => claim.commandId) : [],
      now: ctx.now(),
      offers: ENVELOPE_LIMITS.offers,
    });
    const { kid } = done.settlement;
    const sameKey = batches.every((sealed) => sealed.kid === kid);
    if (done.version === batch.version) {
      commands ??= done;
      if (sameKey) return respond(ctx, batch, commands, done);
    } else if (registry.version !== done.version) registry.restart(done.version);
    // A device or a bridge has changed since it was read, or the inbox has another key by now; no position was stored.
    if (!sameKey) KEYS.delete(ctx.config);
  }
  throw new AppError("unavailable", "Devices are changing too fast to store this batch", { retryAfterS: 1 });
}

/** The key of the inbox as this isolate knows it; one that is old is refused by the write. */
const KEYS = new WeakMap<Config, { kid: number; key: CryptoKey }>();

async function sealed(ctx: Base, telemetry: Telemetry, positions: StoredPositions): Promise<SealedBatch[]> {
  let inForce = KEYS.get(ctx.config);
  if (inForce === undefined) {
    inForce = await keyInForce(ctx, telemetry);
    KEYS.set(ctx.config, inForce);
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
    registry.learn(read, batch.unread);
  }
  throw new AppError("unavailable", "Devices are changing too fast to read this batch", { retryAfterS: 1 });
}

// Most frames get no answer, and need no object of their own.
const UNANSWERED = Object.values(OUTCOMES).map((outcome): FrameAnswer => ({ outcome, reply: null }));

type FrameAnswer = ResponseParts["frames"][number];

function respond(ctx: Base, batch: Batch, commands: Exchange, done: Exchange): Uint8Array {
  for (const imei of batch.unknown) noteUnclaimed(ctx, imei);
  flushUnclaimed(ctx);
  recentOf(ctx).add(batch.positions);
  settleSoon(ctx, done, batch.positions.count);
  const downlinks = [];
  for (const { commandId, connection } of batch.claims) {
    const bytes = commands.claimed.get(commandId);
    if (bytes === undefined) continue;
    downlinks.push({ commandId, connection, bytes });
    commands.claimed.delete(commandId);
  }
  const frames = batch.outcomes.map((outcome) => UNANSWERED[outcome]);
  for (const [frame, reply] of batch.replies) frames[frame] = { outcome: batch.outcomes[frame], reply };
  return encodeResponse({ frames, downlinks, offers: done.offers });
}

/** Positions that this isolate has appended since it last settled. */
const APPENDED = new WeakMap<Config, number>();

/** Settles after the response when enough waits. The job settles what waits long. */
function settleSoon(ctx: Base, { lastBatch, settlement }: Exchange, positions: number): void {
  const appended = (APPENDED.get(ctx.config) ?? 0) + positions;
  const due = lastBatch - settlement.merged >= LIMITS.mergeBatches || appended >= LIMITS.mergePositions;
  APPENDED.set(ctx.config, due ? 0 : appended);
  if (due) ctx.defer(settle(ctx));
}
