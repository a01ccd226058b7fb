import { randomBytes } from "node:crypto";
import { TOTP } from "otpauth";
import { newToken } from "../../../../src/access.ts";
import type { Ctx } from "../../../../src/context.ts";
import { cancelToken } from "../../../../src/request-mails.ts";
import { confirmTotp, startTotp } from "../../../../src/second-factor.ts";
import { requests } from "../../../../src/store/schema.ts";
import { aContext, anAccount, asUser, aUser } from "../../../database.ts";
import { ANYONE, at, CUSTOMERS, type Rows, STAFF, type Things } from "./row.ts";

const PRIVACY = ["adminToken", "admin", "privacy"] as const;
const PRIVACY_STAFF = ["admin", "privacy"] as const;

type Change = Partial<typeof requests.$inferInsert>;

/** A request of the account. @returns its name */
async function made({ api }: Things, change: Change = {}): Promise<string> {
  const name = randomBytes(16).toString("base64url");
  const now = api.base.now();
  await api.base.db.insert(requests).values({
    ...{ name, type: "erase", state: "verified", level: "V0", accountId: api.accountId },
    ...{ scope: JSON.stringify({ kind: "fields", fields: [name] }), receivedAt: now, verifiedAt: now },
    deadline: now + 86_400_000,
    ...change,
  } as typeof requests.$inferInsert);
  return name;
}

/** One that is over, with its receipt. */
async function done(things: Things): Promise<string> {
  const name = await made(things, { state: "cleared", closedAt: things.api.base.now() });
  const body = JSON.stringify({ request: name, stores: [{ name: "tracks", rows: 1, bytes: 2, keys: 3, left: 0 }] });
  await things.api.base.db.$client.execute({
    sql: "INSERT INTO receipts (request_id, at, body) SELECT id, 1, ? FROM requests WHERE name = ?",
    args: [body, name],
  });
  return name;
}

const pending = (things: Things, change: Change = {}) =>
  made(things, { state: "identity_pending", level: "V1", verifiedAt: null, deadline: null, ...change });

/** One that the staff have to decide. */
const ours = (things: Things) => pending(things, { level: "V2", evidenceAt: things.api.base.now() });

/** A mailed link of somebody with an authenticator app. */
async function linked(things: Things): Promise<{ token: string; code: string }> {
  const { base } = things.api;
  const accountId = await anAccount(base.db);
  const { id } = await aUser(base.db, { role: "owner", accountId });
  const ctx: Ctx = aContext(base, asUser(accountId, id));
  const { secret } = await startTotp(ctx);
  const [code = ""] = await confirmTotp(ctx, new TOTP({ secret }).generate({ timestamp: base.now() }));
  const { token, hash } = await newToken(base, "link");
  await pending(things, { accountId, userId: id, hash, scope: '{"kind":"account"}' });
  return { token, code };
}

const link = async (things: Things) => `/privacy/verify/${(await linked(things)).token}`;
const reason = { reason: "Knows the order number" };
const on =
  (path: string, name: (things: Things) => Promise<string>, rest = "") =>
  async (things: Things) =>
    `${path}/${await name(things)}${rest}`;
const objection = (things: Things) => made(things, { type: "object" });

/** A suspension of a device of the account. @returns where it is */
async function suspended({ api, spareDevice }: Things): Promise<string> {
  const { rows } = await api.base.db.$client.execute({
    sql: "INSERT INTO suspensions (account_id, device_id, kind, since) VALUES (?, ?, 'restricted', 1) RETURNING id",
    args: [api.accountId, await spareDevice()],
  });
  return `/v1/me/suspensions/${Number(rows[0]![0])}`;
}

const codes = new WeakMap<Things, string>();

export const REQUESTS_ROWS: Rows = {
  "POST /v1/requests": {
    who: CUSTOMERS,
    path: at("/v1/requests"),
    body: () => ({ type: "erase", scope: { kind: "fields", fields: ["users.name"] } }),
    status: 201,
  },
  "GET /v1/requests": { who: CUSTOMERS, path: at("/v1/requests"), status: 200 },
  "GET /v1/requests/{name}": { who: CUSTOMERS, path: on("/v1/requests", made), status: 200, owned: true },
  "DELETE /v1/requests/{name}": { who: CUSTOMERS, path: on("/v1/requests", made), status: 204, owned: true },
  "GET /v1/requests/{name}/receipt": {
    who: CUSTOMERS,
    path: on("/v1/requests", done, "/receipt"),
    status: 200,
    owned: true,
  },
  "POST /v1/me/suspend-transfers": { who: ["owner"], path: at("/v1/me/suspend-transfers"), status: 200, ends: true },
  "GET /v1/me/suspensions": { who: CUSTOMERS, path: at("/v1/me/suspensions"), status: 200 },
  "DELETE /v1/me/suspensions/{id}": { who: ["owner"], path: suspended, status: 204, owned: true },
  "GET /v1/admin/accounts/{id}/suspensions": {
    who: ["adminToken", ...STAFF],
    path: ({ account }) => `/v1/admin/accounts/${account}/suspensions`,
    status: 200,
  },
  "GET /v1/receipts/{name}": { who: ANYONE, path: on("/v1/receipts", done), status: 200 },
  "POST /v1/privacy/requests": {
    who: ANYONE,
    path: at("/v1/privacy/requests"),
    body: () => ({ email: "nobody@edge.test", type: "erase" }),
    status: 202,
  },
  "POST /v1/privacy/requests/verify": {
    who: ANYONE,
    path: at("/v1/privacy/requests/verify"),
    body: linked,
    status: 200,
  },
  "POST /v1/privacy/requests/review": {
    who: ANYONE,
    path: at("/v1/privacy/requests/review"),
    body: async (things) => ({ token: (await linked(things)).token }),
    status: 202,
  },
  "GET /v1/admin/requests": { who: PRIVACY, path: at("/v1/admin/requests"), status: 200 },
  "POST /v1/admin/requests": {
    who: PRIVACY_STAFF,
    path: at("/v1/admin/requests"),
    body: ({ account }) => ({ accountId: account, type: "erase", scope: { kind: "account" }, ...reason }),
    status: 201,
  },
  "GET /v1/admin/requests/{name}": { who: PRIVACY, path: on("/v1/admin/requests", ours), status: 200 },
  "POST /v1/admin/requests/{name}/confirm": {
    who: PRIVACY_STAFF,
    path: on("/v1/admin/requests", ours, "/confirm"),
    body: () => reason,
    status: 200,
  },
  "POST /v1/admin/requests/{name}/proof": {
    who: PRIVACY_STAFF,
    path: on("/v1/admin/requests", ours, "/proof"),
    status: 200,
  },
  "POST /v1/admin/requests/{name}/deny": {
    who: PRIVACY,
    path: on("/v1/admin/requests", ours, "/deny"),
    body: () => reason,
    status: 200,
  },
  "POST /v1/admin/requests/{name}/resolve": {
    who: PRIVACY,
    path: on("/v1/admin/requests", objection, "/resolve"),
    body: () => reason,
    status: 200,
  },
  "GET /profile/requests": { who: CUSTOMERS, path: at("/profile/requests"), status: 200 },
  "POST /profile/requests": {
    who: CUSTOMERS,
    as: "owner",
    path: at("/profile/requests"),
    body: async (things) => ({ act: "cancel", name: await made(things) }),
    status: 303,
  },
  "GET /profile/requests/new": { who: CUSTOMERS, path: at("/profile/requests/new"), status: 200 },
  "POST /profile/requests/new": {
    who: CUSTOMERS,
    path: at("/profile/requests/new"),
    body: () => ({ act: "choose", type: "erase", scope: "categories" }),
    status: 200,
  },
  "GET /profile/requests/{name}": { who: CUSTOMERS, path: on("/profile/requests", made), status: 200, owned: true },
  "POST /profile/requests/{name}": {
    who: CUSTOMERS,
    path: on("/profile/requests", made),
    body: () => ({ act: "cancel" }),
    status: 303,
    owned: true,
  },
  "GET /profile/delete": { who: CUSTOMERS, path: at("/profile/delete"), status: 200 },
  "POST /profile/delete": {
    who: CUSTOMERS,
    path: at("/profile/delete"),
    body: () => ({ act: "download" }),
    status: 303,
  },
  "GET /privacy/request": { who: ANYONE, path: at("/privacy/request"), status: 200 },
  "POST /privacy/request": {
    who: ANYONE,
    path: at("/privacy/request"),
    body: () => ({ act: "ask", email: "nobody@edge.test", type: "erase", scope: "account" }),
    status: 200,
  },
  "GET /privacy/verify/{token}": { who: ANYONE, path: link, status: 200 },
  "POST /privacy/verify/{token}": {
    who: ANYONE,
    path: async (things) => {
      const { token, code } = await linked(things);
      codes.set(things, code);
      return `/privacy/verify/${token}`;
    },
    body: (things) => ({ act: "verify", code: codes.get(things) ?? "" }),
    status: 200,
  },
  "GET /privacy/cancel/{token}": { who: ANYONE, path: cancel, status: 200 },
  "POST /privacy/cancel/{token}": { who: ANYONE, path: cancel, body: () => ({ act: "cancel" }), status: 303 },
  "GET /receipts/{name}": { who: ANYONE, path: on("/receipts", done), status: 200 },
  "GET /admin/requests": { who: PRIVACY, path: at("/admin/requests"), status: 200 },
  "POST /admin/requests": {
    who: PRIVACY_STAFF,
    path: at("/admin/requests"),
    body: ({ account }) => ({ act: "write", accountId: String(account), type: "erase", scope: "account", ...reason }),
    status: 303,
  },
  "GET /admin/requests/{name}": { who: PRIVACY, path: on("/admin/requests", ours), status: 200 },
  "POST /admin/requests/{name}": {
    who: PRIVACY,
    path: on("/admin/requests", ours),
    body: () => ({ act: "deny", ...reason }),
    status: 303,
  },
};

async function cancel(things: Things): Promise<string> {
  return `/privacy/cancel/${await cancelToken(aContext(things.api.base), await made(things))}`;
}
