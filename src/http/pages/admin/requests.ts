import * as v from "valibot";
import { requireRight } from "../../../access.ts";
import { askForProof, proofOf } from "../../../device-proof.ts";
import { askForAccount, confirmIdentity, LOCKED_OUT_TYPES } from "../../../identity.ts";
import { anyRequest, confirmationsOf, denyRequest, listAllRequests, resolveRequest } from "../../../requests.ts";
import { suspensionsOfRequest } from "../../../suspensions.ts";
import { requestDetail, requestsQueue } from "../../../web/admin/requests.ts";
import { page, typed } from "../../page.ts";
import { LOCKED_OUT, NamePath } from "../../requests.ts";
import type { Route } from "../../route.ts";
import { NEWEST } from "../../support.ts";
import { parse } from "../../validate.ts";
import { type Cursor, cursor, idIn, listed, state } from "./panel.ts";

const QUEUE = page<undefined, Cursor & { all?: string | undefined }>({
  path: "/admin/requests",
  access: "privacy",
  summary: "What customers ask for by right",
  query: { ...cursor, all: v.optional(v.picklist(["true"])) },
  show: async (call) => {
    const openOnly = call.query.all === undefined;
    const rows = await listed(call.query.cursor, NEWEST, (before, limit) =>
      listAllRequests(call.ctx, openOnly, before, limit),
    );
    return requestsQueue(call.view, rows, openOnly, LOCKED_OUT_TYPES, state(call));
  },
  acts: {
    write: async ({ ctx, form }) => {
      requireRight("privacyStaff", ctx.principal);
      const { type, kind } = parse(v.object({ type: LOCKED_OUT, kind: v.picklist(["account", "tracks"]) }), {
        type: typed(form, "type"),
        kind: typed(form, "scope"),
      });
      const accountId = idIn(form, "accountId");
      const row = await askForAccount(ctx, { accountId, type, scope: { kind }, reason: typed(form, "reason") });
      return `/admin/requests/${row.name}?done=saved`;
    },
  },
});

const REQUEST = page({
  path: "/admin/requests/{name}",
  access: "privacy",
  summary: "A request of a customer",
  params: NamePath,
  find: (ctx, { name }) => anyRequest(ctx, name),
  show: async (call) => {
    const { ctx, view, params } = call;
    // What an act has just changed.
    const row = await anyRequest(ctx, params.name);
    const [confirmations, proof] = [await confirmationsOf(ctx, row), await proofOf(ctx, row)];
    const known = { confirmations, proof, suspensions: await suspensionsOfRequest(ctx, row.id) };
    return requestDetail(view, row, known, call.result as string | null, state(call));
  },
  acts: {
    confirm: async ({ ctx, object, form, view }) => {
      requireRight("privacyStaff", ctx.principal);
      const { another } = await confirmIdentity(ctx, object, typed(form, "reason"));
      return { show: another ? view.t.requests.another : view.t.requests.announced };
    },
    askProof: async ({ ctx, object }) => {
      requireRight("privacyStaff", ctx.principal);
      await askForProof(ctx, object);
      return `/admin/requests/${object.name}?done=saved`;
    },
    deny: async ({ ctx, object, form }) => {
      await denyRequest(ctx, object, typed(form, "reason"));
      return `/admin/requests/${object.name}?done=saved`;
    },
    resolve: async ({ ctx, object, form }) => {
      await resolveRequest(ctx, object, typed(form, "reason"));
      return `/admin/requests/${object.name}?done=saved`;
    },
  },
});

export const REQUESTS_ADMIN_PAGES: readonly Route[] = [QUEUE, REQUEST].flat();
