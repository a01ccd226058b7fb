import { insertAccount } from "../../../../src/store/accounts.ts";
import { at, CUSTOMERS, OPERATOR, type Rows, type Things } from "./row.ts";

/** A link of the owner's. @returns its path, as every export is fetched */
async function link({ api }: Things): Promise<string> {
  // So many that the walk never has too many.
  await api.base.db.$client.execute("DELETE FROM export_links");
  await api.base.db.$client.execute(`UPDATE sessions SET proved_at = ${api.base.now()}`);
  const made = await api.call("POST", "/v1/me/exports", { cookie: api.sessions.owner, body: {} });
  return new URL(((await made.json()) as { url: string }).url).pathname;
}

async function linkId(things: Things): Promise<number> {
  await link(things);
  const { rows } = await things.api.base.db.$client.execute("SELECT max(id) FROM export_links");
  return Number(rows[0]![0]);
}

/** An account of which nothing is known yet. */
const emptyAccount = ({ api }: Things) => insertAccount(api.base.db, { name: `Empty ${emptied++}`, createdAt: 1 });
let emptied = 0;

export const EXPORT_ROWS: Rows = {
  "POST /v1/admin/accounts/{id}/imports": {
    who: OPERATOR,
    path: async (things) => `/v1/admin/accounts/${(await emptyAccount(things)).id}/imports`,
    body: () => ({ groups: [], devices: [], addresses: [] }),
    status: 201,
  },
  "POST /v1/admin/accounts/{id}/imports/{device}": {
    who: OPERATOR,
    path: ({ account, device }) => `/v1/admin/accounts/${account}/imports/${device}`,
    body: () => new Uint8Array(0),
    status: 200,
  },
  "POST /v1/me/exports": {
    who: CUSTOMERS,
    path: async ({ api }) => {
      await api.base.db.$client.execute("DELETE FROM export_links");
      return "/v1/me/exports";
    },
    body: () => ({ categories: ["account"] }),
    status: 201,
  },
  "GET /v1/me/exports": { who: CUSTOMERS, path: at("/v1/me/exports"), status: 200 },
  "DELETE /v1/me/exports/{id}": {
    who: CUSTOMERS,
    path: async (things) => `/v1/me/exports/${await linkId(things)}`,
    status: 204,
    owned: true,
  },
  "GET /profile/export": { who: CUSTOMERS, path: at("/profile/export"), status: 200 },
  "POST /profile/export": {
    who: CUSTOMERS,
    path: async ({ api }) => {
      await api.base.db.$client.execute("DELETE FROM export_links");
      return "/profile/export";
    },
    body: () => ({ act: "make" }),
    status: 200,
  },
  "GET /v1/exports/{token}": { who: CUSTOMERS, path: link, status: 200, owned: true },
};
