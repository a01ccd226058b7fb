import type { InValue, ResultSet } from "@libsql/client";
import { getTableColumns, is } from "drizzle-orm";
import { getTableConfig, SQLiteTable } from "drizzle-orm/sqlite-core";
import { bytesOf, type Db, type Statement } from "./db.ts";
import { type Category, type Class, DATA_MAP, describe, exportOf, type Mapped } from "./personal.ts";
import * as schema from "./schema.ts";
import { SEALED, type SealedTable } from "./sealed.ts";
import { idsOf, SEGMENTS_A_DAY } from "./segments.ts";

// What is held about a person, read by the data map and by nothing else: a table or a column that is added there is
// found here without an edit. The statements are put together from names of the schema, never from input.

/** For whom is read. */
export interface Holder {
  userId: number;
  /** null: the operator's staff, of whom only their own rows are shown */
  accountId: number | null;
  /** Ids of the only devices within reach; null: all of the account's. */
  devices: readonly number[] | null;
  /** Owners and managers see what is held about the account as a whole; others what names them. */
  wholeAccount: boolean;
  /** Of the platform itself, which has to copy it before it goes: of every person of the account, also what is frozen. */
  everybody?: true;
}

export interface HeldColumn {
  name: string;
  class: Class;
  category: Category;
}

export type HeldValue = string | number | null;

/** What one table holds. */
export interface HeldTable {
  /** As the data map names it. */
  name: string;
  of: "account" | "user" | "device";
  /** Those that are about somebody, in the order of the values. */
  columns: HeldColumn[];
  /** Of columns whose values open something: stored and never shown. */
  secret: HeldColumn[];
  rows: number;
  /** Newest first; null for what trackers sent, which is counted. Times are Unix ms. */
  values: HeldValue[][] | null;
  /** Of what is counted: Unix ms. */
  oldest: number | null;
  newest: number | null;
}

type TableMap = { readonly of: string; readonly columns: Readonly<Record<string, string>> };
export type AnyDataMap = Readonly<Record<string, TableMap>>;

const TABLES = schema as unknown as Readonly<Record<string, unknown>>;

/** Columns that name a person without a reference, as the row outlives them. */
const NAMES_PERSON: Readonly<Record<string, string>> = {
  audit: "actor_id = :user AND actor IN ('user', 'staff')",
  looks: "staff_id = :user",
  requests: "account_id = :account AND user_id = :user",
  receipts: "request_id IN (SELECT id FROM requests WHERE account_id = :account AND user_id = :user)",
};

interface Reader {
  table: HeldTable;
  statement: Statement;
}

/**
 * Reads what is held.
 * @param limit rows of a table whose values are shown
 * @param countLimit up to how many rows of trackers are counted
 * @param map the data map; a test gives an altered one
 * @param tracks the database with the tracks, where that is another
 */
export async function heldTables(
  db: Db,
  who: Holder,
  limit: number,
  countLimit: number,
  map: AnyDataMap = DATA_MAP,
  tracks: Db = db,
): Promise<HeldTable[]> {
  const apart = tracks !== db;
  const readers = Object.entries(map).flatMap(
    ([name, entry]) => readerOf(name, entry, who, limit, countLimit, apart) ?? [],
  );
  const isApart = ({ table }: Reader) => apart && OF_TRACKS.has(table.name);
  const [there, here] = [readers.filter(isApart), readers.filter((reader) => !isApart(reader))];
  const read = (from: Db, of: Reader[]) =>
    of.length === 0
      ? []
      : from.$client.batch(
          of.map(({ statement }) => statement),
          "read",
        );
  const [results, elsewhere] = await Promise.all([read(db, here), read(tracks, there)]);
  const found = new Map([
    ...here.map((reader, i) => [reader, results[i]!] as const),
    ...there.map((reader, i) => [reader, elsewhere[i]!] as const),
  ]);
  return Promise.all(readers.map((reader) => filled(db, reader.table, found.get(reader)!)));
}

/** Tables that lie where an account's tracks are. */
const OF_TRACKS: ReadonlySet<string> = new Set(["segments", "newest", "wrappedSecrets", "residents"]);

function readerOf(
  name: string,
  entry: TableMap,
  who: Holder,
  limit: number,
  countLimit: number,
  apart: boolean,
): Reader | null {
  const table = TABLES[name];
  if (!is(table, SQLiteTable) || entry.of === "platform") return null;
  const { name: sqlName, columns: sqlColumns } = getTableConfig(table);
  const byName = getTableColumns(table);
  const where = conditionOf(table, sqlName, entry.of, who);
  if (where === null) return null;
  const { columns, secret } = columnsOf(entry);
  const held: HeldTable = {
    name,
    of: entry.of as HeldTable["of"],
    columns,
    secret,
    rows: 0,
    values: entry.of === "device" ? null : [],
    oldest: null,
    newest: null,
  };
  const bound = (named: string, limit: number) => boundTo(who, named, { limit });
  if (held.values === null) {
    const time = sqlColumns.some((column) => column.name === "fix_time") ? "fix_time" : "created_at";
    const count =
      apart && sqlName === "segments" ? countApart(who) : countOf(sqlName, time, where, deviceCondition(who));
    return { table: held, statement: bound(count, countLimit) };
  }
  const selected = columns.map((column) => `"${byName[column.name]?.name ?? column.name}"`);
  const owner = ownerOf(name);
  const statement = bound(
    `SELECT count(*) OVER ()${selected.map((column) => `, ${column}`).join("")}, ${owner} FROM ${sqlName}
      WHERE ${where} ORDER BY rowid DESC LIMIT :limit`,
    limit,
  );
  return { table: held, statement };
}

/** The columns of a table that are about somebody, and those whose values open something. */
function columnsOf(entry: TableMap): Pick<HeldTable, "columns" | "secret"> {
  const described = Object.entries(entry.columns).map(([name, entry]) => {
    const { class: cls, category } = describe(entry);
    return { name, class: cls, category };
  });
  return {
    columns: described.filter((column) => column.class !== "none" && column.class !== "secret"),
    secret: described.filter((column) => column.class === "secret"),
  };
}

/** SQL: under whose secret a row is sealed. */
const ownerOf = (name: string) => (name in SEALED ? SEALED[name as SealedTable].account : "NULL");

/** Binds the names in a statement. */
function boundTo(who: Holder, named: string, more: Readonly<Record<string, number>>): Statement {
  const given: Record<string, InValue> = {
    user: who.userId,
    account: who.accountId,
    devices: JSON.stringify(who.devices),
    ...more,
  };
  const args: InValue[] = [];
  const sql = named.replaceAll(/:(\w+)/g, (_, name: string) => {
    args.push(given[name] ?? null);
    return "?";
  });
  return { sql, args };
}

/** A table that can hold something about the holder, to be read page by page to its end. */
export interface HeldSource extends Pick<HeldTable, "name" | "columns" | "secret"> {
  /** Its file in an export. */
  file: string;
  /** It lies where an account's tracks are. */
  ofTracks: boolean;
  /** Rows after that one, in the order in which they were stored. */
  page(after: number, limit: number): Statement;
}

/** The file of what lies in several tables as positions: it is the tracks, not these rows. */
const TRACKS_FILE = "positions";

/**
 * Every table that can hold something about the holder and has a file in an export; of each all rows can be read. What
 * is told by the tracks is not among them.
 */
export function heldSources(who: Holder, map: Mapped = DATA_MAP): HeldSource[] {
  return Object.entries(map).flatMap(([name, entry]) => {
    const table = TABLES[name];
    const file = exportOf(entry);
    if (!is(table, SQLiteTable) || file === null || file === TRACKS_FILE) return [];
    const { name: sqlName } = getTableConfig(table);
    const byName = getTableColumns(table);
    const where = conditionOf(table, sqlName, entry.of, who);
    if (where === null) return [];
    const { columns, secret } = columnsOf(entry);
    if (columns.length === 0) return [];
    const selected = columns.map((column) => `"${byName[column.name]?.name ?? column.name}"`).join(", ");
    // `+`: by whose rows they are, not through everybody's in the order of the ids.
    const sql = `SELECT rowid, ${selected}, ${ownerOf(name)} FROM ${sqlName}
      WHERE (${where}) AND +rowid > :after ORDER BY +rowid LIMIT :limit`;
    const page = (after: number, limit: number) => boundTo(who, sql, { after, limit });
    return [{ name, file, columns, secret, ofTracks: OF_TRACKS.has(name), page }];
  });
}

/**
 * One page of a table's rows: values in the order of the columns.
 * @param db the database with accounts; it opens what is sealed
 * @returns and after which row the next page begins; null: there is none
 */
export async function heldPage(
  db: Db,
  tracks: Db,
  source: HeldSource,
  after: number,
  limit: number,
): Promise<{ values: HeldValue[][]; next: number | null }> {
  const { rows } = await (source.ofTracks ? tracks : db).$client.execute(source.page(after, limit));
  const { columns } = source;
  const values = await openValues(db, source.name, columns, rows);
  return { values, next: rows.length < limit ? null : Number(rows.at(-1)?.[0]) };
}

/**
 * How much of trackers a table holds, and from when to when. The ends are looked up device by device along the index; only
 * the count reads row by row, and so far only.
 */
function countOf(table: string, time: string, where: string, reach: string): string {
  if (table === "segments") return segmentsCount(reach);
  const ofDevice = `FROM ${table} t WHERE t.device_id = d.id`;
  return `SELECT (SELECT count(*) FROM (SELECT 1 FROM ${table} WHERE ${where} LIMIT :limit)),
    (SELECT min(at) FROM (SELECT (SELECT min(t.${time}) ${ofDevice}) AS at FROM devices d WHERE ${reach})),
    (SELECT max(at) FROM (SELECT (SELECT max(t.${time}) ${ofDevice}) AS at FROM devices d WHERE ${reach}))`;
}

/** The same of segments where the devices are in another database: so many segments are looked at. */
function countApart({ devices }: Holder): string {
  const limited = devices === null ? "" : "AND device_id IN (SELECT value FROM json_each(:devices))";
  return `SELECT min(coalesce(sum(positions), 0), :limit), min(from_time), max(to_time) FROM (
    SELECT positions, from_time, to_time FROM segments WHERE account_id = :account ${limited} ORDER BY last_id DESC LIMIT :limit)`;
}

/** Positions, not rows; device by device along the ids, which are in the order of days. */
function segmentsCount(reach: string): string {
  const [from, to] = idsOf(1);
  const ofDevice = (device: string) => `t.id >= ${device} * ${to - from} AND t.id < (${device} + 1) * ${to - from}`;
  const dayOf = (end: "min" | "max") =>
    `(SELECT ${end}(t.id) / ${SEGMENTS_A_DAY} FROM segments t WHERE ${ofDevice("d.id")})`;
  const ofDay = (end: "min" | "max") =>
    `t.id >= ${dayOf(end)} * ${SEGMENTS_A_DAY} AND t.id < (${dayOf(end)} + 1) * ${SEGMENTS_A_DAY}`;
  return `WITH RECURSIVE counted (device, total) AS (SELECT 0, 0 UNION ALL
      SELECT d.id, total + (SELECT coalesce(sum(t.positions), 0) FROM segments t WHERE ${ofDevice("d.id")}) FROM counted
        JOIN devices d ON d.id = (SELECT min(id) FROM devices WHERE id > counted.device AND ${reach})
        WHERE total < :limit)
    SELECT (SELECT min(max(total), :limit) FROM counted),
      (SELECT min(at) FROM (SELECT (SELECT min(t.from_time) FROM segments t WHERE ${ofDay("min")}) AS at FROM devices d WHERE ${reach})),
      (SELECT max(at) FROM (SELECT (SELECT max(t.to_time) FROM segments t WHERE ${ofDay("max")}) AS at FROM devices d WHERE ${reach}))`;
}

const deviceCondition = ({ devices, everybody }: Holder): string =>
  `account_id = :account${everybody ? "" : " AND deleting_at IS NULL"}${devices === null ? "" : " AND id IN (SELECT value FROM json_each(:devices))"}`;

/**
 * Which rows of a table are about the holder: by a column of that name, by the table itself, or by what the table refers
 * to. null: none can be.
 */
export function conditionOf(table: SQLiteTable, name: string, of: string, who: Holder): string | null {
  const { columns, foreignKeys } = getTableConfig(table);
  const has = (column: string) => columns.some((candidate) => candidate.name === column);
  const referring = (to: SQLiteTable) =>
    foreignKeys.flatMap((key) => {
      const { foreignTable, columns: own } = key.reference();
      return foreignTable === to ? [own[0]!.name] : [];
    });
  const all = who.everybody && who.wholeAccount;
  if (name === "users") return all ? "account_id = :account" : "id = :user";
  if (of === "user" && all)
    return has("user_id") ? "user_id IN (SELECT id FROM users WHERE account_id = :account)" : null;
  if (of === "user") return has("user_id") ? "user_id = :user" : null;
  if (of === "device") {
    return who.accountId === null ? null : `device_id IN (SELECT id FROM devices WHERE ${deviceCondition(who)})`;
  }
  if (who.accountId !== null) {
    if (name === "accounts") return who.wholeAccount ? "id = :account" : null;
    if (name === "devices") return deviceCondition(who);
    if (who.wholeAccount && has("account_id")) return "account_id = :account";
    if (who.wholeAccount) {
      // One step further: what refers to something of the account.
      for (const key of foreignKeys) {
        const { foreignTable, columns: own } = key.reference();
        const parent = getTableConfig(foreignTable);
        if (foreignTable === (schema.devices as SQLiteTable) || !parent.columns.some((c) => c.name === "account_id"))
          continue;
        return `${own[0]!.name} IN (SELECT id FROM ${parent.name} WHERE account_id = :account)`;
      }
      return null;
    }
  }
  const mine = [
    ...referring(schema.users).map((column) => `${column} = :user`),
    ...(NAMES_PERSON[name] ? [NAMES_PERSON[name]] : []),
  ];
  if (mine.length === 0) return null;
  return mine.map((condition) => `(${condition})`).join(" OR ");
}

async function filled(db: Db, table: HeldTable, { rows }: ResultSet): Promise<HeldTable> {
  const [first] = rows;
  if (first === undefined) return table;
  if (table.values === null) {
    const [count, oldest, newest] = [0, 1, 2].map((i) => first[i] as number | null);
    return { ...table, rows: count ?? 0, oldest: oldest ?? null, newest: newest ?? null };
  }
  return { ...table, rows: Number(first[0]), values: await openValues(db, table.name, table.columns, rows) };
}

/** Values of rows that begin with something else and end with their owner. */
async function openValues(
  db: Db,
  table: string,
  columns: readonly HeldColumn[],
  rows: ResultSet["rows"],
): Promise<HeldValue[][]> {
  let named = rows.map((row) => Object.fromEntries(columns.map(({ name }, i) => [name, row[i + 1]])));
  if (table in SEALED) {
    const owners = new Map(named.map((row, i) => [row, rows[i]![columns.length + 1] as number | null]));
    named = await db.$fields.open(table as SealedTable, named, (row) => owners.get(row) ?? null);
  }
  return named.map((row) => columns.map(({ name }) => shown(row[name])));
}

/** Bytes are shown as hex. */
function shown(value: unknown): HeldValue {
  if (value === null || typeof value === "string" || typeof value === "number") return value;
  return [...bytesOf(value)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
