import { readFileSync } from "node:fs";
import { createClient } from "@libsql/client";
import { afterEach, beforeEach, expect, test } from "vitest";
import { StoredPositions } from "../../../codec/segment.ts";
import { createDevice, loadActivations, removeActivation } from "../../../src/activation.ts";
import { changeDevice, deleteDevice } from "../../../src/devices.ts";
import { extentOf } from "../../../src/extent.ts";
import { runJob } from "../../../src/jobs.ts";
import { LIMITS } from "../../../src/limits.ts";
import { removeMember } from "../../../src/members.ts";
import { changeMobile, changeProfile } from "../../../src/profile.ts";
import { removeDevice } from "../../../src/retention.ts";
import { forgetSearches, search } from "../../../src/searches.ts";
import { openSegments } from "../../../src/segments.ts";
import { signUp } from "../../../src/signup.ts";
import { removeStaff, staffById } from "../../../src/staff.ts";
import { accountById } from "../../../src/store/accounts.ts";
import { readFixes } from "../../../src/store/newest.ts";
import { emptyLog } from "../../../src/store/scrub.ts";
import { headColumns, segmentRows } from "../../../src/store/segments.ts";
import { mainTelemetry } from "../../../src/telemetry.ts";
import {
  aBase,
  aContext,
  aDatabaseFile,
  aDevice,
  anAccount,
  anImei,
  asUser,
  aUser,
  NOON,
  type TestDatabase,
} from "../../database.ts";
import { settled, stored as storePositions } from "../../stored.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

let database: TestDatabase & { path: string };
beforeEach(async () => {
  database = await aDatabaseFile();
  await database.client.execute("PRAGMA secure_delete = ON");
});
afterEach(() => database.close());

const inFile = () =>
  [database.path, `${database.path}-wal`].map((file) => readFileSync(file).toString("latin1")).join("\n");
/** Which stretches of 16 bytes of these columns are in the file or in its log. */
function foundOf(values: readonly unknown[]): { of: number; found: number } {
  const bytes = inFile();
  const pieces = values.flatMap((value) => {
    const text = Buffer.from(value as ArrayBuffer).toString("latin1");
    return Array.from({ length: Math.floor(text.length / 16) }, (_, i) => text.slice(i * 16, i * 16 + 16));
  });
  return { of: pieces.length, found: pieces.filter((piece) => bytes.includes(piece)).length };
}
const column = async (sql: string) => (await database.client.execute(sql)).rows.map((row) => row[0]);

test("removeDevice() leaves no byte of a sealed position in the file or in its log, and nothing that opens", async () => {
  const base = aBase(database.db);
  const device = await aDevice(database.db);
  const other = await aDevice(database.db, { accountId: device.accountId });
  const track = (hours: number) =>
    Array.from({ length: 600 }, (_, i) => ({
      fixTime: NOON + hours * HOUR + i * 30_000,
      latitudeE6: (i * 7_919_317) % 90_000_000,
    }));
  for (const each of [device, other]) await storePositions(base, each, track(0));
  const settling = await column("SELECT chunks FROM inbox");
  await settled(base);
  for (const each of [device, other]) await storePositions(base, each, track(-6));
  const { rows } = await database.client.execute(
    `SELECT ${headColumns}, s.sealed FROM segments s WHERE device_id = ${device.id}`,
  );
  const segments = segmentRows(rows);
  const fixes = readFixes((await column("SELECT fixes FROM newest"))[0]);
  const theirs = [
    ...segments.map(({ sealed }) => sealed),
    ...fixes.filter(({ deviceId }) => deviceId === device.id).map(({ sealed }) => sealed),
    ...(await column("SELECT chunks FROM inbox")),
  ];
  const before = foundOf(theirs);
  expect(before.of).toBeGreaterThan(200);
  expect(before.found / before.of).toBeGreaterThan(0.9);

  await database.client.execute({ sql: "UPDATE devices SET deleting_at = 1 WHERE id = ?", args: [device.id] });
  expect(await removeDevice(base, device.id)).toBe(true);
  expect(foundOf([...theirs, ...settling])).toEqual({ of: expect.any(Number), found: 0 });
  const telemetry = mainTelemetry(base);
  const opened = await openSegments(base, telemetry, device.accountId, segments, new StoredPositions());
  expect(opened.length).toBeGreaterThan(1);
  expect(new Set(opened)).toEqual(new Set([null]));
  // What is the other device's is all there, in the file too.
  const { positions } = await extentOf(base, { accountId: device.accountId, devices: null }, other.id);
  expect(positions).toBe(1200);
  const kept = foundOf(await column("SELECT sealed FROM segments"));
  expect(kept.found / kept.of).toBeGreaterThan(0.9);
});

test("emptyLog() says when a reader keeps it from its work", async () => {
  const reader = createClient({ url: `file:${database.path}` });
  const transaction = await reader.transaction("read");
  await transaction.execute("SELECT * FROM accounts");
  await database.client.execute("INSERT INTO accounts (name, created_at) VALUES ('Acme', 1)");
  expect(await emptyLog(database.db)).toBe("busy");
  await transaction.rollback();
  reader.close();
  expect(await emptyLog(database.db)).toBe("empty");
});

const inFiles = (...texts: string[]) => {
  const bytes = [database.path, `${database.path}-wal`].map((file) => readFileSync(file).toString("latin1")).join();
  return texts.filter((text) => bytes.includes(text));
};
/** What is stored in the columns of a row, sealed or not. */
const stored = async (sql: string) => {
  const [row] = (await database.client.execute(sql)).rows;
  return Object.values(row ?? {}).filter((value) => typeof value === "string");
};
/** Every row of every table but the platform's own, by table. */
async function rows(): Promise<Record<string, number>> {
  const own = "('migrations', 'registry', 'settlement', 'parts', 'documents', 'job_runs')";
  const { rows: tables } = await database.client.execute(
    `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT IN ${own}`,
  );
  const counts: Record<string, number> = {};
  for (const { name } of tables) {
    const count = Number((await database.client.execute(`SELECT count(*) FROM ${name}`)).rows[0]![0]);
    if (count > 0) counts[String(name)] = count;
  }
  return counts;
}

test("a registration that nobody confirms is there on day 6, and on day 8 there is no row and no byte of it", async () => {
  const base = aBase(database.db);
  base.sendMail = null;
  const canaries = ["canary@edge.test", "Canary Name", "+491701234567"];
  await signUp(aContext(base, { kind: "anonymous" }), {
    email: canaries[0]!,
    name: canaries[1]!,
    mobile: canaries[2]!,
  });
  await base.settled();
  const jobs = async () => {
    const gone = "destroy-gone-accounts";
    for (const job of ["purge-unverified", "purge-sessions", "send-mail", gone, gone]) await runJob(base, job);
  };
  base.at(NOON + 6 * DAY);
  await jobs();
  expect(await rows()).toMatchObject({ accounts: 1, users: 1, tokens: 1 });
  const sealed = await stored(
    "SELECT a.name, a.name_index, u.email, u.email_index, u.name AS user_name, u.mobile FROM accounts a, users u",
  );
  expect(sealed).toHaveLength(6);
  expect(inFiles(...sealed, ...canaries)).toEqual(sealed);
  base.at(NOON + LIMITS.unverifiedMs + 1);
  await jobs();
  expect(await rows()).toEqual({});
  expect(inFiles(...sealed)).toEqual([]);
});

test("who is removed, and what is cleared or switched off, leaves no byte behind", async () => {
  const base = aBase(database.db);
  const accountId = await anAccount(database.db);
  const owner = await aUser(database.db, { role: "owner", accountId });
  const ctx = aContext(base, asUser(accountId, owner.id));
  const staff = await aUser(database.db, { role: "support", email: "canary4@edge.test", name: "Canary Staff" });
  const admin = await aUser(database.db, { role: "admin" });
  const operator = aContext(base, {
    kind: "staff",
    role: "admin",
    trained: true,
    userId: admin.id,
    provedAt: NOON,
  } as never);
  const member = await aUser(database.db, {
    role: "viewer",
    accountId,
    email: "canary@edge.test",
    name: "Canary Name",
  });
  for (const sql of [
    `INSERT INTO passkeys (user_id, credential_id, algorithm, public_key, sign_count, name, created_at)
      VALUES (${member.id}, 'c', -7, x'00', 0, 'Canary Passkey', 1)`,
    `INSERT INTO searches (user_id, term, searched_at) VALUES (${member.id}, 'canary term', 1)`,
    `INSERT INTO mails (user_id, kind, sealed, created_at, due_at) VALUES (${member.id}, 'x', 'canary sealed', 1, 1)`,
    `INSERT INTO tokens (kind, hash, user_id, sealed, created_at, expires_at) VALUES ('email', 'h', ${member.id}, 'canary token', 1, 1)`,
  ]) {
    await database.client.execute(sql);
  }
  const [loaded, sold] = [anImei(), anImei()];
  await loadActivations(operator, [
    { imei: loaded, orderReference: "Canary order" },
    { imei: sold, orderReference: "Canary sale" },
  ]);
  const device = await aDevice(database.db, { accountId, imei: sold, name: "Canary van" });
  const { imei, imeiIndex } = await database.db.$fields.seal("activations", accountId, { imei: sold });
  const used = "UPDATE activations SET account_id = ?, imei = ?, activated_at = 1 WHERE imei_index = ?";
  await database.client.execute({ sql: used, args: [accountId, imei, imeiIndex!] });
  /** What these statements find is in the files before, and not after. */
  const gone = async (what: () => Promise<unknown>, ...sql: string[]) => {
    const values: string[] = [];
    for (const statement of sql) values.push(...(await stored(statement)));
    expect(values.length).toBeGreaterThanOrEqual(sql.length);
    expect(inFiles(...values)).toEqual(values);
    await what();
    await base.settled();
    expect(inFiles(...values)).toEqual([]);
  };
  const theirs = ["name FROM passkeys", "term FROM searches", "sealed FROM mails", "sealed FROM tokens"];
  await gone(
    () => removeMember(ctx, member.id),
    `SELECT email, name FROM users WHERE id = ${member.id}`,
    ...theirs.map((what) => `SELECT ${what} WHERE user_id = ${member.id}`),
  );
  const colleague = await staffById(operator, staff.id);
  await gone(() => removeStaff(operator, colleague), `SELECT email, name FROM users WHERE id = ${staff.id}`);
  const tracker = (condition: string) => `SELECT imei, imei_index, order_reference FROM activations WHERE ${condition}`;
  await gone(() => removeActivation(operator, loaded), tracker("account_id IS NULL"));
  const theDevice = `SELECT imei, imei_index, name FROM devices WHERE id = ${device.id}`;
  await gone(() => deleteDevice(ctx, device.id), tracker(`account_id = ${accountId}`), theDevice);
  await changeMobile(ctx, "+49 170 7654321");
  await gone(() => changeMobile(ctx, null), `SELECT mobile FROM users WHERE id = ${owner.id}`);
  for (const forget of [() => forgetSearches(ctx), () => changeProfile(ctx, { searchHistory: false })]) {
    await changeProfile(ctx, { searchHistory: true });
    await search(ctx, "canary looked for");
    await gone(forget, "SELECT term FROM searches");
  }
});

test("what is changed or removed without more ado is in no file after the job of the next ten minutes", async () => {
  const base = aBase(database.db);
  const accountId = await anAccount(database.db);
  const owner = await aUser(database.db, { role: "owner", accountId });
  const ctx = aContext(base, asUser(accountId, owner.id));
  const device = await createDevice(ctx, {
    imei: anImei(),
    name: "Canary van",
    model: null,
    clockOffsetMinutes: 0,
    confirmCce: false,
  });
  const before = await stored(`SELECT name FROM devices WHERE id = ${device.id}`);
  await changeDevice(ctx, device, { name: "Van" });
  await base.settled();
  expect(inFiles(...before)).toEqual(before);
  await runJob(base, "purge-sessions");
  expect(inFiles(...before)).toEqual([]);
});

test("an account that was named after its owner does not keep a name that they cleared, or that went with them", async () => {
  const base = aBase(database.db);
  const named = async (name: string) => {
    const accountId = await anAccount(database.db, { name });
    const owner = await aUser(database.db, { role: "owner", accountId, name });
    return { accountId, owner, ctx: aContext(base, asUser(accountId, owner.id)) };
  };
  const accountName = async (id: number) => (await accountById(database.db, id))?.name;
  const cleared = await named("Canary Ada");
  const before = await stored(`SELECT name, name_index FROM accounts WHERE id = ${cleared.accountId}`);
  expect(inFiles(...before)).toEqual(before);
  await changeProfile(cleared.ctx, { name: null });
  expect(await accountName(cleared.accountId)).toBe("My account");
  const married = await named("Canary Bea");
  await changeProfile(married.ctx, { name: "Bea Other" });
  expect(await accountName(married.accountId)).toBe("Bea Other");
  const left = await named("Canary Eve");
  const next = await aUser(database.db, { role: "owner", accountId: left.accountId });
  await removeMember(aContext(base, asUser(left.accountId, next.id)), left.owner.id);
  expect(await accountName(left.accountId)).toBe("My account");
  await base.settled();
  expect(inFiles("Canary Ada", "Canary Bea", "Canary Eve", ...before)).toEqual([]);
  // Whoever is no owner renames no account by taking its name.
  const kept = await named("Acme");
  const viewer = await aUser(database.db, { role: "viewer", accountId: kept.accountId, name: "Acme" });
  await changeProfile(aContext(base, asUser(kept.accountId, viewer.id, { role: "viewer" })), { name: "Mine" });
  expect(await accountName(kept.accountId)).toBe("Acme");
});
