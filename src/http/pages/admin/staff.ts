import * as v from "valibot";
import type { StaffRole } from "../../../context.ts";
import { grantLegal } from "../../../legal.ts";
import { attestTraining, changeStaff, inviteStaff, listStaff, removeStaff, staffById } from "../../../staff.ts";
import { LANGUAGES } from "../../../text/index.ts";
import { staffMemberPage, staffPage } from "../../../web/admin/staff.ts";
import { page, typed } from "../../page.ts";
import type { Form, Route } from "../../route.ts";
import { parse } from "../../validate.ts";
import { ById, type Cursor, cursor, dayIn, listed, state, withReason } from "./panel.ts";

const STAFF_ROLE = v.picklist(["admin", "support", "privacy", "finance"]);
const roleIn = (form: Form): StaffRole => parse(v.object({ role: STAFF_ROLE }), { role: typed(form, "role") }).role;

const STAFF = page<undefined, Cursor>({
  path: "/admin/staff",
  access: "admin",
  summary: "Staff",
  query: cursor,
  show: async (call) =>
    staffPage(
      call.view,
      await listed(call.query.cursor, 0, (after, limit) => listStaff(call.ctx, after, limit)),
      call.result as string | null,
      state(call),
    ),
  acts: {
    invite: async ({ ctx, form }) => {
      const { language } = parse(v.object({ language: v.picklist(Object.keys(LANGUAGES)) }), {
        language: typed(form, "language"),
      });
      const { link } = await inviteStaff(ctx, { email: typed(form, "email").trim(), role: roleIn(form), language });
      return link === null ? "/admin/staff?done=saved" : { show: link };
    },
  },
});

const STAFF_MEMBER = page({
  path: "/admin/staff/{id}",
  access: "admin",
  summary: "One of the staff",
  params: ById,
  find: (ctx, { id }) => staffById(ctx, id),
  show: (call) => staffMemberPage(call.view, call.object, state(call)),
  acts: {
    attest: async ({ ctx, object, form }) => {
      await attestTraining(ctx, object, dayIn(form, "validUntil") ?? 0);
      return `/admin/staff/${object.id}?done=saved`;
    },
    grant: ({ ctx, object, form }) =>
      withReason("legalReason", async () => {
        await grantLegal(ctx, object, dayIn(form, "until") ?? 0, typed(form, "legalReason"));
        return `/admin/staff/${object.id}?done=saved`;
      }),
    withdraw: ({ ctx, object, form }) =>
      withReason("legalReason", async () => {
        await grantLegal(ctx, object, null, typed(form, "legalReason"));
        return `/admin/staff/${object.id}?done=saved`;
      }),
    role: async ({ ctx, object, form }) => {
      await changeStaff(ctx, object, { role: roleIn(form) });
      return `/admin/staff/${object.id}?done=saved`;
    },
    disable: async ({ ctx, object }) => {
      await changeStaff(ctx, object, { disabled: true });
      return `/admin/staff/${object.id}?done=saved`;
    },
    enable: async ({ ctx, object }) => {
      await changeStaff(ctx, object, { disabled: false });
      return `/admin/staff/${object.id}?done=saved`;
    },
    remove: async ({ ctx, object }) => {
      await removeStaff(ctx, object);
      return "/admin/staff?done=removed";
    },
  },
});

export const STAFF_PAGES: readonly Route[] = [STAFF, STAFF_MEMBER].flat();
