import { authenticateSession } from "../../../../src/access.ts";
import { newPasskeyOptions, proofOptions, signInOptions } from "../../../../src/passkeys.ts";
import { hashPassword } from "../../../../src/passwords.ts";
import { keyedHash } from "../../../../src/seal.ts";
import { confirmTotp, startTotp } from "../../../../src/second-factor.ts";
import { removeTotp } from "../../../../src/store/factors.ts";
import { insertPasskey } from "../../../../src/store/passkeys.ts";
import { updateUser } from "../../../../src/store/users.ts";
import { makeToken } from "../../../../src/tokens.ts";
import { totpCode } from "../../../../src/totp.ts";
import { verifyRegistration } from "../../../../src/webauthn.ts";
import { aContext, aUser } from "../../../database.ts";
import { aSoftKey, type SoftKey } from "../../authenticator.ts";
import { ANYONE, at, PEOPLE, type Rows, type Things } from "./row.ts";

const PASSWORD = "the owner's own words";

/** The owner, as a rule sees them. */
async function asOwner({ api }: Things) {
  const { principal } = (await authenticateSession(api.base, api.sessions.owner.split("=")[1]!))!;
  if (principal.kind !== "user") throw new Error("The owner is a user");
  return { ctx: aContext(api.base, principal), userId: principal.userId };
}

/** A passkey of the owner, kept as if it had been registered. */
async function aPasskey(things: Things): Promise<{ id: number; key: SoftKey; userHandle: string }> {
  const { ctx, userId } = await asOwner(things);
  await ctx.db.$client.execute({ sql: "DELETE FROM passkeys WHERE user_id = ?", args: [userId] });
  const key = aSoftKey();
  const credential = await verifyRegistration(key.register("any"), "https://edge.test");
  const row = await insertPasskey(ctx.db, { ...credential, userId, name: "Laptop", createdAt: ctx.now() });
  return { id: row!.id, key, userHandle: await keyedHash(ctx, "passkey user", String(userId)) };
}

async function withPassword(things: Things): Promise<void> {
  const { ctx, userId } = await asOwner(things);
  await updateUser(ctx.db, userId, { passwordHash: await hashPassword(ctx, PASSWORD) });
}

async function withTotp(things: Things, confirmed: boolean): Promise<string> {
  const { ctx, userId } = await asOwner(things);
  await removeTotp(ctx.db, userId);
  const { secret } = await startTotp(ctx);
  const code = await totpCode(secret, Math.floor(ctx.now() / 30_000));
  if (confirmed) await confirmTotp(ctx, code);
  return code;
}

/** The page behind a mailed link to secure somebody's account. */
async function aReport({ api }: Things): Promise<string> {
  const { id: userId } = await aUser(api.base.db, { role: "viewer" });
  return `/secure/${await makeToken(api.base, "report", { userId, lifeMs: 60_000 })}`;
}

export const SECURITY_ROWS: Rows = {
  "POST /v1/me/totp": {
    who: PEOPLE,
    path: async (things) => {
      const { ctx, userId } = await asOwner(things);
      await removeTotp(ctx.db, userId);
      return "/v1/me/totp";
    },
    status: 200,
  },
  "POST /v1/me/totp/confirm": {
    who: PEOPLE,
    path: at("/v1/me/totp/confirm"),
    body: async (things) => ({ code: await withTotp(things, false) }),
    status: 200,
  },
  "DELETE /v1/me/totp": {
    who: PEOPLE,
    path: async (things) => {
      await withTotp(things, true);
      return "/v1/me/totp";
    },
    status: 204,
  },
  "POST /v1/me/passkeys/options": { who: PEOPLE, path: at("/v1/me/passkeys/options"), status: 200 },
  "POST /v1/me/passkeys": {
    who: PEOPLE,
    path: at("/v1/me/passkeys"),
    body: async (things) => {
      await aPasskey(things);
      const { challenge } = await newPasskeyOptions((await asOwner(things)).ctx);
      const { attestationObject: _, ...response } = aSoftKey().register(challenge);
      return { name: "Phone", ...response };
    },
    status: 201,
  },
  "GET /v1/me/passkeys": { who: PEOPLE, path: at("/v1/me/passkeys"), status: 200 },
  "DELETE /v1/me/passkeys/{id}": {
    who: PEOPLE,
    path: async (things) => `/v1/me/passkeys/${(await aPasskey(things)).id}`,
    status: 204,
    owned: true,
  },
  "POST /v1/sessions/passkey/options": { who: ANYONE, path: at("/v1/sessions/passkey/options"), status: 200 },
  "POST /v1/sessions/passkey": {
    who: ANYONE,
    path: at("/v1/sessions/passkey"),
    body: async (things) => {
      const { key, userHandle } = await aPasskey(things);
      const { challenge } = await signInOptions(aContext(things.api.base, { kind: "anonymous" }));
      return key.assert(challenge, { userHandle });
    },
    status: 201,
  },
  "POST /v1/me/proof/options": { who: PEOPLE, path: at("/v1/me/proof/options"), status: 200 },
  "POST /v1/me/proof": {
    who: PEOPLE,
    path: at("/v1/me/proof"),
    body: async (things) => {
      const { key } = await aPasskey(things);
      const { challenge } = await proofOptions((await asOwner(things)).ctx);
      return { passkey: key.assert(challenge) };
    },
    status: 204,
  },
  "POST /v1/me/password": {
    who: PEOPLE,
    path: at("/v1/me/password"),
    body: async (things) => {
      await withPassword(things);
      return { current: PASSWORD, password: "other words of the owner" };
    },
    status: 204,
    ends: true,
  },
  "POST /v1/me/secure": { who: PEOPLE, path: at("/v1/me/secure"), status: 204, ends: true },
  "POST /v1/security-reports": {
    who: ANYONE,
    path: at("/v1/security-reports"),
    body: () => ({ email: "somebody@edge.test" }),
    status: 202,
  },
  "GET /security": { who: PEOPLE, path: at("/security"), status: 200 },
  "POST /security": { who: PEOPLE, path: at("/security"), body: () => ({ act: "endOthers" }), status: 303, ends: true },
  "GET /prove": { who: PEOPLE, path: at("/prove"), status: 200 },
  "POST /prove": {
    who: PEOPLE,
    path: at("/prove"),
    body: async (things) => {
      await withPassword(things);
      await removeTotp(things.api.base.db, (await asOwner(things)).userId);
      return { act: "prove", password: PASSWORD };
    },
    status: 303,
  },
  "GET /secure": { who: ANYONE, path: at("/secure"), status: 200 },
  "POST /secure": {
    who: ANYONE,
    path: at("/secure"),
    body: () => ({ act: "send", email: "somebody@edge.test" }),
    status: 200,
  },
  "GET /secure/{token}": { who: ANYONE, path: aReport, status: 200 },
  "POST /secure/{token}": { who: ANYONE, path: aReport, body: () => ({ act: "secure" }), status: 200 },
};
