import { personOf } from "./access.ts";
import type { Ctx } from "./context.ts";
import { AppError } from "./errors.ts";
import { linkTo, type MailData, type MailKind, queueMail } from "./mail.ts";
import { type UserRow, userById } from "./store/users.ts";

export type SelfUser = UserRow;

/** The signed-in person with everything that is stored about them: never to be shown as it is. */
export async function selfOf(ctx: Ctx): Promise<UserRow> {
  const user = await userById(ctx.db, personOf(ctx).userId);
  if (user === null) throw new AppError("unauthenticated", "This session is over: sign in again");
  return user;
}

/**
 * Tells a person by mail what was done. Where no link can be made (PUBLIC_URL is missing) the act still stands and the
 * log says so.
 * @param data as the mail takes it, with the path of one of our pages in place of the link
 */
export async function tell<K extends MailKind>(
  ctx: Ctx,
  user: Pick<UserRow, "id" | "email" | "language">,
  kind: K,
  data: Omit<MailData[K], "link"> & { path: string },
): Promise<void> {
  const { path, ...rest } = data;
  try {
    const link = await linkTo(ctx, path);
    const { id, email, language } = user;
    await queueMail(ctx, kind, { to: email, userId: id, language, data: { ...rest, link } as unknown as MailData[K] });
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    ctx.log.warn("mail.no_link", { kind });
  }
}
