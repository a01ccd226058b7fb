import { requireProof } from "./access.ts";
import { type Account, requireReason } from "./accounts.ts";
import { actorOf, record } from "./audit.ts";
import type { Base, Ctx } from "./context.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { goOn } from "./move.ts";
import {
  databaseOf,
  insertPlacement,
  moveOf,
  type PlacementRow,
  placementById,
  placementsOf,
} from "./store/placements.ts";
import { residenceOf } from "./store/residents.ts";
import { allTelemetry, placeOf, telemetryNamed } from "./telemetry.ts";

export type { PlacementRow } from "./store/placements.ts";

// An account's tracks are in the database where the operator has placed it, and nowhere else. They leave it, and its
// region, by a move that is recorded: who, when, why, and when the last of them was erased at the source.

/** Where an account's tracks are, every database that they could be in, and its moves, the newest first. */
export interface Placement {
  database: string;
  region: string;
  databases: { name: string; region: string }[];
  moves: PlacementRow[];
}

export async function placementOf(ctx: Base, account: Account): Promise<Placement> {
  const databases = allTelemetry(ctx).map(({ name, region }) => ({ name, region }));
  return {
    ...placeOf(ctx, account),
    databases,
    moves: await placementsOf(ctx.db, account.id, LIMITS.placementsShown),
  };
}

/**
 * Places an account in a database. What can be moved within moments is moved before this returns; the job ends the rest.
 * @param given why, when its region changes; the customer reads it
 * @throws {AppError} invalid; conflict when it is there, is being moved, or the database is not the one it should be
 */
export async function placeAccount(
  ctx: Ctx,
  account: Account,
  database: string,
  given: string | null,
): Promise<PlacementRow> {
  requireProof(ctx);
  const names = allTelemetry(ctx).map(({ name }) => name);
  if (!names.includes(database)) {
    throw new AppError("invalid", `database must be one of ${names.join(", ")}`, { field: "database" });
  }
  const to = telemetryNamed(ctx, database);
  const from = telemetryNamed(ctx, await databaseOf(ctx.db, account.id));
  if (from.name === to.name) throw new AppError("conflict", "This account is placed there");
  const reason = given === null && from.region === to.region ? null : requireReason(given ?? "");
  const found = await residenceOf(to.db);
  if ((found?.name ?? "main") !== to.name || (found !== null && found.region !== to.region)) {
    ctx.log.error("telemetry.mistaken", { database: to.name, found: found?.name ?? "main" });
    throw new AppError("conflict", "That database is not the one that the configuration says it is");
  }
  if ((await moveOf(ctx.db, account.id)) !== null) throw new AppError("conflict", "This account is being moved");
  // Written first: what cannot be recorded is not done.
  await record(ctx, "account.placed", { accountId: account.id, subject: `account ${account.id}`, reason });
  const placement = await insertPlacement(ctx.db, {
    accountId: account.id,
    fromDatabase: from.name,
    fromRegion: from.region,
    toDatabase: to.name,
    toRegion: to.region,
    ...actorOf(ctx.principal),
    reason,
    at: ctx.now(),
  });
  if (placement === null) throw new AppError("conflict", "This account is being moved");
  await goOn(ctx, placement).catch((error) =>
    ctx.log.error("move.failed", { account: account.id, placement: placement.id }, error),
  );
  return (await placementById(ctx.db, placement.id)) ?? placement;
}
