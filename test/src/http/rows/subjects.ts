import { randomBytes } from "node:crypto";
import { newToken } from "../../../../src/access.ts";
import { ANYONE, at, type Rows, type Things } from "./row.ts";

const ANSWERERS = ["owner", "manager"] as const;
const PRIVACY = ["adminToken", "admin", "privacy"] as const;
const PRIVACY_STAFF = ["admin", "privacy"] as const;
const DAY = 86_400_000;

/** A link of the device that shows its track, in force beside no other. */
async function linked({ api, account, device }: Things): Promise<{ id: number; token: string }> {
  const { base } = api;
  const { token, hash } = await newToken(base, "link");
  const now = base.now();
  const { rows } = await base.db.$client.execute({
    sql: `INSERT INTO subject_links (account_id, device_id, hash, from_time, to_time, shows_track, created_at, expires_at)
      VALUES (?, ?, ?, ?, ?, 1, ?, ?) RETURNING id`,
    args: [account, device, hash, now - DAY, now + DAY, now, now + DAY],
  });
  return { id: Number(rows[0]![0]), token };
}

/** What was asked with one. @returns its name */
async function asked(things: Things, isLeft = false, type = "object"): Promise<string> {
  const { id } = await linked(things);
  const name = randomBytes(16).toString("base64url");
  const now = things.api.base.now();
  await things.api.base.db.$client.execute({
    sql: `INSERT INTO subject_requests (account_id, link_id, name, type, from_time, to_time, asked_at, answer_by, state,
        escalated_at, staff_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'open', ?, ?)`,
    args: [
      ...[things.account, id, name, type, now - DAY, now, now, now + 10 * DAY],
      ...(isLeft ? [now, now + DAY] : [null, null]),
    ],
  });
  return name;
}

const left = (things: Things) => asked(things, true);
const reason = { reason: "They had it on these days" };
const on =
  (path: string, name: (things: Things) => Promise<string>, rest = "") =>
  async (things: Things) =>
    `${path}/${await name(things)}${rest}`;
const link = async (things: Things) => (await linked(things)).token;
const ofDevice =
  (rest = "") =>
  ({ device }: Things) =>
    `/v1/devices/${device}/subject-links${rest}`;
const time = { from: "2026-02-01T00:00:00Z", to: "2026-02-02T00:00:00Z" };

export const SUBJECTS_ROWS: Rows = {
  "POST /v1/devices/{id}/subject-links": {
    who: ANSWERERS,
    path: async (things) => {
      await things.api.base.db.$client.execute("DELETE FROM subject_links");
      return ofDevice()(things);
    },
    body: () => time,
    status: 201,
    owned: true,
  },
  "GET /v1/devices/{id}/subject-links": { who: ANSWERERS, path: ofDevice(), status: 200, owned: true },
  "DELETE /v1/devices/{id}/subject-links/{link}": {
    who: ANSWERERS,
    path: async (things) => ofDevice(`/${(await linked(things)).id}`)(things),
    status: 204,
    owned: true,
  },
  "GET /v1/subject-requests": { who: ANSWERERS, path: at("/v1/subject-requests"), status: 200 },
  "POST /v1/subject-requests/{name}/accept": {
    who: ANSWERERS,
    path: on("/v1/subject-requests", asked, "/accept"),
    body: () => reason,
    status: 200,
    owned: true,
  },
  "POST /v1/subject-requests/{name}/refuse": {
    who: ANSWERERS,
    path: on("/v1/subject-requests", asked, "/refuse"),
    body: () => reason,
    status: 200,
    owned: true,
  },
  "GET /v1/subject/{token}": { who: ANYONE, path: on("/v1/subject", link), status: 200 },
  "GET /v1/subject/{token}/positions": { who: ANYONE, path: on("/v1/subject", link, "/positions"), status: 200 },
  "POST /v1/subject/{token}/requests": {
    who: ANYONE,
    path: on("/v1/subject", link, "/requests"),
    body: () => ({ type: "object" }),
    status: 201,
  },
  "GET /v1/admin/subject-requests": { who: PRIVACY, path: at("/v1/admin/subject-requests"), status: 200 },
  "POST /v1/admin/subject-requests/{name}/accept": {
    who: PRIVACY_STAFF,
    path: on("/v1/admin/subject-requests", left, "/accept"),
    body: () => reason,
    status: 200,
  },
  "POST /v1/admin/subject-requests/{name}/refuse": {
    who: PRIVACY_STAFF,
    path: on("/v1/admin/subject-requests", left, "/refuse"),
    body: () => reason,
    status: 200,
  },
  "GET /devices/{id}/subjects": {
    who: ANSWERERS,
    path: ({ device }) => `/devices/${device}/subjects`,
    status: 200,
    owned: true,
  },
  "POST /devices/{id}/subjects": {
    who: ANSWERERS,
    path: async ({ api, device }) => {
      await api.base.db.$client.execute("DELETE FROM subject_links");
      return `/devices/${device}/subjects`;
    },
    body: () => ({ act: "make", from: "2026-02-01T00:00", to: "2026-02-02T00:00", expiresAt: "" }),
    status: 200,
    owned: true,
  },
  "GET /subject-requests/{name}": { who: ANSWERERS, path: on("/subject-requests", asked), status: 200, owned: true },
  "POST /subject-requests/{name}": {
    who: ANSWERERS,
    path: on("/subject-requests", (things) => asked(things, false, "erase")),
    body: () => ({ act: "refuse", ...reason }),
    status: 303,
    owned: true,
  },
  "GET /subject/{token}": { who: ANYONE, path: on("/subject", link), status: 200 },
  "POST /subject/{token}": {
    who: ANYONE,
    path: on("/subject", link),
    body: () => ({ act: "ask", type: "object", from: "", to: "" }),
    status: 200,
  },
  "GET /admin/subject-requests": { who: PRIVACY, path: at("/admin/subject-requests"), status: 200 },
  "GET /admin/subject-requests/{name}": { who: PRIVACY, path: on("/admin/subject-requests", left), status: 200 },
  "POST /admin/subject-requests/{name}": {
    who: PRIVACY_STAFF,
    path: on("/admin/subject-requests", left),
    body: () => ({ act: "refuse", ...reason }),
    status: 303,
  },
};
