import { latin1 } from "../codec/bytes.ts";
import { collect } from "../codec/collect.ts";
import { PositionTable, SLOT, STRIDE } from "../codec/columns.ts";
import type { Uplink } from "../codec/commands.ts";
import { decodePositionsInto, type FrameMeaning, frameMeaning } from "../codec/decode.ts";
import { type EntryVisitor, forEachEntry, OUTCOMES } from "../codec/envelope.ts";
import { CodecError } from "../codec/errors.ts";
import { FRAME_STATUS, locateFrame, newBounds } from "../codec/frame.ts";
import { REPLIES, replyFor } from "../codec/replies.ts";
import { StoredPositions } from "../codec/segment.ts";
import { type Candidate, REPLY_EVENT } from "./answers.ts";
import { LIMITS } from "./limits.ts";
import { Recent } from "./recent.ts";
import { type Known, NOT_READ, Registry, SILENCED, SILENCED_CCE } from "./registry.ts";
import { CLEARING } from "./store/commands.ts";
import { isSuspended } from "./store/suspensions.ts";
import { isErased } from "./store/tombstones.ts";

/** A bridge's request as ingest understands it with what the registry knows. Good until its reader reads again. */
export interface Batch {
  /** Registry version that decided which device each frame belongs to. */
  version: number;
  /** IMEIs that the registry must read first; the rest is then not filled in. */
  unread: Set<string>;
  /** OUTCOMES value of each frame; `stored` is a promise until the write. */
  outcomes: number[];
  /** Bytes to write to a frame's connection once its positions are stored. */
  replies: Map<number, Uint8Array>;
  /** Those for the database with the accounts. */
  positions: StoredPositions;
  /** Those for others, by name, and the accounts that they are of. */
  elsewhere: ReadonlyMap<string, Elsewhere>;
  /** A device's account is just being moved: the batch must come again. */
  held: boolean;
  candidates: Candidate[];
  /** IMEI of each frame that belongs to no device. */
  unknown: string[];
  /** How many frames are of trackers that were erased, or are suspended. */
  silenced: number;
  claims: { commandId: number; connection: number }[];
  releases: number[];
}

export interface Elsewhere {
  positions: StoredPositions;
  accounts: Set<number>;
}

const { ok } = FRAME_STATUS;
const NO_BYTES = new Uint8Array(0);
const DOLLAR = 0x24;

/** Uplinks that are understood and not kept. */
const REFUSED: readonly FrameMeaning[] = ["media", "ota"];

/** What a tracker that was told to delete what it holds may answer with; D82 wraps the results of some. */
const CLEARED: ReadonlySet<string> = new Set([...CLEARING, "D82"]);

const typeCode = (type: string) => (type.charCodeAt(0) << 16) | (type.charCodeAt(1) << 8) | type.charCodeAt(2);
const ANSWERED = new Set(REPLIES.map((row) => typeCode(row.uplink)));

/** Checks, decodes and packs requests, one at a time: the memory of a new one would cost more than the work. */
export class BatchReader implements EntryVisitor {
  readonly #bounds = newBounds();
  readonly #table = new PositionTable(64);
  readonly #stored = new StoredPositions(1024);
  #elsewhere = new Map<string, Elsewhere>();
  readonly #options = { scale: 0, offsetS: 0 };
  #registry = new Registry();
  #recent = new Recent();
  #devices: readonly Known[] = [];
  #body: Uint8Array = NO_BYTES;
  #now = 0;
  #batch = emptyBatch(0);

  /**
   * The bridge is not trusted: each frame is read as if it came from the socket.
   * @param recent records that are known to be stored: a frame of which all are is a duplicate
   * @param body an envelope, codec/envelope.ts
   * @throws {CodecError} when the envelope itself cannot be read; a frame that is wrong costs only itself
   */
  read(registry: Registry, recent: Recent, body: Uint8Array, now: number): Batch {
    this.#registry = registry;
    this.#recent = recent;
    this.#devices = registry.devices;
    this.#body = body;
    this.#now = now;
    this.#stored.reset();
    if (this.#elsewhere.size > 0) this.#elsewhere = new Map();
    const batch = emptyBatch(registry.version);
    this.#batch = batch;
    forEachEntry(body, this);
    this.#body = NO_BYTES;
    return { ...batch, positions: this.#stored, elsewhere: this.#elsewhere };
  }

  frame(_connection: number, receivedAt: number, start: number, end: number): void {
    // A receive time that the bridge's clock cannot have right is now.
    const sane = receivedAt >= LIMITS.fixTimeMinMs && receivedAt <= this.#now;
    const outcome = this.#outcome(start, end, sane ? Math.floor(receivedAt) : this.#now);
    this.#batch.outcomes.push(outcome);
  }

  claim(commandId: number, connection: number): void {
    this.#batch.claims.push({ commandId, connection });
  }

  release(commandId: number): void {
    this.#batch.releases.push(commandId);
  }

  #outcome(start: number, end: number, receivedAt: number): number {
    const body = this.#body;
    const bounds = this.#bounds;
    if (locateFrame(body, start, end, bounds) !== ok || bounds.end !== end || body[start] !== DOLLAR) {
      return OUTCOMES.invalid;
    }
    const found = this.#registry.find(body, bounds.imeiStart, bounds.imeiEnd);
    if (found === SILENCED || found === SILENCED_CCE) {
      if (CLEARED.has(this.#type())) this.#candidate(null, false, receivedAt);
      return this.#silenced(found === SILENCED_CCE);
    }
    if (found < 0) {
      const imei = latin1(body, bounds.imeiStart, bounds.imeiEnd);
      if (found === NOT_READ) this.#batch.unread.add(imei);
      else this.#batch.unknown.push(imei);
      return OUTCOMES.unknown_device;
    }
    const device = this.#devices[found];
    // It waited in a spool while the IMEI was another device's, of another account perhaps, or nobody's.
    if (receivedAt < device.createdAt - LIMITS.registeredSkewMs) return OUTCOMES.unknown_device;
    const { erased, suspended } = device;
    if (suspended !== null && isSuspended(suspended, receivedAt)) return this.#silenced(device.confirmCce);
    if (device.held) this.#batch.held = true;
    const stored = device.database === null ? this.#stored : this.#storedFor(device.database, device.accountId);
    const table = this.#table;
    const options = this.#options;
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
    let located = false;
    let fresh = rows === 0;
    for (let row = 0; row < rows; row++) {
      if (table.eventAt(row) === REPLY_EVENT) located = true;
      const base = row * STRIDE;
      if (this.#recent.has(device.id, table.i32[base + SLOT.digestHi], table.i32[base + SLOT.digestLo])) continue;
      fresh = true;
      // Before anything of it is packed.
      collect(table, row, device.collection);
      const time = table.fixTimeAt(row);
      const clock = time === null || time < LIMITS.fixTimeMinMs || time > receivedAt + LIMITS.fixTimeAheadMs;
      // What came late of a stretch that was erased. It is confirmed, so that it does not come again.
      if (erased !== null && isErased(erased, clock ? receivedAt : time, receivedAt)) continue;
      // What was taken while it was suspended, and comes after.
      if (suspended !== null && isSuspended(suspended, clock ? receivedAt : Math.min(time, receivedAt))) continue;
      stored.add(table, row, 0, device.id, device.bucket, receivedAt, clock);
    }
    if (rows === 0 && REFUSED.includes(frameMeaning(this.#type()))) return OUTCOMES.refused;
    if (rows === 0 || located) this.#candidate(device.id, located, receivedAt);
    this.#reply(rows, device);
    return fresh ? OUTCOMES.stored : OUTCOMES.duplicate;
  }

  #reply(rows: number, options: { confirmCce: boolean }): void {
    const body = this.#body;
    const at = this.#bounds.typeStart;
    if (!ANSWERED.has((body[at] << 16) | (body[at + 1] << 8) | body[at + 2])) return;
    const reply = replyFor(body, this.#bounds, rows, options);
    if (reply !== null) this.#batch.replies.set(this.#batch.outcomes.length, reply);
  }

  /** A frame of a tracker that was erased, or is suspended: it gets the answer of one that is stored, or it would come again. */
  #silenced(confirmCce: boolean): number {
    this.#batch.silenced += 1;
    const table = this.#table;
    table.reset();
    this.#options.scale = 0;
    this.#options.offsetS = 0;
    try {
      this.#reply(decodePositionsInto(table, this.#body, this.#bounds, this.#options), { confirmCce });
    } catch (error) {
      if (!(error instanceof CodecError)) throw error;
    }
    table.reset();
    return OUTCOMES.unknown_device;
  }

  #storedFor(database: string, accountId: number): StoredPositions {
    let elsewhere = this.#elsewhere.get(database);
    if (elsewhere === undefined) {
      elsewhere = { positions: new StoredPositions(64), accounts: new Set() };
      this.#elsewhere.set(database, elsewhere);
    }
    elsewhere.accounts.add(accountId);
    return elsewhere.positions;
  }

  #type(): string {
    return latin1(this.#body, this.#bounds.typeStart, this.#bounds.typeStart + 3);
  }

  #candidate(deviceId: number | null, located: boolean, receivedAt: number): void {
    const { start, imeiStart, imeiEnd, contentStart, contentEnd } = this.#bounds;
    const uplink: Uplink = {
      imei: latin1(this.#body, imeiStart, imeiEnd),
      identifier: String.fromCharCode(this.#body[start + 2]),
      type: this.#type(),
      content: this.#body.subarray(contentStart, contentEnd),
    };
    this.#batch.candidates.push({ deviceId, uplink, events: located ? [REPLY_EVENT] : [], receivedAt });
  }
}

function emptyBatch(version: number): Omit<Batch, "positions" | "elsewhere"> {
  return {
    version,
    unread: new Set(),
    outcomes: [],
    replies: new Map(),
    held: false,
    candidates: [],
    unknown: [],
    silenced: 0,
    claims: [],
    releases: [],
  };
}
