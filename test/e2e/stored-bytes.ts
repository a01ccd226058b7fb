import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import Database from "libsql";
import type { Canary } from "../../tools/residue.ts";

// What an installation has stored of an account, byte by byte as it lies in its files: sealed, hashed, wrapped.

/** Bytes of a value that are looked for: a page of the database may end anywhere. */
const PIECE = 16;
/** Rows of a table of which every piece is looked for; of more, these many spread over it. */
const ROWS = 12;
/** What stays by design, and says nothing about anybody: names of requests and numbers. */
const KEPT = ["requests", "request_steps", "receipts", "ledger", "audit", "job_runs", "gone_accounts"];
/** Not an account's row by row: what everybody sent in one moment. */
const SHARED = ["inbox", "runs"];

/**
 * @param dataDir a copy of a data folder of the platform
 * @param accountId null: what waits of everybody
 */
export function storedOf(dataDir: string, accountId: number | null): Canary[] {
  const path = join(dataDir, "main.db");
  const db = new Database(path, { readonly: true });
  const canaries: Canary[] = [];
  const add = (name: string, value: unknown) => {
    const bytes = typeof value === "string" ? Buffer.from(value) : Buffer.from(value as ArrayBuffer);
    const last = bytes.length - PIECE;
    for (const at of new Set([0, Math.floor(last / 2), last])) {
      if (last < 0) continue;
      canaries.push({
        name: `${name} ${canaries.length}`,
        value: { hex: bytes.subarray(at, at + PIECE).toString("hex") },
      });
    }
  };
  const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all() as { name: string }[];
  for (const { name: table } of tables) {
    if (KEPT.includes(table)) continue;
    const columns = (db.prepare("SELECT name FROM pragma_table_info(?)").all([table]) as { name: string }[]).map(
      ({ name }) => name,
    );
    const people = `(SELECT id FROM users WHERE account_id = ${accountId})`;
    const where =
      accountId === null
        ? SHARED.includes(table)
          ? "1"
          : null
        : table === "accounts"
          ? `id = ${accountId}`
          : columns.includes("account_id")
            ? `account_id = ${accountId}`
            : columns.includes("user_id")
              ? `user_id IN ${people}`
              : null;
    if (where === null) continue;
    const rows = db.prepare(`SELECT * FROM ${table} WHERE ${where}`).all() as Record<string, unknown>[];
    const step = Math.max(1, Math.ceil(rows.length / ROWS));
    for (const row of rows.filter((_, n) => n % step === 0))
      for (const [column, value] of Object.entries(row))
        if (typeof value === "string" || (typeof value === "object" && value !== null))
          add(`${table} ${column}`, value);
  }
  db.close();
  // Behind its head, which others share.
  for (const bytes of keyObjects(join(dataDir, "keys"), `account/${accountId}`)) add("keys object", bytes.subarray(24));
  return canaries;
}

/** An object in every copy of the key store, whichever way this runtime keeps it. */
function keyObjects(folder: string, name: string): Buffer[] {
  const r2 = join(folder, "r2");
  if (!existsSync(r2)) {
    return readdirSync(folder)
      .filter((file) => file.endsWith(".db"))
      .flatMap((file) => {
        const db = new Database(join(folder, file), { readonly: true });
        const rows = db.prepare("SELECT bytes FROM objects WHERE name = ?").all([name]) as { bytes: ArrayBuffer }[];
        db.close();
        return rows.map(({ bytes }) => Buffer.from(bytes));
      });
  }
  const tables = join(r2, "miniflare-R2BucketObject");
  const blobs = readdirSync(tables)
    .filter((file) => file.endsWith(".sqlite"))
    .flatMap((file) => {
      const db = new Database(join(tables, file), { readonly: true });
      const has = db.prepare("SELECT count(*) AS n FROM sqlite_master WHERE name = '_mf_objects'").get() as {
        n: number;
      };
      const rows = has.n === 0 ? [] : db.prepare("SELECT blob_id FROM _mf_objects WHERE key = ?").all([name]);
      db.close();
      return (rows as { blob_id: string }[]).map(({ blob_id }) => blob_id);
    });
  return readdirSync(r2).flatMap((bucket) =>
    blobs
      .map((blob) => join(r2, bucket, "blobs", blob))
      .filter((path) => existsSync(path))
      .map((path) => readFileSync(path)),
  );
}
