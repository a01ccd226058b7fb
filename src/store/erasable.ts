import type { InValue } from "@libsql/client";
import { getTableColumns, is } from "drizzle-orm";
import { getTableConfig, SQLiteTable } from "drizzle-orm/sqlite-core";
import { AppError } from "../errors.ts";
import type { Db, Statement } from "./db.ts";
import { conditionOf, type Holder } from "./held.ts";
import {
  type Category,
  DATA_MAP,
  type Described,
  describe,
  eraseOf,
  type Mapped,
  type MappedTable,
} from "./personal.ts";
import * as schema from "./schema.ts";
import { SEALED } from "./sealed.ts";
import { IDS_A_DEVICE } from "./segments.ts";

// What an erasure does to the database, read from the data map and from nothing else. The statements are put together from
// names of the schema, never from input.

/** A part of what is held of a person, which an account that lives may lack. */
export type Part =
  | { kind: "categories"; categories: readonly Category[] }
  /** "table.column" of the data map. */
  | { kind: "fields"; fields: readonly string[] };

export interface ErasableTable {
  /** As the data map names it. */
  name: string;
  /** Its rows go; otherwise the columns below are emptied. */
  rows: boolean;
  /** With the blind indexes that stand for them: NULL, or what a new row has. */
  columns: { name: string; sql: string; empty: InValue }[];
}

const TABLES = schema as unknown as Readonly<Record<string, unknown>>;
const SEALED_COLUMNS = SEALED as Readonly<Record<string, { columns: Readonly<Record<string, { index?: string }>> }>>;

interface Read {
  name: string;
  entry: MappedTable;
  table: SQLiteTable;
  columns: [string, Described][];
}

function read(map: Mapped): Read[] {
  return Object.entries(map).flatMap(([name, entry]) => {
    const table = TABLES[name];
    const columns = Object.entries(entry.columns).map(([column, said]): [string, Described] => [
      column,
      describe(said),
    ]);
    return is(table, SQLiteTable) ? [{ name, entry, table, columns }] : [];
  });
}

const saysSomething = ({ class: cls }: Described) => cls === "personal" || cls === "sensitive";

/** The table's rows go when everything that they say is asked for, and the account lives on without them. */
function rowsGo({ entry, columns }: Read, categories: readonly Category[]): boolean {
  const said = columns.filter(([, column]) => saysSomething(column));
  return entry.optional === true && said.length > 0 && said.every(([, { category }]) => categories.includes(category));
}

/**
 * What of the database goes with a part: rows of some tables, columns of others. Tracks are not among it: they are the
 * scope `tracks`.
 * @throws {AppError} invalid, naming a field that must stay as long as the account lives
 */
export function erasable(part: Part, map: Mapped = DATA_MAP): ErasableTable[] {
  const fields = new Set(part.kind === "fields" ? part.fields : []);
  const found: ErasableTable[] = [];
  for (const each of read(map)) {
    const { name, columns } = each;
    if (eraseOf(each.entry) !== "root" && eraseOf(each.entry) !== "cascade") continue;
    const asked = columns.filter(([column, described]) =>
      part.kind === "fields" ? fields.delete(`${name}.${column}`) : part.categories.includes(described.category),
    );
    const emptied = asked.filter(([, { emptiable }]) => emptiable);
    if (part.kind === "categories") {
      if (rowsGo(each, part.categories)) found.push({ name, rows: true, columns: [] });
      else if (emptied.length > 0) found.push({ name, rows: false, columns: emptyOf(each, emptied) });
      continue;
    }
    // A row is nothing without what must be in it.
    const needed = asked.filter(([, { emptiable }]) => !emptiable);
    const stays = needed.find(([, column]) => each.entry.optional !== true || !saysSomething(column));
    if (stays !== undefined) throw mustStay(`${name}.${stays[0]}`);
    if (needed.length > 0) found.push({ name, rows: true, columns: [] });
    else if (emptied.length > 0) found.push({ name, rows: false, columns: emptyOf(each, emptied) });
  }
  for (const field of fields) throw mustStay(field);
  return found;
}

const mustStay = (field: string) =>
  new AppError("invalid", `${field.slice(0, 80)} is not a field that can be erased alone`, { field: "fields" });

function emptyOf({ name, table, columns }: Read, emptied: readonly [string, Described][]): ErasableTable["columns"] {
  const config = getTableColumns(table);
  const names = new Set(emptied.map(([column]) => column));
  for (const [column, described] of columns) if (names.has(described.with ?? "")) names.add(column);
  for (const column of names) {
    if (SEALED_COLUMNS[name]?.columns[column]?.index !== undefined) names.add(`${column}Index`);
  }
  return [...names].map((column) => {
    const { name: sql, notNull, default: given } = config[column]!;
    return { name: column, sql, empty: notNull ? (given as InValue) : null };
  });
}

interface Bound {
  where: string;
  args: Record<string, InValue>;
}

/** Which rows of a table are asked for: those of the person, and of the account where they speak for all of it. */
function boundTo(name: string, who: Holder, map: Mapped): Bound | null {
  const { of } = map[name]!;
  if (of !== "user" && !who.wholeAccount) return null;
  const table = TABLES[name] as SQLiteTable;
  const where = conditionOf(table, getTableConfig(table).name, of, who);
  if (where === null) return null;
  // A person who is not of the account owns nothing here.
  const ofAccount = "EXISTS (SELECT 1 FROM users me WHERE me.id = :user AND me.account_id IS :account)";
  return {
    where: `(${where}) AND ${ofAccount}`,
    args: { user: who.userId, account: who.accountId, devices: JSON.stringify(who.devices) },
  };
}

/** Named parameters as numbered ones: a driver of a hosted database takes no others. */
function statement(named: string, given: Readonly<Record<string, InValue>>): Statement {
  const args: InValue[] = [];
  const sql = named.replaceAll(/:(\w+)/g, (_, name: string) => {
    args.push(given[name] ?? null);
    return "?";
  });
  return { sql, args };
}

const isFull = (columns: ErasableTable["columns"]) =>
  columns.map(({ sql, empty }) => `"${sql}" IS NOT ${literal(empty)}`).join(" OR ");
const literal = (value: InValue) =>
  value === null ? "NULL" : typeof value === "number" ? String(value) : `'${String(value).replaceAll("'", "''")}'`;

/**
 * Statements that erase a part of what is held about a person, each of at most `limit` rows: they are run until none
 * changes anything. The database erases what they free only with secure_delete: src/store/scrub.ts.
 * @param who for whom; of others than owners and managers of whole accounts only their own rows go
 */
export function erasureStatements(who: Holder, part: Part, limit: number, map: Mapped = DATA_MAP): Statement[] {
  return erasable(part, map).flatMap(({ name, rows, columns }) => {
    const bound = boundTo(name, who, map);
    if (bound === null) return [];
    const table = getTableConfig(TABLES[name] as SQLiteTable).name;
    const chosen = (more: string) =>
      `rowid IN (SELECT rowid FROM ${table} WHERE ${bound.where}${more} ORDER BY rowid LIMIT :limit)`;
    const given = { ...bound.args, limit };
    if (rows) return [statement(`DELETE FROM ${table} WHERE ${chosen("")}`, given)];
    const sets = columns.map(({ sql, empty }) => `"${sql}" = ${literal(empty)}`).join(", ");
    return [statement(`UPDATE ${table} SET ${sets} WHERE ${chosen(` AND (${isFull(columns)})`)}`, given)];
  });
}

/** Rows that still have something of a part, by table: what the statements above would change. */
export async function partResidue(
  db: Db,
  who: Holder,
  part: Part,
  map: Mapped = DATA_MAP,
): Promise<Record<string, number>> {
  const counts = erasable(part, map).flatMap(({ name, rows, columns }): [string, Statement][] => {
    const bound = boundTo(name, who, map);
    if (bound === null) return [];
    const { name: table } = getTableConfig(TABLES[name] as SQLiteTable);
    const more = rows ? "" : ` AND (${isFull(columns)})`;
    return [[name, statement(`SELECT count(*) FROM ${table} WHERE ${bound.where}${more}`, bound.args)]];
  });
  return counted(db, counts);
}

async function counted(db: Db, counts: readonly [string, Statement][]): Promise<Record<string, number>> {
  if (counts.length === 0) return {};
  const results = await db.$client.batch(
    counts.map(([, each]) => each),
    "read",
  );
  return Object.fromEntries(counts.map(([name], i) => [name, Number(results[i]!.rows[0]![0])]));
}

/** Numbers of what an account had, as they were noted before it went: rows that name only these are found too. */
export interface KnownIds {
  users?: readonly number[];
  devices?: readonly number[];
  keys?: readonly number[];
}

/** Columns that name a person or a thing of the account without a reference, as the row outlives them. */
const NAMES: Readonly<Record<string, "users" | "devices" | "keys">> = {
  user_id: "users",
  made_by: "users",
  opened_by: "users",
  device_id: "devices",
  key_id: "keys",
};
const OF: Readonly<Record<string, string>> = { users: "users", devices: "devices", keys: "api_keys" };

/** Segments of devices are found by their ids: a look at every row would take as long as there are rows. */
const segmentsOf = (devices: string) => `id IN (SELECT s.id FROM (${devices}) o CROSS JOIN segments s
  ON s.id >= o.id * ${IDS_A_DEVICE} AND s.id < (o.id + 1) * ${IDS_A_DEVICE})`;

/** Conditions, any of which a row meets that names an account, or a person, device or key of it. */
function namesAccount(table: SQLiteTable): string[] {
  const { name, columns, foreignKeys } = getTableConfig(table);
  if (name === "accounts") return ["id = :account"];
  const references = new Map(
    foreignKeys.map((key) => {
      const { foreignTable, columns: own } = key.reference();
      return [own[0]!.name, getTableConfig(foreignTable).name] as const;
    }),
  );
  return columns.flatMap(({ name: column }) => {
    if (column === "account_id") return ["account_id = :account"];
    const kind = NAMES[column];
    // The key of a wrapped secret is a customer's own, and not one of the API.
    if (kind === undefined || (kind === "keys" && references.get(column) !== OF.keys)) return [];
    const ids = `SELECT id FROM ${OF[kind]} WHERE account_id = :account UNION ALL SELECT value FROM json_each(:${kind})`;
    return [name === "segments" ? segmentsOf(ids) : `"${column}" IN (${ids})`];
  });
}

/**
 * Rows that still name an account, by table, from the tables themselves. Those that stay by the data map, go by time or
 * are about no customer are not looked at. The same question suits a database that has tracks alone.
 */
export async function residueCounts(
  db: Db,
  accountId: number,
  known: KnownIds = {},
  map: Mapped = DATA_MAP,
): Promise<Record<string, number>> {
  const given = {
    account: accountId,
    users: JSON.stringify(known.users ?? []),
    devices: JSON.stringify(known.devices ?? []),
    keys: JSON.stringify(known.keys ?? []),
  };
  const counts = read(map).flatMap(({ name, entry, table }): [string, Statement][] => {
    if (!["root", "cascade", "engine"].includes(eraseOf(entry))) return [];
    // One after the other, as each can use an index of its own.
    const rows = namesAccount(table).map((where) => `SELECT rowid FROM ${getTableConfig(table).name} WHERE ${where}`);
    return rows.length === 0 ? [] : [[name, statement(`SELECT count(*) FROM (${rows.join(" UNION ")})`, given)]];
  });
  return counted(db, counts);
}
