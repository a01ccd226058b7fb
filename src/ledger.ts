import { canonical, type Json } from "../client/canonical.ts";
import { toHex } from "../client/hex.ts";
import { inclusionPath, leafHash, rootOf } from "../client/merkle.ts";
import { entryHash, type Head, headText, type PublishedHeads } from "../client/receipt.ts";
import type { Base } from "./context.ts";
import { AppError } from "./errors.ts";
import { ledgerKeys } from "./ledger-keys.ts";
import { bringMirror, mirrorHead, readKeys, restored, writeKeys } from "./ledger-mirror.ts";
import { type LedgerFields, type LedgerType, requireWords } from "./ledger-words.ts";
import { LIMITS } from "./limits.ts";
import * as store from "./store/ledger.ts";
import { unavailable } from "./vault-object.ts";
import { ledgerKey } from "./vault-own.ts";

export type { ActorRole, LedgerFields, LedgerStore, LedgerType } from "./ledger-words.ts";

/**
 * Writes down what the platform did, or is about to do. When this returns, the entry is in the database and in every place
 * of the key store: a database from before it is found out when it comes back.
 * @throws {AppError} unavailable, and then the entry may be there or not: append once more before anything is destroyed
 */
export async function appendLedger(ctx: Base, type: LedgerType, fields: LedgerFields): Promise<{ seq: number }> {
  requireWords(type, fields);
  const kids = await kidsRoot(fields.kids ?? []);
  const mirrored = await mirrorHead(ctx);
  for (let attempt = 0; attempt < LIMITS.vaultTries; attempt++) {
    const last = await store.lastEntry(ctx.db);
    if ((last?.seq ?? 0) < (mirrored?.size ?? 0)) throw restored();
    const entry = await nextEntry(ctx, last, type, fields, kids);
    if (!(await store.insertEntry(ctx.db, entry))) continue;
    await bringMirror(ctx);
    return { seq: entry.seq };
  }
  throw unavailable("Too many entries of the ledger at once; try again");
}

/** The row of an entry that comes after another. */
export async function nextEntry(
  ctx: Base,
  last: Pick<store.LedgerRow, "seq" | "at" | "hash"> | null,
  type: LedgerType,
  fields: LedgerFields,
  kids?: Kids,
): Promise<store.LedgerRow> {
  const { root, count } = kids ?? (await kidsRoot(fields.kids ?? []));
  const { request = null, scopeClass = null, stores = [], result = null, calendar = null, actorRole = null } = fields;
  const seq = (last?.seq ?? 0) + 1;
  const at = Math.max(ctx.now(), last?.at ?? 0);
  const prev = last === null ? FIRST : toHex(last.hash);
  const named = stores.map(({ name, found, erased, ok }) => ({ name, found, erased, ok }));
  const of = { request, scopeClass, result, calendar, actorRole, stores: named, kidCount: count, kidsRoot: root };
  const entry = canonical({ seq, prev, at, type, ...of });
  return { seq, at, type, entry, hash: await entryHash(entry) };
}

/** What the first entry has in place of the hash of the one before. */
export const FIRST: string = "0".repeat(64);

interface Kids {
  root: string | null;
  count: number;
}

/** The root of the tree over ids of keys, in order, each as six bytes, big-endian. */
export async function kidsRoot(given: readonly number[]): Promise<Kids> {
  const kids = [...new Set(given)].sort((a, b) => a - b);
  if (kids.length === 0) return { root: null, count: 0 };
  const leaves = await Promise.all(
    kids.map((kid) => leafHash(Uint8Array.from({ length: 6 }, (_, i) => Math.floor(kid / 2 ** (8 * (5 - i))) % 256))),
  );
  return { root: toHex(await rootOf(leaves)), count: kids.length };
}

export const sign = async (key: CryptoKey, text: string) =>
  new Uint8Array(await crypto.subtle.sign("Ed25519", key, new TextEncoder().encode(text)));

/** Hashes of the leaves of the first `size` entries. */
async function leavesOf(ctx: Base, size: number) {
  const hashes = await store.firstHashes(ctx.db, size, LIMITS.ledgerPage);
  if (hashes.length < size) throw new AppError("internal", "The ledger lacks entries");
  return Promise.all(hashes.map(leafHash));
}

/** Signs how far the ledger is now. */
export async function signHead(ctx: Base): Promise<store.HeadRow | null> {
  const last = await store.lastEntry(ctx.db);
  if (last === null) return null;
  const { privateKey, keyId } = await ledgerKey(ctx);
  const size = last.seq;
  const root = await rootOf(await leavesOf(ctx, size));
  const at = ctx.now();
  const signature = await sign(privateKey, headText({ at, root: toHex(root), size }));
  await store.insertHead(ctx.db, { size, at, root, keyId, signature });
  return store.headOver(ctx.db, size, keyId);
}

/** Signs how far the ledger is, once a day where something was added. @returns heads signed */
export async function signLedgerHead(ctx: Base): Promise<number> {
  const [last, [head]] = [await store.lastEntry(ctx.db), await store.newestHeads(ctx.db, 1)];
  if (last === null || (head !== undefined && (head.size >= last.seq || ctx.now() - head.at < LIMITS.ledgerHeadMs))) {
    return 0;
  }
  await signHead(ctx);
  // A place that was lost gets its list of keys again.
  const keys = await readKeys(ctx);
  if (keys.length > 0) await writeKeys(ctx, keys);
  return 1;
}

const headOf = ({ size, at, root, keyId, signature }: store.HeadRow): Head => ({
  size,
  at,
  root: toHex(root),
  keyId,
  signature: toHex(signature),
});

/** The heads that were signed, newest first, and the keys to check them with. */
export async function publishedHeads(ctx: Base): Promise<PublishedHeads> {
  const heads = await store.newestHeads(ctx.db, LIMITS.ledgerHeadsShown);
  // Nothing was signed yet: no key is made for whoever asks.
  if (heads.length === 0) return { keys: [], heads: [] };
  return { keys: await ledgerKeys(ctx), heads: heads.map(headOf) };
}

/** What a receipt says of what was done. */
export type ReceiptContent = Readonly<Record<string, Json>> & {
  version?: never;
  ledger?: never;
  signature?: never;
};

/**
 * A receipt about entries of the ledger, as client/receipt.ts describes it.
 * @param content without `version`, `ledger` and `signature`, which are added
 * @param seqs of the entries that say so, at least one
 * @returns canonical JSON
 */
export async function signedReceipt(ctx: Base, content: ReceiptContent, seqs: readonly number[]): Promise<string> {
  const wanted = [...new Set(seqs)].sort((a, b) => a - b);
  const newest = wanted.at(-1);
  if (newest === undefined) throw new AppError("internal", "A receipt needs an entry of the ledger");
  const { privateKey, publicKey, keyId } = await ledgerKey(ctx);
  const head = (await store.headOver(ctx.db, newest, keyId)) ?? (await signHead(ctx));
  if (head === null || head.size < newest) throw new AppError("internal", "The ledger has no such entry");
  if (head.keyId !== keyId) throw new AppError("internal", "The head was signed by another key");
  const leaves = await leavesOf(ctx, head.size);
  const entries: Json[] = [];
  for (const seq of wanted) {
    const [row] = await store.entriesFrom(ctx.db, seq, 1);
    const path = await inclusionPath(leaves, seq - 1);
    const proof = { index: seq - 1, size: head.size, path: path.map(toHex) };
    entries.push({ entry: JSON.parse(row!.entry) as Json, proof });
  }
  const ledger = { entries, head: { ...headOf(head) }, publicKey: toHex(publicKey) };
  const unsigned = { ...content, version: 1, ledger };
  const signature = toHex(await sign(privateKey, canonical(unsigned as Json)));
  return canonical({ ...unsigned, signature } as Json);
}
