import { canonical, type Json } from "../client/canonical.ts";
import { fromHex, toHex } from "../client/hex.ts";
import { GrowingTree, leafHash } from "../client/merkle.ts";
import { entryHash, type Head, headText, isOfTime, isSigned } from "../client/receipt.ts";
import type { Base } from "./context.ts";
import { FIRST } from "./ledger.ts";
import { ledgerKeys } from "./ledger-keys.ts";
import { copiesOfMirror } from "./ledger-mirror.ts";
import { LIMITS } from "./limits.ts";
import * as store from "./store/ledger.ts";

export const LEDGER_FAULTS = [
  "entry", // it is not what its hash was made of
  "chain", // it does not follow the one before
  "missing",
  "head", // its signature or root is wrong
  "published", // a head that somebody kept is another one here, or beyond the end
  "mirror", // a place of the key store says something else
] as const;

export interface LedgerFault {
  /** The entry; of `head` and `published` how many are under it. */
  seq: number;
  what: (typeof LEDGER_FAULTS)[number];
  /** Of `mirror`: which place. */
  place: string | null;
}

export interface LedgerCheck {
  size: number;
  heads: number;
  faults: LedgerFault[];
}

/**
 * Hashes every entry again, and compares the chain, the signed heads and the mirror. Changes nothing.
 * @param kept heads that were published once, from wherever nobody of the platform could change them
 */
export async function verifyLedger(ctx: Base, kept: readonly Pick<Head, "size" | "root">[] = []): Promise<LedgerCheck> {
  const faults: LedgerFault[] = [];
  const found = (seq: number, what: LedgerFault["what"], place: string | null = null) => {
    if (faults.length < LIMITS.ledgerFaults) faults.push({ seq, what, place });
  };
  const copies = await copiesOfMirror(ctx);
  const heads = (await store.newestHeads(ctx.db, LIMITS.ledgerHeadsShown)).reverse();
  const sizes = new Set([...heads, ...kept].map((head) => head.size));
  const tree = new GrowingTree();
  const roots = new Map<number, string>();
  let prev = FIRST;
  const size = (await store.lastEntry(ctx.db))?.seq ?? 0;
  for (let chunk = 0; chunk * LIMITS.ledgerChunk < size; chunk++) {
    const from = chunk * LIMITS.ledgerChunk + 1;
    const rows = new Map(
      (await store.entriesFrom(ctx.db, from, LIMITS.ledgerChunk)).map((row) => [row.seq, row] as const),
    );
    const there = await Promise.all(copies.map(async ({ label, lines }) => ({ label, lines: await lines(chunk) })));
    for (let seq = from; seq < from + LIMITS.ledgerChunk && seq <= size; seq++) {
      const row = rows.get(seq);
      for (const { label, lines } of there) if (row && lines[seq - from] !== row.entry) found(seq, "mirror", label);
      if (row === undefined) found(seq, "missing");
      const hash = row === undefined ? new Uint8Array(32) : await entryHash(row.entry);
      if (row !== undefined) {
        if (toHex(hash) !== toHex(row.hash) || !says(row)) found(seq, "entry");
        else if (prevOf(row.entry) !== prev) found(seq, "chain");
        prev = toHex(row.hash);
      }
      await tree.add(await leafHash(hash));
      if (sizes.has(seq)) roots.set(seq, toHex(await tree.root()));
    }
  }
  for (const { label, head } of copies) {
    if (head === null ? size > 0 : head === "damaged" || head.size !== size || head.hash !== prev) {
      found(head === null || head === "damaged" ? 0 : head.size, "mirror", label);
    }
  }
  const keys = heads.length === 0 ? [] : await ledgerKeys(ctx);
  for (const head of heads) {
    const { at, keyId, signature } = head;
    const root = toHex(head.root);
    const text = headText({ at, root, size: head.size });
    const key = keys.find((one) => one.keyId === keyId && isOfTime(one, at));
    const publicKey = fromHex(key?.publicKey, 32);
    const isSignedByUs = publicKey !== null && (await isSigned(publicKey, toHex(signature), text));
    if (!isSignedByUs || roots.get(head.size) !== root) found(head.size, "head");
  }
  for (const head of kept) if (roots.get(head.size) !== head.root) found(head.size, "published");
  return { size, heads: heads.length + kept.length, faults };
}

const prevOf = (entry: string) => (JSON.parse(entry) as { prev?: unknown }).prev;

/** Whether the columns beside an entry say what it says, in its canonical form. */
function says({ seq, at, type, entry }: store.LedgerRow): boolean {
  try {
    const value = JSON.parse(entry) as Record<string, Json>;
    const { prev } = value;
    const isSame = value.seq === seq && value.at === at && value.type === type && fromHex(prev, 32) !== null;
    return isSame && canonical(value) === entry;
  } catch {
    return false;
  }
}
