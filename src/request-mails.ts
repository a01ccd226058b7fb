import type { Base, Ctx } from "./context.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { linkTo, queueMail } from "./mail.ts";
import { scopeOf } from "./request-scope.ts";
import { keyedHash, sameText } from "./seal.ts";
import { tell } from "./secure.ts";
import { listMembers, listOwners } from "./store/members.ts";
import { type RequestRow, requestNamed } from "./store/requests.ts";
import type { SubjectRequest } from "./store/subjects.ts";
import { listUsers, userById } from "./store/users.ts";
import { textFor } from "./text/index.ts";
import { payloadsOf } from "./tokens.ts";

type Told = Pick<RequestRow, "id" | "name" | "type" | "scope" | "accountId" | "userId" | "deadline" | "countsAt">;

const PURPOSE = "cancel request";
const NAME_LENGTH = 22;

/** What a link that cancels a request ends with: its name and a proof that we sent it. Nothing is stored for it. */
export const cancelToken = async (ctx: Ctx, name: string) => name + (await keyedHash(ctx, PURPOSE, name));

/** The request that a link cancels. @throws {AppError} not_found */
export async function requestOfCancel(ctx: Ctx, token: string): Promise<RequestRow> {
  const name = token.slice(0, NAME_LENGTH);
  const isOurs = sameText(await keyedHash(ctx, PURPOSE, name), token.slice(NAME_LENGTH));
  const row = isOurs ? await requestNamed(ctx.db, name) : null;
  if (row === null) throw new AppError("not_found", "No such link");
  return row;
}

interface Channel {
  userId: number;
  email: string;
  language: string;
  timeZone: string;
}

/**
 * Every confirmed address that must know of a request: of who asks, of the owners where it is about the account's, and
 * what was one of theirs within the last days, as the present one may be a stranger's.
 */
async function channelsOf(ctx: Ctx, row: Told): Promise<Channel[]> {
  const isOwn = ["categories", "fields"].includes(scopeOf(row).kind);
  const owners = isOwn ? [] : await listOwners(ctx.db, row.accountId);
  const asker = row.userId === null ? null : await userById(ctx.db, row.userId);
  const people = [...owners, ...(asker !== null && asker.accountId === row.accountId ? [asker] : [])];
  const channels = new Map<string, Channel>();
  for (const { id, email, language, timeZone } of people) {
    for (const address of [email, ...(await payloadsOf(ctx, "report", id))]) {
      channels.set(address, { userId: id, email: address, language, timeZone });
    }
  }
  return [...channels.values()];
}

/** A time as a mail says it: in the person's language and zone. */
export function timeFor({ language, timeZone }: Pick<Channel, "language" | "timeZone">, ms: number): string {
  return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "long", timeZone }).format(ms);
}

/** What a request is about, in the words of a language. */
export function inWords(
  row: Pick<RequestRow, "type" | "scope">,
  { language, timeZone }: Pick<Channel, "language" | "timeZone">,
) {
  const { requests } = textFor(language);
  return requests.what(
    row.type,
    requests.scopeOf(scopeOf(row), (ms) => timeFor({ language, timeZone }, ms)),
  );
}

/**
 * Tells every channel of a request, with a link that cancels it. A notice must reach them: where no link can be made it is
 * refused before anything changes.
 * @throws {AppError} unavailable, of a notice
 */
export async function tellChannels(ctx: Ctx, row: Told, kind: "requestMade" | "requestNotice"): Promise<void> {
  const path = `/privacy/cancel/${await cancelToken(ctx, row.name)}`;
  const until = row.countsAt ?? row.deadline ?? ctx.now();
  for (const channel of await channelsOf(ctx, row)) {
    const { userId, email, language } = channel;
    const data = { what: inWords(row, channel), time: timeFor(channel, until) };
    if (kind === "requestMade") {
      await tell(ctx, { id: userId, email, language }, kind, { ...data, path });
    } else {
      const link = await linkTo(ctx, path);
      await queueMail(ctx, kind, { to: email, userId, language, data: { ...data, link } });
    }
  }
}

/** Tells the person, or everybody whom it concerns, of what one call has done: it may not have been them. */
export async function noteDone(ctx: Ctx, row: Told, whom: "person" | "everybody" = "person"): Promise<void> {
  const isOwn = whom === "person";
  for (const channel of await channelsOf(ctx, isOwn ? { ...row, scope: '{"kind":"fields"}' } : row)) {
    const { userId, email, language } = channel;
    const what = isOwn ? textFor(language).requests.type[row.type]! : inWords(row, channel);
    const data = { what, path: "/secure" };
    await tell(ctx, { id: userId, email, language }, "requestDone", data);
  }
}

/** A job has no request of its own: its links go to the address that is set. */
export function ofJob(base: Base): Ctx {
  const origin = base.config.publicUrl ?? "https://unset.invalid";
  const client = { origin, address: "-", userAgent: "" };
  return { ...base, requestId: "job", principal: { kind: "job" }, client };
}

/** Tells who asked, and the owners of what was theirs, that an erasure has come to its end in an account that lives. */
export async function tellCleared(base: Base, name: string): Promise<void> {
  const ctx = ofJob(base);
  const row = await requestNamed(ctx.db, name);
  if (row === null || row.type !== "erase" || scopeOf(row).kind === "account") return;
  for (const channel of await channelsOf(ctx, row)) {
    const { userId, email, language } = channel;
    const data = { what: inWords(row, channel), path: `/receipts/${name}` };
    await tell(ctx, { id: userId, email, language }, "requestCleared", data);
  }
}

/** Tells who asked what has become of it; nobody, where they are gone. */
export async function tellRequester(
  ctx: Ctx,
  row: Told,
  kind: "requestDenied" | "requestResolved",
  { reason }: { reason: string },
): Promise<void> {
  for (const channel of await channelsOf(ctx, row)) {
    const { userId, email, language } = channel;
    await tell(ctx, { id: userId, email, language }, kind, {
      what: inWords(row, channel),
      reason,
      path: "/profile/requests",
    });
  }
}

/**
 * Tells those of the staff whose it is, privacy and administrators who may act, how much of the time for something is over.
 * @param percent null: it has just become theirs, as the customer did not answer
 */
export async function tellStaff(
  ctx: Ctx,
  { deadline, percent, path }: { deadline: number | null; percent: number | null; path: string },
): Promise<void> {
  const now = ctx.now();
  for (const user of await listUsers(ctx.db, null, 0, LIMITS.usersPerAccount)) {
    const { role, disabledAt, emailVerifiedAt, trainingValidUntil } = user;
    const acts = (role === "admin" || role === "privacy") && disabledAt === null && emailVerifiedAt !== null;
    if (!acts || trainingValidUntil === null || trainingValidUntil <= now) continue;
    const time = timeFor(user, deadline ?? now);
    if (percent === null) await tell(ctx, user, "subjectLeft", { time, path });
    else await tell(ctx, user, "requestClock", { percent: String(percent), time, path });
  }
}

/** What somebody asked with a link, in the words of a language. */
const subjectInWords = ({ type, deviceId, fromTime, toTime }: SubjectRequest, channel: Parameters<typeof inWords>[1]) =>
  inWords({ type, scope: JSON.stringify({ kind: "range", device: deviceId, from: fromTime, to: toTime }) }, channel);

const pathOfSubject = ({ name }: SubjectRequest) => `/subject-requests/${name}`;

/** Tells those of the customer who may answer: owners, and managers who may change the device. */
export async function tellCustomer(ctx: Ctx, row: SubjectRequest): Promise<void> {
  for (const member of await listMembers(ctx.db, row.accountId, 0, LIMITS.usersPerAccount)) {
    const { role, state, deviceLimited, devices } = member;
    const mayEdit = !deviceLimited || devices.some(({ id, mayEdit }) => id === row.deviceId && mayEdit);
    if (state !== "active" || role === "viewer" || !mayEdit) continue;
    const data = { what: subjectInWords(row, member), time: timeFor(member, row.answerBy) };
    await tell(ctx, member, "subjectAsked", { ...data, path: pathOfSubject(row) });
  }
}

/** Tells the owners what the staff decided in their place. */
export async function tellOwners(
  ctx: Ctx,
  row: SubjectRequest,
  { accepted, reason }: { accepted: boolean; reason: string },
): Promise<void> {
  for (const owner of await listOwners(ctx.db, row.accountId)) {
    const data = { what: subjectInWords(row, owner), reason, path: pathOfSubject(row) };
    await tell(ctx, owner, accepted ? "subjectGranted" : "subjectRefused", data);
  }
}
