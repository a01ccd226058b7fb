import { CodecError } from "../codec/errors.ts";
import { decodeDevicesInto } from "../codec/pick.ts";
import { ByteSink, decodeStoredInto, encodeStored, type StoredPositions } from "../codec/segment.ts";
import { noteBroken } from "./broken.ts";
import type { Base } from "./context.ts";
import { LIMITS } from "./limits.ts";
import type { BrokenThing } from "./store/broken.ts";
import {
  BUCKETS,
  BUCKETS_A_PART,
  type ChunkRow,
  isWaitingUnder,
  PARTS,
  PLACE_DIGITS,
  type SealedBatch,
  type SealedRun,
} from "./store/inbox.ts";
import type { Telemetry } from "./telemetry.ts";
import { inboxKey } from "./vault.ts";

// Positions wait sorted by bucket, so that a reader of one device opens a small part of what everybody sent. What is
// read of the inbox for one device is bounded whatever the size of the fleet: of batches at most LIMITS.mergePositions
// positions in as many rows as LIMITS.mergeBatches, of which a reader is given the chunks with its bucket; of runs at
// most LIMITS.partPositions positions of its part and what one merge adds, of which it is given the half.

const BUCKET_BITS = Math.log2(BUCKETS);
const PART_SHIFT = 32 - Math.log2(PARTS);

/** The part of the fleet that an account is in. */
export function partOf(accountId: number): number {
  return Math.imul(accountId, 0x9e3779b1) >>> PART_SHIFT;
}

/** The bucket of a device: of its account's part, with the devices whose ids are near. */
export function bucketOf(accountId: number, deviceId: number): number {
  return partOf(accountId) * BUCKETS_A_PART + (Math.floor(deviceId / LIMITS.newestDevices) % BUCKETS_A_PART);
}

/** Sorts rows by bucket, within it by device, and within that as they are. */
function sorted(stored: StoredPositions, from: number, to: number): Uint32Array {
  const { buckets, deviceIds } = stored;
  const ids = new Uint32Array(to - from);
  let order = new Uint32Array(to - from);
  for (let i = 0; i < order.length; i++) {
    order[i] = i;
    ids[i] = deviceIds[from + i] % 2 ** 27;
  }
  // A stable sort by each byte, the lowest first, is one by all of them.
  let spare = new Uint32Array(to - from);
  const byByte = (numbers: Uint32Array | Uint16Array, shift: number) => {
    if (!sortByByte(numbers, shift, order, spare)) return;
    [order, spare] = [spare, order];
  };
  for (let shift = 0; shift < 27; shift += 8) byByte(ids, shift);
  for (let shift = 0; shift < BUCKET_BITS; shift += 8) byByte(buckets.subarray(from, to), shift);
  for (let i = 0; i < order.length; i++) order[i] += from;
  return order;
}

const places = new Uint32Array(257);

/** @returns false when all have the same byte, and nothing was done */
function sortByByte(numbers: Uint32Array | Uint16Array, shift: number, order: Uint32Array, into: Uint32Array): boolean {
  places.fill(0);
  for (let i = 0; i < order.length; i++) places[((numbers[i] >>> shift) & 255) + 1]++;
  if (order.length === 0 || places[((numbers[0] >>> shift) & 255) + 1] === order.length) return false;
  for (let byte = 0; byte < 256; byte++) places[byte + 1] += places[byte];
  for (let i = 0; i < order.length; i++) into[places[(numbers[order[i]] >>> shift) & 255]++] = order[i];
  return true;
}

const text = new TextEncoder();

/** Binds a chunk to its row; its number is part of the nonce. @param of ChunkRow.of */
const boundTo = (telemetry: Telemetry, kind: "batch" | "run", kid: number, shift: number, of: string) =>
  text.encode(`inbox|1|${telemetry.name}|${kind}|${kid}|${shift}|${of}`) as Uint8Array<ArrayBuffer>;

function nonceOf(nonce: Uint8Array, chunk: number): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(12);
  whole.set(nonce);
  new DataView(whole.buffer).setUint32(8, chunk);
  return whole;
}

interface Chunk {
  number: number;
  /** Of the sorted rows. */
  from: number;
  to: number;
}

/** Cuts sorted rows where the chunk, bucket >> shift, changes. */
function cut(stored: StoredPositions, order: Uint32Array, shift: number): Chunk[] {
  const chunks: Chunk[] = [];
  for (let i = 0; i < order.length; i++) {
    const number = stored.buckets[order[i]] >> shift;
    const last = chunks.at(-1);
    if (last?.number === number) last.to = i + 1;
    else chunks.push({ number, from: i, to: i + 1 });
  }
  return chunks;
}

/** Encodes and seals chunks, in their order. */
async function sealed(
  stored: StoredPositions,
  order: Uint32Array,
  chunks: readonly Chunk[],
  key: CryptoKey,
  nonce: Uint8Array,
  additionalData: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array[]> {
  const sink = new ByteSink();
  const places = chunks.map(({ from, to }) => {
    const start = sink.length;
    encodeStored(stored, order, from, to, sink);
    return start;
  });
  return Promise.all(
    chunks.map(async ({ number }, i) => {
      const plain = sink.bytes.subarray(places[i], places[i + 1] ?? sink.length) as Uint8Array<ArrayBuffer>;
      const iv = nonceOf(nonce, number);
      return new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv, additionalData }, key, plain));
    }),
  );
}

/** Where each of `count` chunks begins, from chunk `first` on, and where the last one ends. */
function directoryOf(chunks: readonly Chunk[], bytes: readonly Uint8Array[], first: number, count: number): string {
  let directory = "";
  let place = 0;
  let next = 0;
  for (let number = first; number <= first + count; number++) {
    directory += String(place).padStart(PLACE_DIGITS, "0");
    if (chunks[next]?.number === number) place += bytes[next++].length;
  }
  if (place >= 10 ** PLACE_DIGITS) throw new CodecError("length", 0, `Cannot write positions: they are ${place} bytes`);
  return directory;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/**
 * Seals rows as batches of at most LIMITS.batchPositions.
 * @param stored `ids` are filled in: the number within the batch
 */
export async function sealBatches(
  ctx: Base,
  telemetry: Telemetry,
  stored: StoredPositions,
  kid: number,
  key: CryptoKey,
): Promise<SealedBatch[]> {
  const batches: SealedBatch[] = [];
  for (let from = 0; from < stored.count; from += LIMITS.batchPositions) {
    const to = Math.min(stored.count, from + LIMITS.batchPositions);
    let receivedAt = Number.POSITIVE_INFINITY;
    for (let row = from; row < to; row++) {
      stored.ids[row] = row - from;
      receivedAt = Math.min(receivedAt, stored.receivedAt[row]);
    }
    const order = sorted(stored, from, to);
    const bits = Math.floor(Math.log2(Math.max(1, (to - from) / LIMITS.chunkPositions)));
    const shift = BUCKET_BITS - Math.min(bits, BUCKET_BITS);
    const chunks = cut(stored, order, shift);
    const nonce = ctx.random(8);
    const binding = boundTo(telemetry, "batch", kid, shift, `${to - from} ${receivedAt}`);
    const bytes = await sealed(stored, order, chunks, key, nonce, binding);
    const directory = directoryOf(chunks, bytes, 0, BUCKETS >> shift);
    batches.push({ positions: to - from, receivedAt, kid, nonce, shift, directory, chunks: joined(bytes) });
  }
  return batches;
}

/** Seals all rows as runs of their parts, which have whole ids. @param last the last batch that they came in */
export async function sealRuns(
  ctx: Base,
  telemetry: Telemetry,
  stored: StoredPositions,
  last: number,
  kid: number,
  key: CryptoKey,
): Promise<{ nonce: Uint8Array; bytes: Uint8Array; runs: SealedRun[] }> {
  const order = sorted(stored, 0, stored.count);
  const chunks = cut(stored, order, 0);
  const nonce = ctx.random(8);
  const bytes = await sealed(stored, order, chunks, key, nonce, boundTo(telemetry, "run", kid, 0, String(last)));
  const runs: SealedRun[] = [];
  let start = 0;
  for (let i = 0; i < chunks.length; ) {
    const part = Math.floor(chunks[i].number / BUCKETS_A_PART);
    let end = i;
    let receivedAt = Number.POSITIVE_INFINITY;
    let length = 0;
    for (; end < chunks.length && Math.floor(chunks[end].number / BUCKETS_A_PART) === part; end++) {
      length += bytes[end].length;
      for (let at = chunks[end].from; at < chunks[end].to; at++) {
        receivedAt = Math.min(receivedAt, stored.receivedAt[order[at]]);
      }
    }
    runs.push({
      part,
      positions: chunks[end - 1].to - chunks[i].from,
      receivedAt,
      directory: directoryOf(chunks.slice(i, end), bytes.slice(i, end), part * BUCKETS_A_PART, BUCKETS_A_PART),
      start,
      length,
    });
    start += length;
    i = end;
  }
  return { nonce, bytes: joined(bytes), runs };
}

/**
 * Opens chunks and appends their rows. One that does not open is logged with its place, counted and left out.
 * @param wanted only rows of these devices; null: all
 * @param known rows that need not be opened, as they were
 * @returns rows as they were opened
 * @throws {MovedError} when something was settled, and its key destroyed, since the chunks were read
 */
export async function openChunks(
  ctx: Base,
  telemetry: Telemetry,
  rows: readonly ChunkRow[],
  into: StoredPositions,
  wanted: { has(deviceId: number): boolean } | null = null,
  known: ReadonlyMap<ChunkRow, OpenedRow> = new Map(),
): Promise<OpenedRow[]> {
  const keys = await inboxKeys(ctx, telemetry, rows);
  const opened = await Promise.all(
    rows.map((row) => known.get(row) ?? openRow(telemetry, row, keys.get(row.kid) ?? null)),
  );
  const keyless = new Set(rows.flatMap(({ kid }, i) => (opened[i].key === null ? [kid] : [])));
  if (keyless.size > 0 && !(await isWaitingUnder(telemetry.db, [...keyless]))) throw new MovedError();
  const broken: BrokenThing[] = [];
  for (const [i, row] of rows.entries()) {
    for (const { number, plain } of opened[i].chunks) {
      try {
        if (plain === null) throw new Error("it does not open");
        const idBase = row.batch === null ? 0 : row.batch * LIMITS.batchPositions;
        if (wanted === null) decodeStoredInto(into, plain, 0, plain.length, idBase);
        else decodeDevicesInto(into, plain, idBase, wanted);
      } catch (error) {
        const { batch, kid } = row;
        ctx.log.error("inbox.broken", { database: telemetry.name, batch, kid, chunk: number }, error);
        broken.push({ kind: batch === null ? "run" : "batch", telemetry: telemetry.name, thing: batch ?? kid });
      }
    }
  }
  noteBroken(ctx, broken);
  return opened;
}

/** Chunks of a row as they were opened. */
export interface OpenedRow {
  kid: number;
  nonce: Uint8Array;
  shift: number;
  /** null: it was destroyed. */
  key: CryptoKey | null;
  /** null: one that does not open. */
  chunks: readonly { number: number; plain: Uint8Array | null }[];
}

/**
 * The same for a settler: opens rows in their order, until they hold so much that the rest must wait. A frame may be 64 KiB
 * of bytes without a meaning, and much of it takes little room when it is sealed.
 * @param atOnce rows that are opened at a time
 * @returns how many rows were opened; 0 when another settler was faster
 */
export async function openSome(
  ctx: Base,
  telemetry: Telemetry,
  rows: readonly ChunkRow[],
  into: StoredPositions,
  atOnce: number,
): Promise<number> {
  let opened = 0;
  try {
    while (opened < rows.length && into.table.tailUsed < LIMITS.settleTailBytes) {
      const next = rows.slice(opened, opened + atOnce);
      await openChunks(ctx, telemetry, next, into);
      opened += next.length;
    }
  } catch (error) {
    if (error instanceof MovedError) return 0;
    throw error;
  }
  return opened;
}

/** What was read of the inbox is somewhere else by now. */
export class MovedError extends Error {
  override readonly name = "MovedError";
}

/** The keys of rows by kid, each asked for once; null: it was destroyed. */
export async function inboxKeys(
  ctx: Base,
  telemetry: Telemetry,
  rows: Iterable<{ kid: number }>,
): Promise<Map<number, CryptoKey | null>> {
  const keys = new Map<number, CryptoKey | null>();
  for (const { kid } of rows) if (!keys.has(kid)) keys.set(kid, await inboxKey(ctx, telemetry.name, kid));
  return keys;
}

async function openRow(telemetry: Telemetry, row: ChunkRow, key: CryptoKey | null): Promise<OpenedRow> {
  const places = row.directory.match(/\d{7}/g)?.map(Number) ?? [];
  const numbers = places.slice(1).flatMap((place, i) => (place > places[i] ? [i] : []));
  const additionalData = boundTo(telemetry, row.batch === null ? "run" : "batch", row.kid, row.shift, row.of);
  const chunks = await Promise.all(
    numbers.map(async (i) => {
      const bytes = row.chunks.subarray(places[i] - places[0], places[i + 1] - places[0]) as Uint8Array<ArrayBuffer>;
      const iv = nonceOf(row.nonce, row.first + i);
      const opened =
        key === null
          ? null
          : await crypto.subtle.decrypt({ name: "AES-GCM", iv, additionalData }, key, bytes).catch(() => null);
      return { number: row.first + i, plain: opened === null ? null : new Uint8Array(opened) };
    }),
  );
  return { kid: row.kid, nonce: row.nonce, shift: row.shift, key, chunks };
}
