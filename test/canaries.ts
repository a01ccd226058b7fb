import { getTableColumns, is, sql } from "drizzle-orm";
import { SQLiteTable } from "drizzle-orm/sqlite-core";
import { DATA_MAP } from "../src/store/personal.ts";
import * as schema from "../src/store/schema.ts";
import { SEALED, type SealedTable } from "../src/store/sealed.ts";
import { NOON, type TestBase } from "./database.ts";

// Something in every column that can be found again.

type Row = Record<string, unknown>;
export const TABLES = Object.fromEntries(
  Object.entries(schema as unknown as Record<string, unknown>).filter((pair): pair is [string, SQLiteTable] =>
    is(pair[1], SQLiteTable),
  ),
);
export const MAP: Readonly<Record<string, { of: string; columns: Readonly<Record<string, string>> }>> = DATA_MAP;
export const classOf = (table: string, column: string) => MAP[table]!.columns[column]!.split(" ")[0]!;

export type CanaryIds = Record<"account" | "user" | "device" | "key" | "document", number>;
export interface Canary {
  owner: "own" | "other";
  table: string;
  column: string;
  text: string;
}

/** What a table's columns must be for a row to be possible. */
const given = (ids: CanaryIds): Record<string, Row> => ({
  accounts: {
    ...{ id: ids.account, state: "active", privacyAccepted: null, termsAccepted: null },
    ...{ timeZone: "UTC", retentionDays: 30, retentionVersion: 1, collection: 1, telemetry: null, frozenAt: null },
  },
  users: { id: ids.user, role: "owner", units: "metric", language: "en", timeZone: "UTC", disabledAt: null },
  apiKeys: { id: ids.key },
  devices: {
    ...{ id: ids.device, imei: undefined, confirmCce: 0, clockOffsetMinutes: 0, deletingAt: null },
    ...{ groupId: null, retentionDays: 30, retentionFloor: 0, rescopedAt: null },
  },
  deviceGroups: { retentionDays: 30 },
  purges: { day: 20_000, positions: 7 },
  addresses: { country: "AT" },
  acceptances: { documentId: ids.document, language: "en" },
  audit: { accountId: ids.account, actorId: ids.user },
  looks: { windowId: 1, staffId: 1, deviceId: ids.device },
  idempotencyKeys: { status: 200 },
  sessions: { expiresAt: NOON + 1e9 },
  passkeys: { algorithm: -7 },
  customerKeys: { publicKey: new Uint8Array(32).fill(0x5a) },
  wrappedSecrets: { kid: ids.account, keyId: 1, day: 20_000, wrapped: new Uint8Array(80).fill(0xa5) },
  tokens: { kind: "report" },
  suspensions: { requestId: null, since: NOON - 2, liftedAt: NOON - 1 },
  requests: {
    state: "cleared",
    uncertain: 0,
    alarmed: 0,
    attempts: 0,
    holder: 0,
    heldUntil: 0,
    dueAt: 0,
    failures: 0,
    viaSubject: 0,
  },
  subjectLinks: { id: ids.account, showsTrack: 0 },
  subjectRequests: { linkId: ids.account, alarmed: 0 },
});

/** What others refer to. */
export const FIRST = ["accounts", "users", "devices", "apiKeys"];
let moment = Date.UTC(2025, 0, 1);

/** Writes a row with something in each column that can be found again. */
export async function plantCanaries(
  { db }: TestBase,
  owner: Canary["owner"],
  name: string,
  ids: CanaryIds,
): Promise<Canary[]> {
  const written: Canary[] = [];
  const table = TABLES[name]!;
  const columns = getTableColumns(table) as Record<
    string,
    { name: string; getSQLType(): string; enumValues?: readonly string[]; primary: boolean }
  >;
  const fixed = given(ids)[name] ?? {};
  const references: Record<string, number> = {
    account_id: ids.account,
    user_id: ids.user,
    device_id: ids.device,
    key_id: ids.key,
    made_by: ids.user,
    opened_by: ids.user,
  };
  const row: Row = {};
  for (const [key, column] of Object.entries(columns)) {
    if (key in fixed) {
      if (fixed[key] !== undefined) row[key] = fixed[key];
      continue;
    }
    if (column.name in references) row[key] = references[column.name];
    else if (key === "id" || key.endsWith("Index")) continue;
    else if (column.getSQLType() === "blob") row[key] = new Uint8Array(Buffer.from(`canary ${owner} ${name} ${key}`));
    else if (column.getSQLType() === "integer") {
      const isSwitch = /^(may|device_lim|second_f|personalisation|search_h)/.test(column.name);
      moment += 61_000;
      row[key] = isSwitch ? 1 : moment;
      if (!isSwitch && /_(at|since|until)$|^at$/.test(column.name) && classOf(name, key) === "personal")
        written.push({ owner, table: name, column: key, text: new Date(moment).toISOString() });
      continue;
    } else if (column.enumValues !== undefined) row[key] = column.enumValues[0];
    else row[key] = `canary ${owner} ${name} ${key}`;
    if (typeof row[key] === "string" && row[key].startsWith("canary"))
      written.push({ owner, table: name, column: key, text: row[key] });
    else if (row[key] instanceof Uint8Array)
      written.push({ owner, table: name, column: key, text: Buffer.from(row[key]).toString("hex") });
  }
  const stored = name in SEALED ? await db.$fields.seal(name as SealedTable, ids.account, row) : row;
  // What others refer to is there already.
  if (FIRST.includes(name)) {
    const id = fixed.id as number;
    await db
      .update(table)
      .set(stored as never)
      .where(sql`id = ${id}`);
  } else await db.insert(table).values(stored as never);
  return written;
}
