import { bytesOf, type Db, type Statement } from "./db.ts";

// Batches wait in `inbox` as they came, then in `runs`, merged and sorted. Both are cut into chunks that are sealed each
// for itself, and a directory says where each begins, so that a reader is given the chunk that it asks for and no more.

/** Digits of a place in a directory: a row has less than ten million bytes of chunks. */
export const PLACE_DIGITS = 7;
/** Buckets of the fleet. A device is in one of them, an account in those of one part. */
export const BUCKETS = 256;
export const PARTS = 128;
export const BUCKETS_A_PART: number = BUCKETS / PARTS;
/** The id of a run is its part times this, plus the last batch that is in it. */
export const RUNS_A_PART: number = 2 ** 43;

/** A batch as it is stored. */
export interface SealedBatch {
  positions: number;
  /** Unix ms; of the oldest. */
  receivedAt: number;
  kid: number;
  /** Eight random bytes; the chunk's number makes them the nonce of a chunk. */
  nonce: Uint8Array;
  /** Bucket >> shift is the chunk. */
  shift: number;
  directory: string;
  chunks: Uint8Array;
}

/** Some neighbouring chunks of a row. */
export interface ChunkRow {
  /** Of the batch; null: of a run, whose positions have their whole ids. */
  batch: number | null;
  kid: number;
  nonce: Uint8Array;
  shift: number;
  /** Number of the first chunk. */
  first: number;
  /** What tells its row from others: of a run the last batch in it, of a batch what else is in its row. */
  of: string;
  /** Their part of the directory. */
  directory: string;
  chunks: Uint8Array;
}

/** The last batch that ever was, in SQL: what is deleted is merged. */
export const LAST_BATCH = "max((SELECT merged FROM settlement), coalesce((SELECT max(id) FROM inbox), 0))";

/**
 * Appends batches, if the key that they are sealed under is still the one to use and the registry is still at `version`.
 * @param version null: the registry is in another database
 * @param accounts where it is: those that the positions are of, all of which must be placed here
 */
export function appendStatements(
  batches: readonly SealedBatch[],
  version: number | null,
  accounts: readonly number[] = [],
): Statement[] {
  const known =
    version !== null
      ? "AND (SELECT version FROM registry) = ?"
      : accounts.length > 0
        ? `AND NOT EXISTS (${STRANGERS})`
        : "";
  const condition = version !== null ? [version] : accounts.length > 0 ? [JSON.stringify(accounts)] : [];
  return [
    // As many as are added: the pages that they free are filled at once, and go into the log once.
    {
      sql: `DELETE FROM inbox WHERE id IN (SELECT id FROM inbox WHERE id <= (SELECT merged FROM settlement) ORDER BY id LIMIT ?)`,
      args: [batches.length],
    },
    ...batches.map((batch) => ({
      sql: `INSERT INTO inbox (id, positions, received_at, kid, nonce, shift, directory, chunks)
        SELECT ${LAST_BATCH} + 1, ?, ?, ?, ?, ?, ?, ? WHERE (SELECT kid FROM settlement) = ? ${known}`,
      args: [
        batch.positions,
        batch.receivedAt,
        batch.kid,
        batch.nonce,
        batch.shift,
        batch.directory,
        batch.chunks,
        batch.kid,
        ...condition,
      ],
    })),
  ];
}

/** Of accounts, as JSON, those that are not placed in this database. */
const STRANGERS = `SELECT 1 FROM json_each(?) j
  WHERE NOT EXISTS (SELECT 1 FROM residents r WHERE r.account_id = j.value AND r.state = 'here')`;

/** What appending to a database without the registry came to. */
export interface Appended {
  /** As it was found: with another key than that of the batches, nothing was written. */
  settlement: Settlement;
  /** The last batch. */
  lastBatch: number;
  /** Not all of the accounts are placed there, and nothing was written. */
  refused: boolean;
}

/** Appends batches to a database without the registry, all of them or none. */
export async function append(db: Db, batches: readonly SealedBatch[], accounts: readonly number[]): Promise<Appended> {
  const results = await db.$client.batch(
    [
      ...appendStatements(batches, null, accounts),
      SETTLEMENT,
      { sql: `SELECT EXISTS (${STRANGERS})`, args: [JSON.stringify(accounts)] },
    ],
    "write",
  );
  const [written, state, strangers] = results.slice(-3);
  return {
    settlement: settlementOf(state!.rows[0]!),
    lastBatch: Number(written!.lastInsertRowid ?? 0),
    refused: strangers!.rows[0]![0] === 1,
  };
}

/** The place in a directory of the chunk with the number that SQL gives, from 0. */
const placeOf = (directory: string, chunk: string) =>
  `CAST(substr(${directory}, ${PLACE_DIGITS} * (${chunk}) + 1, ${PLACE_DIGITS}) AS INTEGER)`;

const partOf = (
  from: string,
  to: string,
) => `substr(directory, ${PLACE_DIGITS} * (${from}) + 1, ${PLACE_DIGITS} * ((${to}) - (${from}) + 2)),
  substr(chunks, ${placeOf("directory", from)} + 1, ${placeOf("directory", `(${to}) + 1`)} - ${placeOf("directory", from)})`;

/** Of rows that the reader knows one for all: number and nonce of each that is still there. */
const listOf = (number: string) =>
  `SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, group_concat((${number}) || ' ' || hex(nonce), ',')`;

/** What tells a batch from others, as its id is not known when it is sealed. */
const OF_BATCH = "positions || ' ' || received_at";

/** What waits in the inbox for buckets `first` to `last`. @param known batches of which only that they are there is asked */
export function inboxStatement(first: number, last: number, known: readonly number[] = []): Statement {
  const waiting = "FROM inbox WHERE id > (SELECT merged FROM settlement) AND positions > 0";
  const columns = `id, kid, nonce, shift, ?1 >> shift, ${partOf("?1 >> shift", "?2 >> shift")}, ${OF_BATCH}`;
  if (known.length === 0) return { sql: `SELECT ${columns} ${waiting} ORDER BY id`, args: [first, last] };
  const list = "(SELECT value FROM json_each(?3))";
  return {
    sql: `SELECT ${columns} ${waiting} AND id NOT IN ${list}
      UNION ALL ${listOf("id")} ${waiting} AND id IN ${list}`,
    args: [first, last, JSON.stringify(known)],
  };
}

/**
 * What waits in runs for buckets `first` to `last`, which are of one part.
 * @param known the last batch of each run of which only that it is there is asked
 */
export function runsStatement(first: number, last: number, known: readonly number[] = []): Statement {
  const part = Math.floor(first / BUCKETS_A_PART);
  const start = part * RUNS_A_PART;
  const waiting = "FROM runs WHERE id > ?3 + (SELECT settled FROM parts WHERE id = ?4) AND id < ?5";
  const columns = `NULL, kid, nonce, 0, ?1, ${partOf(`?1 % ${BUCKETS_A_PART}`, `?2 % ${BUCKETS_A_PART}`)}, id - ?3`;
  const args = [first, last, start, part, start + RUNS_A_PART];
  if (known.length === 0) return { sql: `SELECT ${columns} ${waiting} ORDER BY id`, args };
  const list = "(SELECT value FROM json_each(?6))";
  return {
    sql: `SELECT ${columns} ${waiting} AND id - ?3 NOT IN ${list}
      UNION ALL ${listOf("id - ?3")} ${waiting} AND id - ?3 IN ${list}`,
    args: [...args, JSON.stringify(known)],
  };
}

/** Of what either statement found the rows that the reader knows: their numbers and nonces, hex. */
export function knownRows(rows: readonly ArrayLike<unknown>[]): [number: number, nonce: string][] {
  const list = rows.find((row) => row[2] === null)?.[7];
  if (typeof list !== "string") return [];
  return list.split(",").map((entry) => {
    const [number = "", nonce = ""] = entry.split(" ");
    return [Number(number), nonce];
  });
}

/** Rows of either statement; those without anything for the buckets are left out. */
export function chunkRows(rows: readonly ArrayLike<unknown>[]): ChunkRow[] {
  return rows.flatMap((row) => {
    if (row[2] === null) return [];
    const chunks = bytesOf(row[6]);
    if (chunks.length === 0) return [];
    return {
      batch: row[0] === null ? null : Number(row[0]),
      kid: Number(row[1]),
      nonce: bytesOf(row[2]),
      shift: Number(row[3]),
      first: Number(row[4]),
      of: String(row[7]),
      directory: String(row[5]),
      chunks,
    };
  });
}

/** What the inbox says of itself. */
export interface Settlement {
  /** The key that batches are sealed under; 0 before the first. */
  kid: number;
  /** Unix ms; since when. */
  kidSince: number;
  /** The last batch that is in runs. */
  merged: number;
  /** The most that ids of one segment lie apart. */
  span: number;
}

export const SETTLEMENT: Statement = { sql: "SELECT kid, kid_since, merged, span FROM settlement", args: [] };

export function settlementOf(row: ArrayLike<unknown>): Settlement {
  return { kid: Number(row[0]), kidSince: Number(row[1]), merged: Number(row[2]), span: Number(row[3]) };
}

export async function readSettlement(db: Db): Promise<Settlement> {
  return settlementOf((await db.$client.execute(SETTLEMENT)).rows[0]!);
}

/** Makes another key the one to use. @returns false when somebody else was faster */
export async function changeKey(db: Db, from: number, to: number, now: number): Promise<boolean> {
  const { rowsAffected } = await db.$client.execute({
    sql: "UPDATE settlement SET kid = ?, kid_since = ? WHERE kid = ?",
    args: [to, now, from],
  });
  return rowsAffected === 1;
}

/** The keys that rows are sealed under, settled ones too, and the one to use. */
export async function keysInUse(db: Db): Promise<number[]> {
  const { rows } = await db.$client.execute(
    "SELECT kid FROM inbox UNION SELECT kid FROM runs UNION SELECT kid FROM settlement",
  );
  return rows.map((row) => Number(row[0]));
}

/** Whether something waits that is sealed under one of these keys. */
export async function isWaitingUnder(db: Db, kids: readonly number[]): Promise<boolean> {
  const { rows } = await db.$client.execute({
    sql: `SELECT EXISTS (SELECT 1 FROM inbox WHERE id > (SELECT merged FROM settlement)
        AND kid IN (SELECT value FROM json_each(?1)))
      OR EXISTS (SELECT 1 FROM parts p CROSS JOIN runs r ON r.id > p.id * ${RUNS_A_PART} + p.settled
        AND r.id < (p.id + 1) * ${RUNS_A_PART} AND r.kid IN (SELECT value FROM json_each(?1)))`,
    args: [JSON.stringify(kids)],
  });
  return Number(rows[0]![0]) === 1;
}

/** Takes the lease of the settler until a time. @param holder any number of one's own */
export async function takeLease(db: Db, holder: number, now: number, until: number): Promise<boolean> {
  const { rowsAffected } = await db.$client.execute({
    sql: "UPDATE settlement SET holder = ?1, held_until = ?3 WHERE held_until <= ?2 OR holder = ?1",
    args: [holder, now, until],
  });
  return rowsAffected === 1;
}

export async function endLease(db: Db, holder: number): Promise<void> {
  await db.$client.execute({ sql: "UPDATE settlement SET held_until = 0 WHERE holder = ?", args: [holder] });
}

/** What is not merged yet. */
export interface Waiting {
  batches: number;
  positions: number;
  bytes: number;
  /** When the oldest of it came. */
  oldest: number | null;
}

export async function waitingInInbox(db: Db): Promise<Waiting> {
  const { rows } = await db.$client.execute(
    `SELECT count(*), coalesce(sum(positions), 0), min(received_at), coalesce(sum(length(chunks)), 0) FROM inbox
      WHERE id > (SELECT merged FROM settlement)`,
  );
  const [row] = rows;
  const oldest = row[2] === null ? null : Number(row[2]);
  return { batches: Number(row[0]), positions: Number(row[1]), bytes: Number(row[3]), oldest };
}

/** The oldest batches that are not merged yet, whole. @returns them, and the last batch that is */
export async function unmerged(
  db: Db,
  limits: { batches: number; positions: number; bytes: number },
): Promise<{ merged: number; rows: ChunkRow[]; last: number; oldest: number }> {
  const [state, found] = await db.$client.batch(
    [
      SETTLEMENT,
      {
        sql: `SELECT id, kid, nonce, shift, 0, directory, chunks, ${OF_BATCH}, received_at FROM inbox
          WHERE id > (SELECT merged FROM settlement) AND id <= (SELECT max(id) FROM (
            SELECT id, sum(positions) OVER (ORDER BY id) - positions AS before,
              sum(length(chunks)) OVER (ORDER BY id) - length(chunks) AS bytes_before FROM inbox
            WHERE id > (SELECT merged FROM settlement) ORDER BY id LIMIT ?) WHERE before < ? AND bytes_before < ?)
          ORDER BY id`,
        args: [limits.batches, limits.positions, limits.bytes],
      },
    ],
    "read",
  );
  const { merged } = settlementOf(state!.rows[0]!);
  const last = found!.rows.length === 0 ? merged : Number(found!.rows.at(-1)![0]);
  const oldest = Math.min(...found!.rows.map((row) => Number(row[8])));
  return { merged, rows: chunkRows(found!.rows), last, oldest };
}

/** The run of one part. */
export interface SealedRun {
  part: number;
  positions: number;
  receivedAt: number;
  directory: string;
  /** Its stretch of the bytes of all runs. */
  start: number;
  length: number;
}

/**
 * Replaces the batches up to `last` by runs, if those up to `merged` were the last that had been, and the key of the runs
 * is the one to use: an older one may be destroyed at any time. Runs that are settled go first: what they free is filled
 * at once.
 * @returns false when somebody else was faster; nothing is changed then
 */
export async function writeRuns(
  db: Db,
  merged: number,
  last: number,
  seal: { kid: number; nonce: Uint8Array; bytes: Uint8Array },
  runs: readonly SealedRun[],
): Promise<boolean> {
  const rows = JSON.stringify(
    runs.map((run) => [run.part, run.positions, run.receivedAt, run.directory, run.start + 1, run.length]),
  );
  const still = `(SELECT merged FROM settlement) = ?2 AND (SELECT kid FROM settlement) = ${seal.kid}`;
  const results = await db.$client.batch(
    [
      { sql: DELETE_SETTLED_RUNS, args: [] },
      {
        sql: `INSERT INTO runs (id, positions, received_at, kid, nonce, directory, chunks)
          SELECT (value ->> 0) * ${RUNS_A_PART} + ?3, value ->> 1, value ->> 2, ?4, ?5, value ->> 3,
            substr(?6, value ->> 4, value ->> 5) FROM json_each(?1) WHERE ${still}`,
        args: [rows, merged, last, seal.kid, seal.nonce, seal.bytes],
      },
      { sql: "UPDATE settlement SET merged = ? WHERE merged = ? AND kid = ?", args: [last, merged, seal.kid] },
    ],
    "write",
  );
  return results.at(-1)!.rowsAffected === 1;
}

/** Positions that wait to be settled, in SQL. */
export const WAITING_IN_RUNS: string = `(SELECT coalesce(sum(r.positions), 0) FROM runs r
  JOIN parts p ON p.id = r.id / ${RUNS_A_PART} AND r.id > p.id * ${RUNS_A_PART} + p.settled)`;

const DELETE_SETTLED_RUNS = `DELETE FROM runs WHERE id IN (
  SELECT r.id FROM parts p CROSS JOIN runs r ON r.id >= p.id * ${RUNS_A_PART} AND r.id <= p.id * ${RUNS_A_PART} + p.settled)`;

/** Deletes everything that is merged or settled. @returns rows */
export async function deleteSettled(db: Db): Promise<number> {
  const results = await db.$client.batch(
    [
      { sql: "DELETE FROM inbox WHERE id <= (SELECT merged FROM settlement)", args: [] },
      { sql: DELETE_SETTLED_RUNS, args: [] },
    ],
    "write",
  );
  return results.reduce((sum, { rowsAffected }) => sum + rowsAffected, 0);
}

/** The last batch that was ever appended. */
export async function lastBatch(db: Db): Promise<number> {
  const { rows } = await db.$client.execute(`SELECT ${LAST_BATCH}`);
  return Number(rows[0]![0]);
}

/** Whether whatever came for a part up to a batch is settled. */
export async function isSettled(db: Db, part: number, batch: number): Promise<boolean> {
  const { rows } = await db.$client.execute({
    sql: `SELECT s.merged >= ?2 AND (p.settled >= ?2 OR NOT EXISTS (
        SELECT 1 FROM runs WHERE id > ?1 * ${RUNS_A_PART} + p.settled AND id < (?1 + 1) * ${RUNS_A_PART}))
      FROM settlement s, parts p WHERE p.id = ?1`,
    args: [part, batch],
  });
  return Number(rows[0]![0]) === 1;
}

/** Parts that hold at least so many positions or bytes, or any that came before a time; the fullest first. */
export async function fullParts(
  db: Db,
  { positions, bytes, before }: { positions: number; bytes: number; before: number },
  limit: number,
): Promise<number[]> {
  const { rows } = await db.$client.execute({
    sql: `SELECT p.id FROM parts p CROSS JOIN runs r
        ON r.id > p.id * ${RUNS_A_PART} + p.settled AND r.id < (p.id + 1) * ${RUNS_A_PART}
      GROUP BY p.id HAVING sum(r.positions) >= ? OR sum(length(r.chunks)) >= ? OR min(r.received_at) < ?
      ORDER BY sum(r.positions) DESC LIMIT ?`,
    args: [positions, bytes, before, limit],
  });
  return rows.map((row) => Number(row[0]));
}

/**
 * What waits in the oldest runs of a part, as many as there are within the limits and one more.
 * @returns rows with the last batch that is in each
 */
export async function partRuns(
  db: Db,
  part: number,
  limits: { positions: number; bytes: number },
): Promise<{ settled: number; last: number; rows: (ChunkRow & { upTo: number })[] }> {
  const start = part * RUNS_A_PART;
  const [state, found] = await db.$client.batch(
    [
      { sql: "SELECT settled FROM parts WHERE id = ?", args: [part] },
      {
        sql: `SELECT NULL, r.kid, r.nonce, 0, ?1, r.directory, r.chunks, r.id - ?2 FROM (
            SELECT id, sum(positions) OVER (ORDER BY id) - positions AS before,
              sum(length(chunks)) OVER (ORDER BY id) - length(chunks) AS bytes_before
            FROM runs WHERE id > ?2 + (SELECT settled FROM parts WHERE id = ?3) AND id < ?4) n
          JOIN runs r ON r.id = n.id WHERE n.before < ?5 AND n.bytes_before < ?6 ORDER BY r.id`,
        args: [part * BUCKETS_A_PART, start, part, start + RUNS_A_PART, limits.positions, limits.bytes],
      },
    ],
    "read",
  );
  const settled = Number(state!.rows[0]![0]);
  const last = found!.rows.length === 0 ? settled : Number(found!.rows.at(-1)![7]);
  const rows = found!.rows.flatMap((row) => chunkRows([row]).map((chunks) => ({ ...chunks, upTo: Number(row[7]) })));
  return { settled, last, rows };
}

/** The batch up to which everything of a part is in segments. */
export async function settledUpTo(db: Db, part: number): Promise<number> {
  const { rows } = await db.$client.execute({ sql: "SELECT settled FROM parts WHERE id = ?", args: [part] });
  return Number(rows[0]![0]);
}

/** Where something of a part and of batches up to `last` still waits. */
export async function partWaits(db: Db, part: number, last: number): Promise<"inbox" | "runs" | "nowhere"> {
  const start = part * RUNS_A_PART;
  const { rows } = await db.$client.execute({
    sql: `SELECT EXISTS (SELECT 1 FROM inbox WHERE id > (SELECT merged FROM settlement) AND id <= ?1),
      EXISTS (SELECT 1 FROM runs WHERE id > ?2 + (SELECT settled FROM parts WHERE id = ?3) AND id < ?4)`,
    args: [last, start, part, start + RUNS_A_PART],
  });
  return rows[0]![0] === 1 ? "inbox" : rows[0]![1] === 1 ? "runs" : "nowhere";
}

/** Of statements that settle a part: it is settled as far as was known. */
export const STILL_AT = "(SELECT settled FROM parts WHERE id = ?1) = ?2";

/** The last statement of those that settle the runs of a part up to `last`. */
export function settledStatement(part: number, settled: number, last: number): Statement {
  return {
    sql: "UPDATE parts SET settled = ?3 WHERE id = ?1 AND settled = ?2",
    args: [part, settled, last],
  };
}
