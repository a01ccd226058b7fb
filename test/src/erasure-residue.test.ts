import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { carryOut } from "../../src/erasure.ts";
import { fileSecrets } from "../../src/runtime/secrets-file.ts";
import { emptyLog } from "../../src/store/scrub.ts";
import { refreshEscrow } from "../../src/vault.ts";
import {
  aBase,
  aDatabaseFile,
  aDevice,
  anAccount,
  aSession,
  aUser,
  NOON,
  type TestBase,
  type TestDatabase,
} from "../database.ts";
import { settled, stored } from "../stored.ts";

// What an erasure leaves in the files themselves: the database and its log, the three files of the key store.

let database: TestDatabase & { path: string };
let keys: string;
let secrets: ReturnType<typeof fileSecrets>;
let base: TestBase;
beforeEach(async () => {
  database = await aDatabaseFile({ concurrency: 1 });
  keys = mkdtempSync(join(tmpdir(), "ephemeris-keys-"));
  secrets = fileSecrets(keys);
  base = aBase(database.db);
  base.secrets = secrets;
});
afterEach(() => {
  database.close();
  secrets.close();
  rmSync(keys, { recursive: true, force: true });
});

const PIECE = 16;

/** Everything in the folders of the database and of the key store, journals and logs too. */
const files = () =>
  [dirname(database.path), keys]
    .flatMap((folder) => readdirSync(folder).map((file) => join(folder, file)))
    .filter((file) => existsSync(file))
    .map((file) => readFileSync(file).toString("latin1"))
    .join("\n");

const piecesOf = (value: unknown): string[] => {
  const text = typeof value === "string" ? value : Buffer.from(value as ArrayBuffer).toString("latin1");
  return Array.from({ length: Math.floor(text.length / PIECE) }, (_, i) => text.slice(i * PIECE, (i + 1) * PIECE));
};

/** Texts and bytes that an account's rows hold, in every table that names an account or a user. */
async function valuesOf(accountId: number): Promise<string[]> {
  const { rows } = await database.client.execute(
    `SELECT m.name, group_concat(c.name) FROM sqlite_schema m JOIN pragma_table_info(m.name) c
      WHERE m.type = 'table' AND m.name NOT IN ('requests', 'audit') GROUP BY m.name`,
  );
  const pieces: string[] = [];
  for (const row of rows) {
    const [table, columns] = [String(row[0]), String(row[1]).split(",")];
    const people = "(SELECT id FROM users WHERE account_id = ?1)";
    const where =
      table === "accounts"
        ? "id = ?1"
        : columns.includes("account_id")
          ? "account_id = ?1"
          : columns.includes("user_id")
            ? `user_id IN ${people}`
            : null;
    if (where === null) continue;
    const found = await database.client.execute({ sql: `SELECT * FROM ${table} WHERE ${where}`, args: [accountId] });
    for (const each of found.rows)
      for (let i = 0; i < each.length; i++)
        if (typeof each[i] === "string" || each[i] instanceof ArrayBuffer) pieces.push(...piecesOf(each[i]));
  }
  for (const copy of [...secrets.copies, secrets.escrow]) {
    const object = await copy.get(`account/${accountId}`);
    // Behind its head, which other objects share.
    if (object !== null) pieces.push(...piecesOf(object.bytes.slice(24).buffer));
  }
  return pieces;
}

async function aFamily(): Promise<number> {
  const accountId = await anAccount(database.db);
  const device = await aDevice(database.db, { accountId });
  await aSession(base, await aUser(database.db, { accountId, role: "owner" }));
  const track = (count: number, from: number) =>
    Array.from({ length: count }, (_, i) => ({ fixTime: from + i * 30_000, latitudeE6: (i * 7_919_317) % 90_000_000 }));
  await stored(base, device, track(600, NOON - 10 * 3_600_000));
  await settled(base);
  await stored(base, device, track(100, NOON - 3_600_000));
  await refreshEscrow(base);
  return accountId;
}

const ask = (accountId: number) =>
  database.client.execute({
    sql: `INSERT INTO requests (name, type, state, level, account_id, scope, received_at, verified_at, deadline)
      VALUES ('request-of-tests-00000', 'erase', 'verified', 'V0', ?, '{"kind":"account"}', ?, ?, ?)`,
    args: [accountId, NOON, NOON, NOON + 86_400_000],
  });

test("an erased account leaves no byte of its rows, its tracks or its keys in any file; another one leaves all", async () => {
  const [family, others] = [await aFamily(), await aFamily()];
  await emptyLog(database.db);
  const [own, theirs] = [await valuesOf(family), await valuesOf(others)];
  const shared = new Set(theirs);
  const pieces = own.filter((piece) => !shared.has(piece));
  const before = files();
  expect(pieces.length).toBeGreaterThan(200);
  expect(pieces.filter((piece) => before.includes(piece))).toHaveLength(pieces.length);

  await ask(family);
  expect(await carryOut(base)).toBe(1);
  const after = files();
  expect(pieces.filter((piece) => after.includes(piece))).toEqual([]);
  // What waited of both is settled by then, and its batches are gone.
  const settledNow = new Set(await valuesOf(others));
  expect(theirs.filter((piece) => settledNow.has(piece) && after.includes(piece)).length).toBeGreaterThan(100);
});

test("the same search finds what a connection without secure_delete leaves, and the engine does not work on one", async () => {
  const family = await aFamily();
  await emptyLog(database.db);
  const pieces = await valuesOf(family);
  await database.client.execute("PRAGMA secure_delete = OFF");
  await ask(family);
  expect(await carryOut(base)).toBe(0);
  const { rows } = await database.client.execute("SELECT state, failures FROM requests");
  expect([rows[0]![0], rows[0]![1]]).toEqual(["purging", 1]);
  await database.client.execute({ sql: "DELETE FROM segments WHERE account_id = ?", args: [family] });
  await database.client.execute({ sql: "DELETE FROM accounts WHERE id = ?", args: [family] });
  await emptyLog(database.db);
  const after = files();
  expect(pieces.filter((piece) => after.includes(piece)).length).toBeGreaterThan(100);
});
