import { aDevice, aUser } from "../../../database.ts";
import { aKey } from "../api.ts";
import { at, CUSTOMERS, type Row, type Rows, type Things } from "./row.ts";
import { withoutSealingKeys } from "./sealing.ts";

const OWNER = ["owner"] as const;
const MANAGERS = ["owner", "manager"] as const;
const SUPPORTERS = ["adminToken", "admin", "support"] as const;

let next = 0;
const anAddress = () => `guest${next++}@edge.test`;

/** A member of the account who is nobody else's, as rows change and remove them. */
const member = async ({ api }: Things, spec: object = {}) =>
  (await aUser(api.base.db, { role: "viewer", accountId: api.accountId, ...spec })).id;

const invited = (things: Things) => member(things, { emailVerifiedAt: null, email: anAddress() });

async function keyId(things: Things): Promise<number> {
  await aKey(things.api.base, things.api.accountId, "read");
  const { rows } = await things.api.base.db.$client.execute("SELECT max(id) FROM api_keys");
  return rows[0]![0] as number;
}

interface Window {
  id: number;
  open: boolean;
}

const windows = async ({ api }: Things) => {
  const answer = await api.call("GET", "/v1/support-windows", { cookie: api.sessions.owner });
  return ((await answer.json()) as { data: Window[] }).data.filter(({ open }) => open);
};

async function withoutWindow(things: Things): Promise<void> {
  for (const { id } of await windows(things)) {
    await things.api.call("DELETE", `/v1/support-windows/${id}`, { cookie: things.api.sessions.owner });
  }
}

async function withWindow(things: Things): Promise<number> {
  const [open] = await windows(things);
  if (open !== undefined) return open.id;
  const { api } = things;
  const body = { minutes: 60 };
  const made = await api.call("POST", "/v1/support-windows", { cookie: api.sessions.owner, body });
  return ((await made.json()) as Window).id;
}

const inWindow = (rest: (things: Things) => string) => async (things: Things) => {
  await withWindow(things);
  await withoutSealingKeys(things);
  return `/v1/admin/accounts/${things.account}${rest(things)}`;
};

const minutes = async <T>(things: Things, body: T) => {
  await withoutWindow(things);
  return body;
};

const page = (path: string, who: Row["who"]): Row => ({ who, path: at(path), status: 200 });

export const PEOPLE_ROWS: Rows = {
  "GET /v1/users": { who: OWNER, path: at("/v1/users"), status: 200 },
  "POST /v1/users": {
    who: OWNER,
    path: at("/v1/users"),
    body: async (things) => {
      const devices = [{ id: things.device, mayEdit: true }];
      return { email: anAddress(), role: "manager", deviceLimited: true, devices };
    },
    status: 202,
  },
  "GET /v1/users/{id}": {
    who: OWNER,
    path: async (things) => `/v1/users/${await member(things)}`,
    status: 200,
    owned: true,
  },
  "POST /v1/users/{id}/invitation": {
    who: OWNER,
    path: async (things) => `/v1/users/${await invited(things)}/invitation`,
    status: 202,
    owned: true,
  },
  "PATCH /v1/users/{id}": {
    who: OWNER,
    path: async (things) => `/v1/users/${await member(things)}`,
    body: () => ({ role: "manager" }),
    status: 200,
    owned: true,
  },
  "DELETE /v1/users/{id}": {
    who: OWNER,
    path: async (things) => `/v1/users/${await member(things)}`,
    status: 204,
    owned: true,
  },
  "GET /v1/keys": { who: MANAGERS, path: at("/v1/keys"), status: 200 },
  "POST /v1/keys": {
    who: MANAGERS,
    path: at("/v1/keys"),
    body: (things) => ({
      name: "Dashboard",
      scope: "read",
      expiresAt: "2030-01-01T00:00:00Z",
      deviceLimited: true,
      devices: [things.device],
    }),
    status: 201,
  },
  "DELETE /v1/keys/{id}": {
    who: MANAGERS,
    path: async (things) => `/v1/keys/${await keyId(things)}`,
    status: 204,
    owned: true,
  },
  "GET /v1/me/instructions": { who: OWNER, path: at("/v1/me/instructions"), status: 200 },
  "GET /v1/looks": { who: CUSTOMERS, path: at("/v1/looks"), status: 200 },
  "GET /v1/support-windows": { who: CUSTOMERS, path: at("/v1/support-windows"), status: 200 },
  "POST /v1/support-windows": {
    who: OWNER,
    path: at("/v1/support-windows"),
    body: (things) => minutes(things, { minutes: 30 }),
    status: 201,
  },
  "DELETE /v1/support-windows/{id}": {
    who: OWNER,
    path: async (things) => `/v1/support-windows/${await withWindow(things)}`,
    status: 204,
    owned: true,
  },
  "GET /v1/admin/accounts/{id}/positions/latest": {
    who: SUPPORTERS,
    path: inWindow(() => "/positions/latest"),
    status: 200,
  },
  "GET /v1/admin/accounts/{id}/devices/{deviceId}/positions": {
    who: SUPPORTERS,
    path: inWindow((things) => `/devices/${things.device}/positions`),
    status: 200,
  },
  "GET /people": page("/people", OWNER),
  "GET /people/invite": page("/people/invite", OWNER),
  "POST /people/invite": {
    who: OWNER,
    path: at("/people/invite"),
    body: () => ({ act: "invite", email: anAddress(), role: "viewer" }),
    status: 303,
  },
  "GET /people/{id}": {
    who: OWNER,
    path: async (things) => `/people/${await member(things)}`,
    status: 200,
    owned: true,
  },
  "POST /people/{id}": {
    who: OWNER,
    path: async (things) => `/people/${await member(things)}`,
    body: async (things) => {
      const { id } = await aDevice(things.api.base.db, { accountId: things.api.accountId });
      return { act: "save", role: "manager", deviceLimited: "yes", [`device-${id}`]: "edit" };
    },
    status: 303,
    owned: true,
  },
  "GET /keys": page("/keys", MANAGERS),
  "POST /keys": {
    who: MANAGERS,
    path: at("/keys"),
    body: async (things) => ({ act: "revoke", id: String(await keyId(things)) }),
    status: 303,
  },
  "GET /keys/new": page("/keys/new", MANAGERS),
  "POST /keys/new": {
    who: MANAGERS,
    path: at("/keys/new"),
    body: () => ({ act: "make", name: "Dashboard", scope: "read", expiresAt: "90", deviceLimited: "" }),
    status: 200,
  },
  "GET /support": page("/support", CUSTOMERS),
  "POST /support": {
    who: OWNER,
    path: at("/support"),
    body: (things) => minutes(things, { act: "open", minutes: "60" }),
    status: 303,
  },
};
