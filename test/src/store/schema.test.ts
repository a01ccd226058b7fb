import { is } from "drizzle-orm";
import { getTableConfig, SQLiteTable } from "drizzle-orm/sqlite-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import * as schema from "../../../src/store/schema.ts";
import { aDatabase, aDevice, anAccount, type TestDatabase } from "../../database.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await aDatabase();
});
afterAll(() => database.close());

const TABLES = (Object.values(schema) as unknown[]).filter((value): value is SQLiteTable => is(value, SQLiteTable));

test("schema.ts names the tables that the migrations make, all of them", async () => {
  const { rows } = await database.client.execute(
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
  );
  expect(TABLES.map((table) => getTableConfig(table).name).sort()).toEqual(rows.map((row) => row.name).sort());
});

test("schema.ts has the columns and indexes of each table as the migrations make them", async () => {
  for (const table of TABLES) {
    const config = getTableConfig(table);
    const { rows } = await database.client.execute({
      sql: `SELECT name, type, "notnull", pk FROM pragma_table_info(?) ORDER BY cid`,
      args: [config.name],
    });
    expect(
      config.columns.map((column) => `${column.name} ${column.getSQLType().toUpperCase()}`),
      config.name,
    ).toEqual(rows.map((row) => `${row.name} ${row.type}`));
    for (const [index, column] of config.columns.entries()) {
      const inTable = rows[index].notnull === 1 || (rows[index].pk as number) > 0;
      expect(column.notNull || column.primary, `${config.name}.${column.name} not null`).toBe(inTable);
    }
    const indexes = await database.client.execute({
      sql: "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND name NOT LIKE 'sqlite_%'",
      args: [config.name],
    });
    expect(config.indexes.map((entry) => entry.config.name).sort(), config.name).toEqual(
      indexes.rows.map((row) => row.name).sort(),
    );
  }
});

test("every table is STRICT", async () => {
  const { rows } = await database.client.execute(
    "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND strict = 0 AND name NOT LIKE 'sqlite_%'",
  );
  expect(rows.map((row) => row.name)).toEqual([]);
});

async function version(): Promise<number> {
  const { rows } = await database.client.execute("SELECT version FROM registry");
  return rows[0].version as number;
}

test("the registry version rises with every change that ingest must know, and with no other", async () => {
  const accountId = await anAccount(database.db);
  const device = await aDevice(database.db, { accountId });
  const steps: [sql: string, rises: boolean][] = [
    [`UPDATE devices SET name = 'Van' WHERE id = ${device.id}`, false],
    [`UPDATE devices SET model = 'T366' WHERE id = ${device.id}`, true],
    [`UPDATE devices SET imei = '353358017784062' WHERE id = ${device.id}`, true],
    [`UPDATE devices SET clock_offset_minutes = 480 WHERE id = ${device.id}`, true],
    [`UPDATE devices SET confirm_cce = 1 WHERE id = ${device.id}`, true],
    [`UPDATE devices SET deleting_at = 1 WHERE id = ${device.id}`, true],
    [`DELETE FROM devices WHERE id = ${device.id}`, false],
    [`DELETE FROM devices WHERE account_id = ${(await aDevice(database.db)).accountId}`, true],
    [`UPDATE accounts SET name = 'Acme 2' WHERE id = ${accountId}`, false],
    [`UPDATE accounts SET collection = 3 WHERE id = ${accountId}`, true],
    [`UPDATE accounts SET collection = 3 WHERE id = ${accountId}`, false],
    [`INSERT INTO suspensions (account_id, kind, since) VALUES (${accountId}, 'restricted', 1)`, true],
    ["UPDATE suspensions SET request_id = NULL", false],
    ["UPDATE suspensions SET lifted_at = 2", true],
    ["DELETE FROM suspensions", false],
    [`INSERT INTO suspensions (account_id, kind, since) VALUES (${accountId}, 'restricted', 1)`, true],
    ["DELETE FROM suspensions", true],
    ["INSERT INTO bridges (name, hash, created_at) VALUES ('b', 'h', 1)", true],
    ["UPDATE bridges SET name = 'c'", false],
    ["UPDATE bridges SET revoked_at = 2", true],
    ["DELETE FROM bridges", true],
  ];
  for (const [sql, rises] of steps) {
    const before = await version();
    await database.client.execute(sql);
    expect((await version()) > before, sql).toBe(rises);
  }
});

test("devices: an IMEI is free again as soon as its device is being removed", async () => {
  const device = await aDevice(database.db);
  await expect(aDevice(database.db, { imei: device.imei })).rejects.toThrow();
  await database.client.execute({ sql: "UPDATE devices SET deleting_at = 1 WHERE id = ?", args: [device.id] });
  expect((await aDevice(database.db, { imei: device.imei })).id).toBeGreaterThan(device.id);
});

test("ids never come back after a deletion", async () => {
  const first = await anAccount(database.db);
  await database.client.execute({ sql: "DELETE FROM accounts WHERE id = ?", args: [first] });
  expect(await anAccount(database.db)).toBeGreaterThan(first);
});
