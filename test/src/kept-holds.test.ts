import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@libsql/client";
import { drizzle } from "drizzle-orm/libsql/node";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Ctx, Db, SecretCopy, Secrets } from "../../src/context.ts";
import { carryOut } from "../../src/erasure.ts";
import type { ErasureScope } from "../../src/erasure-scope.ts";
import { heldArchive, keep, releaseHeld } from "../../src/held-parts.ts";
import { runCron, runJob } from "../../src/jobs.ts";
import { tidyHeld } from "../../src/kept-holds.ts";
import { verifyLedger } from "../../src/ledger-verify.ts";
import { confirmHold, type Hold, holdNamed, holdState, placeHold, releaseHold } from "../../src/legal-holds.ts";
import { LIMITS } from "../../src/limits.ts";
import { makeRequest } from "../../src/requests.ts";
import { fileSecrets } from "../../src/runtime/secrets-file.ts";
import * as schema from "../../src/store/schema.ts";
import { rewrap } from "../../src/vault.ts";
import { allHeld } from "../../src/vault-held.ts";
import { ZipReader } from "../../tools/unzip.ts";
import {
  aBase,
  aContext,
  aDatabaseFile,
  aDevice,
  anAccount,
  asUser,
  aUser,
  NOON,
  type TestBase,
  type TestDatabase,
} from "../database.ts";
import { settled, stored } from "../stored.ts";

// What a restored database forgets of holds and of what was copied for them, and the key store does not.

const DAY = 86_400_000;
const WHY = "The court asks for it until it has decided";
const folder = mkdtempSync(join(tmpdir(), "ephemeris-holds-"));
let file: TestDatabase & { path: string };
let secrets: Secrets & { close(): void };
let base: TestBase;
let open: { close(): void }[];
let accountId: number;
let userId: number;
let device: { id: number; accountId: number; imei: string };
let staff: number[];

beforeEach(async () => {
  file = await aDatabaseFile();
  secrets = fileSecrets(null);
  open = [];
  base = await opened(file.path, NOON);
  accountId = await anAccount(base.db);
  userId = (await aUser(base.db, { accountId, role: "owner", email: "canary@kept.example" })).id;
  device = await aDevice(base.db, { accountId });
  const fixes = Array.from({ length: 30 }, (_, i) => ({ fixTime: NOON - i * 60_000, receivedAt: NOON }));
  await stored(base, device, fixes);
  await settled(base);
  staff = [];
  for (const role of ["privacy", "admin"] as const) {
    const { id } = await aUser(base.db, { role });
    await sql("UPDATE users SET legal_until = ? WHERE id = ?", [NOON + 300 * DAY, id]);
    staff.push(id);
  }
});
afterEach(() => {
  for (const each of open) each.close();
  file.close();
  secrets.close();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const sql = (text: string, args: (string | number | null)[] = [], at = base) =>
  at.db.$client.execute({ sql: text, args });

async function opened(path: string, now = base.now()): Promise<TestBase> {
  const client = createClient({ url: `file:${path}`, concurrency: 1 });
  open.push(client);
  for (const pragma of ["journal_mode = WAL", "secure_delete = ON", "foreign_keys = ON"])
    await client.execute(`PRAGMA ${pragma}`);
  const db = drizzle(client, { schema }) as Db;
  return Object.assign(aBase(db, { now }), { secrets });
}

let copies = 0;
async function copyOf(): Promise<string> {
  await sql("PRAGMA wal_checkpoint(TRUNCATE)");
  const path = join(folder, `${copies++}.db`);
  cpSync(file.path, path);
  return path;
}

/** A copy in place of the live files, when its replay is over. */
async function replayed(path: string): Promise<TestBase> {
  const live = join(folder, `live-${copies++}.db`);
  cpSync(path, live);
  const at = await opened(live);
  await runJob(at, "replay-ledger");
  expect((await verifyLedger(at)).faults).toEqual([]);
  return at;
}

function legal(n: 0 | 1, at = base): Ctx {
  const person = { userId: staff[n]!, sessionId: 9, provedAt: at.now(), secondFactor: true } as const;
  const taste = { language: "en", units: "metric", timeZone: "UTC" } as const;
  const role = n === 0 ? "privacy" : "admin";
  return aContext(at, { kind: "staff", role, trained: true, ...person, ...taste });
}
const place = (scope: Extract<ErasureScope, { kind: "account" | "devices" | "range" }>): Promise<Hold> =>
  placeHold(legal(0), {
    ...{ accountId, scope, basis: "court_order", reference: "2026/AZ-17" },
    ...{ reviewAt: NOON + 90 * DAY, expiresAt: NOON + 200 * DAY },
  });
const confirmed = async (scope: Parameters<typeof place>[0]): Promise<Hold> =>
  confirmHold(legal(1), await place(scope));
const erase = async (scope: ErasureScope) =>
  (await makeRequest(aContext(base, asUser(accountId, userId, { provedAt: base.now() })), { type: "erase", scope }))
    .request;

async function carriedOut(at: TestBase, name: string): Promise<string> {
  for (let run = 0; run < 10; run++) {
    await carryOut(at);
    at.advance(LIMITS.erasureRetryMaxMs + LIMITS.erasureLeaseMs);
  }
  return stateOf(at, name);
}
const stateOf = async (at: TestBase, name: string) =>
  String((await sql("SELECT state FROM requests WHERE name = ?", [name], at)).rows[0]?.[0]);
const parts = async (at: TestBase) => (await sql("SELECT id, kid, cause FROM held_parts ORDER BY id", [], at)).rows;
async function positionsIn(at: TestBase, part: number): Promise<number> {
  const zip = new ZipReader(new Uint8Array(await new Response(await heldArchive(at, part)).arrayBuffer()));
  const name = [...zip.entries.keys()].find((each) => each.endsWith("/positions.jsonl"))!;
  return (await zip.text(name)).trim().split("\n").length;
}
const places = (): SecretCopy[] => [...secrets.copies, secrets.escrow];
const pieces = async () => (await Promise.all(places().map((each) => each.list("copy/")))).flat();
const kept = async () => {
  for await (const one of allHeld(base)) if (one.accountId === accountId) return one;
  return { holds: [], parts: [] };
};

describe("a database that is restored", () => {
  test("from before a hold has it again, and what was copied for it is read, released, and gone with the last receipt", async () => {
    const path = await copyOf();
    const hold = await confirmed({ kind: "devices", devices: [device.id] });
    const { name } = await erase({ kind: "account" });
    expect(await carriedOut(base, name)).toBe("partially_cleared");
    const [part] = await parts(base);

    const at = await replayed(path);
    expect(holdState(await holdNamed(at, hold.name), at.now())).toBe("in_force");
    expect((await parts(at)).map(({ id }) => id)).toEqual([part!.id]);
    expect(await carriedOut(at, name)).toBe("partially_cleared");
    expect((await parts(at)).length).toBe(1);
    expect(await positionsIn(at, Number(part!.id))).toBe(30);
    expect((await sql("SELECT count(*) FROM accounts", [], at)).rows[0]![0]).toBe(0);
    const body = (await sql("SELECT body FROM receipts", [], at)).rows[0]![0];
    expect(JSON.parse(String(body)).held).toMatchObject([{ reason: "hold", parts: 1, until: hold.expiresAt }]);

    at.at(hold.expiresAt);
    expect(await releaseHeld(at)).toBe(1);
    expect([await pieces(), await parts(at)]).toEqual([[], []]);
    expect(await carriedOut(at, name)).toBe("cleared");
  });

  test("from before a hold was released lets go again what was let go, and keeps nothing for it", async () => {
    const hold = await confirmed({ kind: "account" });
    const { name } = await erase({ kind: "range", device: device.id, from: NOON - 600_000, to: NOON + 1 });
    expect(await carriedOut(base, name)).toBe("partially_cleared");
    const path = await copyOf();
    await releaseHold(legal(0), hold, WHY);
    await releaseHeld(base);
    expect(await carriedOut(base, name)).toBe("cleared");

    const at = await replayed(path);
    expect(holdState(await holdNamed(at, hold.name), at.now())).toBe("released");
    expect(await parts(at)).toEqual([]);
    expect(await carriedOut(at, name)).toBe("cleared");
  });

  test("knows of a hold that was only placed what the copy knows, and of none that is over", async () => {
    const path = await copyOf();
    const over = await confirmed({ kind: "account" });
    const placed = await place({ kind: "account" });
    await releaseHold(legal(0), over, WHY);
    // So that it is older than the ledger.
    await confirmed({ kind: "devices", devices: [device.id] });
    const at = await replayed(path);
    await expect(holdNamed(at, placed.name)).rejects.toMatchObject({ code: "not_found" });
    expect(holdState(await holdNamed(at, over.name), at.now())).toBe("released");
  });

  test("has what a period left, of its account alone", async () => {
    const others = await anAccount(base.db);
    const other = await aDevice(base.db, { accountId: others });
    await stored(base, other, [{ fixTime: NOON - 1000 }]);
    const path = await copyOf();
    await confirmed({ kind: "account" });
    await settled(base);
    base.advance(93 * DAY);
    await runJob(base, "retention");
    const [part] = await parts(base);
    const at = await replayed(path);
    expect(await parts(at)).toEqual([part]);
    expect(await positionsIn(at, Number(part!.id))).toBe(30);
    expect((await sql("SELECT account_id FROM legal_holds", [], at)).rows.map((row) => row[0])).toEqual([accountId]);
  });

  test("can be stopped anywhere while it is brought up to that", async () => {
    const path = await copyOf();
    await confirmed({ kind: "account" });
    const { name } = await erase({ kind: "account" });
    await carriedOut(base, name);
    for (let stopAt = 1, stopped = true; stopped; stopAt += 5) {
      const live = join(folder, `stop-${copies++}.db`);
      cpSync(path, live);
      const at = await opened(live);
      let calls = 0;
      stopped = false;
      const client = at.db.$client;
      const execute = client.execute.bind(client);
      client.execute = (async (...args: Parameters<typeof execute>) => {
        if (++calls === stopAt) {
          stopped = true;
          throw new Error("stopped");
        }
        return execute(...args);
      }) as typeof client.execute;
      await runJob(at, "replay-ledger").catch(() => undefined);
      client.execute = execute;
      await runJob(at, "replay-ledger");
      expect(await carriedOut(at, name), `stopped at ${stopAt}`).toBe("partially_cleared");
      expect(await positionsIn(at, Number((await parts(at))[0]!.id))).toBe(30);
    }
  }, 120_000);
});

describe("a copy", () => {
  test("opens as long as one of three places has it", async () => {
    await confirmed({ kind: "account" });
    await carriedOut(base, (await erase({ kind: "account" })).name);
    const [part] = await parts(base);
    expect(await pieces()).toHaveLength(3);
    for (const place of places().slice(0, 2)) {
      for (const name of await place.list("copy/")) await place.delete(name);
    }
    expect(await positionsIn(base, Number(part!.id))).toBe(30);
    const escrow = secrets.escrow.get;
    secrets.escrow.get = () => Promise.reject(new Error("away"));
    await expect(positionsIn(base, Number(part!.id))).rejects.toThrow("away");
    secrets.escrow.get = escrow;
    // Under another root key, too: what it is sealed under is not that one.
    const config = { ...base.config, rootKey: "9".repeat(64), oldRootKeys: [base.config.rootKey] };
    const rotated = Object.assign(aBase(base.db, { now: base.now() }), { secrets, config });
    expect(await rewrap(rotated)).toBeGreaterThan(0);
    expect(await positionsIn(rotated, Number(part!.id))).toBe(30);
  });

  test("that stopped anywhere is made once, whole", async () => {
    await confirmed({ kind: "account" });
    const threat = { accountId, scope: { kind: "account" }, cause: "request:1", requestId: null } as const;
    const put = secrets.copies[1].put;
    for (let stopAt = 1; ; stopAt++) {
      let calls = 0;
      secrets.copies[1].put = async (...args) => {
        if (++calls === stopAt) throw new Error("stopped");
        return put.apply(secrets.copies[1], args);
      };
      const done = await keep(base, threat).then(
        () => true,
        () => false,
      );
      if (done) break;
    }
    secrets.copies[1].put = put;
    const [part, ...more] = await parts(base);
    expect(more).toEqual([]);
    expect(await positionsIn(base, Number(part!.id))).toBe(30);
    await tidyHeld(base);
    expect(new Set(await pieces())).toEqual(new Set([`copy/${part!.kid}-0`]));
  });

  test("is made by one: who is slower cannot end it", async () => {
    await confirmed({ kind: "account" });
    const threat = { accountId, scope: { kind: "account" }, cause: "request:1", requestId: null } as const;
    let calls = 0;
    const slower = keep(base, threat, async () => {
      if (++calls === 3) await keep(base, threat);
    });
    await expect(slower).rejects.toMatchObject({ code: "unavailable" });
    const [part] = await parts(base);
    expect(await positionsIn(base, Number(part!.id))).toBe(30);
    expect((await kept()).parts).toHaveLength(1);
  });

  test("does not take the place of another that a database restored a moment ago has forgotten", async () => {
    const path = await copyOf();
    await confirmed({ kind: "account" });
    await carriedOut(base, (await erase({ kind: "range", device: device.id, from: NOON - 600_000, to: NOON })).name);
    const [part] = await parts(base);
    const live = join(folder, `live-${copies++}.db`);
    cpSync(path, live);
    const at = await opened(live);
    at.advance(5);
    await sql(
      `INSERT INTO statutory_profiles (account_id, profile, enabled_at) VALUES (?, 'cn-road-transport', ?)`,
      [accountId, NOON],
      at,
    );
    const threat = { accountId, scope: { kind: "account" }, cause: "request:1", requestId: null } as const;
    await expect(keep(at, threat)).rejects.toMatchObject({ code: "unavailable" });
    expect(await positionsIn(base, Number(part!.id))).toBe(10);
  });
});

describe("tidyHeld()", () => {
  test("keeps holds as they are where a change of one was stopped", async () => {
    const hold = await confirmed({ kind: "account" });
    expect((await kept()).holds).toMatchObject([{ name: hold.name, confirmedAt: NOON, releasedAt: null }]);
    expect(await tidyHeld(base)).toBe(0);
    await sql("UPDATE legal_holds SET released_by = 901, released_at = ?", [NOON + 5]);
    expect(await tidyHeld(base)).toBe(1);
    expect((await kept()).holds).toMatchObject([{ releasedAt: NOON + 5 }]);
    // One that was never confirmed after all is not kept.
    await sql(
      "UPDATE legal_holds SET released_by = NULL, released_at = NULL, confirmed_by = NULL, confirmed_at = NULL",
    );
    expect(await tidyHeld(base)).toBe(1);
    expect((await kept()).holds).toEqual([]);
    await sql("UPDATE legal_holds SET confirmed_by = 901, confirmed_at = ?", [NOON]);
    expect(await tidyHeld(base)).toBe(1);
    expect((await kept()).holds).toMatchObject([{ name: hold.name, confirmedAt: NOON }]);
  });

  test("forgets holds that no copy of the database has in force any more, and none that keep something", async () => {
    const [first, second] = [await confirmed({ kind: "account" }), await confirmed({ kind: "account" })];
    await carriedOut(base, (await erase({ kind: "range", device: device.id, from: NOON - 600_000, to: NOON })).name);
    await releaseHold(legal(0), second, WHY);
    await releaseHeld(base);
    base.advance(LIMITS.tombstonesMs);
    expect(await tidyHeld(base)).toBe(0);
    base.advance(DAY);
    expect(await tidyHeld(base)).toBe(1);
    expect((await kept()).holds.map(({ name }) => name)).toEqual([first.name]);
  });

  test("leaves what is kept as it is where the database was restored a moment ago", async () => {
    const path = await copyOf();
    const hold = await confirmed({ kind: "account" });
    const live = join(folder, `live-${copies++}.db`);
    cpSync(path, live);
    expect(await tidyHeld(await opened(live))).toBe(0);
    expect((await kept()).holds.map(({ name }) => name)).toEqual([hold.name]);
  });

  test("deletes pieces that nobody has the secret of, and runs by itself", async () => {
    for (const place of places()) await place.put("copy/4711-0", new Uint8Array(9), null);
    await runCron(base, "7 * * * *");
    expect(await pieces()).toEqual([]);
  });
});
