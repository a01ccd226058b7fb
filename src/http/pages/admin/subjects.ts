import { requireRight } from "../../../access.ts";
import { acceptSubject, escalatedRequest, escalatedRequests, refuseSubject } from "../../../subject-requests.ts";
import { subjectDetail, subjectsQueue } from "../../../web/admin/subjects.ts";
import { page, typed } from "../../page.ts";
import { NamePath } from "../../requests.ts";
import type { Route } from "../../route.ts";
import { NEWEST } from "../../support.ts";
import { type Cursor, cursor, listed, state } from "./panel.ts";

const QUEUE = page<undefined, Cursor>({
  path: "/admin/subject-requests",
  access: "privacy",
  summary: "What customers did not answer whose trackers somebody drives or carries",
  query: cursor,
  show: async (call) => {
    const rows = await listed(call.query.cursor, NEWEST, (before, limit) => escalatedRequests(call.ctx, before, limit));
    return subjectsQueue(call.view, rows, state(call));
  },
});

const REQUEST = page({
  path: "/admin/subject-requests/{name}",
  access: "privacy",
  summary: "One of them",
  params: NamePath,
  find: (ctx, { name }) => escalatedRequest(ctx, name),
  show: (call) => subjectDetail(call.view, call.object, state(call)),
  acts: {
    accept: async ({ ctx, object, form }) => {
      requireRight("privacyStaff", ctx.principal);
      await acceptSubject(ctx, object, typed(form, "reason"));
      return `/admin/subject-requests/${object.name}?done=saved`;
    },
    refuse: async ({ ctx, object, form }) => {
      requireRight("privacyStaff", ctx.principal);
      await refuseSubject(ctx, object, typed(form, "reason"));
      return `/admin/subject-requests/${object.name}?done=saved`;
    },
  },
});

export const SUBJECTS_ADMIN_PAGES: readonly Route[] = [QUEUE, REQUEST].flat();
