import {
  type Answer,
  answerStatement,
  claimedFrames,
  claimStatement,
  offersStatement,
  releaseStatement,
} from "./commands.ts";
import type { Db, Statement } from "./db.ts";
import { insertStatement, latestStatement, type PackedPositions } from "./ingest.ts";

/** What one request of a bridge writes. */
export interface ExchangeWrite {
  bridgeId: number;
  /** Registry version for which it was made: with another one, nothing is written. */
  version: number;
  positions: PackedPositions;
  answers: readonly Answer[];
  releases: readonly number[];
  claims: readonly number[];
  /** Unix ms */
  now: number;
  /** Queued commands to offer at most. */
  offers: number;
}

export interface Exchange {
  version: number;
  /** Positions that were not there before, and the id of the last of them. */
  inserted: number;
  lastId: number;
  /** Frames of the commands that were claimed with success. */
  claimed: Map<number, Uint8Array>;
  offers: { commandId: number; imei: string }[];
}

/** Does all of it in one transaction and one round trip. */
export async function exchange(db: Db, write: ExchangeWrite): Promise<Exchange> {
  const { bridgeId, version, positions, now } = write;
  const statements: Statement[] = [];
  const add = (statement: Statement) => statements.push(statement) - 1;
  let insert = -1;
  let claim = -1;
  if (positions.count > 0) {
    insert = add(insertStatement(positions, version));
    add(latestStatement(positions.count));
  }
  if (write.answers.length > 0) add(answerStatement(write.answers, version));
  if (write.releases.length > 0) add(releaseStatement(bridgeId, write.releases, version));
  if (write.claims.length > 0) claim = add(claimStatement(bridgeId, write.claims, version, now));
  const mode = statements.length > 0 ? "write" : "deferred";
  const offers = offersStatement(now, write.offers);
  // The first row is the registry's version, the others are the offers.
  const state = add({
    sql: `SELECT version, NULL FROM registry UNION ALL SELECT * FROM (${offers.sql})`,
    args: offers.args,
  });
  const results = await db.$client.batch(statements, mode);
  const [registry, ...offered] = results[state].rows;
  return {
    version: Number(registry[0]),
    inserted: insert < 0 ? 0 : results[insert].rowsAffected,
    lastId: insert < 0 ? 0 : Number(results[insert].lastInsertRowid ?? 0),
    claimed: claim < 0 ? new Map() : claimedFrames(results[claim].rows),
    offers: offered.map((row) => ({ commandId: Number(row[0]), imei: String(row[1]) })),
  };
}
