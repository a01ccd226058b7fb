import { makeToken } from "../../../../src/tokens.ts";
import { ANYONE, at, CUSTOMERS, PEOPLE, READERS, type Rows, type Things, WRITERS } from "./row.ts";

let links = 0;

/** A link that the owner asked for. */
async function emailToken({ api }: Things): Promise<string> {
  const { rows } = await api.base.db.$client.execute({
    sql: "SELECT id FROM users WHERE role = 'owner' AND account_id = ?",
    args: [api.accountId],
  });
  const payload = `new${links++}@edge.test`;
  return makeToken(api.base, "email", { userId: Number(rows[0]?.[0]), payload, lifeMs: 60_000 });
}

/** A group of the account, made when there is none. */
async function group({ api }: Things): Promise<number> {
  const { $client } = api.base.db;
  const args = [api.accountId];
  const found = await $client.execute({ sql: "SELECT max(id) FROM device_groups WHERE account_id = ?", args });
  if (found.rows[0]?.[0]) return Number(found.rows[0][0]);
  const made = await $client.execute({
    sql: "INSERT INTO device_groups (account_id, name, created_at) VALUES (?, 'Vans', 1) RETURNING id",
    args,
  });
  return Number(made.rows[0]?.[0]);
}

const emailPage = async (things: Things) => `/profile/email/${await emailToken(things)}`;

export const PROFILE_ROWS: Rows = {
  "GET /v1/services/requirements": { who: ANYONE, path: at("/v1/services/requirements"), status: 200 },
  "GET /v1/me": { who: PEOPLE, path: at("/v1/me"), status: 200 },
  "PATCH /v1/me": {
    who: PEOPLE,
    path: at("/v1/me"),
    body: () => ({ name: "Kim Example", units: "imperial", timeZone: "Europe/Vienna" }),
    status: 200,
  },
  "PATCH /v1/me/account": {
    who: ["owner"],
    path: at("/v1/me/account"),
    body: () => ({ paymentMode: "transfer", addresses: { billing: { line1: "Road 1", city: "Town", country: "AT" } } }),
    status: 200,
  },
  "POST /v1/me/email": {
    who: PEOPLE,
    path: at("/v1/me/email"),
    body: () => ({ email: `asked${links++}@edge.test` }),
    status: 202,
  },
  "POST /v1/me/email/confirm": {
    who: PEOPLE,
    path: at("/v1/me/email/confirm"),
    body: async (things) => ({ token: await emailToken(things) }),
    status: 204,
  },
  "POST /v1/me/mobile": {
    who: PEOPLE,
    path: at("/v1/me/mobile"),
    body: () => ({ mobile: "+43 660 0000000" }),
    status: 204,
  },
  "GET /v1/me/held": { who: PEOPLE, path: at("/v1/me/held"), status: 200 },
  "GET /v1/me/personalisation": { who: CUSTOMERS, path: at("/v1/me/personalisation"), status: 200 },
  "POST /v1/searches": { who: CUSTOMERS, path: at("/v1/searches"), body: () => ({ term: "van" }), status: 200 },
  "GET /v1/me/searches": { who: CUSTOMERS, path: at("/v1/me/searches"), status: 200 },
  "DELETE /v1/me/searches": { who: CUSTOMERS, path: at("/v1/me/searches"), status: 204 },
  "GET /profile": { who: PEOPLE, path: at("/profile"), status: 200 },
  "POST /profile": { who: PEOPLE, path: at("/profile"), body: () => ({ act: "saveName", name: "Kim" }), status: 303 },
  "GET /profile/email": { who: PEOPLE, path: at("/profile/email"), status: 200 },
  "POST /profile/email": {
    who: PEOPLE,
    path: at("/profile/email"),
    body: () => ({ act: "ask", email: `page${links++}@edge.test` }),
    status: 303,
  },
  "GET /profile/email/{token}": { who: PEOPLE, path: emailPage, status: 200 },
  "POST /profile/email/{token}": { who: PEOPLE, path: emailPage, body: () => ({ act: "confirm" }), status: 303 },
  "GET /profile/mobile": { who: PEOPLE, path: at("/profile/mobile"), status: 200 },
  "POST /profile/mobile": {
    who: PEOPLE,
    path: at("/profile/mobile"),
    body: () => ({ act: "save", mobile: "+49 151 0000000" }),
    status: 303,
  },
  "GET /profile/held": { who: PEOPLE, path: at("/profile/held"), status: 200 },
  "GET /profile/searches": { who: CUSTOMERS, path: at("/profile/searches"), status: 200 },
  "POST /profile/searches": {
    who: CUSTOMERS,
    path: at("/profile/searches"),
    body: () => ({ act: "forget" }),
    status: 303,
  },
  "GET /v1/me/retention": { who: CUSTOMERS, path: at("/v1/me/retention"), status: 200 },
  "PUT /v1/me/retention": {
    who: ["owner", "manager"],
    path: at("/v1/me/retention"),
    body: () => ({ account: { days: 3650 } }),
    status: 200,
  },
  "GET /v1/me/collection": { who: CUSTOMERS, path: at("/v1/me/collection"), status: 200 },
  "PUT /v1/me/collection": {
    who: ["owner", "manager"],
    path: at("/v1/me/collection"),
    body: () => ({ speed: true, cell: true, driver: true, coordinates: "exact" }),
    status: 200,
  },
  "GET /profile/collection": { who: CUSTOMERS, path: at("/profile/collection"), status: 200 },
  "POST /profile/collection": {
    who: ["owner", "manager"],
    path: at("/profile/collection"),
    body: () => ({ act: "save", speed: "on", cell: "on", driver: "on", coordinates: "exact" }),
    status: 303,
  },
  "GET /v1/groups": { who: READERS, path: at("/v1/groups"), status: 200 },
  "POST /v1/groups": { who: WRITERS, path: at("/v1/groups"), body: () => ({ name: "Vans", days: 30 }), status: 201 },
  "GET /v1/groups/{id}": {
    who: READERS,
    path: async (things) => `/v1/groups/${await group(things)}`,
    status: 200,
    owned: true,
  },
  "PATCH /v1/groups/{id}": {
    who: WRITERS,
    path: async (things) => `/v1/groups/${await group(things)}`,
    body: () => ({ name: "Trucks", days: null }),
    status: 200,
    owned: true,
  },
  "DELETE /v1/groups/{id}": {
    who: WRITERS,
    path: async (things) => `/v1/groups/${await group(things)}`,
    status: 204,
    owned: true,
  },
  "GET /profile/retention": { who: CUSTOMERS, path: at("/profile/retention"), status: 200 },
  "POST /profile/retention": {
    who: ["owner", "manager"],
    path: at("/profile/retention"),
    body: () => ({ act: "addGroup", name: "Vans" }),
    status: 303,
  },
  "GET /profile/retention/account": { who: ["owner", "manager"], path: at("/profile/retention/account"), status: 200 },
  "POST /profile/retention/account": {
    who: ["owner", "manager"],
    path: at("/profile/retention/account"),
    body: () => ({ act: "save", days: "3650", timeZone: "UTC" }),
    status: 303,
  },
  "GET /profile/retention/devices/{id}": {
    who: ["owner", "manager"],
    path: ({ device }) => `/profile/retention/devices/${device}`,
    status: 200,
    owned: true,
  },
  "POST /profile/retention/devices/{id}": {
    who: ["owner", "manager"],
    path: ({ device }) => `/profile/retention/devices/${device}`,
    body: () => ({ act: "save", days: "3650", groupId: "" }),
    status: 303,
    owned: true,
  },
  "GET /profile/retention/groups/{id}": {
    who: ["owner", "manager"],
    path: async (things) => `/profile/retention/groups/${await group(things)}`,
    status: 200,
    owned: true,
  },
  "POST /profile/retention/groups/{id}": {
    who: ["owner", "manager"],
    path: async (things) => `/profile/retention/groups/${await group(things)}`,
    body: () => ({ act: "save", name: "Trucks", days: "" }),
    status: 303,
    owned: true,
  },
  "GET /search": { who: CUSTOMERS, path: at("/search"), status: 200 },
  "POST /search": { who: CUSTOMERS, path: at("/search"), body: () => ({ act: "find", term: "van" }), status: 200 },
};
