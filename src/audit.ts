import type { Base, Principal } from "./context.ts";
import { type AuditRow, insertAudit, listAudit } from "./store/audit.ts";

export type { AuditRow } from "./store/audit.ts";

/** Every act that is recorded. A row says who, what and to which object; never a value. */
export const ACTIONS = [
  "account.created",
  "account.imported",
  "account.placed",
  "account.suspended",
  "account.resumed",
  "account.unmasked",
  "activation.loaded",
  "activation.used",
  "activation.removed",
  "bridge.created",
  "bridge.revoked",
  "brand.changed",
  "brand.removed",
  "device.created",
  "device.changed",
  "device.removed",
  "calendar.changed",
  "collection.changed",
  "document.published",
  "document.accepted",
  "email.changed",
  "export.created",
  "export.revoked",
  "factor.added",
  "factor.removed",
  "factors.reset",
  "group.changed",
  "group.created",
  "group.removed",
  "held.read",
  "hold.confirmed",
  "hold.placed",
  "hold.released",
  "hold.reviewed",
  "job.run",
  "key.created",
  "key.revoked",
  "keys.restored",
  "keys.rewrapped",
  "legal.granted",
  "legal.withdrawn",
  "ledger.rotated",
  "look.refused",
  "mobile.changed",
  "account.secured",
  "obligation.agreed",
  "obligation.created",
  "obligation.ended",
  "passkey.refused",
  "password.changed",
  "password.reset",
  "profile.changed",
  "sealing.added",
  "sealing.revoked",
  "request.cancelled",
  "request.confirmed",
  "request.denied",
  "request.made",
  "request.proof",
  "request.resolved",
  "retention.changed",
  "retention.lengthened",
  "retention.shortened",
  "session.ended",
  "session.opened",
  "setting.changed",
  "setup.done",
  "staff.added",
  "staff.changed",
  "staff.removed",
  "statute.chosen",
  "statute.removed",
  "subject.accepted",
  "subject.asked",
  "subject.linked",
  "subject.refused",
  "subject.revoked",
  "suspension.lifted",
  "training.attested",
  "transfers.suspended",
  "user.changed",
  "user.invited",
  "user.joined",
  "user.removed",
  "window.closed",
  "window.opened",
] as const;
export type Action = (typeof ACTIONS)[number];

/** Who an act is by, as its record names them. */
export function actorOf(principal: Principal): { actor: AuditRow["actor"]; actorId: number | null } {
  switch (principal.kind) {
    case "admin":
      return { actor: "admin_token", actorId: null };
    case "staff":
      return { actor: "staff", actorId: principal.userId };
    case "user":
      return { actor: "user", actorId: principal.userId };
    case "key":
      return { actor: "key", actorId: principal.keyId };
    case "job":
      return { actor: "job", actorId: null };
    default:
      return { actor: "system", actorId: null };
  }
}

/**
 * Records an act.
 * @param accountId the customer's account that it concerns, who then sees it; null: none
 * @param subject kind and id of the object, such as "device 12"; never a name or a value
 * @param reason the operator's own sentence, where one was asked for
 * @param by who did it, where that is not the caller: a person who signs in
 */
export async function record(
  ctx: Base & { principal: Principal },
  action: Action,
  {
    accountId = null,
    subject = null,
    reason = null,
    by = ctx.principal,
  }: {
    accountId?: number | null;
    subject?: string | null;
    reason?: string | null;
    by?: Principal | { kind: "user" | "staff"; userId: number };
  } = {},
): Promise<void> {
  await insertAudit(ctx.db, { at: ctx.now(), ...actorOf(by as Principal), action, accountId, subject, reason });
}

/** One page of what was recorded, newest first. @param accountId null: everything, for the operator */
export function listActions(ctx: Base, accountId: number | null, before: number, limit: number): Promise<AuditRow[]> {
  return listAudit(ctx.db, accountId, before, limit);
}
