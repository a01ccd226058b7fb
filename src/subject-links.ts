import { newToken, personOf, requireEditable, tokenHash } from "./access.ts";
import { record } from "./audit.ts";
import type { Ctx } from "./context.ts";
import { type Device, deviceOf } from "./devices.ts";
import { AppError } from "./errors.ts";
import type { ExportFormat } from "./export.ts";
import { stretchOf } from "./extent.ts";
import { LIMITS } from "./limits.ts";
import { linkTo } from "./mail.ts";
import { endOf, keepingFor, periodsOf } from "./periods.ts";
import { type ExportFile, exportTrack } from "./positions.ts";
import { noLink } from "./signup.ts";
import * as store from "./store/subjects.ts";
import { asAccount } from "./support.ts";

export type { SubjectLink } from "./store/subjects.ts";

// Who drives or carries a tracker has no account here, and nothing is stored about who they are. The customer knows them,
// and gives them a link: whoever has it is believed to be who had the tracker in that time.

type Link = store.SubjectLink;

const refuse = (field: string, why: string) => new AppError("invalid", `${field} ${why}`, { field });

/**
 * Makes a link for who had a device in a stretch of time. It is shown this once.
 * @param expiresAt absent: LIMITS.subjectLinkMs from now. Times are Unix ms
 * @throws {AppError} forbidden; invalid, naming the field; conflict when there are too many
 */
export async function makeLink(
  ctx: Ctx,
  device: Pick<Device, "id" | "accountId">,
  asked: { from: number; to: number; expiresAt?: number | undefined; showsTrack?: boolean | undefined },
): Promise<{ url: string; link: Link }> {
  requireEditable(ctx, device.id);
  const now = ctx.now();
  const { from, to, expiresAt = now + LIMITS.subjectLinkMs, showsTrack = false } = asked;
  if (to <= from) throw refuse("to", "must be after from");
  if (to - from > LIMITS.subjectPeriodMaxMs) throw refuse("to", "must be at most 400 days after from");
  if (expiresAt <= now) throw refuse("expiresAt", "must be in the future");
  if (expiresAt > now + LIMITS.subjectLinkMaxMs) throw refuse("expiresAt", "must be at most 400 days from now");
  const { token, hash } = await newToken(ctx, "link");
  const url = await linkTo(ctx, `/subject/${token}`);
  const { accountId, id: deviceId } = device;
  const row = { deviceId, hash, fromTime: from, toTime: to, showsTrack, createdAt: now, expiresAt };
  const id = await store.insertLink(ctx.db, accountId, { ...row, madeBy: personOf(ctx).userId }, LIMITS.subjectLinks);
  if (id === null) {
    throw new AppError("conflict", `This device has ${LIMITS.subjectLinks} links already: revoke one first`);
  }
  await record(ctx, "subject.linked", { accountId, subject: `device ${deviceId}` });
  return { url, link: (await store.linkById(ctx.db, accountId, deviceId, id))! };
}

/** Of a device, newest first. */
export const linksOf = (ctx: Ctx, { accountId, id }: Pick<Device, "id" | "accountId">): Promise<Link[]> =>
  store.linksOfDevice(ctx.db, accountId, id);

/** @throws {AppError} not_found */
export async function linkOf(ctx: Ctx, device: Pick<Device, "id" | "accountId">, id: number): Promise<Link> {
  const link = await store.linkById(ctx.db, device.accountId, device.id, id);
  if (link === null) throw noLink();
  return link;
}

/** Ends a link. What was asked with it is still to be answered, and whoever asked can read the answer. */
export async function revokeLink(ctx: Ctx, { accountId, deviceId, id }: Link): Promise<void> {
  requireEditable(ctx, deviceId);
  if (!(await store.revokeLink(ctx.db, accountId, id, ctx.now()))) return;
  await record(ctx, "subject.revoked", { accountId, subject: `device ${deviceId}` });
}

/** With a link that is over nothing can be asked or looked at: only what was asked before is answered. */
export const isInForce = ({ revokedAt, expiresAt }: Link, now: number) => revokedAt === null && expiresAt > now;

/**
 * The link of a token. One that is unknown, over or another's device's is the same: it is not there.
 * @throws {AppError} not_found
 */
export async function linkOfToken(ctx: Ctx, token: string): Promise<Link> {
  const link = await store.linkOfHash(ctx.db, await tokenHash(token), ctx.now());
  if (link === null) throw noLink();
  return link;
}

/** What is held about who had the device: how much, and when, but not where. Times are Unix ms. */
export interface HeldOfSubject {
  kind: "positions" | "commands";
  category: "location" | "device";
  purpose: "tracking" | "control";
  records: number;
  oldest: number | null;
  newest: number | null;
  /** When the last of it is past its period; null: there is nothing. */
  keptUntil: number | null;
}

/** @returns null when the link is over */
export async function summaryOf(ctx: Ctx, link: Link): Promise<HeldOfSubject[] | null> {
  if (!isInForce(link, ctx.now())) return null;
  const { accountId, deviceId, fromTime, toTime } = link;
  const reach = { accountId, devices: [deviceId] };
  const stretch = { from: fromTime, to: toTime };
  const { positions, from, to } = await stretchOf(ctx, reach, deviceId, stretch);
  const commands = await store.commandsWithin(ctx.db, accountId, link);
  const { period, timeZone } = keepingFor(await periodsOf(ctx, accountId), deviceId);
  const keptUntil = (newest: number | null) => (newest === null ? null : endOf(newest, period, timeZone));
  return [
    {
      ...{ kind: "positions", category: "location", purpose: "tracking", records: positions },
      ...{ oldest: from, newest: to, keptUntil: keptUntil(to) },
    },
    {
      ...{ kind: "commands", category: "device", purpose: "control", ...commands },
      keptUntil: keptUntil(commands.newest),
    },
  ];
}

/**
 * The positions of a link's time as a file, where the customer lets whoever has it read them.
 * @throws {AppError} not_found when the link is over; forbidden; suspended; sealed when only the customer can open them
 */
export async function trackOfSubject(ctx: Ctx, link: Link, format: ExportFormat): Promise<ExportFile> {
  if (!isInForce(link, ctx.now())) throw noLink();
  if (link.showsTrack === 0) throw new AppError("forbidden", "This link does not show positions");
  const { accountId, deviceId, fromTime: from, toTime: to } = link;
  // Who reads is let in by the link: to this device, and to no other.
  const reader = await asAccount(ctx, accountId, [deviceId]);
  await deviceOf(reader, deviceId);
  return exportTrack(reader, { id: deviceId, name: "" }, { from, to }, format);
}
