import { randomBytes } from "node:crypto";
import { keep } from "../../../../src/held-parts.ts";
import { insertObligation } from "../../../../src/store/obligations.ts";
import { legalHolds } from "../../../../src/store/schema.ts";
import { anAccount, aUser } from "../../../database.ts";
import { at, OPERATOR, type Rows, type Things } from "./row.ts";

const PRIVACY = ["adminToken", "admin", "privacy"] as const;
const PRIVACY_STAFF = ["admin", "privacy"] as const;
const FINANCE = ["adminToken", "admin", "finance"] as const;
const OWNER = ["owner"] as const;
const DAY = 86_400_000;

const inDays = ({ api }: Things, days: number) => new Date(api.base.now() + days * DAY).toISOString();
const reason = { reason: "The court asks for it until it has decided" };

/** Administrators and privacy staff may handle what is kept for a legal reason. */
async function granted({ api: { base } }: Things): Promise<void> {
  await base.db.$client.execute({
    sql: "UPDATE users SET legal_until = ? WHERE account_id IS NULL AND role IN ('admin', 'privacy')",
    args: [base.now() + DAY],
  });
}

/** A hold that somebody else of the staff has placed, of an account that nothing else is about. @returns its name */
async function placed(things: Things, isConfirmed = false, of?: number): Promise<string> {
  await granted(things);
  const { base } = things.api;
  const accountId = of ?? (await anAccount(base.db));
  const name = randomBytes(16).toString("base64url");
  const now = base.now();
  await base.db.insert(legalHolds).values({
    ...{ name, accountId, basis: "court_order", reference: "2026/AZ-17", scope: '{"kind":"account"}' },
    ...{ placedBy: 9_999_999, placedAt: now, reviewAt: now + DAY, expiresAt: now + 400 * DAY },
    ...(isConfirmed && { confirmedBy: 9_999_998, confirmedAt: now }),
  });
  return name;
}

const PARTS = new WeakMap<Things["api"], number>();

/** Something that is kept. */
async function kept(things: Things): Promise<number> {
  await granted(things);
  const { base, accountId } = things.api;
  let part = PARTS.get(things.api);
  if (part === undefined) {
    const name = await placed(things, true, accountId);
    await keep(base, { accountId, scope: { kind: "fields", fields: [] }, cause: "request:1", requestId: null });
    const { rows } = await base.db.$client.execute("SELECT id FROM held_parts");
    part = Number(rows[0]![0]);
    PARTS.set(things.api, part);
    await base.db.$client.execute({
      sql: "UPDATE held_parts SET hold_id = 0, until = ? WHERE id = ?",
      args: [base.now() + 400 * DAY, part],
    });
    await base.db.$client.execute({ sql: "DELETE FROM legal_holds WHERE name = ?", args: [name] });
  }
  return part;
}

/** An extension that is over a moment later: the walk goes on with an account of which nothing is kept. */
async function obligation({ api: { base, accountId } }: Things): Promise<number> {
  const now = base.now();
  const row = {
    kind: "extension",
    basis: "contract",
    details: "Invoice R-77",
    createdBy: null,
    createdAt: now,
  } as const;
  return (await insertObligation(base.db, accountId, { ...row, expiresAt: now + 1 })).id;
}

const owed = (things: Things) => ({
  ...{ kind: "order", basis: "tax_law", details: "Invoice R-77", expiresAt: inDays(things, 900) },
});

const aHold = (things: Things) => ({
  ...{ accountId: things.account, scope: { kind: "devices", devices: [things.device] }, basis: "court_order" },
  ...{ reference: "2026/AZ-17", reviewAt: inDays(things, 90), expiresAt: inDays(things, 300) },
});

const named =
  (act: string, isConfirmed = false) =>
  async (things: Things) =>
    `/v1/admin/holds/${await placed(things, isConfirmed)}${act}`;

export const HOLDS_ROWS: Rows = {
  "GET /v1/me/kept": { who: OWNER, path: at("/v1/me/kept"), status: 200 },
  "GET /v1/me/statutes": { who: OWNER, path: at("/v1/me/statutes"), status: 200 },
  "PUT /v1/me/statutes/{profile}": {
    who: OWNER,
    path: at("/v1/me/statutes/cn-road-transport"),
    status: 204,
    shared: true,
  },
  "DELETE /v1/me/statutes/{profile}": {
    who: OWNER,
    path: at("/v1/me/statutes/cn-road-transport"),
    status: 204,
    shared: true,
  },
  "GET /v1/me/obligations": { who: OWNER, path: at("/v1/me/obligations"), status: 200 },
  "POST /v1/me/obligations/{id}/acknowledge": {
    who: OWNER,
    path: async (things) => `/v1/me/obligations/${await obligation(things)}/acknowledge`,
    status: 200,
    owned: true,
  },
  "GET /v1/admin/holds": { who: PRIVACY, path: at("/v1/admin/holds"), status: 200 },
  "POST /v1/admin/holds": {
    who: PRIVACY_STAFF,
    path: async (things) => {
      await granted(things);
      return "/v1/admin/holds";
    },
    body: aHold,
    status: 201,
  },
  "GET /v1/admin/holds/{name}": { who: PRIVACY, path: named(""), status: 200 },
  "POST /v1/admin/holds/{name}/confirm": { who: PRIVACY_STAFF, path: named("/confirm"), status: 200 },
  "POST /v1/admin/holds/{name}/review": {
    who: PRIVACY_STAFF,
    path: named("/review", true),
    body: (things) => ({ reviewAt: inDays(things, 100), ...reason }),
    status: 200,
  },
  "POST /v1/admin/holds/{name}/release": {
    who: PRIVACY_STAFF,
    path: named("/release", true),
    body: () => reason,
    status: 200,
  },
  "GET /v1/admin/held": {
    who: PRIVACY_STAFF,
    path: async (things) => {
      await kept(things);
      return "/v1/admin/held";
    },
    status: 200,
  },
  "POST /v1/admin/held/{id}/archive": {
    who: PRIVACY_STAFF,
    path: async (things) => `/v1/admin/held/${await kept(things)}/archive`,
    body: () => reason,
    status: 200,
  },
  "GET /v1/admin/accounts/{id}/obligations": {
    who: FINANCE,
    path: ({ account }) => `/v1/admin/accounts/${account}/obligations`,
    status: 200,
  },
  "POST /v1/admin/accounts/{id}/obligations": {
    who: FINANCE,
    path: async ({ api }) => `/v1/admin/accounts/${await anAccount(api.base.db)}/obligations`,
    body: owed,
    status: 201,
  },
  "POST /v1/admin/accounts/{id}/obligations/{obligationId}/end": {
    who: FINANCE,
    path: async (things) => `/v1/admin/accounts/${things.account}/obligations/${await obligation(things)}/end`,
    body: () => ({ reason: "The invoice was cancelled" }),
    status: 204,
  },
  "GET /profile/kept": { who: OWNER, path: at("/profile/kept"), status: 200 },
  "POST /profile/kept": {
    who: OWNER,
    path: at("/profile/kept"),
    body: () => ({ act: "drop", profile: "cn-road-transport" }),
    status: 303,
  },
  "GET /admin/holds": { who: PRIVACY, path: at("/admin/holds"), status: 200 },
  "POST /admin/holds": {
    who: PRIVACY_STAFF,
    path: async (things) => {
      await granted(things);
      return "/admin/holds";
    },
    body: (things) => ({
      ...{ act: "place", accountId: String(things.account), basis: "court_order", reference: "2026/AZ-17" },
      ...{ scope: "account", reviewAt: inDays(things, 90).slice(0, 10), expiresAt: inDays(things, 300).slice(0, 10) },
    }),
    status: 303,
  },
  "GET /admin/holds/{name}": {
    who: PRIVACY,
    path: async (things) => `/admin/holds/${await placed(things)}`,
    status: 200,
  },
  "POST /admin/holds/{name}": {
    who: PRIVACY_STAFF,
    path: async (things) => `/admin/holds/${await placed(things)}`,
    body: () => ({ act: "confirm" }),
    status: 303,
  },
  "GET /admin/held": {
    who: PRIVACY_STAFF,
    path: async (things) => {
      await kept(things);
      return "/admin/held";
    },
    status: 200,
  },
  "GET /admin/held/{id}": {
    who: PRIVACY_STAFF,
    path: async (things) => `/admin/held/${await kept(things)}`,
    status: 200,
  },
  "POST /admin/held/{id}": {
    who: PRIVACY_STAFF,
    path: async (things) => `/admin/held/${await kept(things)}`,
    body: () => ({ act: "read", ...reason }),
    status: 200,
  },
  "POST /v1/admin/staff/{id}/legal": {
    who: OPERATOR,
    path: async ({ api }) => `/v1/admin/staff/${(await aUser(api.base.db, { role: "privacy" })).id}/legal`,
    body: (things) => ({ until: inDays(things, 30), ...reason }),
    status: 200,
  },
};
