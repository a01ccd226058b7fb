import { newToken, personOf } from "./access.ts";
import { record } from "./audit.ts";
import type { Ctx } from "./context.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import type { SessionRow } from "./store/sessions.ts";
import * as store from "./store/sessions.ts";

export type { SessionRow as Session } from "./store/sessions.ts";

/** A session and the cookie that opens it; the cookie is here and nowhere else. */
export interface OpenedSession {
  cookie: string;
  session: SessionRow;
}

// When somebody signs in and out is told to them and not to their account: those records name no account.

/**
 * Signs a person in: always a new session with a new cookie, so that one planted before sign-in opens nothing.
 * @param user who has proved who they are
 */
export async function openSession(
  ctx: Ctx,
  user: { id: number; accountId: number | null },
  { secondFactor }: { secondFactor: boolean },
): Promise<OpenedSession> {
  const { token, hash } = await newToken(ctx, "session");
  const now = ctx.now();
  const session = await store.insertSession(ctx.db, {
    userId: user.id,
    hash,
    createdAt: now,
    lastSeenAt: now,
    provedAt: now,
    expiresAt: now + (user.accountId === null ? LIMITS.staffSessionMs : LIMITS.sessionMs),
    secondFactor: secondFactor ? 1 : 0,
    browser: browserOf(ctx.client.userAgent),
    network: networkOf(ctx.client.address),
  });
  await store.deleteSurplusSessions(ctx.db, user.id, LIMITS.sessionsPerUser);
  const kind = user.accountId === null ? "staff" : "user";
  await record(ctx, "session.opened", { subject: `session ${session.id}`, by: { kind, userId: user.id } });
  return { cookie: token, session };
}

/** The caller's own sessions that are not over, newest first. */
export function listSessions(ctx: Ctx): Promise<SessionRow[]> {
  return store.listSessions(ctx.db, personOf(ctx).userId, ctx.now(), LIMITS.sessionsPerUser);
}

/** Ends one of the caller's own sessions. @throws {AppError} not_found */
export async function endSession(ctx: Ctx, id: number): Promise<void> {
  if (!(await store.deleteSession(ctx.db, personOf(ctx).userId, id)))
    throw new AppError("not_found", "No such session");
  await record(ctx, "session.ended", { subject: `session ${id}` });
}

/** Ends every session of the caller but this one. @returns how many */
export async function endOtherSessions(ctx: Ctx): Promise<number> {
  const { userId, sessionId } = personOf(ctx);
  const ended = await store.deleteSessions(ctx.db, userId, sessionId);
  if (ended > 0) await record(ctx, "session.ended", { subject: `sessions other than ${sessionId}` });
  return ended;
}

/** Signs the caller out. */
export async function signOut(ctx: Ctx): Promise<void> {
  const { userId, sessionId } = personOf(ctx);
  await store.deleteSession(ctx.db, userId, sessionId);
}

/** Writes into the caller's session that they have just proved who they are. */
export function markProved(ctx: Ctx, { secondFactor }: { secondFactor: boolean }): Promise<void> {
  const { userId, sessionId } = personOf(ctx);
  return store.markSessionProved(ctx.db, userId, sessionId, ctx.now(), secondFactor);
}

const BROWSERS = [
  [/\bEdg(A|iOS)?\//, "Edge"],
  [/\b(OPR|Opera)\//, "Opera"],
  [/\bSamsungBrowser\//, "Samsung Internet"],
  [/\b(Firefox|FxiOS)\//, "Firefox"],
  [/\b(Chrome|CriOS|Chromium|HeadlessChrome)\//, "Chrome"],
  [/\bSafari\//, "Safari"],
  [/\bcurl\//, "curl"],
] as const;
const SYSTEMS = [
  [/\b(iPhone|iPad)\b/, "iOS"],
  [/\bAndroid\b/, "Android"],
  [/\bWindows\b/, "Windows"],
  [/\bMac OS X\b/, "macOS"],
  [/\bCrOS\b/, "ChromeOS"],
  [/\bLinux\b/, "Linux"],
] as const;

/** Family of browser and system: enough to recognise one's own session, too little to recognise a person. */
export function browserOf(userAgent: string): string | null {
  const found = [BROWSERS, SYSTEMS].flatMap((table) => table.find(([pattern]) => pattern.test(userAgent))?.[1] ?? []);
  return found.length === 0 ? null : found.join(", ");
}

/** An address cut to its /24 (IPv4) or /48 (IPv6). */
export function networkOf(address: string): string | null {
  const four = /^(?:::ffff:)?(\d{1,3}\.\d{1,3}\.\d{1,3})\.\d{1,3}$/.exec(address);
  if (four !== null) return `${four[1]}.0/24`;
  if (!/^[0-9a-f:]+$/i.test(address) || !address.includes(":")) return null;
  const [head = "", tail] = address.toLowerCase().split("::");
  const parts = head === "" ? [] : head.split(":");
  const rest = tail === undefined || tail === "" ? [] : tail.split(":");
  if (tail !== undefined) while (parts.length + rest.length < 8) parts.push("0");
  const groups = [...parts, ...rest].slice(0, 3).map((group) => group.replace(/^0+(?=.)/, ""));
  return `${groups.join(":")}::/48`;
}
