import type { LegalDocument } from "../../../../src/documents.ts";
import { currentDocuments } from "../../../../src/documents.ts";
import type { Api } from "../api.ts";
import { ANYONE, at, CUSTOMERS, OPERATOR, type Rows, type Things } from "./row.ts";

const PRIVACY = ["adminToken", "admin", "privacy"] as const;

/** The first bytes of a PNG, and enough for a logo. */
export const A_LOGO = Buffer.from("\x89PNG\r\n\x1a\n logo", "latin1").toString("base64");

let next = 0;
/** As an administrator's session: the admin token's rate limit is for the routes that are tried. */
const send = async ({ api }: Things, method: string, path: string, body: object): Promise<Response> =>
  api.call(method, path, { cookie: api.sessions.admin, body });
const aBrand = async (things: Things): Promise<number> => {
  const response = await send(things, "POST", "/v1/admin/brands", { hostname: `brand${next++}.test`, name: "Brand" });
  return ((await response.json()) as { id: number }).id;
};

// One brand for everything that leaves it there.
const lasting = new WeakMap<Api, number>();
const theBrand = async (things: Things): Promise<number> => {
  const id = lasting.get(things.api) ?? (await aBrand(things));
  lasting.set(things.api, id);
  return id;
};

const branded = new WeakSet<Api>();
/** The brand of the hostname that the routes are asked under, with a logo and texts of its own. */
const brandHere = async (things: Things): Promise<void> => {
  if (branded.has(things.api)) return;
  branded.add(things.api);
  const body = { hostname: "edge.test", name: "Here", accent: "#0b5f66", logo: A_LOGO };
  const { id } = (await (await send(things, "POST", "/v1/admin/brands", body)).json()) as { id: number };
  const text = { kind: "privacy", language: "en", body: "# Ours" };
  await send(things, "PATCH", `/v1/admin/brands/${id}/texts`, text);
};
const onBrand = (path: string) => async (things: Things) => {
  await brandHere(things);
  return path;
};

const accepted = ({ kind, version, sha256, language }: LegalDocument) => ({ kind, version, sha256, language });
const allOf = async ({ api }: Things) => (await currentDocuments(api.base, "en")).map(accepted);

export const LEGAL_ROWS: Rows = {
  "GET /v1/statements": { who: ANYONE, path: at("/v1/statements"), status: 200 },
  "GET /v1/statements/{kind}/{version}": { who: ANYONE, path: at("/v1/statements/privacy/1"), status: 200 },
  "GET /v1/notices": { who: ANYONE, path: at("/v1/notices"), status: 200 },
  "GET /v1/me/statement": { who: CUSTOMERS, path: at("/v1/me/statement"), status: 200 },
  "POST /v1/statement/acceptances": {
    who: ["owner"],
    path: at("/v1/statement/acceptances"),
    body: async (things) => ({ accept: await allOf(things) }),
    status: 200,
    ends: true,
  },
  "POST /v1/admin/documents": {
    who: PRIVACY,
    path: at("/v1/admin/documents"),
    body: () => ({ kind: "notice", texts: [{ language: "en", title: "Notice", body: "Text" }], material: false }),
    status: 201,
  },
  "GET /v1/admin/documents/verify": { who: PRIVACY, path: at("/v1/admin/documents/verify"), status: 200 },
  "GET /v1/admin/brands": { who: OPERATOR, path: at("/v1/admin/brands"), status: 200 },
  "POST /v1/admin/brands": {
    who: OPERATOR,
    path: at("/v1/admin/brands"),
    body: () => ({ hostname: `brand${next++}.test`, name: "Brand" }),
    status: 201,
  },
  "GET /v1/admin/brands/{id}": {
    who: OPERATOR,
    path: async (things) => `/v1/admin/brands/${await theBrand(things)}`,
    status: 200,
  },
  "PATCH /v1/admin/brands/{id}": {
    who: OPERATOR,
    path: async (things) => `/v1/admin/brands/${await theBrand(things)}`,
    body: () => ({ name: "Other" }),
    status: 200,
  },
  "DELETE /v1/admin/brands/{id}": {
    who: OPERATOR,
    path: async (things) => `/v1/admin/brands/${await aBrand(things)}`,
    status: 204,
  },
  "PATCH /v1/admin/brands/{id}/texts": {
    who: OPERATOR,
    path: async (things) => `/v1/admin/brands/${await theBrand(things)}/texts`,
    body: () => ({ kind: "terms", language: "en", url: "https://example.com/terms" }),
    status: 200,
  },
  "GET /brand.css": { who: ANYONE, path: onBrand("/brand.css"), status: 200 },
  "GET /brand/logo": { who: ANYONE, path: onBrand("/brand/logo"), status: 200 },
  "GET /brand/{kind}": { who: ANYONE, path: onBrand("/brand/privacy"), status: 200 },
  "GET /legal/privacy": { who: ANYONE, path: at("/legal/privacy"), status: 200 },
  "GET /legal/terms": { who: ANYONE, path: at("/legal/terms"), status: 200 },
  "GET /legal/notices": { who: ANYONE, path: at("/legal/notices"), status: 200 },
  "GET /legal/{kind}/{version}": { who: ANYONE, path: at("/legal/terms/1"), status: 200 },
  "GET /accept": { who: CUSTOMERS, path: at("/accept"), status: 200 },
  "POST /accept": {
    who: ["owner"],
    path: at("/accept"),
    body: async (things) => {
      const rows = (await allOf(things)).map(({ kind, version, language, sha256 }) => [
        [`${kind}Text`, `${version} ${language} ${sha256}`],
        [kind, "on"],
      ]);
      return Object.fromEntries([...rows.flat(), ["act", "accept"]]);
    },
    status: 303,
    ends: true,
  },
};
