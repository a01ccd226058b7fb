import * as v from "valibot";
import { ACCESS } from "../access.ts";
import type { Ctx } from "../context.ts";
import { LIMITS } from "../limits.ts";
import { askForReset, resetPassword, type SignedIn } from "../signin.ts";
import { join, signUp } from "../signup.ts";
import { LANGUAGES } from "../text/index.ts";
import { sessionCookie } from "./browser.ts";
import { Id, iso, Name, Time } from "./fields.ts";
import { type Route, route } from "./route.ts";

export const Email = v.pipe(v.string(), v.maxLength(LIMITS.emailCharacters), v.examples(["name@example.com"]));
export const Password = v.pipe(
  v.string(),
  v.maxLength(1000),
  v.description(`${LIMITS.passwordMinCharacters} to ${LIMITS.passwordMaxCharacters} characters`),
);
export const LinkToken = v.pipe(v.string(), v.maxLength(100), v.description("The last part of the link in the mail"));

const Accept = v.pipe(
  v.array(
    v.strictObject({
      kind: v.picklist(["privacy", "terms"]),
      version: v.pipe(v.number(), v.integer(), v.minValue(1)),
      sha256: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
      language: v.pipe(v.string(), v.maxLength(10)),
    }),
  ),
  v.maxLength(10),
  v.description("The texts that are accepted, each exactly as it was served"),
);

const Taken = v.object({ accepted: v.literal(true) });
const taken = { accepted: true } as const;

/** Who has signed in; the session itself is in the cookie and nowhere else. */
export const SignedInJson = v.object({
  user: v.object({ id: Id, role: v.picklist(ACCESS.person.roles) }),
  expiresAt: Time,
});

export function signedIn(ctx: Ctx, { user: { id, role }, opened }: SignedIn): Response {
  const { expiresAt } = opened.session;
  const body: v.InferOutput<typeof SignedInJson> = { user: { id, role }, expiresAt: iso(expiresAt) };
  return Response.json(body, {
    status: 201,
    headers: { "Set-Cookie": sessionCookie(opened.cookie, expiresAt - ctx.now()) },
  });
}

const tag = "Sign-up";
const SIGNED_IN = { 201: { description: "Signed in: the session is in the cookie", schema: SignedInJson } };

export const SIGNUP: readonly Route[] = [
  route({
    method: "POST",
    path: "/v1/signups",
    access: "public",
    tag,
    summary: "Sign an address up",
    description:
      "The answer is the same whether the address is new, waits or has an account: a mail says how to go on.",
    body: v.strictObject({
      email: Email,
      name: v.exactOptional(Name),
      mobile: v.exactOptional(v.pipe(v.string(), v.maxLength(30), v.description("With its country code: +49..."))),
      language: v.exactOptional(v.picklist(Object.keys(LANGUAGES))),
    }),
    answers: { 202: { description: "A mail is on its way", schema: Taken } },
    handle: async ({ c, ctx, body }) => {
      await signUp(ctx, body);
      return c.json(taken, 202);
    },
  }),
  route({
    method: "POST",
    path: "/v1/signups/confirm",
    access: "public",
    tag,
    summary: "Confirm a sign-up",
    description: "With the token of the link. Sets the password, records what is accepted, and signs in.",
    body: v.strictObject({ token: LinkToken, password: Password, accept: Accept }),
    answers: SIGNED_IN,
    handle: async ({ ctx, body }) => signedIn(ctx, await join(ctx, "signup", body)),
  }),
  route({
    method: "POST",
    path: "/v1/invitations/accept",
    access: "public",
    tag,
    summary: "Accept an invitation",
    description: "With the token of the link. Sets the password, records what is accepted, and signs in.",
    body: v.strictObject({
      token: LinkToken,
      password: Password,
      name: v.exactOptional(Name),
      accept: v.optional(Accept, []),
    }),
    answers: SIGNED_IN,
    handle: async ({ ctx, body }) => signedIn(ctx, await join(ctx, "invite", body)),
  }),
  route({
    method: "POST",
    path: "/v1/password-resets",
    access: "public",
    tag,
    summary: "Ask for a new password",
    description: "The answer is the same whoever has the address; if somebody does, a mail with a link goes there.",
    body: v.strictObject({ email: Email }),
    answers: { 202: { description: "A mail is on its way, if the address is known", schema: Taken } },
    handle: async ({ c, ctx, body }) => {
      await askForReset(ctx, body.email);
      return c.json(taken, 202);
    },
  }),
  route({
    method: "POST",
    path: "/v1/password-resets/confirm",
    access: "public",
    tag,
    summary: "Set a new password",
    description: "With the token of the link. Ends every session of the person; a second factor stays.",
    body: v.strictObject({ token: LinkToken, password: Password }),
    answers: { 204: { description: "The password is set; sign in with it" } },
    handle: async ({ c, ctx, body }) => {
      await resetPassword(ctx, body);
      return c.body(null, 204);
    },
  }),
];
