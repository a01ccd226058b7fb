import * as v from "valibot";
import { requireRight } from "../../../access.ts";
import {
  type AccountDetail,
  accountById,
  accountDetail,
  createAccount,
  listAccounts,
  resumeAccount,
  suspendAccount,
  unmaskAccount,
} from "../../../accounts.ts";
import { listActivations, loadActivationsCsv, removeActivation } from "../../../activation.ts";
import type { Ctx } from "../../../context.ts";
import { listAllDevices } from "../../../devices.ts";
import { AppError } from "../../../errors.ts";
import { keptOfAccount } from "../../../kept.ts";
import { LIMITS } from "../../../limits.ts";
import {
  addObligation,
  endObligation,
  OBLIGATION_BASES,
  OBLIGATION_KINDS,
  obligationById,
  obligationsOf,
} from "../../../obligations.ts";
import { placeAccount, placementOf } from "../../../placing.ts";
import { suspendedNow } from "../../../suspensions.ts";
import { listUnclaimed } from "../../../unclaimed.ts";
import {
  accountPage,
  accountsPage,
  activationsPage,
  devicesPage,
  type LoadedCodes,
} from "../../../web/admin/customers.ts";
import { page, typed } from "../../page.ts";
import type { Route } from "../../route.ts";
import { NEWEST } from "../../support.ts";
import { parse } from "../../validate.ts";
import { admin, ById, type Cursor, cursor, dayIn, idIn, listed, nameIn, state, withReason } from "./panel.ts";

const ACCOUNTS = page<undefined, Cursor>({
  path: "/admin/accounts",
  access: "staff",
  summary: "Accounts",
  query: cursor,
  show: async (call) =>
    accountsPage(
      call.view,
      await listed(call.query.cursor, 0, (after, limit) => listAccounts(call.ctx, after, limit)),
      state(call),
    ),
  acts: {
    create: async ({ ctx, form }) => {
      admin(ctx);
      return `/admin/accounts/${(await createAccount(ctx, nameIn(form))).id}?done=saved`;
    },
  },
});

const KIND_AND_BASIS = v.object({ kind: v.picklist(OBLIGATION_KINDS), basis: v.picklist(OBLIGATION_BASES) });

const maySeeOwed = ({ principal }: Ctx) =>
  principal.kind !== "staff" || principal.role === "admin" || principal.role === "finance";

const ACCOUNT = page({
  path: "/admin/accounts/{id}",
  access: "staff",
  summary: "An account",
  params: ById,
  find: (ctx, { id }) => accountById(ctx, id),
  show: async (call) => {
    const unmasked = call.result as AccountDetail | null;
    const detail = unmasked ?? (await accountDetail(call.ctx, call.object));
    const placement = await placementOf(call.ctx, call.object);
    const suspended = await suspendedNow(call.ctx, call.object.id);
    const kept = await keptOfAccount(call.ctx, call.object.id);
    const owed = maySeeOwed(call.ctx)
      ? await obligationsOf(call.ctx, call.object.id, NEWEST, LIMITS.pageDefault)
      : null;
    const more = { suspended, kept, owed };
    return accountPage(call.view, detail, placement, more, unmasked !== null, state(call));
  },
  acts: {
    unmask: async ({ ctx, object, form }) => {
      requireRight("support", ctx.principal);
      return { show: await unmaskAccount(ctx, object, typed(form, "reason")) };
    },
    suspend: async ({ ctx, object, form }) => {
      admin(ctx);
      await suspendAccount(ctx, object, typed(form, "reason"));
      return `/admin/accounts/${object.id}?done=saved`;
    },
    place: async ({ ctx, object, form }) => {
      admin(ctx);
      const reason = typed(form, "placeReason");
      try {
        await placeAccount(ctx, object, typed(form, "database"), reason.trim() === "" ? null : reason);
      } catch (error) {
        if (!(error instanceof AppError) || error.field !== "reason") throw error;
        throw new AppError(error.code, error.message, { field: "placeReason" });
      }
      return `/admin/accounts/${object.id}?done=saved`;
    },
    owe: async ({ ctx, object, form }) => {
      requireRight("finance", ctx.principal);
      const { kind, basis } = parse(KIND_AND_BASIS, { kind: typed(form, "kind"), basis: typed(form, "basis") });
      const expiresAt = dayIn(form, "expiresAt") ?? 0;
      await addObligation(ctx, object.id, { kind, basis, details: typed(form, "details"), expiresAt });
      return `/admin/accounts/${object.id}?done=saved`;
    },
    end: ({ ctx, object, form }) =>
      withReason("endReason", async () => {
        requireRight("finance", ctx.principal);
        const row = await obligationById(ctx, object.id, idIn(form, "obligation"));
        await endObligation(ctx, row, typed(form, "endReason"));
        return `/admin/accounts/${object.id}?done=saved`;
      }),
    resume: async ({ ctx, object }) => {
      admin(ctx);
      await resumeAccount(ctx, object);
      return `/admin/accounts/${object.id}?done=saved`;
    },
  },
});

const DEVICES = page<undefined, Cursor>({
  path: "/admin/devices",
  access: "admin",
  summary: "Devices of all accounts",
  query: cursor,
  show: async (call) =>
    devicesPage(
      call.view,
      await listed(call.query.cursor, 0, (after, limit) => listAllDevices(call.ctx, after, limit)),
      await listUnclaimed(call.ctx),
      state(call),
    ),
});

const ACTIVATIONS = page<undefined, Cursor>({
  path: "/admin/activations",
  access: "support",
  summary: "Trackers that were sold",
  query: cursor,
  show: async (call) =>
    activationsPage(
      call.view,
      await listed(call.query.cursor, 0, (after, limit) => listActivations(call.ctx, after, limit)),
      call.result as LoadedCodes | null,
      state(call),
    ),
  acts: {
    load: async ({ ctx, form }) => {
      const { file } = form;
      const isFile = typeof file === "object" && file.bytes.length > 0;
      try {
        const text = isFile
          ? new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(file.bytes)
          : typed(form, "devices");
        return { show: await loadActivationsCsv(ctx, text) };
      } catch (error) {
        if (error instanceof TypeError)
          throw new AppError("invalid", "The list is not text in UTF-8", { field: "file" });
        if (!(error instanceof AppError)) throw error;
        throw new AppError(error.code, error.message, { field: isFile ? "file" : "devices" });
      }
    },
    remove: async ({ ctx, form }) => {
      await removeActivation(ctx, typed(form, "imei"));
      return "/admin/activations?done=removed";
    },
  },
});

export const CUSTOMERS_PAGES: readonly Route[] = [ACCOUNTS, ACCOUNT, DEVICES, ACTIVATIONS].flat();
