import {
  type Answer,
  answerStatement,
  claimedFrames,
  claimStatement,
  offersStatement,
  openedOffers,
  releaseStatement,
} from "./commands.ts";
import type { Db, Statement } from "./db.ts";
import { appendStatements, type SealedBatch, type Settlement, settlementOf } from "./inbox.ts";

/** What one request of a bridge writes. */
export interface ExchangeWrite {
  bridgeId: number;
  /** Registry version for which it was made: with another one, nothing is written. */
  version: number;
  batches: readonly SealedBatch[];
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
  /** As it was found: with another key than that of the batches, nothing was written. */
  settlement: Settlement;
  /** The last batch; 0 without one. */
  lastBatch: number;
  /** Frames of the commands that were claimed with success. */
  claimed: Map<number, Uint8Array>;
  offers: { commandId: number; imei: string }[];
}

/** Does all of it in one transaction and one round trip. */
export async function exchange(db: Db, write: ExchangeWrite): Promise<Exchange> {
  const { bridgeId, version, batches, now } = write;
  const statements: Statement[] = [];
  const add = (statement: Statement) => statements.push(statement) - 1;
  let append = -1;
  let claim = -1;
  if (batches.length > 0) for (const statement of appendStatements(batches, version)) append = add(statement);
  if (write.answers.length > 0) add(await answerStatement(db, write.answers, version));
  if (write.releases.length > 0) add(releaseStatement(bridgeId, write.releases, version));
  if (write.claims.length > 0) {
    claim = add(claimStatement(bridgeId, write.claims, { version, kid: batches[0]?.kid ?? null }, now));
  }
  const mode = statements.length > 0 ? "write" : "deferred";
  const offers = offersStatement(now, write.offers);
  // The first row is the registry's version and the settlement, the others are the offers.
  const state = add({
    sql: `SELECT r.version, s.kid, s.kid_since, s.merged, s.span FROM registry r, settlement s
      UNION ALL SELECT *, NULL, NULL FROM (${offers.sql})`,
    args: offers.args,
  });
  const results = await db.$client.batch(statements, mode);
  const [present, ...offered] = results[state].rows;
  return {
    version: Number(present[0]),
    settlement: settlementOf(Array.from({ length: 4 }, (_, i) => present[i + 1])),
    lastBatch: append < 0 ? 0 : Number(results[append].lastInsertRowid ?? 0),
    claimed: claim < 0 ? new Map() : await claimedFrames(db, results[claim].rows),
    offers: await openedOffers(db, offered),
  };
}
