import * as v from "valibot";
import { requireRight } from "../../../access.ts";
import type { Ctx } from "../../../context.ts";
import { AppError } from "../../../errors.ts";
import { keptById, listKept, readKept, withEnds } from "../../../kept.ts";
import { isLegal, requireLegal } from "../../../legal.ts";
import {
  confirmHold,
  HOLD_BASES,
  type HoldScope,
  holdNamed,
  listHolds,
  placeHold,
  releaseHold,
  reviewHold,
} from "../../../legal-holds.ts";
import { heldPartPage, heldPartsPage, holdPage, holdsPage } from "../../../web/admin/holds.ts";
import { archiveResponse } from "../../holds.ts";
import { page, typed } from "../../page.ts";
import { NamePath } from "../../requests.ts";
import type { Form, Route } from "../../route.ts";
import { NEWEST } from "../../support.ts";
import { parse } from "../../validate.ts";
import { ById, type Cursor, cursor, dayIn, idIn, listed, state } from "./panel.ts";

const people = (ctx: Ctx) => requireRight("privacyStaff", ctx.principal);

/** The scope that the form stands for; what is wrong with it is said at its field. */
function scopeIn(form: Form): HoldScope {
  const { scope: kind } = parse(v.object({ scope: v.picklist(["account", "devices", "range"]) }), {
    scope: typed(form, "scope"),
  });
  if (kind === "account") return { kind };
  const devices = typed(form, "scope.devices")
    .split(/[,\s]+/)
    .filter(Boolean)
    .map((text) => (/^[1-9]\d{0,14}$/.test(text) ? Number(text) : 0));
  if (kind === "devices") return { kind, devices };
  const [device = 0] = devices;
  const time = (field: string) => {
    const text = typed(form, field);
    const at = /^\d{4}-\d\d-\d\dT\d\d:\d\d$/.test(text) ? Date.parse(`${text}Z`) : Number.NaN;
    if (Number.isNaN(at)) throw new AppError("invalid", `${field} must be a day and a time`, { field });
    return at;
  };
  return { kind, device, from: time("scope.from"), to: time("scope.to") };
}

const QUEUE = page<undefined, Cursor & { all?: string | undefined }>({
  path: "/admin/holds",
  access: "privacy",
  summary: "Orders that keep something from being erased",
  query: { ...cursor, all: v.optional(v.picklist(["true"])) },
  show: async (call) => {
    const openOnly = call.query.all === undefined;
    const rows = await listed(call.query.cursor, NEWEST, (before, limit) =>
      listHolds(call.ctx, openOnly, before, limit),
    );
    return holdsPage(call.view, rows, openOnly, await isLegal(call.ctx), state(call));
  },
  acts: {
    place: async ({ ctx, form }) => {
      people(ctx);
      const { basis } = parse(v.object({ basis: v.picklist(HOLD_BASES) }), { basis: typed(form, "basis") });
      const asked = {
        ...{ accountId: idIn(form, "accountId"), basis, reference: typed(form, "reference").trim() },
        ...{ scope: scopeIn(form), reviewAt: dayIn(form, "reviewAt") ?? 0, expiresAt: dayIn(form, "expiresAt") ?? 0 },
      };
      try {
        return `/admin/holds/${(await placeHold(ctx, asked)).name}?done=saved`;
      } catch (error) {
        // One field is for one tracker and for several.
        if (!(error instanceof AppError) || error.field !== "scope.device") throw error;
        const field = "scope.devices";
        throw new AppError(error.code, error.message.replace(/^scope\.device/, field), { field });
      }
    },
  },
});

const HOLD = page({
  path: "/admin/holds/{name}",
  access: "privacy",
  summary: "An order that keeps something from being erased",
  params: NamePath,
  find: (ctx, { name }) => holdNamed(ctx, name),
  show: async (call) => holdPage(call.view, call.object, await isLegal(call.ctx), state(call)),
  acts: {
    confirm: async ({ ctx, object }) => {
      people(ctx);
      await confirmHold(ctx, object);
      return `/admin/holds/${object.name}?done=saved`;
    },
    review: async ({ ctx, object, form }) => {
      people(ctx);
      await reviewHold(ctx, object, dayIn(form, "reviewAt") ?? 0, typed(form, "reason"));
      return `/admin/holds/${object.name}?done=saved`;
    },
    release: async ({ ctx, object, form }) => {
      people(ctx);
      await releaseHold(ctx, object, typed(form, "reason"));
      return `/admin/holds/${object.name}?done=saved`;
    },
  },
});

const HELD = page<undefined, Cursor>({
  path: "/admin/held",
  access: "privacyStaff",
  summary: "What is kept of what was erased",
  query: cursor,
  show: async (call) =>
    heldPartsPage(
      call.view,
      await listed(call.query.cursor, NEWEST, (before, limit) => listKept(call.ctx, before, limit)),
      state(call),
    ),
});

const HELD_PART = page({
  path: "/admin/held/{id}",
  access: "privacyStaff",
  summary: "Something that is kept, to be read for a reason",
  params: ById,
  find: (ctx, { id }) => keptById(ctx, id),
  show: async (call) => {
    await requireLegal(call.ctx);
    const [part] = await withEnds(call.ctx, [call.object]);
    return heldPartPage(call.view, part!, state(call));
  },
  acts: {
    read: async ({ ctx, object, form }) =>
      archiveResponse(object.id, await readKept(ctx, object, typed(form, "reason"))),
  },
});

export const HOLDS_ADMIN_PAGES: readonly Route[] = [QUEUE, HOLD, HELD, HELD_PART].flat();
