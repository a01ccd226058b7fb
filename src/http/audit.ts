import * as v from "valibot";
import { type AuditRow, listActions } from "../audit.ts";
import { LIMITS } from "../limits.ts";
import { Id, iso, ListQuery, listOf, page, Time } from "./fields.ts";
import { type Route, route } from "./route.ts";

const AuditJson = v.object({
  id: Id,
  at: Time,
  actor: v.string(),
  actorId: v.nullable(Id),
  action: v.string(),
  accountId: v.nullable(Id),
  subject: v.nullable(v.string()),
  reason: v.nullable(v.string()),
});

const auditJson = (row: AuditRow) => ({
  id: row.id,
  at: iso(row.at),
  actor: row.actor,
  actorId: row.actorId,
  action: row.action,
  accountId: row.accountId,
  subject: row.subject,
  reason: row.reason,
});

export const AUDIT: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/admin/audit",
    access: "privacy",
    tag: "Administration",
    summary: "Read what people and the operator did, newest first",
    description: "Ids and fixed words; no value that was changed is in it.",
    query: ListQuery,
    answers: { 200: { description: "One page", schema: listOf(AuditJson) } },
    handle: async ({ c, ctx, query }) => {
      const rows = await listActions(ctx, null, query.cursor ?? LIMITS.timeMs, query.limit + 1);
      return c.json(page(rows, query.limit, auditJson));
    },
  }),
];
