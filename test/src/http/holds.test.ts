import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { listActions } from "../../../src/audit.ts";
import { keep } from "../../../src/held-parts.ts";
import { LIMITS } from "../../../src/limits.ts";
import { ZipReader } from "../../../tools/unzip.ts";
import { aDevice, anAccount, NOON } from "../../database.ts";
import { type Api, anApi, expectProblem } from "./api.ts";

const DAY = 86_400_000;
const NEWEST = Number.MAX_SAFE_INTEGER;
const reason = "The court asks for it until it has decided";
let api: Api;
let one: { cookie: string };
let other: { cookie: string };
let owner: { cookie: string };

beforeEach(async () => {
  api = await anApi();
  one = { cookie: api.sessions.privacy };
  other = { cookie: api.sessions.admin };
  owner = { cookie: api.sessions.owner };
  await grant(NOON + 900 * DAY);
});
afterEach(async () => {
  await api.base.settled();
  api.close();
});

const sql = (text: string, args: (string | number | null)[] = []) => api.base.db.$client.execute({ sql: text, args });
const grant = (until: number | null, role = "%") =>
  sql("UPDATE users SET legal_until = ? WHERE account_id IS NULL AND role LIKE ? AND role IN ('admin', 'privacy')", [
    until,
    role,
  ]);
const iso = (days: number) => new Date(NOON + days * DAY).toISOString();
const aHold = (change: object = {}) => ({
  ...{ accountId: api.accountId, scope: { kind: "account" }, basis: "court_order", reference: "2026/AZ-17" },
  ...{ reviewAt: iso(90), expiresAt: iso(365) },
  ...change,
});
const place = (body: object = aHold(), as: object = one) => api.call("POST", "/v1/admin/holds", { ...as, body });
const act = (name: string, what: string, as: object, body?: object) =>
  api.call("POST", `/v1/admin/holds/${name}/${what}`, { ...as, ...(body && { body }) });
async function json<T = { name: string; state: string }>(response: Response, status = 200): Promise<T> {
  expect(response.status, await response.clone().text()).toBe(status);
  return (await response.json()) as T;
}
/** Keeps something of an account, as an erasure of its tracks would have. @returns its number */
async function keepSomething(accountId = api.accountId): Promise<number> {
  const { name } = await json(await place(aHold({ accountId })), 201);
  await json(await act(name, "confirm", other));
  await keep(api.base, { accountId, scope: { kind: "fields", fields: [] }, cause: "request:7", requestId: null });
  const { rows } = await sql("SELECT max(id) FROM held_parts WHERE account_id = ?", [accountId]);
  return Number(rows[0]![0]);
}

describe("/v1/admin/holds", () => {
  test("is placed by one and confirmed by another, shown, reviewed and released", async () => {
    const response = await place();
    const hold = await json(response, 201);
    expect(response.headers.get("location")).toBe(`/v1/admin/holds/${hold.name}`);
    expect(hold).toMatchObject({ state: "placed", confirmedBy: null, reviewDue: false, expiresAt: iso(365) });
    await expectProblem(await act(hold.name, "confirm", one), 403, "forbidden");
    await expectProblem(await act(hold.name, "confirm", { key: api.admin }), 403, "forbidden");
    expect(await json(await act(hold.name, "confirm", other))).toMatchObject({
      state: "in_force",
      confirmedAt: iso(0),
    });
    await expectProblem(await act(hold.name, "confirm", other), 409, "conflict");
    const { data } = await json<{ data: object[] }>(
      await api.call("GET", "/v1/admin/holds?open=true", { key: api.admin }),
    );
    expect(data).toMatchObject([{ name: hold.name, accountId: api.accountId }]);
    expect(await json(await act(hold.name, "review", one, { reviewAt: iso(150), reason }))).toMatchObject({
      reviewAt: iso(150),
    });
    expect(await json(await act(hold.name, "release", one, { reason }))).toMatchObject({ state: "released" });
    expect(await json<{ data: object[] }>(await api.call("GET", "/v1/admin/holds?open=true", one))).toMatchObject({
      data: [],
    });
    await expectProblem(await api.call("GET", `/v1/admin/holds/${"x".repeat(22)}`, one), 404, "not_found");
  });

  test("is not for who was not let, or not any more, and needs a fresh proof", async () => {
    const hold = await json(await place(), 201);
    await grant(NOON, "admin");
    for (const [what, body] of [
      ["confirm", undefined],
      ["review", { reviewAt: iso(100), reason }],
      ["release", { reason }],
    ] as const) {
      await expectProblem(await act(hold.name, what, other, body), 403, "forbidden");
    }
    await expectProblem(await place(aHold(), other), 403, "forbidden");
    await expectProblem(await place(aHold(), { key: api.admin }), 403, "forbidden");
    await expectProblem(await place(aHold(), { cookie: api.sessions.finance }), 403, "forbidden");
    api.base.advance(LIMITS.stepUpMs);
    await expectProblem(await place(), 401, "step_up_required");
  });

  test("refuses what is missing or not the account's, naming the field", async () => {
    const theirs = await aDevice(api.base.db);
    const without = (field: string) => Object.fromEntries(Object.entries(aHold()).filter(([name]) => name !== field));
    for (const [body, field] of [
      [without("expiresAt"), "expiresAt"],
      [without("basis"), "basis"],
      [without("reviewAt"), "reviewAt"],
      [aHold({ reference: "Ada Lovelace" }), "reference"],
      [aHold({ expiresAt: iso(1100) }), "expiresAt"],
      [aHold({ scope: { kind: "devices", devices: [theirs.id] } }), "scope.devices"],
      [aHold({ scope: { kind: "range", device: theirs.id, from: iso(-2), to: iso(-1) } }), "scope.device"],
      [aHold({ scope: { kind: "tracks" } }), "scope.kind"],
      [aHold({ accountId: 99_999 }), "accountId"],
    ] as const) {
      expect(await expectProblem(await place(body), 400, "invalid"), field).toMatchObject({ field });
    }
    expect((await sql("SELECT 1 FROM legal_holds")).rows).toEqual([]);
  });
});

describe("/v1/admin/held", () => {
  test("is listed in numbers and fixed words, and read for a reason that the record, the ledger and the owner see", async () => {
    const id = await keepSomething();
    const list = await json<{ data: Record<string, unknown>[] }>(await api.call("GET", "/v1/admin/held", one));
    expect(list.data).toMatchObject([
      { id, accountId: api.accountId, reason: "hold", basis: "court_order", cause: "request:7", until: iso(365) },
    ]);
    const response = await api.call("POST", `/v1/admin/held/${id}/archive`, { ...one, body: { reason } });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("application/zip");
    expect(response.headers.get("cache-control")).toBe("no-store");
    const zip = new ZipReader(new Uint8Array(await response.arrayBuffer()));
    expect([...zip.entries.keys()]).toContain("manifest.json");
    const [read] = await listActions(api.base, null, NEWEST, 1);
    expect(read).toMatchObject({ action: "held.read", subject: `held ${id}`, reason, actor: "staff", accountId: null });
    const { rows } = await sql("SELECT entry FROM ledger ORDER BY seq DESC LIMIT 1");
    expect(JSON.parse(String(rows[0]![0]))).toMatchObject({ type: "disclosure", actorRole: "privacy" });
    const looks = await json<{ data: object[] }>(await api.call("GET", "/v1/looks", owner));
    expect(looks.data).toMatchObject([
      { what: "held", windowId: null, actor: "staff", staffRole: "privacy", deviceId: null },
    ]);
    const page = await (await api.call("GET", "/support", owner)).text();
    expect(page).toContain("what is kept for a legal reason");
  });

  test("is for the legal staff alone: not for administrators without it, others, tokens, or without a reason", async () => {
    const id = await keepSomething();
    const path = `/v1/admin/held/${id}/archive`;
    await grant(NOON, "admin");
    for (const as of [other, { cookie: api.sessions.support }, { cookie: api.sessions.finance }, owner]) {
      await expectProblem(await api.call("POST", path, { ...as, body: { reason } }), 403, "forbidden");
      await expectProblem(await api.call("GET", "/v1/admin/held", as), 403, "forbidden");
    }
    for (const key of [api.admin, api.write]) {
      await expectProblem(await api.call("POST", path, { key, body: { reason } }), 403, "forbidden");
      await expectProblem(await api.call("GET", "/v1/admin/held", { key }), 403, "forbidden");
    }
    for (const body of [{}, { reason: "short" }]) {
      expect(await expectProblem(await api.call("POST", path, { ...one, body }), 400, "invalid")).toMatchObject({
        field: "reason",
      });
    }
    await expectProblem(
      await api.call("POST", "/v1/admin/held/999/archive", { ...one, body: { reason } }),
      404,
      "not_found",
    );
    expect((await sql("SELECT 1 FROM looks")).rows).toEqual([]);
    expect((await sql("SELECT 1 FROM ledger WHERE type = 'disclosure'")).rows).toEqual([]);
    api.base.advance(LIMITS.stepUpMs);
    await expectProblem(await api.call("POST", path, { ...one, body: { reason } }), 401, "step_up_required");
  });

  test("can be read of an account that is gone, whose looks nobody can be told", async () => {
    const accountId = await anAccount(api.base.db);
    const id = await keepSomething(accountId);
    await sql("DELETE FROM accounts WHERE id = ?", [accountId]);
    const response = await api.call("POST", `/v1/admin/held/${id}/archive`, { ...one, body: { reason } });
    expect(response.status).toBe(200);
    await response.arrayBuffer();
    expect((await sql("SELECT 1 FROM looks")).rows).toEqual([]);
    expect((await listActions(api.base, null, NEWEST, 1))[0]).toMatchObject({ action: "held.read", reason });
  });

  test("is known to its owner: why, because of what, until when, and nothing of others", async () => {
    const id = await keepSomething();
    await keepSomething(await anAccount(api.base.db));
    const { data } = await json<{ data: object[] }>(await api.call("GET", "/v1/me/kept", owner));
    expect(data).toEqual([
      { id, reason: "hold", basis: "court_order", madeAt: iso(0), until: iso(365), bytes: expect.any(Number) },
    ]);
    await expectProblem(await api.call("GET", "/v1/me/kept", { cookie: api.sessions.manager }), 403, "forbidden");
  });
});

describe("/v1/me/statutes", () => {
  const list = async () =>
    (
      await json<{ data: { profile: string; chosenAt: string | null }[] }>(
        await api.call("GET", "/v1/me/statutes", owner),
      )
    ).data;
  const chosen = async () => (await list()).filter(({ chosenAt }) => chosenAt !== null).map(({ profile }) => profile);

  test("are listed with law, region, days and what they mean; an owner chooses and drops them", async () => {
    expect(await list()).toContainEqual({
      ...{ profile: "cn-road-transport", region: "CN", days: 184, chosenAt: null },
      law: "PRC: dynamic supervision of road transport vehicles",
      means: expect.stringContaining("sealed and unreadable to everybody but our legal staff with a written reason"),
    });
    for (const profile of ["cn-road-transport", "cn-shenzhen-passenger", "cn-road-transport"]) {
      expect((await api.call("PUT", `/v1/me/statutes/${profile}`, owner)).status).toBe(204);
      api.base.advance(1000);
    }
    expect(await chosen()).toEqual(["cn-shenzhen-passenger", "cn-road-transport"]);
    expect((await list()).find(({ profile }) => profile === "cn-road-transport")?.chosenAt).toBe(iso(0));
    expect((await api.call("DELETE", "/v1/me/statutes/cn-shenzhen-passenger", owner)).status).toBe(204);
    expect(await chosen()).toEqual(["cn-road-transport"]);
    const acts = await listActions(api.base, api.accountId, NEWEST, 9);
    expect(acts.map(({ action, subject }) => `${action} ${subject}`)).toEqual([
      "statute.removed statute cn-shenzhen-passenger",
      "statute.chosen statute cn-shenzhen-passenger",
      "statute.chosen statute cn-road-transport",
    ]);
  });

  test("are the owner's, with a fresh proof, and only those that there are", async () => {
    await expectProblem(await api.call("PUT", "/v1/me/statutes/cn-nothing", owner), 404, "not_found");
    await expectProblem(await api.call("PUT", "/v1/me/statutes/toString", owner), 404, "not_found");
    await expectProblem(
      await api.call("PUT", "/v1/me/statutes/cn-road-transport", { cookie: api.sessions.manager }),
      403,
      "forbidden",
    );
    api.base.advance(LIMITS.stepUpMs);
    await expectProblem(await api.call("PUT", "/v1/me/statutes/cn-road-transport", owner), 401, "step_up_required");
    expect(await chosen()).toEqual([]);
  });

  test("dropping one leaves what is kept already", async () => {
    const id = await keepSomething();
    await sql(
      "UPDATE held_parts SET reason = 'statute', basis = 'cn-road-transport', hold_id = 0, until = ? WHERE id = ?",
      [NOON + 184 * DAY, id],
    );
    await api.call("PUT", "/v1/me/statutes/cn-road-transport", owner);
    await api.call("DELETE", "/v1/me/statutes/cn-road-transport", owner);
    const { data } = await json<{ data: object[] }>(await api.call("GET", "/v1/me/kept", owner));
    expect(data).toMatchObject([{ reason: "statute", basis: "cn-road-transport", until: iso(184) }]);
  });
});

describe("obligations", () => {
  const path = () => `/v1/admin/accounts/${api.accountId}/obligations`;
  const finance = () => ({ cookie: api.sessions.finance });
  const owed = (change: object = {}) => ({
    ...{ kind: "order", basis: "tax_law", details: "Invoice R-77", expiresAt: iso(900) },
    ...change,
  });

  test("are written down by finance and seen by the owner; an extension counts when they agree", async () => {
    const made = await json<{ id: number }>(
      await api.call("POST", path(), { ...finance(), body: owed({ kind: "extension", basis: "contract" }) }),
      201,
    );
    expect(made).toMatchObject({ needsAgreement: true, inForce: false, agreedAt: null });
    const { data } = await json<{ data: object[] }>(await api.call("GET", "/v1/me/obligations", owner));
    expect(data).toEqual([made]);
    const agree = `/v1/me/obligations/${made.id}/acknowledge`;
    await expectProblem(await api.call("POST", agree, { cookie: api.sessions.strangerOwner }), 404, "not_found");
    await expectProblem(await api.call("POST", agree, { cookie: api.sessions.manager }), 403, "forbidden");
    expect((await sql("SELECT acknowledged_at FROM obligations")).rows[0]![0]).toBeNull();
    expect(await json(await api.call("POST", agree, owner))).toMatchObject({ inForce: true, agreedAt: iso(0) });
    await expectProblem(await api.call("POST", agree, owner), 409, "conflict");
    const end = `${path()}/${made.id}/end`;
    expect((await api.call("POST", end, { ...finance(), body: { reason: "Settled between us" } })).status).toBe(204);
    const wrong = `/v1/admin/accounts/${api.strangerId}/obligations/${made.id}/end`;
    await expectProblem(
      await api.call("POST", wrong, { ...finance(), body: { reason: "Settled between us" } }),
      404,
      "not_found",
    );
  });

  test("are refused without a ground or an end, and with a card number, naming the field", async () => {
    const without = (field: string) => Object.fromEntries(Object.entries(owed()).filter(([name]) => name !== field));
    for (const [body, status, code, field] of [
      [without("basis"), 400, "invalid", "basis"],
      [without("expiresAt"), 400, "invalid", "expiresAt"],
      [owed({ expiresAt: iso(0) }), 400, "invalid", "expiresAt"],
      [owed({ basis: "because" }), 400, "invalid", "basis"],
      [owed({ details: "" }), 400, "invalid", "details"],
      [owed({ details: "4111 1111 1111 1111" }), 422, "pan_not_accepted", "details"],
    ] as const) {
      expect(await expectProblem(await api.call("POST", path(), { ...finance(), body }), status, code)).toMatchObject({
        field,
      });
    }
    expect((await sql("SELECT 1 FROM obligations")).rows).toEqual([]);
    await expectProblem(await api.call("POST", path(), { ...one, body: owed() }), 403, "forbidden");
    const nobody = "/v1/admin/accounts/99999/obligations";
    await expectProblem(await api.call("POST", nobody, { ...finance(), body: owed() }), 404, "not_found");
  });
});

describe("POST /v1/admin/staff/{id}/legal", () => {
  test("is an administrator's to give to another one, and nobody's to give themselves", async () => {
    const idOf = async (role: string) =>
      Number((await sql("SELECT id FROM users WHERE account_id IS NULL AND role = ?", [role])).rows[0]![0]);
    const [admin, privacy] = [await idOf("admin"), await idOf("privacy")];
    const give = (id: number, as: object, body: object = { until: iso(30), reason }) =>
      api.call("POST", `/v1/admin/staff/${id}/legal`, { ...as, body });
    expect(await json(await give(privacy, other))).toMatchObject({ id: privacy, legalUntil: iso(30) });
    await expectProblem(await give(admin, other), 403, "forbidden");
    await expectProblem(await give(admin, one), 403, "forbidden");
    expect(await json(await give(admin, { key: api.admin }))).toMatchObject({ legalUntil: iso(30) });
    expect(await expectProblem(await give(privacy, other, { until: iso(367), reason }), 400, "invalid")).toMatchObject({
      field: "until",
    });
    expect(await expectProblem(await give(privacy, other, { until: iso(30) }), 400, "invalid")).toMatchObject({
      field: "reason",
    });
    expect(await json(await give(privacy, other, { until: null, reason }))).toMatchObject({ legalUntil: null });
    await expectProblem(await place(), 403, "forbidden");
  });
});
