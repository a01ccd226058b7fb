import { afterEach, beforeEach, expect, test } from "vitest";
import { encodeAaa } from "../../codec/encode.ts";
import { OUTCOME_NAMES, RequestWriter, readResponse } from "../../codec/envelope.ts";
import { carryOut } from "../../src/erasure.ts";
import { LIMITS } from "../../src/limits.ts";
import { aDevice, NOON } from "../database.ts";
import { settled, stored } from "../stored.ts";
import { type Api, aKey, anApi } from "./http/api.ts";

// An account is read, written and sent to without a pause while its erasure begins. Each caller looks first whether the
// account is frozen: what it asks for then is refused, however many are still under way.

let api: Api;
let device: { id: number; accountId: number; imei: string };
let theirs: typeof device;
beforeEach(async () => {
  api = await anApi();
  device = await aDevice(api.base.db, { accountId: api.accountId });
  theirs = await aDevice(api.base.db, { accountId: api.strangerId });
  for (const each of [device, theirs]) {
    await stored(
      api.base,
      each,
      Array.from({ length: 300 }, (_, i) => ({ fixTime: NOON - (400 - i) * 30_000 })),
    );
  }
  await settled(api.base);
});
afterEach(() => api.close());

const one = async (sql: string, ...args: number[]) =>
  (await api.base.db.$client.execute({ sql, args })).rows[0]?.[0] ?? null;
const frozen = async (accountId: number) =>
  (await one("SELECT count(*) FROM accounts WHERE id = ? AND frozen_at IS NULL", accountId)) === 0;

let sent = 0;
/** @returns what became of a frame, as the bridge is told */
async function send(imei: string): Promise<string> {
  const request = new RequestWriter();
  const fixTime = NOON - 3_600_000 + sent * 1000;
  const report = {
    ...{ event: { code: 35 }, fixTime, valid: true, latitude: 22.5, longitude: 114 },
    odometerM: sent++,
  };
  request.frame(1, 0, api.base.now(), encodeAaa({ identifier: "A", imei, report }));
  const response = await api.call("POST", "/v1/bridge/frames", {
    key: api.bridge,
    body: request.finish().slice(),
    headers: { "content-type": "application/octet-stream" },
  });
  expect(response.status).toBe(200);
  return OUTCOME_NAMES[readResponse(new Uint8Array(await response.arrayBuffer())).frames[0]!.outcome]!;
}

let requests = 0;
/** A request as intake leaves it. */
const ask = (accountId: number) =>
  api.base.db.$client.execute({
    sql: `INSERT INTO requests (name, type, state, level, account_id, scope, received_at, verified_at, deadline)
      VALUES (?, 'erase', 'verified', 'V0', ?, '{"kind":"account"}', ?, ?, ?)`,
    args: [`request-of-tests-${String(requests++).padStart(5, "0")}`, accountId, NOON, NOON, NOON + 86_400_000],
  });

interface Asked {
  what: string;
  isFrozen: boolean;
  said: string | number;
}

/** Everybody who has something to do with an account, each asking again as soon as they are answered. */
function hammer(accountId: number, of: typeof device, key: string, cookie: string) {
  const asked: Asked[] = [];
  let ended = false;
  const loop = async (what: string, ask: () => Promise<string | number>) => {
    while (!ended) {
      const isFrozen = await frozen(accountId);
      asked.push({ what, isFrozen, said: await ask() });
      await new Promise((resolve) => setTimeout(resolve));
    }
  };
  const get = (path: string, who: { key?: string; cookie?: string }) => async () =>
    (await api.call("GET", path, who)).status;
  const patch = (path: string, body: object, who: object) => async () =>
    (await api.call("PATCH", path, { body, headers: { "content-type": "application/json" }, ...who })).status;
  const all = [
    loop("history", get(`/v1/devices/${of.id}/positions`, { key })),
    loop("latest", get("/v1/positions/latest", { key })),
    loop("profile", get("/v1/me", { cookie })),
    loop("held", get("/v1/me/held", { cookie })),
    loop("change", patch(`/v1/devices/${of.id}`, { name: "Van" }, { key })),
    loop("own change", patch("/v1/me", { name: "Ada" }, { cookie })),
    ...[1, 2, 3].map((n) => loop(`tracker ${n}`, () => send(of.imei))),
  ];
  const end = async () => {
    ended = true;
    await Promise.all(all);
    return asked;
  };
  return { asked, end };
}

test("from the freeze on no read or change of an account succeeds and nothing is stored for it; others notice nothing", async () => {
  const { base } = api;
  const waits = () => one("SELECT coalesce(sum(positions), 0) FROM inbox");
  const family = hammer(api.accountId, device, api.write, api.sessions.owner);
  const stranger = await aKey(base, api.strangerId, "write");
  const others = hammer(api.strangerId, theirs, stranger, api.sessions.strangerOwner);
  while (family.asked.length < 60) await new Promise((resolve) => setTimeout(resolve, 5));
  // The engine gets no further than the freeze: one place of the keys does not answer.
  const copy = base.secrets.copies[0];
  const { put, putAll } = copy;
  const down = () => Promise.reject(new Error("down"));
  Object.assign(copy, { put: down, ...(putAll !== undefined && { putAll: down }) });
  await ask(api.accountId);
  await carryOut(base);
  expect(await frozen(api.accountId)).toBe(true);
  const refusedSince = family.asked.filter(({ isFrozen }) => isFrozen).length;
  while (family.asked.length < refusedSince + 300) await new Promise((resolve) => setTimeout(resolve, 5));
  const [asked, met] = [await family.end(), await others.end()];
  Object.assign(copy, { put, ...(putAll !== undefined && { putAll }) });

  const said = (rows: readonly Asked[], isFrozen: boolean) => {
    const by: Record<string, (string | number)[]> = {};
    for (const row of rows)
      if (row.isFrozen === isFrozen) by[row.what] = [...new Set([...(by[row.what] ?? []), row.said])];
    return by;
  };
  const ways = ["history", "latest", "profile", "held", "change", "own change", "tracker 1", "tracker 2", "tracker 3"];
  for (const way of ways) {
    const [before, after] = [said(asked, false)[way] ?? [], said(asked, true)[way] ?? []];
    const isTracker = way.startsWith("tracker");
    expect([way, before.includes(isTracker ? "stored" : 200)]).toEqual([way, true]);
    expect([way, after]).toEqual([way, [isTracker ? "unknown_device" : 401]]);
    expect([way, said(met, false)[way]]).toEqual([way, [isTracker ? "stored" : 200]]);
  }
  const waiting = await waits();
  for (let n = 0; n < 20; n++) expect(await send(device.imei)).toBe("unknown_device");
  expect(await waits()).toBe(waiting);

  for (let run = 0; run < 20 && (await one("SELECT closed_at FROM requests")) === null; run++) {
    base.advance(LIMITS.erasureRetryMaxMs + LIMITS.erasureLeaseMs);
    await carryOut(base);
  }
  expect(await one("SELECT state FROM requests")).toBe("cleared");
  expect(await one("SELECT count(*) FROM segments WHERE account_id = ?", api.accountId)).toBe(0);
});

test("everybody who asked is frozen before anybody's is worked on, however long that takes", async () => {
  const { base } = api;
  const copy = base.secrets.copies[0];
  const { put, putAll } = copy;
  // The keys of the first take all the time that one run has.
  const slow =
    <A extends unknown[], R>(call: (...args: A) => R) =>
    (...args: A): R => {
      base.advance(LIMITS.erasureRunMs);
      return call.apply(copy, args);
    };
  Object.assign(copy, { put: slow(put), ...(putAll !== undefined && { putAll: slow(putAll) }) });
  for (const accountId of [api.accountId, api.strangerId]) await ask(accountId);
  await carryOut(base);
  expect(await one("SELECT count(*) FROM requests WHERE closed_at IS NULL")).toBeGreaterThan(0);
  for (const accountId of [api.accountId, api.strangerId]) expect(await frozen(accountId)).toBe(true);
});
