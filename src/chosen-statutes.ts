import { accountOf, personOf, requireProof } from "./access.ts";
import { record } from "./audit.ts";
import type { Ctx } from "./context.ts";
import { AppError } from "./errors.ts";
import { isStatute, STATUTES, type Statute, type StatuteName } from "./statutes.ts";
import * as store from "./store/statutes.ts";

/** A law, and since when the caller's account says that it is under it; null: it does not. */
export interface ChosenStatute extends Statute {
  name: StatuteName;
  chosenAt: number | null;
}

/** Every law that can be chosen, those that were chosen with their time. */
export async function statutesOf(ctx: Ctx): Promise<ChosenStatute[]> {
  const chosen = await store.profilesOf(ctx.db, accountOf(ctx));
  const since = new Map(chosen.map(({ profile, enabledAt }) => [profile, enabledAt]));
  return (Object.keys(STATUTES) as StatuteName[]).map((name) => ({
    ...{ name, ...STATUTES[name], chosenAt: since.get(name) ?? null },
  }));
}

/** @throws {AppError} not_found */
export function statuteNamed(name: string): StatuteName {
  if (isStatute(name)) return name;
  throw new AppError("not_found", "No such law");
}

/**
 * Says that the account is under a law: what of it goes before the law lets it is kept, sealed, from now on. Again it
 * changes nothing.
 * @throws {AppError} step_up_required
 */
export async function chooseStatute(ctx: Ctx, name: StatuteName): Promise<void> {
  requireProof(ctx);
  const accountId = accountOf(ctx);
  const row = { profile: name, enabledBy: personOf(ctx).userId, enabledAt: ctx.now() };
  if (!(await store.insertProfile(ctx.db, accountId, row))) return;
  await record(ctx, "statute.chosen", { accountId, subject: `statute ${name}` });
}

/**
 * Says that it is not any more. What is kept already stays until its time.
 * @throws {AppError} step_up_required
 */
export async function dropStatute(ctx: Ctx, name: StatuteName): Promise<void> {
  requireProof(ctx);
  const accountId = accountOf(ctx);
  if (!(await store.deleteProfile(ctx.db, accountId, name))) return;
  await record(ctx, "statute.removed", { accountId, subject: `statute ${name}` });
}
