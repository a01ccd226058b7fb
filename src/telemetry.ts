import type { Base, Db } from "./context.ts";
import { AppError } from "./errors.ts";
import type { ResultSet, Statement } from "./store/db.ts";
import { databaseOf } from "./store/placements.ts";

/** A database with tracks. */
export interface Telemetry {
  /** As the directory and the key store call it. */
  name: string;
  /** Where it is, as customers read it. */
  region: string;
  db: Db;
  /** The registry of devices is in it, too: then a write can name the registry's version. */
  main: boolean;
}

/** The database that holds accounts and devices, and the tracks of every account that is not placed elsewhere. */
export function mainTelemetry(ctx: Base): Telemetry {
  return { name: "main", region: ctx.telemetry.region, db: ctx.db, main: true };
}

/** Every database with tracks. */
export function allTelemetry(ctx: Base): Telemetry[] {
  const others = [...ctx.telemetry.others].map(([name, { db, region }]) => ({ name, region, db, main: false }));
  return [mainTelemetry(ctx), ...others];
}

/** What the directory says of an account: no region where the configuration does not name the database. */
export function placeOf(ctx: Base, { telemetry }: { telemetry: string | null }): { database: string; region: string } {
  if (telemetry === null) return { database: "main", region: ctx.telemetry.region };
  return { database: telemetry, region: ctx.telemetry.others.get(telemetry)?.region ?? "" };
}

/**
 * The database of that name; null: the main one.
 * @throws {AppError} unavailable when the configuration does not name it: its tracks are not looked for anywhere else
 */
export function telemetryNamed(ctx: Base, name: string | null): Telemetry {
  if (name === null || name === "main") return mainTelemetry(ctx);
  const other = ctx.telemetry.others.get(name);
  if (other !== undefined) return { name, ...other, main: false };
  ctx.log.error("telemetry.unknown", { database: name });
  throw new AppError("unavailable", "The database of this account is not there", { retryAfterS: 60 });
}

/**
 * The database with an account's tracks. Asked anew by every read where there are several: an account that was moved is
 * then never looked for where it was. A read that began before a move ended still finds everything at the source, which
 * is erased a while later.
 */
export async function telemetryFor(ctx: Base, accountId: number): Promise<Telemetry> {
  if (ctx.telemetry.others.size === 0) return mainTelemetry(ctx);
  return telemetryNamed(ctx, await databaseOf(ctx.db, accountId));
}

/**
 * Reads what lies with the accounts and what lies with the tracks: in one transaction where that is one database, at the
 * same time where it is two.
 */
export async function readBoth(
  ctx: Base,
  telemetry: Telemetry,
  accounts: Statement[],
  tracks: Statement[],
): Promise<[accounts: ResultSet[], tracks: ResultSet[]]> {
  if (!telemetry.main) {
    return Promise.all([ctx.db.$client.batch(accounts, "read"), telemetry.db.$client.batch(tracks, "read")]);
  }
  const results = await ctx.db.$client.batch([...accounts, ...tracks], "read");
  return [results.slice(0, accounts.length), results.slice(accounts.length)];
}

/**
 * Does something in every database with tracks. One that fails keeps no other from its turn.
 * @returns what the turns add up to
 * @throws what the first failed with, at the end
 */
export async function inEach(
  ctx: Base,
  work: (telemetry: Telemetry) => Promise<number>,
  databases: readonly Telemetry[] = allTelemetry(ctx),
): Promise<number> {
  let sum = 0;
  const failures: unknown[] = [];
  for (const telemetry of databases) {
    try {
      sum += await work(telemetry);
    } catch (error) {
      if (databases.length > 1) ctx.log.error("telemetry.failed", { database: telemetry.name }, error);
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
  return sum;
}
