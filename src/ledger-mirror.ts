import { canonical } from "../client/canonical.ts";
import { toHex } from "../client/hex.ts";
import { sha256 } from "../client/merkle.ts";
import type { PublishedKey } from "../client/receipt.ts";
import type { Base, SecretCopy } from "./context.ts";
import { LIMITS } from "./limits.ts";
import * as store from "./store/ledger.ts";
import { type Place, placesOf } from "./vault-copies.ts";
import { LEDGER, unavailable } from "./vault-object.ts";

// The ledger once more, in the places of the key store: no backup of the database has those, and they have no history. A
// database that knows less than they do was restored (src/restore.ts).
//
//   ledger/head      {check, hash, size}: entries in the database when this was written, and the hash of the last; `check`
//                    tells a head that was damaged from one that says something else
//   ledger/<chunk>   LIMITS.ledgerChunk entries, one canonical JSON a line
//
//   ledger/keys      the public keys that the ledger was signed with, oldest first: as long as there was but one, nothing
//
// Lines beyond the head are of somebody who stopped half-way; only those under it count.

const HEAD = `${LEDGER}head`;
const KEYS = `${LEDGER}keys`;
const chunkName = (chunk: number) => LEDGER + String(chunk).padStart(8, "0");
const chunkOf = (seq: number) => Math.floor((seq - 1) / LIMITS.ledgerChunk);

export interface MirrorHead {
  size: number;
  /** SHA-256 of the last entry. */
  hash: string;
}

const utf8 = new TextEncoder();
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** @returns null: there is none; "damaged": there is something else in its place */
async function readHead(stored: { bytes: Uint8Array } | null): Promise<MirrorHead | null | "damaged"> {
  if (stored === null) return null;
  try {
    const { check, hash, size } = JSON.parse(text(stored.bytes)) as MirrorHead & { check: string };
    return check === (await checkOf({ hash, size })) ? { hash, size } : "damaged";
  } catch {
    return "damaged";
  }
}

const checkOf = async ({ hash, size }: MirrorHead) =>
  toHex((await sha256(utf8.encode(canonical({ hash, size })))).subarray(0, 8));

const stores = (ctx: Base) => Object.values(placesOf(ctx)).map(({ label, store: place }) => ({ label, place }));

/**
 * How far the mirror is: the farthest of the two live copies, or the escrow where neither has one.
 * @returns null when nothing was ever appended
 * @throws {AppError} unavailable when that cannot be told
 */
export async function mirrorHead(ctx: Base): Promise<MirrorHead | null> {
  const { a, b, escrow } = placesOf(ctx);
  const read = async ({ store: place }: Place) => readHead(await place.get(HEAD));
  const answers = await Promise.allSettled([read(a), read(b)]);
  const isHead = (head: MirrorHead | null | "damaged") => head !== null && head !== "damaged";
  if (!answers.some((answer) => answer.status === "fulfilled" && isHead(answer.value))) {
    answers.push(...(await Promise.allSettled([read(escrow)])));
  }
  let farthest: MirrorHead | null = null;
  for (const answer of answers) {
    const head = answer.status === "fulfilled" ? answer.value : null;
    if (head !== null && head !== "damaged" && head.size > (farthest?.size ?? 0)) farthest = head;
  }
  if (farthest !== null) return farthest;
  // That there is none may only be said by all of them.
  for (const answer of answers) {
    if (answer.status === "rejected") throw answer.reason;
    if (answer.value === "damaged") throw unavailable("The ledger's mirror is damaged");
  }
  return null;
}

/** Whether the mirror has what this database has not. */
export async function isBehind(ctx: Base): Promise<boolean> {
  return (await lacking(ctx)) !== null;
}

/** What the mirror has and the database has not: its head; null where it has everything. */
export async function lacking(ctx: Base): Promise<MirrorHead | null> {
  const head = await mirrorHead(ctx);
  if (head === null) return null;
  let hash: Uint8Array | null;
  try {
    hash = await store.hashAt(ctx.db, head.size);
  } catch (cause) {
    throw unavailable("The database cannot be read", cause);
  }
  return hash !== null && toHex(hash) === head.hash ? null : head;
}

/** Entries under a head, of one chunk, from whichever place has them whole. */
export async function mirroredEntries(ctx: Base, chunk: number, upTo: number): Promise<string[]> {
  const from = chunk * LIMITS.ledgerChunk;
  const wanted = Math.min(LIMITS.ledgerChunk, upTo - from);
  for (const { place } of stores(ctx)) {
    const lines = linesOf(await place.get(chunkName(chunk)));
    if (lines.length < wanted) continue;
    const some = lines.slice(0, wanted);
    if (some.every((line, i) => seqOf(line) === from + i + 1)) return some;
  }
  throw unavailable("The ledger's mirror lacks entries");
}

function seqOf(line: string): number | null {
  try {
    return (JSON.parse(line) as { seq: number }).seq;
  } catch {
    return null;
  }
}

const linesOf = (stored: { bytes: Uint8Array } | null): string[] =>
  stored === null ? [] : text(stored.bytes).split("\n").slice(0, -1);

/** What one place holds of the ledger, for whoever compares it with the database. */
export async function copiesOfMirror(ctx: Base): Promise<
  {
    label: string;
    head: MirrorHead | null | "damaged";
    lines(chunk: number): Promise<string[]>;
  }[]
> {
  return Promise.all(
    stores(ctx).map(async ({ label, place }) => ({
      label,
      head: await readHead(await place.get(HEAD)),
      lines: async (chunk: number) => linesOf(await place.get(chunkName(chunk))),
    })),
  );
}

/**
 * Brings every place up to what the database has. When this returns, a database that is restored from now on is noticed.
 * @throws {AppError} unavailable, also where a place knows more than the database or something else
 */
export async function bringMirror(ctx: Base): Promise<void> {
  const outcomes = await Promise.allSettled(stores(ctx).map(({ place }) => bringPlace(ctx, place)));
  for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
}

async function bringPlace(ctx: Base, place: SecretCopy): Promise<void> {
  for (let attempt = 0; attempt < LIMITS.vaultTries; attempt++) {
    const stored = await place.get(HEAD);
    const head = await readHead(stored);
    const before = head === null || head === "damaged" ? 0 : head.size;
    // After the head: what it says was in the database then.
    const last = await store.lastEntry(ctx.db);
    if (last === null && before === 0) return;
    const known = before === 0 ? null : await store.hashAt(ctx.db, before);
    if (before > 0 && (known === null || toHex(known) !== (head as MirrorHead).hash)) throw restored();
    if (last === null || last.seq === before) return;
    let written = true;
    for (let chunk = chunkOf(before + 1); written && chunk <= chunkOf(last.seq); chunk++) {
      written = await bringChunk(ctx, place, chunk, last.seq);
    }
    if (!written) continue;
    const next = { hash: toHex(last.hash), size: last.seq };
    const bytes = utf8.encode(canonical({ check: await checkOf(next), ...next }));
    if (await place.put(HEAD, bytes, stored?.version ?? null)) return;
  }
  throw unavailable("Too many changes of the ledger at once; try again");
}

/** Writes the lines of a chunk. False when somebody else has changed it meanwhile. */
async function bringChunk(ctx: Base, place: SecretCopy, chunk: number, upTo: number): Promise<boolean> {
  const name = chunkName(chunk);
  const stored = await place.get(name);
  const from = chunk * LIMITS.ledgerChunk + 1;
  const rows = await store.entriesFrom(ctx.db, from, Math.min(LIMITS.ledgerChunk, upTo - from + 1));
  const lines = rows.map(({ entry }) => entry);
  const there = linesOf(stored);
  // Whoever is further has written what we would, and more.
  if (there.length >= lines.length && lines.every((line, i) => there[i] === line)) return true;
  return place.put(name, utf8.encode(lines.map((line) => `${line}\n`).join("")), stored?.version ?? null);
}

export const restored = () => unavailable("The database was restored, and is being brought up to the ledger");

function keysIn(stored: { bytes: Uint8Array } | null): PublishedKey[] {
  try {
    const keys: unknown = stored === null ? [] : JSON.parse(text(stored.bytes));
    return Array.isArray(keys) ? (keys as PublishedKey[]) : [];
  } catch {
    return [];
  }
}

/**
 * The public keys of the ledger, of the place that has the most.
 * @returns none while there was but one
 * @throws {AppError} unavailable when a place does not answer and no other has any
 */
export async function readKeys(ctx: Base): Promise<PublishedKey[]> {
  const answers = await Promise.allSettled(stores(ctx).map(async ({ place }) => keysIn(await place.get(KEYS))));
  let longest: PublishedKey[] = [];
  for (const answer of answers) {
    if (answer.status === "fulfilled" && answer.value.length > longest.length) longest = answer.value;
  }
  if (longest.length > 0) return longest;
  for (const answer of answers) if (answer.status === "rejected") throw answer.reason;
  return [];
}

/** Writes them into every place. @throws {AppError} unavailable */
export async function writeKeys(ctx: Base, keys: readonly PublishedKey[]): Promise<void> {
  const bytes = utf8.encode(JSON.stringify(keys));
  for (const { place } of stores(ctx)) {
    const stored = await place.get(KEYS);
    if (stored !== null && text(stored.bytes) === text(bytes)) continue;
    if (!(await place.put(KEYS, bytes, stored?.version ?? null))) {
      throw unavailable("Somebody else changes the ledger's key just now");
    }
  }
}
