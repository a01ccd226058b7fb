import { bytesOf, type Db } from "./db.ts";

// The table is only ever added to; what is restored from the mirror (src/restore.ts) is put back as it was.

export interface LedgerRow {
  seq: number;
  at: number;
  type: string;
  entry: string;
  hash: Uint8Array;
}

export interface HeadRow {
  size: number;
  at: number;
  root: Uint8Array;
  keyId: string;
  signature: Uint8Array;
}

const rowOf = (row: { [i: number]: unknown }): LedgerRow => ({
  seq: Number(row[0]),
  at: Number(row[1]),
  type: String(row[2]),
  entry: String(row[3]),
  hash: bytesOf(row[4]),
});

/** The newest entry; null: there is none. */
export async function lastEntry(db: Db): Promise<LedgerRow | null> {
  const { rows } = await db.$client.execute("SELECT seq, at, type, entry, hash FROM ledger ORDER BY seq DESC LIMIT 1");
  return rows[0] === undefined ? null : rowOf(rows[0]);
}

/** Entries from `seq` on, in order. */
export async function entriesFrom(db: Db, seq: number, limit: number): Promise<LedgerRow[]> {
  const { rows } = await db.$client.execute({
    sql: "SELECT seq, at, type, entry, hash FROM ledger WHERE seq >= ? ORDER BY seq LIMIT ?",
    args: [seq, limit],
  });
  return rows.map(rowOf);
}

/** The hash of an entry; null: there is no such entry. */
export async function hashAt(db: Db, seq: number): Promise<Uint8Array | null> {
  const { rows } = await db.$client.execute({ sql: "SELECT hash FROM ledger WHERE seq = ?", args: [seq] });
  return rows[0] === undefined ? null : bytesOf(rows[0][0]);
}

/** Hashes of the first `size` entries, in order; fewer where they are not there. */
export async function firstHashes(db: Db, size: number, page: number): Promise<Uint8Array<ArrayBuffer>[]> {
  const hashes: Uint8Array<ArrayBuffer>[] = [];
  for (let after = 0; after < size; ) {
    const { rows } = await db.$client.execute({
      sql: "SELECT hash FROM ledger WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
      args: [after, size, page],
    });
    for (const row of rows) hashes.push(new Uint8Array(bytesOf(row[0])));
    if (rows.length < page) break;
    after += rows.length;
  }
  return hashes;
}

/** Appends an entry, if it comes right after the newest. False when somebody else was faster. */
export async function insertEntry(db: Db, { seq, at, type, entry, hash }: LedgerRow): Promise<boolean> {
  const { rowsAffected } = await db.$client.execute({
    sql: `INSERT INTO ledger (seq, at, type, entry, hash)
      SELECT ?, ?, ?, ?, ? WHERE (SELECT coalesce(max(seq), 0) FROM ledger) = ?`,
    args: [seq, at, type, entry, hash, seq - 1],
  });
  return rowsAffected === 1;
}

/** The smallest head that covers an entry and that a key signed; null: none does. */
export async function headOver(db: Db, seq: number, keyId: string): Promise<HeadRow | null> {
  return (await heads(db, "WHERE size >= ? AND key_id = ? ORDER BY size LIMIT 1", [seq, keyId]))[0] ?? null;
}

/** Signed heads, the newest first. */
export function newestHeads(db: Db, limit: number): Promise<HeadRow[]> {
  return heads(db, "ORDER BY size DESC LIMIT ?", [limit]);
}

async function heads(db: Db, which: string, args: (number | string)[]): Promise<HeadRow[]> {
  const { rows } = await db.$client.execute({
    sql: `SELECT size, at, root, key_id, signature FROM ledger_heads ${which}`,
    args,
  });
  return rows.map((row) => ({
    size: Number(row[0]),
    at: Number(row[1]),
    root: bytesOf(row[2]),
    keyId: String(row[3]),
    signature: bytesOf(row[4]),
  }));
}

/** Keeps a head, unless the same key has signed one of that size. */
export async function insertHead(db: Db, { size, at, root, keyId, signature }: HeadRow): Promise<boolean> {
  const { rowsAffected } = await db.$client.execute({
    sql: `INSERT INTO ledger_heads (size, at, root, key_id, signature) VALUES (?, ?, ?, ?, ?)
      ON CONFLICT (size) DO UPDATE SET at = excluded.at, key_id = excluded.key_id, signature = excluded.signature
      WHERE key_id <> excluded.key_id AND root = excluded.root`,
    args: [size, at, root, keyId, signature],
  });
  return rowsAffected === 1;
}
