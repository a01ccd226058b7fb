import { changeState } from "../../../../src/store/accounts.ts";
import { insertBrand } from "../../../../src/store/brands.ts";
import { anAccount, anImei, aUser, withElsewhere } from "../../../database.ts";
import { ANYONE, at, OPERATOR, type Rows, STAFF, type Things } from "./row.ts";

const SUPPORT = ["adminToken", "admin", "support"] as const;
const PRIVACY = ["adminToken", "admin", "privacy"] as const;
const ANY_STAFF = ["adminToken", ...STAFF] as const;

// Made in the database: the walk must not use up what the admin token may ask.
const anotherAccount = ({ api }: Things) => anAccount(api.base.db);

async function suspended(things: Things): Promise<number> {
  const id = await anotherAccount(things);
  await changeState(things.api.base.db, id, "active", "suspended", "Asked for by its owner");
  return id;
}

let invited = 0;
const aNewAddress = () => `colleague${invited++}@edge.test`;

const aColleague = async ({ api }: Things) => (await aUser(api.base.db, { role: "support" })).id;

let branded = 0;
const aHostname = () => `yard${branded++}.test`;
async function aBrand({ api }: Things): Promise<number> {
  const { db } = api.base;
  const at = api.base.now();
  return (await insertBrand(db, { hostname: aHostname(), name: "Yard", createdAt: at, updatedAt: at }))!.id;
}

const tomorrow = ({ api }: Things) => new Date(api.base.now() + 86_400_000).toISOString();
const reason = { reason: "The customer called about it" };

export const ADMIN_ROWS: Rows = {
  "POST /v1/admin/accounts/find": {
    who: ["adminToken", ...STAFF],
    path: at("/v1/admin/accounts/find"),
    body: ({ account }) => ({ term: String(account) }),
    status: 200,
  },
  "GET /v1/admin/accounts/{id}": {
    who: ANY_STAFF,
    path: ({ account }) => `/v1/admin/accounts/${account}`,
    status: 200,
  },
  "POST /v1/admin/accounts/{id}/unmask": {
    who: ["adminToken", "admin", "support"],
    path: ({ account }) => `/v1/admin/accounts/${account}/unmask`,
    body: () => reason,
    status: 200,
  },
  "POST /v1/admin/accounts/{id}/users/{userId}/reset-factors": {
    who: OPERATOR,
    path: async ({ api, account }) => {
      const { id } = await aUser(api.base.db, { role: "viewer", accountId: account });
      return `/v1/admin/accounts/${account}/users/${id}/reset-factors`;
    },
    body: () => reason,
    status: 204,
  },
  "POST /v1/admin/accounts/{id}/suspend": {
    who: OPERATOR,
    path: async (things) => `/v1/admin/accounts/${await anotherAccount(things)}/suspend`,
    body: () => reason,
    status: 200,
  },
  "GET /v1/admin/accounts/{id}/placement": {
    who: OPERATOR,
    path: ({ account }) => `/v1/admin/accounts/${account}/placement`,
    status: 200,
  },
  "POST /v1/admin/accounts/{id}/placement": {
    who: OPERATOR,
    path: async (things) => {
      const { telemetry, db } = things.api.base;
      if (!telemetry.others.has("elsewhere")) await withElsewhere(db, "elsewhere");
      return `/v1/admin/accounts/${await anotherAccount(things)}/placement`;
    },
    body: () => ({ database: "elsewhere", ...reason }),
    status: 200,
  },
  "POST /v1/admin/accounts/{id}/resume": {
    who: OPERATOR,
    path: async (things) => `/v1/admin/accounts/${await suspended(things)}/resume`,
    status: 200,
  },
  "GET /v1/admin/staff": { who: OPERATOR, path: at("/v1/admin/staff"), status: 200 },
  "POST /v1/admin/staff": {
    who: OPERATOR,
    path: at("/v1/admin/staff"),
    body: () => ({ email: aNewAddress(), role: "support" }),
    status: 201,
  },
  "PATCH /v1/admin/staff/{id}": {
    who: OPERATOR,
    path: async (things) => `/v1/admin/staff/${await aColleague(things)}`,
    body: () => ({ role: "finance" }),
    status: 200,
  },
  "DELETE /v1/admin/staff/{id}": {
    who: OPERATOR,
    path: async (things) => `/v1/admin/staff/${await aColleague(things)}`,
    status: 204,
  },
  "POST /v1/admin/staff/{id}/training": {
    who: OPERATOR,
    path: async (things) => `/v1/admin/staff/${await aColleague(things)}/training`,
    body: (things) => ({ validUntil: tomorrow(things) }),
    status: 200,
  },
  // The places that are tried have an administrator.
  "POST /v1/admin/setup-links": { who: ["adminToken"], path: at("/v1/admin/setup-links"), status: 409 },
  "GET /v1/admin/settings": { who: OPERATOR, path: at("/v1/admin/settings"), status: 200 },
  "PATCH /v1/admin/settings": {
    who: OPERATOR,
    path: at("/v1/admin/settings"),
    body: () => ({ operatorName: "The yard" }),
    status: 200,
  },
  "GET /v1/admin/calendar": { who: PRIVACY, path: at("/v1/admin/calendar"), status: 200 },
  "PATCH /v1/admin/calendar": {
    who: OPERATOR,
    path: at("/v1/admin/calendar"),
    body: () => ({ days: [{ date: "2027-01-01", kind: "holiday" }] }),
    status: 200,
  },
  "GET /v1/admin/calendar/deadline": {
    who: PRIVACY,
    path: at("/v1/admin/calendar/deadline?verified=2026-02-13T08:00:00Z"),
    status: 200,
  },
  "GET /v1/admin/audit": { who: ["adminToken", "admin", "privacy"], path: at("/v1/admin/audit"), status: 200 },
  "GET /v1/admin/overview": { who: ANY_STAFF, path: at("/v1/admin/overview"), status: 200 },
  "GET /admin": { who: ANY_STAFF, path: at("/admin"), status: 200 },
  "POST /admin": {
    who: OPERATOR,
    path: at("/admin"),
    body: () => ({ act: "run", job: "purge-unclaimed" }),
    status: 200,
  },
  "GET /admin/accounts": { who: ANY_STAFF, path: at("/admin/accounts"), status: 200 },
  "POST /admin/accounts": {
    who: OPERATOR,
    path: at("/admin/accounts"),
    body: () => ({ act: "create", name: "Other" }),
    status: 303,
  },
  "GET /admin/accounts/{id}": { who: ANY_STAFF, path: ({ account }) => `/admin/accounts/${account}`, status: 200 },
  "POST /admin/accounts/{id}": {
    who: ["adminToken", "admin", "support"],
    path: ({ account }) => `/admin/accounts/${account}`,
    body: () => ({ act: "unmask", ...reason }),
    status: 200,
  },
  "GET /admin/devices": { who: OPERATOR, path: at("/admin/devices"), status: 200 },
  "GET /admin/activations": { who: SUPPORT, path: at("/admin/activations"), status: 200 },
  "POST /admin/activations": {
    who: SUPPORT,
    path: at("/admin/activations"),
    body: () => ({ act: "load", devices: `imei,model\n${anImei()},T366\n` }),
    status: 200,
  },
  "GET /admin/brands": { who: OPERATOR, path: at("/admin/brands"), status: 200 },
  "POST /admin/brands": {
    who: OPERATOR,
    path: at("/admin/brands"),
    body: () => ({ act: "create", hostname: aHostname(), name: "Yard" }),
    status: 303,
  },
  "GET /admin/brands/{id}": {
    who: OPERATOR,
    path: async (things) => `/admin/brands/${await aBrand(things)}`,
    status: 200,
  },
  "POST /admin/brands/{id}": {
    who: OPERATOR,
    path: async (things) => `/admin/brands/${await aBrand(things)}`,
    body: () => ({ act: "texts", "privacy.en.url": "https://yard.test/privacy" }),
    status: 303,
  },
  "GET /admin/documents": { who: PRIVACY, path: at("/admin/documents"), status: 200 },
  "POST /admin/documents": {
    who: PRIVACY,
    path: at("/admin/documents"),
    body: () => ({ act: "publish", kind: "notice", product: "Trackers", "en.title": "Notice", "en.body": "A text" }),
    status: 303,
  },
  "GET /admin/staff": { who: OPERATOR, path: at("/admin/staff"), status: 200 },
  "POST /admin/staff": {
    who: OPERATOR,
    path: at("/admin/staff"),
    body: () => ({ act: "invite", email: aNewAddress(), role: "support", language: "zh" }),
    status: 303,
  },
  "GET /admin/staff/{id}": {
    who: OPERATOR,
    path: async (things) => `/admin/staff/${await aColleague(things)}`,
    status: 200,
  },
  "POST /admin/staff/{id}": {
    who: OPERATOR,
    path: async (things) => `/admin/staff/${await aColleague(things)}`,
    body: (things) => ({ act: "attest", validUntil: tomorrow(things).slice(0, 10) }),
    status: 303,
  },
  "GET /admin/settings": { who: OPERATOR, path: at("/admin/settings"), status: 200 },
  "POST /admin/settings": {
    who: OPERATOR,
    path: at("/admin/settings"),
    body: () => ({ act: "save", bridgePort: "5020" }),
    status: 303,
  },
  "GET /admin/calendar": { who: PRIVACY, path: at("/admin/calendar"), status: 200 },
  "POST /admin/calendar": {
    who: OPERATOR,
    path: at("/admin/calendar"),
    body: () => ({ act: "add", date: "2027-01-01", kind: "holiday" }),
    status: 303,
  },
  "GET /admin/audit": { who: PRIVACY, path: at("/admin/audit"), status: 200 },
  // Without a link that works: the places that are tried have an administrator.
  "GET /setup/{token}": { who: ANYONE, path: at("/setup/nothing"), status: 200 },
  "POST /setup/{token}": {
    who: ANYONE,
    path: at("/setup/nothing"),
    body: () => ({ act: "setup", email: "first@edge.test", password: "a long and good one" }),
    status: 400,
  },
  "GET /v1/admin/ledger/verify": {
    who: ["adminToken", "admin", "privacy"],
    path: at("/v1/admin/ledger/verify"),
    status: 200,
  },
  "POST /v1/admin/ledger/verify": {
    who: ["adminToken", "admin", "privacy"],
    path: at("/v1/admin/ledger/verify"),
    body: () => ({ heads: [{ size: 1, root: "00".repeat(32) }] }),
    status: 200,
  },
  "POST /v1/admin/ledger/rotate-key": {
    who: OPERATOR,
    path: at("/v1/admin/ledger/rotate-key"),
    body: () => ({}),
    status: 200,
  },
  "GET /v1/admin/key-store": { who: OPERATOR, path: at("/v1/admin/key-store"), status: 200 },
  "POST /v1/admin/key-store/rewrap": {
    who: OPERATOR,
    path: at("/v1/admin/key-store/rewrap"),
    body: () => ({}),
    status: 200,
  },
  "POST /v1/admin/key-store/restore": {
    who: OPERATOR,
    path: at("/v1/admin/key-store/restore"),
    body: () => ({}),
    status: 200,
  },
};
