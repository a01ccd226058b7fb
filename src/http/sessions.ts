import * as v from "valibot";
import { personOf } from "../access.ts";
import { endOtherSessions, endSession, listSessions, type Session, signOut } from "../sessions.ts";
import { signIn, signInSecond } from "../signin.ts";
import { noSessionCookie } from "./browser.ts";
import { Id, iso, PathId, Time } from "./fields.ts";
import { type Route, route } from "./route.ts";
import { Email, LinkToken, Password, SignedInJson, signedIn } from "./signup.ts";

const SessionJson = v.object({
  id: Id,
  current: v.pipe(v.boolean(), v.description("The one that asks")),
  createdAt: Time,
  lastSeenAt: Time,
  expiresAt: Time,
  secondFactor: v.boolean(),
  browser: v.pipe(v.nullable(v.string()), v.description("Family of browser and system")),
  network: v.pipe(v.nullable(v.string()), v.description("Network at sign-in, kept for two weeks")),
});

const sessionJson = (session: Session, currentId: number): v.InferOutput<typeof SessionJson> => ({
  id: session.id,
  current: session.id === currentId,
  createdAt: iso(session.createdAt),
  lastSeenAt: iso(session.lastSeenAt),
  expiresAt: iso(session.expiresAt),
  secondFactor: session.secondFactor === 1,
  browser: session.browser,
  network: session.network,
});

const Pending = v.object({
  secondFactor: v.pipe(
    v.array(v.picklist(["totp", "recovery"])),
    v.description("What can be shown in the second step"),
  ),
  token: v.pipe(v.string(), v.description("For POST /v1/sessions/second; it works for ten minutes")),
});

const tag = "Sessions";
const SIGNED_IN = { description: "Signed in: the session is in the cookie", schema: SignedInJson };
const ended = () => new Response(null, { status: 204, headers: { "Set-Cookie": noSessionCookie() } });

export const SESSIONS: readonly Route[] = [
  route({
    method: "POST",
    path: "/v1/sessions",
    access: "public",
    tag,
    summary: "Sign in with a password",
    description:
      "An unknown address and a wrong password get the same answer. Ten wrong ones block the address for a time.",
    body: v.strictObject({ email: Email, password: Password }),
    answers: { 201: SIGNED_IN, 202: { description: "A second factor is needed", schema: Pending } },
    handle: async ({ c, ctx, body }) => {
      const outcome = await signIn(ctx, body);
      if ("opened" in outcome) return signedIn(ctx, outcome);
      const pending: v.InferOutput<typeof Pending> = { secondFactor: ["totp", "recovery"], token: outcome.pending };
      return c.json(pending, 202);
    },
  }),
  route({
    method: "POST",
    path: "/v1/sessions/second",
    access: "public",
    tag,
    summary: "Show the second factor",
    description: "A code of the authenticator app, or a recovery code. Five wrong ones end the sign-in.",
    body: v.strictObject({ token: LinkToken, code: v.pipe(v.string(), v.maxLength(64)) }),
    answers: { 201: SIGNED_IN },
    handle: async ({ ctx, body }) => signedIn(ctx, await signInSecond(ctx, body)),
  }),
  route({
    method: "GET",
    path: "/v1/sessions",
    access: "person",
    tag,
    summary: "List your sessions",
    answers: { 200: { description: "Newest first", schema: v.object({ data: v.array(SessionJson) }) } },
    handle: async ({ c, ctx }) => {
      const { sessionId } = personOf(ctx);
      return c.json({ data: (await listSessions(ctx)).map((session) => sessionJson(session, sessionId)) });
    },
  }),
  route({
    method: "DELETE",
    path: "/v1/sessions",
    access: "person",
    right: true,
    tag,
    summary: "End all your other sessions",
    answers: { 204: { description: "Only this one is left" } },
    handle: async ({ c, ctx }) => {
      await endOtherSessions(ctx);
      return c.body(null, 204);
    },
  }),
  // Before the one with an id, which would take the word for one.
  route({
    method: "DELETE",
    path: "/v1/sessions/current",
    access: "person",
    right: true,
    tag,
    summary: "Sign out",
    answers: { 204: { description: "This session is over" } },
    handle: async ({ ctx }) => {
      await signOut(ctx);
      return ended();
    },
  }),
  route({
    method: "DELETE",
    path: "/v1/sessions/{id}",
    access: "person",
    right: true,
    tag,
    summary: "End one of your sessions",
    params: v.object({ id: PathId }),
    answers: { 204: { description: "It is over" } },
    handle: async ({ c, ctx, params }) => {
      await endSession(ctx, params.id);
      return params.id === personOf(ctx).sessionId ? ended() : c.body(null, 204);
    },
  }),
];
