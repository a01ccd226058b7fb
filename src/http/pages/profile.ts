import * as v from "valibot";
import type { Ctx } from "../../context.ts";
import { AppError } from "../../errors.ts";
import { held } from "../../held.ts";
import {
  askedEmail,
  askForEmail,
  changeAccount,
  changeMobile,
  changeProfile,
  confirmEmail,
  profileOf,
  recentDevices,
} from "../../profile.ts";
import { forgetSearches, listSearches, search } from "../../searches.ts";
import {
  ADDRESS_FIELDS,
  confirmEmailPage,
  emailPage,
  heldPage,
  mobilePage,
  profilePage,
  type SearchResult,
  searchesPage,
  searchPage,
} from "../../web/profile.ts";
import { languageCookie } from "../browser.ts";
import { AccountChangeInput, AddressInput, ProfileChangeInput } from "../me.ts";
import { type PageCall, page, typed, typedOrNull } from "../page.ts";
import type { Form, Route } from "../route.ts";
import { parse } from "../validate.ts";

const stateOf = ({
  form,
  problems,
  query,
}: Pick<PageCall<unknown, { done?: string | undefined }, unknown>, "form" | "problems" | "query">) => ({
  form,
  problems,
  done: query.done,
});

const SAVED = "/profile?done=saved";

type Kind = "shipping" | "billing";

async function saveAddress(ctx: Ctx, form: Form, kind: Kind): Promise<string> {
  const given = Object.fromEntries(ADDRESS_FIELDS.map((name) => [name, typedOrNull(form, `${kind}.${name}`)]));
  const country = given.country?.toUpperCase() ?? "";
  try {
    const address = parse(AddressInput, { ...given, line1: given.line1 ?? "", city: given.city ?? "", country });
    await changeAccount(ctx, { addresses: { [kind]: address } });
  } catch (error) {
    if (!(error instanceof AppError) || error.field === undefined) throw error;
    throw new AppError(error.code, error.message, { field: `${kind}.${error.field}` });
  }
  return SAVED;
}

async function removeAddress(ctx: Ctx, kind: Kind): Promise<string> {
  await changeAccount(ctx, { addresses: { [kind]: null } });
  return "/profile?done=removed";
}

/** Only the owner has these forms; a page's own access is wider. */
const ownerOnly =
  (act: (call: { ctx: Ctx; form: Form }) => Promise<string>) =>
  async ({ ctx, form }: { ctx: Ctx; form: Form }) => {
    if (ctx.principal.kind !== "user" || ctx.principal.role !== "owner") {
      throw new AppError("forbidden", "Only the account's owner can change this");
    }
    return act({ ctx, form });
  };

const TokenPath = v.object({ token: v.pipe(v.string(), v.regex(/^[\w-]{20,100}$/)) });

export const PROFILE_PAGES: readonly Route[] = [
  page({
    path: "/profile",
    access: "person",
    right: true,
    summary: "Your profile",
    show: async (call) => profilePage(call.view, await profileOf(call.ctx), stateOf(call)),
    acts: {
      saveName: async ({ ctx, form }) => {
        await changeProfile(ctx, parse(ProfileChangeInput, { name: typedOrNull(form, "name") }));
        return SAVED;
      },
      savePreferences: async ({ ctx, form }) => {
        const [language, units, timeZone] = ["language", "units", "timeZone"].map((name) => typed(form, name));
        const ticked = (name: string) => typed(form, name) === "on";
        const switches = { personalisation: ticked("personalisation"), searchHistory: ticked("searchHistory") };
        const own = ctx.principal.kind === "user" ? switches : {};
        const chosen = parse(ProfileChangeInput, { language, units, timeZone, ...own });
        await changeProfile(ctx, chosen);
        return { to: SAVED, cookie: languageCookie(chosen.language ?? "en") };
      },
      saveAccount: ownerOnly(async ({ ctx, form }) => {
        const paymentMode = typedOrNull(form, "paymentMode");
        try {
          await changeAccount(ctx, parse(AccountChangeInput, { name: typed(form, "accountName"), paymentMode }));
        } catch (error) {
          if (!(error instanceof AppError) || error.field !== "name") throw error;
          throw new AppError(error.code, error.message.replace(/^name/, "accountName"), { field: "accountName" });
        }
        return SAVED;
      }),
      "save shipping": ownerOnly(({ ctx, form }) => saveAddress(ctx, form, "shipping")),
      "save billing": ownerOnly(({ ctx, form }) => saveAddress(ctx, form, "billing")),
      "remove shipping": ownerOnly(({ ctx }) => removeAddress(ctx, "shipping")),
      "remove billing": ownerOnly(({ ctx }) => removeAddress(ctx, "billing")),
    },
  }),
  page({
    path: "/profile/email",
    access: "person",
    right: true,
    stepUp: true,
    summary: "Change your e-mail address",
    show: async (call) => emailPage(call.view, (await profileOf(call.ctx)).user.email, stateOf(call)),
    acts: {
      ask: async ({ ctx, form }) => {
        await askForEmail(ctx, typed(form, "email"));
        return "/profile?done=emailAsked";
      },
    },
  }),
  page({
    path: "/profile/email/{token}",
    access: "person",
    right: true,
    summary: "Confirm your new e-mail address",
    params: TokenPath,
    find: (ctx, { token }) => askedEmail(ctx, token),
    show: (call) => confirmEmailPage(call.view, call.object, stateOf(call)),
    acts: {
      confirm: async ({ ctx, params }) => {
        await confirmEmail(ctx, params.token);
        return "/profile?done=emailConfirmed";
      },
    },
  }),
  page({
    path: "/profile/mobile",
    access: "person",
    right: true,
    stepUp: true,
    summary: "Change your mobile number",
    show: async (call) => mobilePage(call.view, (await profileOf(call.ctx)).user.mobile, stateOf(call)),
    acts: {
      save: async ({ ctx, form }) => {
        await changeMobile(ctx, typedOrNull(form, "mobile"));
        return SAVED;
      },
    },
  }),
  page({
    path: "/profile/held",
    access: "person",
    summary: "What is held about you",
    show: async ({ ctx, view }) => heldPage(view, await held(ctx)),
  }),
  page({
    path: "/profile/searches",
    access: "customer",
    right: true,
    summary: "What you looked for",
    show: async (call) => searchesPage(call.view, await listSearches(call.ctx), stateOf(call)),
    acts: {
      forget: async ({ ctx }) => {
        await forgetSearches(ctx);
        return "/profile/searches?done=removed";
      },
    },
  }),
  page({
    path: "/search",
    access: "customer",
    right: true,
    summary: "Find a device",
    show: async (call) => {
      const { term, found } = (call.result ?? { term: "", found: null }) as SearchResult;
      const kept = (await profileOf(call.ctx)).user.searchHistory === 1;
      return searchPage(call.view, { term, found, recent: await recentDevices(call.ctx), kept }, stateOf(call));
    },
    acts: {
      find: async ({ ctx, form }) => {
        const term = typed(form, "term");
        return { show: { term, found: await search(ctx, term) } satisfies SearchResult };
      },
    },
  }),
].flat();
