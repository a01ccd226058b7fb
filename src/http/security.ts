import * as v from "valibot";
import { LIMITS } from "../limits.ts";
import {
  addPasskey,
  listPasskeys,
  newPasskeyOptions,
  type Passkey,
  passkeyOf,
  proofOptions,
  removePasskey,
  signInOptions,
  signInWithPasskey,
} from "../passkeys.ts";
import { changePassword, prove } from "../proof.ts";
import { confirmTotp, removeTotp, startTotp } from "../second-factor.ts";
import { askToSecure, secureAccount } from "../secure.ts";
import { noSessionCookie } from "./browser.ts";
import { Id, iso, isoOrNull, MaybeTime, Name, PathId, Time } from "./fields.ts";
import { type Route, route } from "./route.ts";
import { Email, Password, SignedInJson, signedIn } from "./signup.ts";

/** A part of what an authenticator says: a few hundred bytes, an attested RSA key included. */
const Base64Url = v.pipe(v.string(), v.maxLength(4096), v.regex(/^[\w-]*$/, "must be base64url"));
export const Code = v.pipe(v.string(), v.maxLength(64), v.description("Of the authenticator app, or a recovery code"));

const Assertion = v.strictObject({
  id: v.pipe(Base64Url, v.description("The credential's, as the browser gives it")),
  clientDataJSON: Base64Url,
  authenticatorData: Base64Url,
  signature: Base64Url,
  userHandle: v.exactOptional(v.nullable(Base64Url)),
});

const PasskeyJson = v.object({ id: Id, name: v.string(), createdAt: Time, lastUsedAt: MaybeTime });
const passkeyJson = ({ id, name, createdAt, lastUsedAt }: Passkey): v.InferOutput<typeof PasskeyJson> => ({
  id,
  name,
  createdAt: iso(createdAt),
  lastUsedAt: isoOrNull(lastUsedAt),
});

const Credential = v.object({ type: v.literal("public-key"), id: v.string() });
const RequestOptions = v.object({
  challenge: v.string(),
  rpId: v.string(),
  allowCredentials: v.array(Credential),
  userVerification: v.literal("required"),
  timeout: v.number(),
});
const CreationOptions = v.object({
  challenge: v.string(),
  rp: v.object({ id: v.string(), name: v.string() }),
  user: v.object({ id: v.string(), name: v.string(), displayName: v.string() }),
  pubKeyCredParams: v.array(v.object({ type: v.literal("public-key"), alg: v.number() })),
  excludeCredentials: v.array(Credential),
  authenticatorSelection: v.object({
    residentKey: v.literal("required"),
    requireResidentKey: v.boolean(),
    userVerification: v.literal("required"),
  }),
  attestation: v.literal("none"),
  timeout: v.number(),
});
const OPTIONS = "Options for the browser: JSON, bytes as base64url";

const tag = "Security";
/** What every act on one's own security has in common. */
const own = { access: "person", right: true, tag } as const;
const done = (description: string) => ({ 204: { description } });

export const SECURITY: readonly Route[] = [
  route({
    ...own,
    method: "POST",
    path: "/v1/me/totp",
    stepUp: true,
    summary: "Begin to set up an authenticator app",
    description: "Nothing changes at sign-in until its first code is confirmed.",
    answers: {
      200: {
        description: "The secret, shown here only; `uri` is what its QR code says",
        schema: v.object({ secret: v.string(), uri: v.string() }),
      },
    },
    handle: async ({ c, ctx }) => c.json(await startTotp(ctx)),
  }),
  route({
    ...own,
    method: "POST",
    path: "/v1/me/totp/confirm",
    summary: "Confirm the authenticator app with its first code",
    body: v.strictObject({ code: Code }),
    answers: {
      200: {
        description: "It is in force. The recovery codes are shown here only; each works once in place of a code",
        schema: v.object({ recoveryCodes: v.array(v.string()) }),
      },
    },
    handle: async ({ c, ctx, body }) => c.json({ recoveryCodes: await confirmTotp(ctx, body.code) }),
  }),
  route({
    ...own,
    method: "DELETE",
    path: "/v1/me/totp",
    stepUp: true,
    summary: "Remove the authenticator app and its recovery codes",
    answers: done("Removed"),
    handle: async ({ c, ctx }) => {
      await removeTotp(ctx);
      return c.body(null, 204);
    },
  }),
  route({
    ...own,
    method: "POST",
    path: "/v1/me/passkeys/options",
    stepUp: true,
    summary: "Begin to add a passkey",
    answers: { 200: { description: OPTIONS, schema: CreationOptions } },
    handle: async ({ c, ctx }) => c.json(await newPasskeyOptions(ctx)),
  }),
  route({
    ...own,
    method: "POST",
    path: "/v1/me/passkeys",
    summary: "Add the passkey that the browser made",
    description: "Each challenge is answered once. No attestation is asked for.",
    body: v.strictObject({
      name: v.exactOptional(Name),
      clientDataJSON: Base64Url,
      authenticatorData: Base64Url,
      publicKey: v.pipe(Base64Url, v.description("SubjectPublicKeyInfo, as getPublicKey() gives it")),
      algorithm: v.pipe(v.number(), v.integer(), v.description("-7 ES256, -8 EdDSA, -257 RS256")),
    }),
    answers: { 201: { description: "The passkey", schema: PasskeyJson } },
    handle: async ({ c, ctx, body }) => c.json(passkeyJson(await addPasskey(ctx, body)), 201),
  }),
  route({
    ...own,
    method: "GET",
    path: "/v1/me/passkeys",
    summary: "List your passkeys",
    answers: { 200: { description: "Oldest first", schema: v.object({ data: v.array(PasskeyJson) }) } },
    handle: async ({ c, ctx }) => c.json({ data: (await listPasskeys(ctx)).map(passkeyJson) }),
  }),
  route({
    ...own,
    method: "DELETE",
    path: "/v1/me/passkeys/{id}",
    stepUp: true,
    summary: "Remove a passkey",
    params: v.object({ id: PathId }),
    find: (ctx, { id }) => passkeyOf(ctx, id),
    answers: done("Removed"),
    handle: async ({ c, ctx, object }) => {
      await removePasskey(ctx, object.id);
      return c.body(null, 204);
    },
  }),
  route({
    method: "POST",
    path: "/v1/sessions/passkey/options",
    access: "public",
    tag,
    summary: "Begin to sign in with a passkey",
    answers: { 200: { description: OPTIONS, schema: RequestOptions } },
    handle: async ({ c, ctx }) => c.json(await signInOptions(ctx)),
  }),
  route({
    method: "POST",
    path: "/v1/sessions/passkey",
    access: "public",
    tag,
    summary: "Sign in with a passkey",
    description: "No address is asked for: the passkey says who it is. It counts as both factors.",
    body: Assertion,
    answers: { 201: { description: "Signed in: the session is in the cookie", schema: SignedInJson } },
    handle: async ({ ctx, body }) => signedIn(ctx, await signInWithPasskey(ctx, body)),
  }),
  route({
    ...own,
    method: "POST",
    path: "/v1/me/proof/options",
    summary: "Begin to prove with a passkey that it is you",
    answers: { 200: { description: OPTIONS, schema: RequestOptions } },
    handle: async ({ c, ctx }) => c.json(await proofOptions(ctx)),
  }),
  route({
    ...own,
    method: "POST",
    path: "/v1/me/proof",
    summary: "Prove again that it is you",
    description: `Needed for acts that answer step_up_required; good for ${LIMITS.stepUpMs / 60_000} minutes. Either a passkey, or the password and, where an authenticator app is set up, its code.`,
    body: v.strictObject({
      password: v.exactOptional(Password),
      code: v.exactOptional(Code),
      passkey: v.exactOptional(Assertion),
    }),
    answers: done("Proved"),
    handle: async ({ c, ctx, body }) => {
      await prove(ctx, body);
      return c.body(null, 204);
    },
  }),
  route({
    ...own,
    method: "POST",
    path: "/v1/me/password",
    summary: "Change your password",
    description:
      "Your other sessions end. Who has no password yet leaves `current` out and proves first that it is them.",
    body: v.strictObject({ current: v.exactOptional(Password), password: Password }),
    answers: done("Changed"),
    handle: async ({ c, ctx, body }) => {
      await changePassword(ctx, body);
      return c.body(null, 204);
    },
  }),
  route({
    ...own,
    method: "POST",
    path: "/v1/me/secure",
    summary: "Secure your account",
    description:
      "Ends at once all your sessions (this one too), links and keys, your password, and second factors of the last three days; an owner ends sessions, links and keys of the whole account, and support's window. A mail leads to a new password.",
    answers: done("Everything has ended"),
    handle: async ({ ctx }) => {
      await secureAccount(ctx);
      return new Response(null, { status: 204, headers: { "Set-Cookie": noSessionCookie() } });
    },
  }),
  route({
    method: "POST",
    path: "/v1/security-reports",
    access: "public",
    tag,
    summary: "Secure an account that you cannot sign in to",
    description: "The answer is the same for every address: if it has an account, a link goes to it by mail.",
    body: v.strictObject({ email: Email }),
    answers: { 202: { description: "A mail is on its way", schema: v.object({ accepted: v.literal(true) }) } },
    handle: async ({ c, ctx, body }) => {
      await askToSecure(ctx, body.email);
      return c.json({ accepted: true }, 202);
    },
  }),
];
