import { changeState } from "../../../../src/store/accounts.ts";
import { anAccount, aUser } from "../../../database.ts";
import { at, OPERATOR, type Rows, STAFF, type Things } from "./row.ts";

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

const tomorrow = ({ api }: Things) => new Date(api.base.now() + 86_400_000).toISOString();
const reason = { reason: "The customer called about it" };

export const ADMIN_ROWS: Rows = {
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
  "POST /v1/admin/accounts/{id}/suspend": {
    who: OPERATOR,
    path: async (things) => `/v1/admin/accounts/${await anotherAccount(things)}/suspend`,
    body: () => reason,
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
  "GET /v1/admin/audit": { who: ["adminToken", "admin", "privacy"], path: at("/v1/admin/audit"), status: 200 },
  "GET /v1/admin/overview": { who: ANY_STAFF, path: at("/v1/admin/overview"), status: 200 },
};
