import { brandFor } from "./brands.ts";
import type { Base, Ctx, Mail } from "./context.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { open, seal } from "./seal.ts";
import * as store from "./store/mails.ts";
import { textFor } from "./text/index.ts";
import type { MailData, MailKind, MailText } from "./text/mails.ts";
import { secretOf } from "./tokens.ts";

export type { MailData, MailKind } from "./text/mails.ts";

/**
 * Writes a mail and queues it; it is tried at once, and again by the job when that fails.
 * @param to where it goes; sealed until it is sent
 * @param userId whose mail it is: it goes with them when they are erased
 * @param account under whose secret it waits; absent: it is looked up, which may show that there is somebody
 */
export async function queueMail<K extends MailKind>(
  ctx: Ctx,
  kind: K,
  {
    to,
    userId,
    account: known,
    language,
    data,
  }: { to: string; userId: number | null; account?: number; language: string; data: MailData[K] },
): Promise<void> {
  const now = ctx.now();
  const account = known ?? (await secretOf(ctx, userId));
  const sealed = await sealMail(ctx, kind, { from: await senderFor(ctx), to, language, data, account });
  const id = await store.insertMail(ctx.db, { userId, kind, sealed, createdAt: now, dueAt: now });
  ctx.defer(trySend(ctx, id));
}

/**
 * Writes a mail and seals it, for a queue row of its kind.
 * @param from absent: the configured sender
 * @param account under whose secret; null: nobody's
 */
export function sealMail<K extends MailKind>(
  base: Base,
  kind: K,
  mailOf: { from?: string; to: string; language: string; data: MailData[K]; account: number | null },
): Promise<string> {
  const { from = base.config.mailFrom, to, language, data, account } = mailOf;
  const text = textFor(language).mail[kind](data);
  const mail: Mail = { from, to, ...written(text, data.link) };
  return seal(base, "mail", kind, JSON.stringify(mail), account);
}

/** A reseller's customers hear from the reseller, by the name; the address stays the one that may send. */
async function senderFor(ctx: Ctx): Promise<string> {
  const { mailFrom } = ctx.config;
  const { id, name } = await brandFor(ctx, new URL(ctx.client.origin).hostname);
  if (id === null) return mailFrom;
  const plain = oneLine(name)
    .replaceAll(/[<>"@,;]/g, "")
    .trim();
  return plain === "" ? mailFrom : `${plain} <${/<(.*)>$/.exec(mailFrom)?.[1] ?? mailFrom}>`;
}

/** What becomes a header must not begin another one. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out
const oneLine = (text: string) => text.replaceAll(/[\x00-\x1f\x7f\u2028\u2029]+/g, " ");

const escapeHtml = (text: string) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

function written({ subject, lines, action }: MailText, link: string): Pick<Mail, "subject" | "text" | "html"> {
  const linked = action !== undefined;
  const html = lines.map((line) => `<p>${escapeHtml(line)}</p>`);
  if (linked) html.push(`<p><a href="${escapeHtml(link)}">${escapeHtml(action)}</a></p>`);
  return {
    subject: oneLine(subject),
    text: `${[...lines, ...(linked ? [`${action}: ${link}`] : [])].join("\n\n")}\n`,
    html: html.join("\n"),
  };
}

/** Sends one queued mail; a failure leaves it for the job, later and later. */
async function trySend(base: Base, id: number): Promise<boolean> {
  const now = base.now();
  // Taken for a minute: of two that try at once, one sends.
  const row = await store.takeMail(base.db, id, now, now + 60_000);
  if (row === null) return false;
  try {
    if (base.sendMail === null) throw new Error("Nobody delivers mails here");
    await base.sendMail(JSON.parse(await open(base, "mail", row.kind, row.sealed, row.account)) as Mail);
    await store.deleteMail(base.db, id);
    return true;
  } catch (error) {
    base.log.error("mail.failed", { mail: id, kind: row.kind, attempts: row.attempts }, error);
    await store.postponeMail(base.db, id, now + Math.min(60_000 * 2 ** row.attempts, 3_600_000));
    return false;
  }
}

/** Sends what is due, and gives up what could not be sent for a day. @returns mails sent or given up */
export async function sendDueMails(base: Base): Promise<number> {
  let changed = await store.purgeMails(base.db, base.now() - LIMITS.mailMs);
  let failures = 0;
  for (const id of await store.dueMails(base.db, base.now(), LIMITS.mailsPerRun)) {
    if (await trySend(base, id)) changed++;
    // A server that is down would hold the run for as long as each mail may take; the next run tries the others.
    else if (++failures >= LIMITS.mailFailuresPerRun) break;
  }
  return changed;
}

const LOCAL = /^(localhost|127\.0\.0\.1|\[::1\]|[\w-]+\.localhost)$/;

/**
 * The address of one of our pages, for a mail. A forged Host header must not lead people elsewhere: only the hostname of
 * a brand is taken from the request, and this machine's own where the installation is on it.
 * @throws {AppError} unavailable
 */
export async function linkTo(ctx: Ctx, path: string): Promise<string> {
  const asked = new URL(ctx.client.origin);
  const ours = ctx.config.publicUrl === undefined ? null : new URL(ctx.config.publicUrl);
  if ((await brandFor(ctx, asked.hostname)).id !== null) {
    // The port is the sender's word, too.
    if (ours !== null) asked.port = ours.port;
    return asked.origin + path;
  }
  if (LOCAL.test(asked.hostname) && (ours === null || LOCAL.test(ours.hostname))) return asked.origin + path;
  if (ours !== null) return ctx.config.publicUrl + path;
  throw new AppError("unavailable", "PUBLIC_URL is not set, so no link can be sent; tell the operator");
}
