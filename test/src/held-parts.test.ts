import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { deleteDevice } from "../../src/devices.ts";
import { carryOut } from "../../src/erasure.ts";
import type { ErasureScope } from "../../src/erasure-scope.ts";
import { dropLost, heldArchive, keep, releaseHeld } from "../../src/held-parts.ts";
import { LIMITS } from "../../src/limits.ts";
import { history } from "../../src/positions.ts";
import { watchRequests } from "../../src/request-watch.ts";
import { purgeExpired } from "../../src/retention-run.ts";
import { advanceErasure, freezeAccount } from "../../src/store/erasure.ts";
import { secretsLeft } from "../../src/vault.ts";
import { destroyHeldKeys, heldKey } from "../../src/vault-held.ts";
import { ZipReader } from "../../tools/unzip.ts";
import {
  aBase,
  aContext,
  aDatabase,
  aDevice,
  anAccount,
  asUser,
  aUser,
  NOON,
  type TestBase,
  type TestDatabase,
} from "../database.ts";
import { settled, stored } from "../stored.ts";

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

let database: TestDatabase;
let base: TestBase;
let accountId: number;
let userId: number;
let devices: { id: number; accountId: number; imei: string }[];
beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  accountId = await anAccount(database.db);
  userId = (await aUser(database.db, { accountId, role: "owner", email: "canary@held.example" })).id;
  devices = [await aDevice(database.db, { accountId }), await aDevice(database.db, { accountId })];
  for (const device of devices) {
    await stored(base, device, minutes(50, NOON - 3 * 60 * MINUTE));
    await settled(base);
    // These wait to be sorted yet.
    await stored(base, device, minutes(20, NOON));
  }
});
afterEach(async () => {
  await base.settled();
  database.close();
});

const minutes = (count: number, until: number) =>
  Array.from({ length: count }, (_, i) => ({ fixTime: until - i * MINUTE, receivedAt: until }));
const sql = (text: string, args: (string | number | null)[] = []) => database.client.execute({ sql: text, args });
const count = async (text: string, args: (string | number | null)[] = []) =>
  Number((await sql(text, args)).rows[0]![0]);

let named = 0;
const newName = () => `request-of-holds-${String(named++).padStart(5, "0")}`;

async function ask(scope: ErasureScope, deadline = NOON + DAY): Promise<number> {
  const { lastInsertRowid } = await sql(
    `INSERT INTO requests (name, type, state, level, account_id, user_id, scope, received_at, verified_at, deadline)
      VALUES (?, 'erase', 'verified', 'V0', ?, ?, ?, ?, ?, ?)`,
    [newName(), accountId, userId, JSON.stringify(scope), NOON, NOON, deadline],
  );
  return Number(lastInsertRowid);
}

async function hold(
  scope: ErasureScope,
  confirmedAt: number | null = NOON,
  expiresAt = NOON + 100 * DAY,
): Promise<number> {
  const { lastInsertRowid } = await sql(
    `INSERT INTO legal_holds (name, account_id, basis, reference, scope, placed_by, placed_at, confirmed_by, confirmed_at,
      review_at, expires_at) VALUES (?, ?, 'court_order', 'F-1/26', ?, 901, ?, ?, ?, ?, ?)`,
    [newName(), accountId, JSON.stringify(scope), NOON, confirmedAt && 902, confirmedAt, NOON + 90 * DAY, expiresAt],
  );
  return Number(lastInsertRowid);
}

const stateOf = async (id: number) => String((await sql("SELECT state FROM requests WHERE id = ?", [id])).rows[0]![0]);
const receiptOf = async (id: number) =>
  JSON.parse(String((await sql("SELECT body FROM receipts WHERE request_id = ?", [id])).rows[0]![0]));
const entries = (type: string) => count("SELECT count(*) FROM ledger WHERE type = ?", [type]);
const parts = async () => (await sql("SELECT id, cause, until, kid FROM held_parts ORDER BY id")).rows;
const heldRows = () => count("SELECT count(*) FROM held_parts");

/** In all places. */
async function pieces(): Promise<number> {
  const places = [...base.secrets.copies, base.secrets.escrow];
  return (await Promise.all(places.map((place) => place.list("copy/")))).flat().length;
}

async function untilStill(id: number): Promise<string> {
  for (let run = 0; run < 10; run++) {
    await carryOut(base);
    const state = await stateOf(id);
    if (state === "cleared" || state === "partially_cleared") return state;
    base.advance(LIMITS.erasureRetryMaxMs + LIMITS.erasureLeaseMs);
  }
  return stateOf(id);
}

async function opened(part: number): Promise<ZipReader> {
  const bytes = await new Response(await heldArchive(base, part)).arrayBuffer();
  return new ZipReader(new Uint8Array(bytes));
}

/** How many positions of which device are in a copy. */
async function positionsIn(zip: ZipReader): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const name of zip.entries.keys()) {
    const device = /device-(\d+)\/positions\.jsonl$/.exec(name)?.[1];
    if (device !== undefined) found[device] = (await zip.text(name)).trim().split("\n").length;
  }
  return found;
}

/** What an account has anywhere but among what is held. */
async function leftOf(): Promise<number> {
  let left = await secretsLeft(base, accountId, null);
  for (const table of ["segments", "devices", "users", "newest", "sessions", "obligations", "statutory_profiles"])
    left += table === "sessions" ? 0 : await count(`SELECT count(*) FROM ${table} WHERE account_id = ?`, [accountId]);
  return left + (await count("SELECT count(*) FROM accounts WHERE id = ?", [accountId]));
}

describe("an account of which one device is held", () => {
  test("goes from every store but for that device's track, and all of it when the hold is released", async () => {
    const [held, other] = devices.map(({ id }) => id) as [number, number];
    const order = await hold({ kind: "devices", devices: [held] });
    const id = await ask({ kind: "account" });
    expect(await untilStill(id)).toBe("partially_cleared");
    expect(await leftOf()).toBe(0);
    const [part] = await parts();
    const zip = await opened(Number(part!.id));
    expect(await positionsIn(zip)).toEqual({ [held]: 70 });
    const names = [...zip.entries.keys()].join();
    expect(names).not.toContain(`device-${other}/`);
    expect(names).not.toContain("people");
    const receipt = await receiptOf(id);
    expect(receipt).toMatchObject({ result: "partial" });
    expect(receipt.held).toEqual([
      { reason: "hold", basis: "court_order", parts: 1, bytes: expect.any(Number), until: NOON + 100 * DAY },
    ]);
    expect(receipt.stores.every(({ left }: { left: number }) => left === 0)).toBe(true);
    expect([await entries("partially_cleared"), await entries("cleared")]).toEqual([1, 0]);

    // Weeks later: it stays as it is, and no clock is missed.
    base.advance(30 * DAY);
    await watchRequests(base);
    expect([await releaseHeld(base), await untilStill(id)]).toEqual([0, "partially_cleared"]);
    expect([await entries("partially_cleared"), await entries("deadline_missed")]).toEqual([1, 0]);

    await sql("UPDATE legal_holds SET released_by = 901, released_at = ? WHERE id = ?", [base.now(), order]);
    expect(await pieces()).toBe(3);
    expect(await releaseHeld(base)).toBe(1);
    expect(await pieces()).toBe(0);
    expect(await heldRows()).toBe(0);
    expect(await heldKey(base, accountId, Number(part!.kid))).toBeNull();
    expect(await untilStill(id)).toBe("cleared");
    await watchRequests(base);
    expect(await receiptOf(id)).toMatchObject({ held: [], result: "done" });
    const released = await sql("SELECT entry ->> '$.kidCount', entry FROM ledger WHERE type = 'hold_released'");
    expect(released.rows).toHaveLength(1);
    expect(await entries("deadline_missed")).toBe(0);
  });

  test("the copy goes by itself when the hold is over, and does not open any more", async () => {
    await hold({ kind: "account" });
    const id = await ask({ kind: "account" });
    expect(await untilStill(id)).toBe("partially_cleared");
    const [part] = await parts();
    const zip = await opened(Number(part!.id));
    expect([...zip.entries.keys()]).toEqual(expect.arrayContaining(["account/people.jsonl", "account/account.jsonl"]));
    expect(await zip.text("account/people.jsonl")).toContain("canary@held.example");
    base.advance(100 * DAY);
    await releaseHeld(base);
    expect(await heldRows()).toBe(0);
    await expect(heldArchive(base, Number(part!.id))).rejects.toMatchObject({ code: "not_found" });
    expect(await untilStill(id)).toBe("cleared");
  });

  test("a hold that one person placed, that was released, or is over keeps nothing", async () => {
    await hold({ kind: "account" }, null);
    await hold({ kind: "account" }, NOON - DAY, NOON - 1);
    const released = await hold({ kind: "account" });
    await sql("UPDATE legal_holds SET released_by = 901, released_at = ? WHERE id = ?", [NOON, released]);
    expect(await untilStill(await ask({ kind: "account" }))).toBe("cleared");
    expect(await heldRows()).toBe(0);
  });

  test("a hold of another account keeps nothing of this one", async () => {
    const others = await anAccount(database.db);
    await sql("UPDATE legal_holds SET account_id = ? WHERE id = ?", [others, await hold({ kind: "account" })]);
    expect(await untilStill(await ask({ kind: "account" }))).toBe("cleared");
    expect(await heldRows()).toBe(0);
  });

  test("what is held is read by nobody else: it is in no answer of the account that lives on", async () => {
    await hold({ kind: "account" });
    const device = devices[0]!;
    const id = await ask({ kind: "range", device: device.id, from: NOON - 10 * MINUTE, to: NOON + 1 });
    expect(await untilStill(id)).toBe("partially_cleared");
    const [part] = await parts();
    expect(await positionsIn(await opened(Number(part!.id)))).toEqual({ [device.id]: 11 });
    const ctx = aContext(base, asUser(accountId, userId, { provedAt: base.now() }));
    const { data } = await history(ctx, device.id, { limit: 1000 });
    expect(data).toHaveLength(59);
  });
});

describe("a hold that comes midway", () => {
  test("before anything is destroyed has its copy made first", async () => {
    const id = await ask({ kind: "account" });
    const at = await keep(base, { accountId, scope: { kind: "account" }, cause: `request:${id}`, requestId: id });
    await freezeAccount(database.db, accountId, NOON);
    await sql("UPDATE requests SET state = 'frozen', frozen_at = received_at, holder = 7 WHERE id = ?", [id]);
    const go = { id, holder: 7, from: "frozen", to: "shredding" } as const;
    base.advance(5);
    await hold({ kind: "account" }, base.now());
    expect(await advanceErasure(database.db, { ...go, at: base.now(), keptAt: at })).toBe(false);
    expect(await stateOf(id)).toBe("frozen");
    await sql("UPDATE requests SET holder = 0 WHERE id = ?", [id]);
    base.advance(5);
    expect(await untilStill(id)).toBe("partially_cleared");
    expect((await parts()).length).toBe(1);
  });

  test("a copy that stopped midway is begun again, under another secret", async () => {
    await hold({ kind: "account" });
    const threat = { accountId, scope: { kind: "account" } as const, cause: "request:1", requestId: 1 };
    let calls = 0;
    const stop = async () => {
      if (calls++ > 3) throw new Error("stopped");
    };
    await expect(keep(base, threat, stop)).rejects.toThrow("stopped");
    await keep(base, threat);
    await keep(base, threat);
    const [part, ...more] = await parts();
    expect(more).toEqual([]);
    const zip = await opened(Number(part!.id));
    expect(Object.values(await positionsIn(zip))).toEqual([70, 70]);
  });
});

describe("a law that the customer is under", () => {
  beforeEach(async () => {
    await sql("INSERT INTO statutory_profiles VALUES (?, 'cn-road-transport', ?, ?)", [accountId, userId, NOON]);
    await stored(base, devices[0]!, minutes(5, NOON - 40 * DAY));
    await settled(base);
  });

  test("keeps each day of an erased account's tracks for as long as it says, and nothing else", async () => {
    const id = await ask({ kind: "account" });
    expect(await untilStill(id)).toBe("partially_cleared");
    expect(await leftOf()).toBe(0);
    const made = await parts();
    const days = [NOON - 40 * DAY, NOON].map((at) => Math.floor(at / DAY));
    expect(made.map((part) => Number(part.until))).toEqual(days.map((day) => (day + 1 + 184) * DAY));
    expect(await positionsIn(await opened(Number(made[0]!.id)))).toEqual({ [devices[0]!.id]: 5 });
    expect([...(await opened(Number(made[1]!.id))).entries.keys()].join()).not.toContain("people");
    base.advance(145 * DAY);
    await releaseHeld(base);
    expect((await parts()).length).toBe(1);
    expect(await untilStill(id)).toBe("partially_cleared");
    base.advance(40 * DAY);
    await releaseHeld(base);
    expect([await heldRows(), await untilStill(id)]).toEqual([0, "cleared"]);
  });

  test("keeps what a shorter period deletes, and only that", async () => {
    await sql("UPDATE accounts SET retention_days = 30 WHERE id = ?", [accountId]);
    expect(await purgeExpired(base)).toBe(5);
    const made = await parts();
    expect(made.map(({ cause }) => cause)).toEqual([`day:${Math.floor(NOON / DAY) - 40}:account`]);
    expect(await positionsIn(await opened(Number(made[0]!.id)))).toEqual({ [devices[0]!.id]: 5 });
    expect(await purgeExpired(base)).toBe(0);
    expect((await parts()).length).toBe(1);
    base.advance(145 * DAY);
    await releaseHeld(base);
    expect((await parts()).some(({ cause }) => cause === made[0]!.cause)).toBe(false);
  });

  test("keeps nothing that is older than it asks for", async () => {
    base.advance(200 * DAY);
    expect(await untilStill(await ask({ kind: "tracks" }, base.now() + DAY))).toBe("cleared");
    expect(await heldRows()).toBe(0);
  });
});

describe("what is owed", () => {
  const owe = async (kind: string, acknowledgedAt: number | null) => {
    const { details } = await database.db.$fields.seal("obligations", accountId, { details: "order 4711, 120.00 EUR" });
    await sql(
      `INSERT INTO obligations (account_id, kind, basis, details, created_at, expires_at, acknowledged_at)
        VALUES (?, ?, 'ecommerce_law', ?, ?, ?, ?)`,
      [accountId, kind, String(details), NOON, NOON + 1000 * DAY, acknowledgedAt],
    );
  };

  test("is kept of an account that is erased until its day, and then goes by itself", async () => {
    await owe("order", null);
    const id = await ask({ kind: "account" });
    expect(await untilStill(id)).toBe("partially_cleared");
    expect(await leftOf()).toBe(0);
    const [part, ...more] = await parts();
    expect(more).toEqual([]);
    const zip = await opened(Number(part!.id));
    expect([...zip.entries.keys()]).toEqual(["obligation.json"]);
    expect(await zip.text("obligation.json")).toContain("order 4711");
    expect((await receiptOf(id)).held).toMatchObject([
      { reason: "obligation", basis: "ecommerce_law", until: NOON + 1000 * DAY },
    ]);
    base.advance(1000 * DAY);
    await releaseHeld(base);
    expect([await heldRows(), await untilStill(id)]).toEqual([0, "cleared"]);
  });

  test("an extension that the customer has not agreed to keeps nothing; one that they have does", async () => {
    await owe("extension", null);
    expect(await untilStill(await ask({ kind: "devices", devices: [devices[0]!.id] }))).toBe("cleared");
    await owe("extension", NOON);
    expect(await untilStill(await ask({ kind: "account" }))).toBe("partially_cleared");
    expect((await parts()).length).toBe(1);
  });
});

describe("other ways to go", () => {
  test("a device that is removed leaves its copy, and its positions are nowhere else", async () => {
    await hold({ kind: "account" });
    const [first] = devices;
    await deleteDevice(aContext(base, asUser(accountId, userId, { provedAt: base.now() })), first!.id);
    expect(await count("SELECT count(*) FROM segments WHERE device_id = ?", [first!.id])).toBe(0);
    const [part] = await parts();
    expect(part!.cause).toBe(`device:${first!.id}`);
    expect(await positionsIn(await opened(Number(part!.id)))).toEqual({ [first!.id]: 70 });
  });

  test("a hold keeps days that end, of its device alone", async () => {
    await hold({ kind: "devices", devices: [devices[1]!.id] }, NOON, NOON + 300 * DAY);
    await settled(base);
    base.advance(93 * DAY);
    expect(await purgeExpired(base)).toBe(140);
    const made = await parts();
    expect(made.map(({ cause }) => cause)).toEqual([`day:${Math.floor(NOON / DAY)}:account`]);
    expect(await positionsIn(await opened(Number(made[0]!.id)))).toEqual({ [devices[1]!.id]: 70 });
  });

  test("what cannot be copied stays, and nobody else's stays with it", async () => {
    const order = await hold({ kind: "account" }, NOON, NOON + 300 * DAY);
    const others = await anAccount(database.db);
    const other = await aDevice(database.db, { accountId: others });
    await stored(base, other, minutes(5, NOON));
    await settled(base);
    await sql("UPDATE legal_holds SET scope = 'torn' WHERE id = ?", [order]);
    base.advance(93 * DAY);
    await expect(purgeExpired(base)).rejects.toThrow();
    const left = (id: number) => count("SELECT coalesce(sum(positions), 0) FROM segments WHERE account_id = ?", [id]);
    expect([await left(accountId), await left(others)]).toEqual([140, 0]);
    await sql(`UPDATE legal_holds SET scope = '{"kind":"account"}' WHERE id = ?`, [order]);
    expect(await purgeExpired(base)).toBe(140);
    expect(await left(accountId)).toBe(0);
  });

  test("copies that a restored database brings back without their secrets go again", async () => {
    await hold({ kind: "account" });
    await untilStill(await ask({ kind: "account" }));
    const [part] = await parts();
    expect(await dropLost(base)).toBe(0);
    await destroyHeldKeys(base, accountId, [Number(part!.id)]);
    expect(await dropLost(base)).toBeGreaterThan(0);
    expect(await heldRows()).toBe(0);
  });
});
