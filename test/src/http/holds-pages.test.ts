import { afterEach, beforeEach, expect, test } from "vitest";
import type { ErasureScope } from "../../../src/erasure-scope.ts";
import { keep } from "../../../src/held-parts.ts";
import { remindOfHolds } from "../../../src/legal-holds.ts";
import { aDevice, NOON } from "../../database.ts";
import { type Api, anApi } from "./api.ts";

const DAY = 86_400_000;
const reason = "The court asks for it until it has decided";
let api: Api;

beforeEach(async () => {
  api = await anApi();
  await sql("UPDATE users SET legal_until = ? WHERE account_id IS NULL AND role IN ('admin', 'privacy')", [
    NOON + 300 * DAY,
  ]);
});
afterEach(async () => {
  await api.base.settled();
  api.close();
});

type Who = keyof Api["sessions"];
const sql = (text: string, args: (string | number | null)[] = []) => api.base.db.$client.execute({ sql: text, args });
const get = (path: string, who: Who) => api.call("GET", path, { cookie: api.sessions[who] });
const read = async (path: string, who: Who): Promise<string> => {
  const response = await get(path, who);
  const text = await response.text();
  expect(response.status, text).toBe(200);
  return text;
};
const post = (path: string, who: Who, form: Record<string, string>) =>
  api.call("POST", path, { cookie: api.sessions[who], body: new URLSearchParams(form) });
/** Sends a form that must be taken. @returns where it leads to */
async function done(path: string, who: Who, form: Record<string, string>): Promise<string> {
  const response = await post(path, who, form);
  expect(response.status, await response.clone().text()).toBe(303);
  return response.headers.get("location")!.split("?")[0]!;
}
const day = (days: number) => new Date(NOON + days * DAY).toISOString().slice(0, 10);
const aForm = (change: Record<string, string> = {}) => ({
  ...{
    act: "place",
    accountId: String(api.accountId),
    basis: "court_order",
    reference: "2026/AZ-17",
    scope: "account",
  },
  ...{ reviewAt: day(90), expiresAt: day(300) },
  ...change,
});

test("a hold is placed, confirmed by another, reviewed and released on its page, with what time is left", async () => {
  const path = await done("/admin/holds", "privacy", aForm());
  const own = await read(path, "privacy");
  expect(own).toContain("waits for a second person");
  expect(own).toContain("You placed it: somebody else must confirm it.");
  expect(own).not.toContain('value="confirm"');
  expect((await post(path, "privacy", { act: "confirm" })).status).toBe(403);
  expect(await read(path, "admin")).toContain('value="confirm"');
  await done(path, "admin", { act: "confirm" });
  const list = await read("/admin/holds", "admin");
  expect(list).toContain(`href="${path}"`);
  expect(list).toContain("in 299 days");
  await done(path, "privacy", { act: "review", reviewAt: day(120), reason });
  expect(await read(path, "privacy")).toContain("in 119 days");
  expect(await read(`/admin/accounts/${api.accountId}`, "admin")).toContain(`href="${path}"`);
  await done(path, "privacy", { act: "release", reason });
  expect(await read(path, "privacy")).toContain("released");
  expect(await read("/admin/holds", "admin")).toContain("There is no hold.");
  expect(await read("/admin/holds?all=true", "admin")).toContain(`href="${path}"`);
});

test("the form of a hold says what is wrong at its field, in the language of whoever reads it", async () => {
  const theirs = await aDevice(api.base.db);
  const mine = await aDevice(api.base.db, { accountId: api.accountId });
  for (const [change, field] of [
    [{ accountId: "99999" }, "accountId"],
    [{ accountId: "x" }, "accountId"],
    [{ reference: "Ada Lovelace" }, "reference"],
    [{ expiresAt: "" }, "expiresAt"],
    [{ reviewAt: day(200) }, "reviewAt"],
    [{ scope: "devices", "scope.devices": String(theirs.id) }, "scope-devices"],
    [{ scope: "devices", "scope.devices": "" }, "scope-devices"],
    [{ scope: "range", "scope.devices": String(mine.id) }, "scope-from"],
    [
      {
        ...{ scope: "range", "scope.devices": String(theirs.id) },
        ...{ "scope.from": "2026-02-01T00:00", "scope.to": "2026-02-02T00:00" },
      },
      "scope-devices",
    ],
  ] as const) {
    const response = await post("/admin/holds", "privacy", aForm(change as Record<string, string>));
    expect(response.status, field).toBe(400);
    expect(await response.text()).toContain(`href="#f-${field}"`);
  }
  await sql("UPDATE users SET language = 'zh' WHERE role = 'privacy'");
  const wrong = await (await post("/admin/holds", "privacy", aForm({ expiresAt: "" }))).text();
  expect(wrong).toContain("须为将来的日期，最多 3 年后");
  const range = {
    ...{ scope: "range", "scope.devices": String(mine.id) },
    ...{ "scope.from": "2026-02-01T00:00", "scope.to": "2026-02-02T00:00" },
  };
  const path = await done("/admin/holds", "privacy", aForm(range));
  expect(await read(path, "privacy")).toContain("一个定位器的一段时间");
});

test("who was not let sees holds and no more", async () => {
  const path = await done("/admin/holds", "privacy", aForm());
  await sql("UPDATE users SET legal_until = ? WHERE role = 'admin'", [NOON]);
  expect(await read("/admin/holds", "admin")).not.toContain('value="place"');
  expect(await read(path, "admin")).not.toContain('value="confirm"');
  for (const form of [{ act: "confirm" }, { act: "release", reason }]) {
    expect((await post(path, "admin", form)).status).toBe(403);
  }
  expect((await post("/admin/holds", "admin", aForm())).status).toBe(403);
  expect((await get("/admin/held", "admin")).status).toBe(403);
  expect((await get("/admin/holds", "support")).status).toBe(403);
});

test("what is kept is listed and fetched for a reason; its owner sees why, until when, and that it was read", async () => {
  const path = await done("/admin/holds", "privacy", aForm());
  await done(path, "admin", { act: "confirm" });
  const scope: ErasureScope = { kind: "fields", fields: [] };
  await keep(api.base, { accountId: api.accountId, scope, cause: "request:7", requestId: null });
  const list = await read("/admin/held", "privacy");
  const [, part] = /href="(\/admin\/held\/\d+)"/.exec(list)!;
  expect(list).toContain("request 7");
  expect(await read(`/admin/accounts/${api.accountId}`, "privacy")).toContain(part!);
  expect(await read(`/admin/accounts/${api.accountId}`, "support")).not.toContain(part!);
  expect(await (await post(part!, "privacy", { act: "read", reason: "no" })).text()).toContain('href="#f-reason"');
  const response = await post(part!, "privacy", { act: "read", reason });
  expect(response.headers.get("content-type")).toBe("application/zip");
  expect(new Uint8Array(await response.arrayBuffer()).subarray(0, 2)).toEqual(new TextEncoder().encode("PK"));
  await sql("UPDATE users SET legal_until = NULL WHERE role = 'admin'");
  expect((await get(part!, "admin")).status).toBe(403);
  expect((await post(part!, "admin", { act: "read", reason })).status).toBe(403);
  for (const page of ["/profile/requests", "/profile/kept"]) {
    const text = await read(page, "owner");
    expect(text).toContain("order of a court");
    expect(text).toContain(`datetime="${day(300)}T00:00:00.000Z"`);
    expect(text).toContain("at the latest");
    expect(await read(page, "strangerOwner")).not.toContain("order of a court");
  }
  expect(await read("/profile/requests", "viewer")).not.toContain("order of a court");
  expect(await read("/support", "owner")).toContain("what is kept for a legal reason");
});

test("an owner chooses laws and agrees to an extension, which finance wrote down and ends", async () => {
  const account = `/admin/accounts/${api.accountId}`;
  const owe = { act: "owe", kind: "extension", basis: "contract", details: "Invoice R-77", expiresAt: day(900) };
  expect(await (await post(account, "finance", { ...owe, expiresAt: "" })).text()).toContain('href="#f-expiresAt"');
  expect(await (await post(account, "finance", { ...owe, details: "" })).text()).toContain('href="#f-details"');
  expect((await post(account, "support", owe)).status).toBe(403);
  await done(account, "finance", owe);
  expect(await read(account, "finance")).toContain("It keeps nothing before you agree.");
  expect(await read(account, "support")).not.toContain("R-77");
  const { rows } = await sql("SELECT id FROM obligations");
  const id = String(rows[0]![0]);
  expect(await read("/profile/kept", "owner")).toContain("Invoice R-77");
  expect((await post("/profile/kept", "strangerOwner", { act: "agree", id })).status).toBe(404);
  await done("/profile/kept", "owner", { act: "agree", id });
  expect(await read("/profile/kept", "owner")).toContain("agreed");
  await done("/profile/kept", "owner", { act: "choose", profile: "cn-road-transport" });
  const text = await read("/profile/kept", "owner");
  expect(text).toContain('value="drop"');
  expect(text).toContain("until 184 days after the position");
  await done("/profile/kept", "owner", { act: "drop", profile: "cn-road-transport" });
  expect(await read("/profile/kept", "owner")).not.toContain('value="drop"');
  expect((await get("/profile/kept", "manager")).status).toBe(403);
  const end = { act: "end", obligation: id };
  expect(await (await post(account, "finance", { ...end, endReason: "no" })).text()).toContain('href="#f-endReason"');
  await done(account, "finance", { ...end, endReason: "Settled between us" });
  expect(await read("/profile/kept", "owner")).toContain("over");
});

test("an administrator lets somebody handle what is kept, until a day, and takes it back", async () => {
  const { rows } = await sql("SELECT id FROM users WHERE role = 'privacy'");
  const path = `/admin/staff/${rows[0]![0]}`;
  const form = { act: "grant", until: day(30), legalReason: reason };
  expect(await (await post(path, "admin", { ...form, legalReason: "" })).text()).toContain('href="#f-legalReason"');
  expect(await (await post(path, "admin", { ...form, until: day(400) })).text()).toContain('href="#f-until"');
  await done(path, "admin", form);
  expect(await read(path, "admin")).toContain(`datetime="${day(30)}T00:00:00.000Z"`);
  await done(path, "admin", { act: "withdraw", legalReason: reason });
  expect((await sql("SELECT legal_until FROM users WHERE role = 'privacy'")).rows[0]![0]).toBeNull();
  const self = `/admin/staff/${(await sql("SELECT id FROM users WHERE role = 'admin'")).rows[0]![0]}`;
  expect((await post(self, "admin", form)).status).toBe(403);
});

test("holds that nobody reviewed are on the overview", async () => {
  const path = await done("/admin/holds", "privacy", aForm({ reviewAt: day(1) }));
  await done(path, "admin", { act: "confirm" });
  expect(await read("/admin", "admin")).not.toContain("not reviewed in time");
  await sql("UPDATE legal_holds SET review_at = ?", [NOON]);
  expect(await read("/admin", "admin")).toContain("1 hold was not reviewed in time");
  expect(await remindOfHolds(api.base)).toBe(1);
});
