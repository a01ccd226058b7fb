import * as v from "valibot";
import { personOf, requireProof } from "../../access.ts";
import type { Ctx } from "../../context.ts";
import { LIMITS } from "../../limits.ts";
import { listPasskeys, removePasskey } from "../../passkeys.ts";
import { changePassword, prove } from "../../proof.ts";
import { confirmTotp, countRecoveryCodes, pendingTotp, removeTotp, startTotp } from "../../second-factor.ts";
import { askToSecure, listSecurityActs, requireReport, secureAccount, secureByLink, selfOf } from "../../secure.ts";
import { endOtherSessions, endSession, listSessions } from "../../sessions.ts";
import { provePage, reportPage, secureLinkPage, securityPage } from "../../web/security.ts";
import { noSessionCookie, safeNext } from "../browser.ts";
import { page, typed } from "../page.ts";
import type { Form, Route } from "../route.ts";

/** The token of a link: random, so it may stand in a path. */
const TokenPath = v.object({ token: v.pipe(v.string(), v.regex(/^[\w-]{20,100}$/)) });

const idIn = (form: Form) => (/^[1-9]\d{0,15}$/.test(typed(form, "id")) ? Number(typed(form, "id")) : 0);

function isProved(ctx: Ctx): boolean {
  return ctx.now() - personOf(ctx).provedAt < LIMITS.stepUpMs;
}

export const SECURITY_PAGES: readonly Route[] = [
  page({
    path: "/security",
    access: "person",
    right: true,
    summary: "Sessions, second factors, password, and securing the account",
    show: async ({ ctx, view, query, form, problems, result }) => {
      const { sessionId, kind } = personOf(ctx);
      const user = await selfOf(ctx);
      const content = {
        sessions: await listSessions(ctx),
        sessionId,
        isOwner: kind === "user" && user.role === "owner",
        hasPassword: user.passwordHash !== null,
        totpSince: user.totpSince,
        recoveryCodes: await countRecoveryCodes(ctx),
        pending: isProved(ctx) ? await pendingTotp(ctx) : null,
        passkeys: await listPasskeys(ctx),
        acts: await listSecurityActs(ctx, Object.keys(view.t.security.act)),
        newCodes: result as string[] | null,
        done: query.done,
      };
      return securityPage(view, content, { form, problems });
    },
    acts: {
      end: async ({ ctx, form }) => {
        const id = idIn(form);
        await endSession(ctx, id);
        if (id !== personOf(ctx).sessionId) return "/security?done=ended";
        return { to: "/login?done=signedOut", cookie: noSessionCookie() };
      },
      endOthers: async ({ ctx }) => {
        await endOtherSessions(ctx);
        return "/security?done=ended";
      },
      startTotp: async ({ ctx }) => {
        requireProof(ctx);
        await startTotp(ctx);
        return "/security#totp";
      },
      confirmTotp: async ({ ctx, form }) => ({ show: await confirmTotp(ctx, typed(form, "code")) }),
      removeTotp: async ({ ctx }) => {
        requireProof(ctx);
        await removeTotp(ctx);
        return "/security?done=removed";
      },
      removePasskey: async ({ ctx, form }) => {
        requireProof(ctx);
        await removePasskey(ctx, idIn(form));
        return "/security?done=removed";
      },
      changePassword: async ({ ctx, form }) => {
        await changePassword(ctx, { current: typed(form, "current"), password: typed(form, "password") });
        return "/security?done=saved";
      },
      secure: async ({ ctx }) => {
        await secureAccount(ctx);
        return { to: "/login?done=secured", cookie: noSessionCookie() };
      },
    },
  }),
  page({
    path: "/prove",
    access: "person",
    right: true,
    summary: "Prove again that it is you",
    show: async ({ ctx, view, query, form, problems }) => {
      const user = await selfOf(ctx);
      const content = {
        hasPassword: user.passwordHash !== null,
        hasTotp: user.totpSince !== null,
        hasPasskey: (await listPasskeys(ctx)).length > 0,
        next: safeNext(query.next),
      };
      return provePage(view, content, { form, problems });
    },
    acts: {
      prove: async ({ ctx, query, form }) => {
        await prove(ctx, { password: typed(form, "password"), code: typed(form, "code") });
        return safeNext(query.next);
      },
    },
  }),
  page({
    path: "/secure",
    access: "public",
    summary: "Secure an account that one cannot sign in to",
    show: ({ view, form, problems, result }) => reportPage(view, result === true, { form, problems }),
    acts: {
      send: async ({ ctx, form }) => {
        await askToSecure(ctx, typed(form, "email"));
        return { show: true };
      },
    },
  }),
  page({
    path: "/secure/{token}",
    access: "public",
    summary: "Secure an account by the link in a mail",
    params: TokenPath,
    find: (ctx, { token }) => requireReport(ctx, token),
    show: ({ view, result }) => secureLinkPage(view, result === true),
    acts: {
      secure: async ({ ctx, params }) => {
        await secureByLink(ctx, params.token);
        return { show: true };
      },
    },
  }),
].flat();
