import * as v from "valibot";
import { requireRight } from "../../access.ts";
import type { Ctx } from "../../context.ts";
import { listDevices } from "../../devices.ts";
import type { ErasureScope } from "../../erasure-scope.ts";
import { AppError } from "../../errors.ts";
import { askByMail, LOCKED_OUT_TYPES, leaveToStaff, pendingRequest, verifyByCode } from "../../identity.ts";
import { ownKept } from "../../kept.ts";
import { LIMITS } from "../../limits.ts";
import { linkTo } from "../../mail.ts";
import { requestOfCancel } from "../../request-mails.ts";
import { OWN_CATEGORIES, type RequestType, requireRestrictable, SCOPE_KINDS } from "../../request-scope.ts";
import {
  accountSize,
  cancelRequest,
  listRequests,
  makeRequest,
  type PrivacyRequest,
  publicReceipt,
  requestOf,
} from "../../requests.ts";
import { liftSuspension, listSuspensions, mayLift, suspendTransfers, suspensionOf } from "../../suspensions.ts";
import type { PageView } from "../../web/frame.ts";
import { receiptPage } from "../../web/receipt.ts";
import {
  askPage,
  type Choice,
  cancelPage,
  deletePage,
  lockedOutPage,
  requestPage,
  requestsPage,
  verifyPage,
} from "../../web/requests.ts";
import { type PageCall, page, tickedIds, typed, typedTime } from "../page.ts";
import { LinkPath, LOCKED_OUT, LockedOutScope, NamePath, ScopeInput } from "../requests.ts";
import type { Form, Route } from "../route.ts";
import { NEWEST } from "../support.ts";
import { parse } from "../validate.ts";

const stateOf = ({ form, problems, query }: PageCall<unknown, { done?: string | undefined }, unknown>) => ({
  form,
  problems,
  done: query.done,
});

const roleOf = ({ principal }: Ctx) => (principal.kind === "user" ? principal.role : "viewer");
const find = (ctx: Ctx, { name }: { name: string }) => requestOf(ctx, name);

/** What was chosen so far; null: nothing yet. */
function choiceIn(form: Form): Choice | null {
  const [type, scope] = [typed(form, "type"), typed(form, "scope")];
  return (SCOPE_KINDS as readonly string[]).includes(scope) ? { type, scope } : null;
}

/** Says at the choice of the scope what cannot be suspended alone. @throws {AppError} invalid */
function requireSuspendable(type: string, kind: string): void {
  try {
    requireRestrictable(type as RequestType, { kind } as ErasureScope);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    throw new AppError("invalid", error.message.replace(/^scope\.kind/, "scope"), { field: "scope" });
  }
}

/** The number in a form; 0, which is nothing's, where there is none. */
const idIn = (form: Form) => Number(/^[1-9]\d{0,15}$/.exec(typed(form, "id"))?.[0] ?? 0);

const words = (form: Form, name: string) => typed(form, name).split(" ").filter(Boolean);

/** The scope that a form stands for; what is wrong with it is said at its field. */
function scopeIn(form: Form, view: PageView) {
  const kind = typed(form, "scope");
  const time = (name: string) => new Date(typedTime(form, name, view.timeZone)).toISOString();
  const given = {
    account: () => ({}),
    tracks: () => ({}),
    devices: () => ({ devices: tickedIds(form, "scope.devices") }),
    range: () => {
      const [device = 0] = tickedIds(form, "scope.device");
      if (device === 0)
        throw new AppError("invalid", "scope.device must name devices that are yours", { field: "scope.device" });
      return { device, from: time("scope.from"), to: time("scope.to") };
    },
    categories: () => ({ categories: words(form, "scope.categories") }),
    fields: () => ({ fields: words(form, "scope.fields") }),
  };
  const detail = Object.hasOwn(given, kind) ? given[kind as keyof typeof given]() : {};
  return parse(v.object({ scope: ScopeInput }), { scope: { kind, ...detail } }).scope;
}

/** Devices that the caller may ask something for, to choose from. */
async function choosable(ctx: Ctx) {
  const { principal } = ctx;
  if (principal.kind !== "user" || principal.role === "viewer") return [];
  const rows = await listDevices(ctx, 0, LIMITS.devicesPerLimit);
  return rows.filter(({ id }) => principal.editable === null || principal.editable.includes(id));
}

async function made(ctx: Ctx, asked: Parameters<typeof makeRequest>[1]): Promise<string> {
  return `/profile/requests/${(await makeRequest(ctx, asked)).request.name}`;
}

const OWN: readonly Route[] = [
  page({
    path: "/profile/requests",
    access: "customer",
    right: true,
    summary: "What you asked for by right, and how far it is",
    show: async (call) => {
      const { ctx } = call;
      const rows = await listRequests(ctx, NEWEST, LIMITS.pageDefault);
      const suspended = await listSuspensions(ctx, { inForceOnly: true });
      const shown = suspended.map((row) => ({ ...row, mayLift: mayLift(ctx, row) }));
      const isOwner = roleOf(ctx) === "owner";
      const kept = isOwner ? await ownKept(ctx, NEWEST, LIMITS.pageDefault) : [];
      return requestsPage(call.view, rows, { suspended: shown, kept }, isOwner, stateOf(call));
    },
    acts: {
      lift: async ({ ctx, form }) => {
        requireRight("manager", ctx.principal);
        await liftSuspension(ctx, await suspensionOf(ctx, idIn(form)));
        return "/profile/requests?done=resumed";
      },
      suspend: async ({ ctx }) => {
        requireRight("owner", ctx.principal);
        await suspendTransfers(ctx);
        return "/profile/requests?done=suspended";
      },
      cancel: async ({ ctx, form }) => {
        await cancelRequest(ctx, await requestOf(ctx, typed(form, "name")));
        return "/profile/requests?done=requestCancelled";
      },
    },
  }),
  // Before the page of one request, whose name this would be.
  page({
    path: "/profile/requests/new",
    access: "customer",
    right: true,
    stepUp: true,
    summary: "Ask for a part to be deleted, or for something else",
    show: async (call) => {
      const { ctx, view, form } = call;
      // What cannot be chosen is chosen anew.
      const isRefused = call.problems.some(({ field }) => field === "scope");
      const choice = isRefused ? null : choiceIn((call.result as Form | null) ?? form);
      return askPage(view, roleOf(ctx), await choosable(ctx), choice, stateOf(call));
    },
    acts: {
      choose: ({ form }) => {
        requireSuspendable(typed(form, "type"), typed(form, "scope"));
        return { show: form };
      },
      send: ({ ctx, form, view }) => {
        const { type } = parse(v.object({ type: LOCKED_OUT }), { type: typed(form, "type") });
        return made(ctx, { type, scope: scopeIn(form, view) });
      },
    },
  }),
  page({
    path: "/profile/requests/{name}",
    access: "customer",
    right: true,
    summary: "One of your requests",
    params: NamePath,
    find,
    show: async (call) => {
      const { ctx, view, object } = call;
      return requestPage(view, object, await linkTo(ctx, `/receipts/${object.name}`), stateOf(call));
    },
    acts: {
      cancel: async ({ ctx, object }) => {
        await cancelRequest(ctx, object);
        return "/profile/requests?done=requestCancelled";
      },
    },
  }),
  page({
    path: "/profile/delete",
    access: "customer",
    right: true,
    stepUp: true,
    summary: "Download everything, then delete it",
    show: async (call) => {
      const isOwner = roleOf(call.ctx) === "owner";
      return deletePage(call.view, await accountSize(call.ctx), isOwner, stateOf(call));
    },
    acts: {
      download: async ({ ctx }) => {
        const { download } = await makeRequest(ctx, { type: "export" });
        return new URL(download ?? "", ctx.client.origin).pathname;
      },
      erase: ({ ctx }) => made(ctx, { type: "erase", scope: { kind: "account" } }),
    },
  }),
].flat();

interface Verified {
  row: PrivacyRequest | null;
  said: string;
}

const scopeOfChoice = (scope: string) =>
  (OWN_CATEGORIES as readonly string[]).includes(scope) ? { kind: "categories", categories: [scope] } : { kind: scope };

const LOCKED: readonly Route[] = [
  page({
    path: "/privacy/request",
    access: "public",
    summary: "Ask for your data to be deleted without signing in",
    show: (call) => lockedOutPage(call.view, call.result as string | null, LOCKED_OUT_TYPES, stateOf(call)),
    acts: {
      ask: async ({ ctx, form }) => {
        const email = typed(form, "email");
        const asked = { type: typed(form, "type"), scope: scopeOfChoice(typed(form, "scope")) };
        requireSuspendable(asked.type, asked.scope.kind);
        await askByMail(ctx, { email, ...parse(v.object({ type: LOCKED_OUT, scope: LockedOutScope }), asked) });
        return { show: email.trim() };
      },
    },
  }),
  page({
    path: "/privacy/verify/{token}",
    access: "public",
    summary: "Show that a request is yours",
    params: LinkPath,
    show: async (call) => {
      const { ctx, view, params } = call;
      const result = call.result as Verified | null;
      if (result !== null) return verifyPage(view, result.row, result.said, stateOf(call));
      return verifyPage(view, await pendingRequest(ctx, params.token), null, stateOf(call));
    },
    acts: {
      verify: async ({ ctx, params, form, view }) => {
        const row = await verifyByCode(ctx, params.token, typed(form, "code"));
        return { show: { row, said: view.t.requests.verified } satisfies Verified };
      },
      review: async ({ ctx, params, view }) => {
        await leaveToStaff(ctx, params.token);
        return { show: { row: null, said: view.t.requests.leftToStaff } satisfies Verified };
      },
    },
  }),
  page({
    path: "/privacy/cancel/{token}",
    access: "public",
    summary: "Cancel a request with the link that was mailed",
    params: LinkPath,
    find: (ctx, { token }) => requestOfCancel(ctx, token),
    show: (call) => cancelPage(call.view, call.object, stateOf(call)),
    acts: {
      cancel: async ({ ctx, params, object }) => {
        await cancelRequest(ctx, object);
        return `/privacy/cancel/${params.token}`;
      },
    },
  }),
  page({
    path: "/receipts/{name}",
    access: "public",
    summary: "A receipt, also when the account is gone",
    params: NamePath,
    find: (ctx, { name }) => publicReceipt(ctx, name),
    show: ({ view, params, object }) => receiptPage(view, params.name, object),
  }),
].flat();

export const REQUESTS_PAGES: readonly Route[] = [...OWN, ...LOCKED];
