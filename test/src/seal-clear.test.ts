import { readFileSync } from "node:fs";
import { afterEach, beforeEach, expect, test } from "vitest";
import { listActivations } from "../../src/activation.ts";
import { deviceOf } from "../../src/devices.ts";
import { app } from "../../src/http/app.ts";
import { runJob } from "../../src/jobs.ts";
import { LIMITS } from "../../src/limits.ts";
import { seal } from "../../src/seal.ts";
import { requireLookups, sealClearFields } from "../../src/seal-clear.ts";
import { checkSecondFactor } from "../../src/second-factor.ts";
import { accountById, addressesOf } from "../../src/store/accounts.ts";
import { listAudit } from "../../src/store/audit.ts";
import { claimedFrames, commandById } from "../../src/store/commands.ts";
import { reserve } from "../../src/store/idempotency.ts";
import { listKeys } from "../../src/store/keys.ts";
import { listPasskeys } from "../../src/store/passkeys.ts";
import { clearRows, clearState } from "../../src/store/seal-clear.ts";
import { SEALED, type SealedTable } from "../../src/store/sealed.ts";
import { listSearches } from "../../src/store/searches.ts";
import { listSessions } from "../../src/store/sessions.ts";
import { userByEmail } from "../../src/store/users.ts";
import { totpCode } from "../../src/totp.ts";
import {
  aBase,
  aContext,
  aDatabaseFile,
  aDevice,
  anImei,
  asKey,
  aUser,
  NOON,
  type TestBase,
  type TestDatabase,
} from "../database.ts";

let database: TestDatabase & { path: string };
let base: TestBase;
let before: { imei: string; sold: string };
const SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
/** As a program of before left it: everything open, and the mark that the migration leaves. */
beforeEach(async () => {
  database = await aDatabaseFile();
  base = aBase(database.db);
  await database.client.execute("PRAGMA secure_delete = ON");
  before = { imei: anImei(), sold: anImei() };
  for (const sql of [
    "INSERT INTO settings (name, value, updated_at) VALUES ('seal clear fields', 'lookups', 0)",
    "INSERT INTO accounts (id, name, created_at) VALUES (5, 'Canary Ltd', 1)",
    `INSERT INTO devices (id, account_id, imei, name, created_at) VALUES (9, 5, '${before.imei}', 'Canary van', 1)`,
    `INSERT INTO addresses (account_id, kind, line1, city, country, updated_at)
      VALUES (5, 'billing', 'Canary street', 'Canary town', 'AT', 1)`,
    `INSERT INTO users (id, account_id, role, email, email_verified_at, name, mobile, totp_since, created_at)
      VALUES (3, 5, 'owner', 'canary@edge.test', 1, 'Canary Ada', '+491701234567', 1, 1)`,
    `INSERT INTO users (id, role, email, email_verified_at, name, created_at)
      VALUES (4, 'admin', 'canary4@edge.test', 1, 'Canary Staff', 1)`,
    "INSERT INTO searches (user_id, term, searched_at) VALUES (3, 'Canary term', 1)",
    `INSERT INTO sessions (user_id, hash, created_at, last_seen_at, expires_at, proved_at, browser, network)
      VALUES (3, 'h', 1, 1, ${NOON * 2}, 1, 'Canary browser', 'canary network')`,
    `INSERT INTO passkeys (user_id, credential_id, algorithm, public_key, sign_count, name, created_at)
      VALUES (4, 'c', -7, x'00', 0, 'Canary passkey', 1)`,
    "INSERT INTO api_keys (account_id, name, scope, hash, created_at) VALUES (5, 'Canary key', 'read', 'h', 1)",
    "INSERT INTO audit (at, actor, action, account_id, reason) VALUES (1, 'staff', 'x', 5, 'Canary reason')",
    `INSERT INTO idempotency_keys (account_id, key, request_hash, status, response, created_at, expires_at, device_id)
      VALUES (5, 'k', 'h', 201, '"Canary answer"', 1, ${NOON * 2}, 9)`,
    `INSERT INTO commands (id, device_id, account_id, code, arguments, identifier, frame, state, created_at, expires_at, reply)
      VALUES (7, 9, 5, 'C01', '{"text":"Canary command"}', 'A', CAST('@@A,Canary frame' AS BLOB), 'acked', 1, 2, 'Canary reply')`,
    `INSERT INTO activations (imei, order_reference, code_hash, loaded_at) VALUES ('${before.sold}', 'Canary order', 'h', 1)`,
    `INSERT INTO activations (imei, order_reference, code_hash, loaded_at, activated_at, account_id)
      VALUES ('${before.imei}', 'Canary sale', 'h', 1, 1, 5)`,
  ]) {
    await database.client.execute(sql);
  }
  const totp = await seal(base, "totp", 3, SECRET);
  await database.client.execute({ sql: "UPDATE users SET totp_secret = ? WHERE id = 3", args: [totp] });
});
afterEach(() => database.close());

const ofAccount = () => aContext(base, asKey(5));
const clear = async () => {
  const tables = Object.keys(SEALED) as SealedTable[];
  const rows = await Promise.all(tables.map((table) => clearRows(database.db, table, 0, 1000)));
  return rows.flat().length;
};

async function isOpen(): Promise<boolean> {
  try {
    await requireLookups(base);
    return true;
  } catch {
    return false;
  }
}

test("a request seals what is looked up before anybody is served; then everything reads as before", async () => {
  expect(await clear()).toBeGreaterThan(0);
  expect(await isOpen()).toBe(true);
  expect(await clearState(database.db)).toBe("rest");
  expect(await deviceOf(ofAccount(), 9)).toMatchObject({ imei: before.imei, name: "Canary van" });
  expect(await listActivations(aContext(base), 0, 10)).toMatchObject([
    { imei: before.sold, orderReference: "Canary order" },
    { imei: before.imei, orderReference: "Canary sale", accountId: 5 },
  ]);
  await expect(aDevice(database.db, { imei: before.imei })).rejects.toThrow();
  expect(await userByEmail(database.db, "Canary@edge.test")).toMatchObject({ id: 3, name: "Canary Ada" });
  expect(await userByEmail(database.db, "canary4@edge.test")).toMatchObject({ id: 4, name: "Canary Staff" });
  await expect(aUser(database.db, { role: "owner", email: "canary@edge.test" })).rejects.toThrow();
  expect(await accountById(database.db, 5)).toMatchObject({ name: "Canary Ltd" });
  expect(await addressesOf(database.db, 5)).toMatchObject([
    { line1: "Canary street", city: "Canary town", country: "AT" },
  ]);
  const code = await totpCode(SECRET, Math.floor(NOON / 30_000));
  expect(await checkSecondFactor(aContext(base), 3, code)).toBe(true);
});

test("what the job seals reads as before, sealed or not yet", async () => {
  for (const runs of [0, 2]) {
    for (let run = 0; run < runs; run++) await sealClearFields(base);
    expect(await listSearches(database.db, 3, 10)).toMatchObject([{ term: "Canary term" }]);
    expect(await listSessions(database.db, 3, NOON, 10)).toMatchObject([
      { browser: "Canary browser", network: "canary network" },
    ]);
    expect(await listPasskeys(database.db, 4, 10)).toMatchObject([{ name: "Canary passkey" }]);
    expect(await listKeys(database.db, 5, 0, 10)).toMatchObject([{ name: "Canary key" }]);
    expect(await listAudit(database.db, 5, 1e9, 10)).toMatchObject([{ reason: "Canary reason" }]);
    const again = { key: "k", requestHash: "h", createdAt: NOON, expiresAt: NOON * 2 };
    expect(await reserve(database.db, 5, again)).toMatchObject({ response: '"Canary answer"' });
    expect(await commandById(database.db, { accountId: 5, devices: null }, 9, 7, NOON)).toMatchObject({
      arguments: { text: "Canary command" },
      reply: "Canary reply",
    });
  }
  const { rows } = await database.client.execute("SELECT id, frame, account_id FROM commands");
  const [frame] = (await claimedFrames(database.db, rows)).values();
  expect(new TextDecoder().decode(frame)).toBe("@@A,Canary frame");
  expect(await clear()).toBe(0);
});

test("a second factor works before its secret is sealed anew", async () => {
  const code = await totpCode(SECRET, Math.floor(NOON / 30_000));
  expect(await checkSecondFactor(aContext(base), 3, code)).toBe(true);
});

test("runJob() seals the rest, and nothing of it is left in the file or in its log", async () => {
  expect(await runJob(base, "seal-clear-fields")).toBeGreaterThan(0);
  expect(await runJob(base, "seal-clear-fields")).toBeGreaterThanOrEqual(0);
  expect(await clear()).toBe(0);
  const bytes = [database.path, `${database.path}-wal`].map((file) => readFileSync(file).toString("latin1")).join();
  for (const text of [before.imei, before.sold, "+491701234567"]) expect(bytes.includes(text), text).toBe(false);
  expect(/canary.{12}/i.exec(bytes)).toBeNull();
});

test("it looks once more a day later, and then never again", async () => {
  for (let run = 0; run < 2; run++) await sealClearFields(base);
  expect(await clearState(database.db)).toBe(NOON + LIMITS.sealAgainMs);
  // A program of before that was still running.
  await database.client.execute(
    `INSERT INTO devices (account_id, imei, name, created_at) VALUES (5, '${anImei()}', 'Late', 1)`,
  );
  expect(await sealClearFields(base)).toBe(0);
  base.advance(LIMITS.sealAgainMs);
  expect(await sealClearFields(base)).toBe(1);
  expect(await clear()).toBe(0);
  expect(await clearState(database.db)).toBeNull();
  expect(await sealClearFields(base)).toBe(0);
});

test("while more waits than one request seals nobody is served, and then everybody is", async () => {
  await database.client.execute({
    sql: `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
      INSERT INTO devices (account_id, imei, name, created_at) SELECT 5, 'imei ' || i, 'Van ' || i, 1 FROM n`,
    args: [LIMITS.sealRowsPerRequest * 2],
  });
  const ask = () => app.fetch(new Request("https://edge.test/v1/devices"), base);
  const first = await ask();
  expect(first.status).toBe(503);
  expect(first.headers.get("retry-after")).toBe("1");
  expect((await app.fetch(new Request("https://edge.test/healthz"), base)).status).toBe(200);
  expect((await ask()).status).toBe(503);
  expect((await ask()).status).toBe(401);
  expect(await clearRows(database.db, "devices", 0, 10)).toEqual([]);
});

test("of two isolates that seal at once each row is sealed once, and a row of a taken IMEI stays out", async () => {
  const other = aBase(database.db);
  await Promise.all([requireLookups(base), requireLookups(other)]);
  expect(await deviceOf(ofAccount(), 9)).toMatchObject({ name: "Canary van" });
  await database.client.execute(
    `INSERT INTO devices (account_id, imei, name, created_at) VALUES (5, '${before.imei}', 'Twice', 1)`,
  );
  await sealClearFields(base);
  expect(base.logged.some((line) => line.startsWith('warn field.left_clear {"table":"devices","rows":1}'))).toBe(true);
});

test("a new installation has nothing to seal", async () => {
  const fresh = await aDatabaseFile();
  expect(await clearState(fresh.db)).toBeNull();
  expect(await sealClearFields(aBase(fresh.db))).toBe(0);
  fresh.close();
});
