import { makeToken } from "../../../../src/tokens.ts";
import { ANYONE, at, CUSTOMERS, PEOPLE, type Rows, type Things } from "./row.ts";

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
  "GET /search": { who: CUSTOMERS, path: at("/search"), status: 200 },
  "POST /search": { who: CUSTOMERS, path: at("/search"), body: () => ({ act: "find", term: "van" }), status: 200 },
};
