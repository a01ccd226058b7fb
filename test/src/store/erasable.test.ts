import type { InValue } from "@libsql/client";
import { getTableColumns } from "drizzle-orm";
import { getTableConfig } from "drizzle-orm/sqlite-core";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { AppError } from "../../../src/errors.ts";
import { erasable, erasureStatements, type Part, partResidue, residueCounts } from "../../../src/store/erasable.ts";
import { type Holder, heldTables } from "../../../src/store/held.ts";
import { CATEGORIES, DATA_MAP, describe as described, eraseOf, type Mapped } from "../../../src/store/personal.ts";
import { idsOf } from "../../../src/store/segments.ts";
import { type Canary, type CanaryIds, FIRST, plantCanaries, TABLES } from "../../canaries.ts";
import { aBase, aDatabase, aDevice, anAccount, aUser, type TestBase, type TestDatabase } from "../../database.ts";

const MAP: Mapped = DATA_MAP;
const OWNED = Object.entries(MAP).flatMap(([name, { of }]) => (of === "account" || of === "user" ? [name] : []));
/** Everything that an account can have a row of. */
const ALL = [...FIRST, ...OWNED.filter((name) => !FIRST.includes(name)), "commands"];
const sqlName = (name: string) => getTableConfig(TABLES[name]!).name;

let database: TestDatabase;
let base: TestBase;
let own: CanaryIds;
let other: CanaryIds;
let written: Canary[];

async function anOwner(owner: Canary["owner"]): Promise<CanaryIds> {
  const { db } = base;
  const account = await anAccount(db);
  const user = await aUser(db, { role: "owner", accountId: account });
  const device = await aDevice(db, { accountId: account });
  const run = async (sql: string, args: (number | string)[]) =>
    Number((await db.$client.execute({ sql, args })).rows[0]?.[0]);
  const ids = {
    account,
    user: user.id,
    device: device.id,
    key: await run("INSERT INTO api_keys (account_id, scope, hash, created_at) VALUES (?, 'read', ?, 1) RETURNING id", [
      account,
      owner,
    ]),
    document: await run("SELECT max(id) FROM documents", []),
  };
  for (const name of ALL) written.push(...(await plantCanaries(base, owner, name, ids)));
  await run(
    `INSERT INTO segments (id, device_id, account_id, day_kid, device_kid, from_time, to_time, first_id, last_id, positions, alarms,
      clockless, sealed) VALUES (?, ?, ?, 1, 1, 1, 1, 1, 1, 1, 0, 0, x'00')`,
    [idsOf(device.id)[0], device.id, account],
  );
  await run(
    `INSERT INTO positions (account_id, device_id, fix_time, digest, received_at, clock, event, valid, record)
      VALUES (?, ?, 1, zeroblob(8), 1, 0, 35, 1, x'00')`,
    [account, device.id],
  );
  return ids;
}

beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  written = [];
  own = await anOwner("own");
  other = await anOwner("other");
});
afterEach(() => database.close());

/** Every row of every table, as it is stored, and what is sealed in it. */
async function dump(ids: CanaryIds): Promise<string> {
  const { rows } = await database.client.execute(
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name",
  );
  const texts: string[] = [];
  for (const [name] of rows.map((row) => [String(row[0])])) {
    const found = await database.client.execute(`SELECT * FROM ${name}`);
    texts.push(
      JSON.stringify(
        found.rows.map((row) =>
          Object.values({ ...row }).map((value) =>
            value instanceof ArrayBuffer ? Buffer.from(value).toString("hex") : value,
          ),
        ),
      ),
    );
  }
  const held = await heldTables(base.db, holder(ids), 100, 100);
  return texts.join("\n") + JSON.stringify(held);
}
const holder = (ids: CanaryIds, more: Partial<Holder> = {}): Holder => ({
  userId: ids.user,
  accountId: ids.account,
  devices: null,
  wholeAccount: true,
  ...more,
});
const run = async (who: Holder, part: Part, map?: Mapped) => {
  for (const statement of erasureStatements(who, part, 2, map)) {
    while ((await database.client.execute(statement)).rowsAffected > 0);
  }
};
const counts = (ids: CanaryIds) => residueCounts(base.db, ids.account);
const numbers = ({ user, device, key }: CanaryIds) => ({ users: [user], devices: [device], keys: [key] });

describe("residueCounts()", () => {
  test("finds a row of every table that an erasure of an account must empty", async () => {
    const found = await counts(own);
    const expected = Object.entries(MAP).flatMap(([name, entry]) =>
      ["root", "cascade", "engine"].includes(eraseOf(entry)) ? [name] : [],
    );
    // What waits in the inbox names nobody but under its seal.
    const named = expected.filter((name) => name !== "inbox" && name !== "runs");
    expect(Object.keys(found).toSorted()).toEqual(named.toSorted());
    expect(Object.entries(found).filter(([, rows]) => rows === 0)).toEqual([]);
  });

  test("after the account's row is gone, finds what nothing refers to, and in the end nothing", async () => {
    const before = await counts(other);
    await database.client.execute(`DELETE FROM accounts WHERE id = ${own.account}`);
    const left = Object.entries(await counts(own)).flatMap(([name, rows]) => (rows > 0 ? [name] : []));
    const engine = Object.keys(MAP).filter((name) => eraseOf(MAP[name]!) === "engine");
    expect(left.toSorted()).toEqual(engine.filter((name) => name !== "inbox" && name !== "runs").toSorted());
    for (const name of left) {
      await database.client.execute(`DELETE FROM ${sqlName(name)} WHERE account_id = ${own.account}`);
    }
    expect(Object.values(await counts(own)).every((rows) => rows === 0)).toBe(true);
    expect(await counts(other)).toEqual(before);
    const rest = await dump(own);
    for (const { owner, table, column, text } of written) {
      if (owner === "other" || eraseOf(MAP[table]!) === "keep") continue;
      expect({ table, column, there: rest.includes(text) }).toEqual({ table, column, there: false });
    }
  });

  test("finds rows that only name a person, a device or a key that is gone", async () => {
    await database.client.execute("PRAGMA foreign_keys = OFF");
    for (const table of ["accounts", "users", "devices", "api_keys"]) {
      const account = table === "accounts" ? "id" : "account_id";
      await database.client.execute(`DELETE FROM ${table} WHERE ${account} = ${own.account}`);
    }
    const unknown = await counts(own);
    expect(unknown).toMatchObject({ sessions: 0, keyDevices: 0, userDevices: 0 });
    const found = await residueCounts(base.db, own.account, numbers(own));
    expect(found).toMatchObject({ sessions: 1, keyDevices: 1, userDevices: 1, commands: 1, accounts: 0, users: 0 });
    await database.client.execute("PRAGMA foreign_keys = ON");
  });

  test("a table that the map lets stay is not looked at, and one that it does not is", async () => {
    const kept = { ...MAP, audit: { ...MAP.audit!, erase: "engine" as const } };
    expect(await residueCounts(base.db, own.account, {}, kept)).toMatchObject({ audit: 1 });
    const stays = { ...MAP, sessions: { ...MAP.sessions!, erase: "keep: so" as const } };
    expect(await residueCounts(base.db, own.account, {}, stays)).not.toHaveProperty("sessions");
  });
});

describe("erasable()", () => {
  const parts = (part: Part) =>
    erasable(part).map(({ name, rows, columns }) => (rows ? name : `${name}: ${columns.map((c) => c.name).join(" ")}`));

  test("of a category has the rows that an account does without, and the columns that may be empty", () => {
    expect(parts({ kind: "categories", categories: ["account"] })).toEqual([
      "accounts: paymentMode",
      "users: name mobile mobileVerifiedAt",
      "addresses",
      "apiKeys: name",
    ]);
    expect(parts({ kind: "categories", categories: ["profile", "other"] })).toEqual([
      "users: language units timeZone",
      "mails",
      "searches",
      "recentDevices",
      "exportLinks",
    ]);
    expect(parts({ kind: "categories", categories: [] })).toEqual([]);
  });

  test("of a field has that column and what goes with it, or the row where there can be none without it", () => {
    expect(parts({ kind: "fields", fields: ["users.mobile"] })).toEqual(["users: mobile mobileVerifiedAt"]);
    expect(parts({ kind: "fields", fields: ["addresses.line2", "users.name"] })).toEqual([
      "users: name",
      "addresses: line2",
    ]);
    expect(parts({ kind: "fields", fields: ["searches.term"] })).toEqual(["searches"]);
  });

  test("refuses a field that an account needs, that is not the person's, or that does not exist", () => {
    for (const field of [
      ...["users.email", "users.passwordHash", "accounts.frozenAt", "audit.reason", "apiKeys.revokedAt"],
      ...["segments.sealed", "sessions.hash", "nobody.knows", "users", "", "users.constructor", "__proto__.x"],
    ]) {
      expect(() => erasable({ kind: "fields", fields: ["users.name", field] }), field).toThrow(AppError);
    }
  });

  test("empties nothing that lets somebody in again, and only what can be empty", async () => {
    const everything = erasable({ kind: "categories", categories: CATEGORIES });
    for (const { name, columns } of everything) {
      const config = getTableColumns(TABLES[name]!) as Record<string, { notNull: boolean; default: unknown }>;
      for (const column of columns) {
        const { class: cls } = described(MAP[name]!.columns[column.name]!);
        expect({
          name,
          column,
          may: !config[column.name]!.notNull || config[column.name]!.default !== undefined,
        }).toEqual({ name, column, may: true });
        expect(column.name).not.toMatch(/disabled|revoked|expires|frozen|limited|emailVerified|Since$|deleting/i);
        if (!column.name.endsWith("Index")) expect(cls).toMatch(/^(personal|sensitive)$/);
      }
    }
  });
});

describe("erasureStatements()", () => {
  test("take every category from an account that lives, of nobody else, and partResidue() counts down to nothing", async () => {
    const part: Part = { kind: "categories", categories: CATEGORIES };
    const others = await dump(other);
    const before = await partResidue(base.db, holder(own), part);
    expect(Object.values(before).every((rows) => rows === 1)).toBe(true);
    expect(Object.keys(before).length).toBeGreaterThan(8);
    await run(holder(own), part);
    expect(Object.values(await partResidue(base.db, holder(own), part)).every((rows) => rows === 0)).toBe(true);
    expect(Object.values(await partResidue(base.db, holder(other), part))).toEqual(Object.values(before));
    const rest = await dump(own);
    const gone = new Set(
      erasable(part).flatMap(({ name, rows, columns }) =>
        rows ? Object.keys(MAP[name]!.columns).map((c) => `${name}.${c}`) : columns.map((c) => `${name}.${c.name}`),
      ),
    );
    const after = await dump(other);
    for (const { owner, table, column, text } of written) {
      const where = { owner, table, column };
      if (owner === "other")
        expect({ ...where, there: after.includes(text) }).toEqual({ ...where, there: others.includes(text) });
      else if (gone.has(`${table}.${column}`))
        expect({ ...where, there: rest.includes(text) }).toEqual({ ...where, there: false });
    }
    const { rows } = await database.client.execute(
      `SELECT language, units, name, mobile FROM users WHERE id = ${own.user}`,
    );
    expect({ ...rows[0] }).toMatchObject({ language: "en", units: "metric", name: null, mobile: null });
    const [user] = (await database.client.execute(`SELECT email, disabled_at FROM users WHERE id = ${own.user}`)).rows;
    expect(user!.email).not.toBeNull();
  });

  test("of a category leave what the others say", async () => {
    await run(holder(own), { kind: "categories", categories: ["other"] });
    expect(await counts(own)).toMatchObject({ searches: 0, mails: 0, recentDevices: 1, sessions: 1, addresses: 1 });
    const { rows } = await database.client.execute(`SELECT name FROM users WHERE id = ${own.user}`);
    expect(rows[0]!.name).not.toBeNull();
  });

  test("of somebody who does not speak for the account touch their own rows alone", async () => {
    const viewer = await aUser(base.db, { role: "viewer", accountId: own.account, name: "Vi" });
    const before = await counts(own);
    const part: Part = { kind: "categories", categories: CATEGORIES };
    await run({ userId: viewer.id, accountId: own.account, devices: [own.device], wholeAccount: false }, part);
    expect(await counts(own)).toEqual(before);
    const { rows } = await database.client.execute(
      `SELECT id, name FROM users WHERE account_id = ${own.account} ORDER BY id`,
    );
    expect(rows.map((row) => row.name === null)).toEqual([false, true]);
  });

  test("of a person who is not of the account change nothing of either", async () => {
    const before = [await counts(own), await counts(other)];
    const part: Part = { kind: "categories", categories: CATEGORIES };
    await run(holder(own, { userId: other.user }), part);
    await run(holder(own, { accountId: other.account }), part);
    expect([await counts(own), await counts(other)]).toEqual(before);
  });

  test("follow the map: what it does not let go stays, and what it does goes", async () => {
    const map: Mapped = {
      ...MAP,
      users: { ...MAP.users!, columns: { ...MAP.users!.columns, name: "personal account" } },
    };
    const part: Part = { kind: "categories", categories: ["account"] };
    await run(holder(own), part, map);
    const { rows } = await database.client.execute(`SELECT name, mobile FROM users WHERE id = ${own.user}`);
    expect({ name: rows[0]!.name !== null, mobile: rows[0]!.mobile }).toEqual({ name: true, mobile: null });
  });
});

test("residueCounts() looks at no row of others in the tables that grow with what trackers send", async () => {
  const { db, client } = await aDatabase();
  const { batch } = client;
  const asked: { sql: string; args: InValue[] }[] = [];
  Object.assign(client, {
    batch: (statements: never, mode: never) => {
      asked.push(...(statements as typeof asked));
      return batch.call(client, statements, mode);
    },
  });
  await residueCounts(db, 1);
  Object.assign(client, { batch });
  const plans: string[] = [];
  for (const { sql, args } of asked) {
    const { rows } = await client.execute({ sql: `EXPLAIN QUERY PLAN ${sql}`, args });
    plans.push(...rows.map(({ detail }) => String(detail)));
  }
  for (const table of ["segments", "commands", "positions"]) {
    expect(plans.filter((step) => step.startsWith(`SCAN ${table}`))).toEqual([]);
  }
  client.close();
});
