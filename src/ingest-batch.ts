import { latin1 } from "../codec/bytes.ts";
import { PositionTable } from "../codec/columns.ts";
import type { Uplink } from "../codec/commands.ts";
import { decodePositionsInto, frameMeaning } from "../codec/decode.ts";
import { forEachEntry, OUTCOMES } from "../codec/envelope.ts";
import { CodecError } from "../codec/errors.ts";
import { FRAME_STATUS, locateFrame, newBounds } from "../codec/frame.ts";
import { replyFor } from "../codec/replies.ts";
import { type Candidate, REPLY_EVENT } from "./answers.ts";
import { LIMITS } from "./limits.ts";
import { type Known, NO_DEVICE, NOT_READ, type Registry } from "./registry.ts";
import { type PackedPositions, PositionPacker } from "./store/ingest.ts";

/** A bridge's request as ingest understands it with what the registry knows. Nothing of it is shared with another. */
export interface Batch {
  /** Registry version that decided which device each frame belongs to. */
  version: number;
  /** IMEIs that the registry must read first; the rest is then not filled in. */
  unread: Set<string>;
  /** OUTCOMES value of each frame; `stored` is a promise until the write. */
  outcomes: number[];
  /** Row after the last of each frame, in `positions`. */
  rowEnds: number[];
  /** Bytes to write to a frame's connection once its positions are stored. */
  replies: Map<number, Uint8Array>;
  positions: PackedPositions;
  candidates: Candidate[];
  /** IMEI of each frame that belongs to no device. */
  unknown: string[];
  claims: { commandId: number; connection: number }[];
  releases: number[];
}

const { ok } = FRAME_STATUS;
const DOLLAR = 0x24;

// Used again for each batch: reading one runs from end to end without waiting.
const bounds = newBounds();
const table = new PositionTable(2048);
const packer = new PositionPacker();
const options = { scale: 0, offsetS: 0 };

/** Frames that answer a command or belong to the session are kept in this sense; pictures and firmware are not. */
const KEPT: Readonly<Record<string, boolean>> = { media: false, ota: false };

/**
 * Checks, decodes and packs a request. The bridge is not trusted: each frame is read as if it came from the socket.
 * @param body an envelope, codec/envelope.ts
 * @throws {CodecError} when the envelope itself cannot be read; a frame that is wrong costs only itself
 */
export function readBatch(registry: Registry, body: Uint8Array, now: number): Batch {
  const { version, devices } = registry;
  const batch: Omit<Batch, "positions"> = {
    version,
    unread: new Set(),
    outcomes: [],
    rowEnds: [],
    replies: new Map(),
    candidates: [],
    unknown: [],
    claims: [],
    releases: [],
  };
  const { outcomes, rowEnds } = batch;
  packer.reset();
  forEachEntry(body, {
    frame(_connection, receivedAt, start, end) {
      outcomes.push(readFrame(batch, registry, devices, body, start, end, sane(receivedAt, now)));
      rowEnds.push(packer.count);
    },
    claim(commandId, connection) {
      batch.claims.push({ commandId, connection });
    },
    release(commandId) {
      batch.releases.push(commandId);
    },
  });
  return { ...batch, positions: packer.finish() };
}

/** A receive time that the bridge's clock cannot have right is now. */
function sane(receivedAt: number, now: number): number {
  return receivedAt >= LIMITS.fixTimeMinMs && receivedAt <= now ? Math.floor(receivedAt) : now;
}

function readFrame(
  batch: Omit<Batch, "positions">,
  registry: Registry,
  devices: readonly Known[],
  body: Uint8Array,
  start: number,
  end: number,
  receivedAt: number,
): number {
  if (locateFrame(body, start, end, bounds) !== ok || bounds.end !== end || body[start] !== DOLLAR) {
    return OUTCOMES.invalid;
  }
  const found = registry.find(body, bounds.imeiStart, bounds.imeiEnd);
  if (found < 0) {
    const imei = latin1(body, bounds.imeiStart, bounds.imeiEnd);
    if (found === NOT_READ) batch.unread.add(imei);
    if (found === NO_DEVICE) batch.unknown.push(imei);
    return OUTCOMES.unknown_device;
  }
  const device = devices[found];
  options.scale = device.scale;
  options.offsetS = device.offsetS;
  table.reset();
  let rows: number;
  try {
    rows = decodePositionsInto(table, body, bounds, options);
  } catch (error) {
    if (error instanceof CodecError) return OUTCOMES.invalid;
    throw error;
  }
  let answering = rows === 0;
  for (let row = 0; row < rows; row++) {
    const time = table.fixTimeAt(row);
    const clock = time === null || time < LIMITS.fixTimeMinMs || time > receivedAt + LIMITS.fixTimeAheadMs;
    packer.add(table, row, device.accountId, device.id, clock ? receivedAt : time, receivedAt, clock);
    if (table.eventAt(row) === REPLY_EVENT) answering = true;
  }
  if (rows === 0 && KEPT[frameMeaning(latin1(body, bounds.typeStart, bounds.typeStart + 3))] === false) {
    return OUTCOMES.refused;
  }
  if (answering) {
    const events = rows === 0 ? [] : [REPLY_EVENT];
    batch.candidates.push({ deviceId: device.id, uplink: uplinkOf(body), events, receivedAt });
  }
  const reply = replyFor(body, bounds, rows, device);
  if (reply !== null) batch.replies.set(batch.outcomes.length, reply);
  return OUTCOMES.stored;
}

function uplinkOf(body: Uint8Array): Uplink {
  return {
    imei: latin1(body, bounds.imeiStart, bounds.imeiEnd),
    identifier: String.fromCharCode(body[bounds.start + 2]),
    type: latin1(body, bounds.typeStart, bounds.typeStart + 3),
    content: body.subarray(bounds.contentStart, bounds.contentEnd),
  };
}
