import { RequestWriter } from "../../../../codec/envelope.ts";
import { anAccount, anImei } from "../../../database.ts";
import { ANYONE, at, OPERATOR, READERS, type Rows, STAFF, type Things, WRITERS } from "./row.ts";

const ofDevice = (rest: string) => (things: Things) => `/v1/devices/${things.device}${rest}`;

export const CORE_ROWS: Rows = {
  "POST /v1/devices": {
    who: WRITERS,
    path: at("/v1/devices"),
    body: () => ({ imei: anImei(), name: "Van" }),
    status: 201,
  },
  "GET /v1/devices": { who: READERS, path: at("/v1/devices"), status: 200 },
  "GET /v1/devices/{id}": { who: READERS, path: ofDevice(""), status: 200, owned: true },
  "PATCH /v1/devices/{id}": {
    who: WRITERS,
    path: ofDevice(""),
    body: () => ({ name: "Other" }),
    status: 200,
    owned: true,
  },
  "DELETE /v1/devices/{id}": {
    who: WRITERS,
    path: async (things) => `/v1/devices/${await things.spareDevice()}`,
    status: 204,
    owned: true,
  },
  "GET /.well-known/ledger-heads.json": { who: ANYONE, path: at("/.well-known/ledger-heads.json"), status: 200 },
  "GET /v1/models": { who: READERS, path: at("/v1/models"), status: 200 },
  "GET /v1/devices/{id}/positions": { who: READERS, path: ofDevice("/positions"), status: 200, owned: true },
  "GET /v1/devices/{id}/events": { who: READERS, path: ofDevice("/events"), status: 200, owned: true },
  "GET /v1/positions/latest": { who: READERS, path: at("/v1/positions/latest"), status: 200 },
  "GET /v1/positions/feed": { who: READERS, path: at("/v1/positions/feed"), status: 200 },
  "GET /v1/sync": { who: READERS, path: at("/v1/sync"), status: 200 },
  "GET /v1/commands/types": { who: READERS, path: at("/v1/commands/types"), status: 200 },
  "POST /v1/devices/{id}/commands": {
    who: WRITERS,
    path: ofDevice("/commands"),
    body: () => ({ code: "A12", arguments: { intervalS: 60 } }),
    status: 201,
    owned: true,
  },
  "GET /v1/devices/{id}/commands": { who: READERS, path: ofDevice("/commands"), status: 200, owned: true },
  "GET /v1/devices/{id}/commands/{commandId}": {
    who: READERS,
    path: (things) => `/v1/devices/${things.device}/commands/${things.command}`,
    status: 200,
    owned: true,
  },
  "POST /v1/bridge/frames": {
    who: ["bridge"],
    path: at("/v1/bridge/frames"),
    body: () => new RequestWriter().finish(),
    status: 200,
  },
  "POST /v1/admin/accounts": {
    who: OPERATOR,
    path: at("/v1/admin/accounts"),
    body: () => ({ name: "New" }),
    status: 201,
  },
  "GET /v1/admin/accounts": { who: ["adminToken", ...STAFF], path: at("/v1/admin/accounts"), status: 200 },
  "POST /v1/admin/accounts/{id}/keys": {
    who: OPERATOR,
    path: async ({ api }) => `/v1/admin/accounts/${await anAccount(api.base.db)}/keys`,
    body: () => ({ scope: "read", name: "Dashboard" }),
    status: 201,
  },
  "GET /v1/admin/accounts/{id}/keys": {
    who: OPERATOR,
    path: (things) => `/v1/admin/accounts/${things.account}/keys`,
    status: 200,
  },
  "DELETE /v1/admin/keys/{id}": {
    who: OPERATOR,
    path: async (things) => `/v1/admin/keys/${await things.key()}`,
    status: 204,
  },
  "POST /v1/admin/bridges": {
    who: OPERATOR,
    path: at("/v1/admin/bridges"),
    body: () => ({ name: "Bridge 2" }),
    status: 201,
  },
  "GET /v1/admin/bridges": { who: OPERATOR, path: at("/v1/admin/bridges"), status: 200 },
  "DELETE /v1/admin/bridges/{id}": {
    who: OPERATOR,
    path: async (things) => `/v1/admin/bridges/${await things.bridge()}`,
    status: 204,
  },
  "GET /v1/admin/devices": { who: OPERATOR, path: at("/v1/admin/devices"), status: 200 },
  "GET /v1/admin/unclaimed": { who: OPERATOR, path: at("/v1/admin/unclaimed"), status: 200 },
  "GET /v1/admin/jobs": { who: OPERATOR, path: at("/v1/admin/jobs"), status: 200 },
  "POST /v1/admin/jobs/{name}/run": { who: OPERATOR, path: at("/v1/admin/jobs/retention/run"), status: 200 },
  "GET /v1/admin/retention/due": {
    who: ["adminToken", "admin", "privacy"],
    path: at("/v1/admin/retention/due"),
    status: 200,
  },
  "GET /v1/admin/accounts/{id}/retention": {
    who: ["adminToken", "admin", "privacy"],
    path: (things) => `/v1/admin/accounts/${things.account}/retention`,
    status: 200,
  },
  "GET /healthz": { who: ANYONE, path: at("/healthz"), status: 200 },
  "GET /.well-known/privacy.json": { who: ANYONE, path: at("/.well-known/privacy.json"), status: 200 },
  "GET /openapi.json": { who: ANYONE, path: at("/openapi.json"), status: 200 },
  "GET /docs": { who: ANYONE, path: at("/docs"), status: 200 },
  "GET /docs/style.css": { who: ANYONE, path: at("/docs/style.css"), status: 200 },
};
