import { readFileSync } from "node:fs";
import { createClient } from "@libsql/client";
import { afterEach, beforeEach, expect, test } from "vitest";
import { removeDevice } from "../../../src/retention.ts";
import { emptyLog } from "../../../src/store/scrub.ts";
import { aBase, aDatabaseFile, aDevice, type TestDatabase } from "../../database.ts";

let database: TestDatabase & { path: string };
beforeEach(async () => {
  database = await aDatabaseFile();
  await database.client.execute("PRAGMA secure_delete = ON");
});
afterEach(() => database.close());

const CANARY = "a canary in a record";
const found = () => [database.path, `${database.path}-wal`].filter((file) => readFileSync(file).includes(CANARY));

test("removeDevice() leaves no byte of a position in the file or in its log", async () => {
  const device = await aDevice(database.db);
  await database.client.execute({
    sql: `INSERT INTO positions (account_id, device_id, fix_time, digest, received_at, clock, event, valid, record)
      VALUES (?, ?, 1, x'0000000000000001', 1, 0, 35, 1, ?)`,
    args: [device.accountId, device.id, new TextEncoder().encode(CANARY)],
  });
  expect(found()).not.toEqual([]);
  await database.client.execute({ sql: "UPDATE devices SET deleting_at = 1 WHERE id = ?", args: [device.id] });
  expect(await removeDevice(aBase(database.db), device.id)).toBe(true);
  expect(found()).toEqual([]);
});

test("emptyLog() says when a reader keeps it from its work", async () => {
  const reader = createClient({ url: `file:${database.path}` });
  const transaction = await reader.transaction("read");
  await transaction.execute("SELECT * FROM accounts");
  await database.client.execute("INSERT INTO accounts (name, created_at) VALUES ('Acme', 1)");
  expect(await emptyLog(database.db)).toBe(false);
  await transaction.rollback();
  reader.close();
  expect(await emptyLog(database.db)).toBe(true);
});
