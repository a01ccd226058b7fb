import { authenticateSession } from "../../../../src/access.ts";
import { currentDocuments } from "../../../../src/documents.ts";
import { SESSION_COOKIE } from "../../../../src/http/browser.ts";
import { LIMITS } from "../../../../src/limits.ts";
import { hashPassword } from "../../../../src/passwords.ts";
import { makeToken } from "../../../../src/tokens.ts";
import { toBase32, totpCode } from "../../../../src/totp.ts";
import { anAccount, aSession, aUser } from "../../../database.ts";
import type { Api } from "../api.ts";
import { ANYONE, at, PEOPLE, type Rows } from "./row.ts";

const PASSWORD = "four words make one";
let next = 0;
const anEmail = () => `auth${next++}@edge.test`;

/** Somebody who can sign in with PASSWORD. */
async function aMember({ base }: Api): Promise<{ id: number; accountId: number | null; email: string }> {
  return aUser(base.db, { role: "viewer", email: anEmail(), passwordHash: await hashPassword(base, PASSWORD) });
}

/** The token of a link for somebody new. */
async function aLink({ base }: Api, kind: "signup" | "invite" | "reset"): Promise<string> {
  const accountId = await anAccount(base.db);
  const emailVerifiedAt = kind === "reset" ? base.now() : null;
  const { id } = await aUser(base.db, { role: "owner", accountId, email: anEmail(), emailVerifiedAt });
  return makeToken(base, kind, { userId: id, lifeMs: LIMITS.resetLinkMs });
}

/** A sign-in that waits for its second step, and the code that it waits for. */
async function aPending({ base }: Api): Promise<{ token: string; code: string }> {
  const secret = toBase32(base.random(20));
  const { id, accountId } = await aUser(base.db, { role: "viewer", email: anEmail(), totpSince: base.now() });
  const sealed = await base.db.$fields.sealOwn("users", "totpSecret", { account: accountId, id }, secret);
  await base.db.$client.execute({ sql: "UPDATE users SET totp_secret = ? WHERE id = ?", args: [sealed, id] });
  const token = await makeToken(base, "sign_in", { userId: id, lifeMs: LIMITS.pendingMs });
  return { token, code: await totpCode(secret, Math.floor(base.now() / 30_000)) };
}

const accepting = async ({ base }: Api) =>
  (await currentDocuments(base, "en")).map(({ kind, version, sha256, language }) => ({
    kind,
    version,
    sha256,
    language,
  }));

/** The boxes of the form, ticked. */
async function ticked(api: Api): Promise<Record<string, string>> {
  const documents = await accepting(api);
  const shown = documents.map(({ kind, version, language, sha256 }) => `${kind}:${version}:${language}:${sha256}`);
  return { sha256: shown.join(" "), ...Object.fromEntries(documents.map(({ kind }) => [`accept_${kind}`, "on"])) };
}

async function userOf({ base, sessions }: Api, role: keyof Api["sessions"]) {
  const caller = await authenticateSession(base, sessions[role].slice(SESSION_COOKIE.length + 1));
  if (caller === null || !("userId" in caller.principal)) throw new Error(`${role} has no session`);
  const { principal } = caller;
  return { id: principal.userId, accountId: principal.kind === "user" ? principal.accountId : null };
}

export const AUTH_ROWS: Rows = {
  "POST /v1/signups": {
    who: ANYONE,
    path: at("/v1/signups"),
    body: () => ({ email: anEmail(), name: "Ada", mobile: "+49 170 1234567", language: "zh" }),
    status: 202,
  },
  "POST /v1/signups/confirm": {
    who: ANYONE,
    path: at("/v1/signups/confirm"),
    body: async ({ api }) => ({
      token: await aLink(api, "signup"),
      password: PASSWORD,
      accept: await accepting(api),
    }),
    status: 201,
  },
  "POST /v1/invitations/accept": {
    who: ANYONE,
    path: at("/v1/invitations/accept"),
    body: async ({ api }) => ({ token: await aLink(api, "invite"), password: PASSWORD, name: "Ada" }),
    status: 201,
  },
  "POST /v1/password-resets": {
    who: ANYONE,
    path: at("/v1/password-resets"),
    body: () => ({ email: anEmail() }),
    status: 202,
  },
  "POST /v1/password-resets/confirm": {
    who: ANYONE,
    path: at("/v1/password-resets/confirm"),
    body: async ({ api }) => ({ token: await aLink(api, "reset"), password: PASSWORD }),
    status: 204,
  },
  "POST /v1/sessions": {
    who: ANYONE,
    path: at("/v1/sessions"),
    body: async ({ api }) => ({ email: (await aMember(api)).email, password: PASSWORD }),
    status: 201,
  },
  "POST /v1/sessions/second": {
    who: ANYONE,
    path: at("/v1/sessions/second"),
    body: ({ api }) => aPending(api),
    status: 201,
  },
  "GET /v1/sessions": { who: PEOPLE, path: at("/v1/sessions"), status: 200 },
  "DELETE /v1/sessions": { who: PEOPLE, path: at("/v1/sessions"), status: 204, ends: true },
  "DELETE /v1/sessions/current": { who: PEOPLE, path: at("/v1/sessions/current"), status: 204, ends: true },
  "DELETE /v1/sessions/{id}": {
    who: PEOPLE,
    path: async ({ api }) => {
      const { id, accountId } = await userOf(api, "owner");
      const spare = await aSession(api.base, { id, accountId });
      const opened = await authenticateSession(api.base, spare.slice(SESSION_COOKIE.length + 1));
      return `/v1/sessions/${(opened!.principal as { sessionId: number }).sessionId}`;
    },
    as: "owner",
    status: 204,
  },

  "GET /": { who: PEOPLE, path: at("/"), status: 303 },
  "GET /signup": { who: ANYONE, path: at("/signup"), status: 200 },
  "POST /signup": {
    who: ANYONE,
    path: at("/signup"),
    body: () => ({ act: "signUp", email: anEmail(), name: "", mobile: "" }),
    status: 200,
  },
  "GET /confirm/{token}": {
    who: ANYONE,
    path: async ({ api }) => `/confirm/${await aLink(api, "signup")}`,
    status: 200,
  },
  "POST /confirm/{token}": {
    who: ANYONE,
    path: async ({ api }) => `/confirm/${await aLink(api, "signup")}`,
    body: async ({ api }) => ({ act: "confirm", password: PASSWORD, ...(await ticked(api)) }),
    status: 303,
  },
  "GET /invite/{token}": { who: ANYONE, path: async ({ api }) => `/invite/${await aLink(api, "invite")}`, status: 200 },
  "POST /invite/{token}": {
    who: ANYONE,
    path: async ({ api }) => `/invite/${await aLink(api, "invite")}`,
    body: async ({ api }) => ({ act: "join", name: "Ada", password: PASSWORD, ...(await ticked(api)) }),
    status: 303,
  },
  "GET /login": { who: ANYONE, path: at("/login"), status: 200 },
  "POST /login": {
    who: ANYONE,
    path: at("/login"),
    body: async ({ api }) => ({ act: "signIn", email: (await aMember(api)).email, password: PASSWORD }),
    status: 303,
  },
  "GET /login/second": { who: ANYONE, path: at("/login/second"), status: 200 },
  // Without its cookie, which these callers do not have, the page says that the sign-in is over.
  "POST /login/second": {
    who: ANYONE,
    path: at("/login/second"),
    body: () => ({ act: "second", code: "000000" }),
    status: 400,
  },
  "GET /logout": { who: PEOPLE, path: at("/logout"), status: 200 },
  "POST /logout": { who: PEOPLE, path: at("/logout"), body: () => ({ act: "signOut" }), status: 303, ends: true },
  "GET /forgot": { who: ANYONE, path: at("/forgot"), status: 200 },
  "POST /forgot": {
    who: ANYONE,
    path: at("/forgot"),
    body: () => ({ act: "forgot", email: anEmail() }),
    status: 200,
  },
  "GET /reset/{token}": { who: ANYONE, path: async ({ api }) => `/reset/${await aLink(api, "reset")}`, status: 200 },
  "POST /reset/{token}": {
    who: ANYONE,
    path: async ({ api }) => `/reset/${await aLink(api, "reset")}`,
    body: () => ({ act: "reset", password: PASSWORD }),
    status: 303,
  },
};
