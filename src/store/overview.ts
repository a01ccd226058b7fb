import type { Db } from "./db.ts";

/** Writes that a bridge delivered. */
export async function markBridgeSeen(db: Db, bridgeId: number, now: number): Promise<void> {
  await db.$client.execute({
    sql: `INSERT INTO bridge_seen (bridge_id, last_seen_at) VALUES (?, ?)
      ON CONFLICT (bridge_id) DO UPDATE SET last_seen_at = max(last_seen_at, excluded.last_seen_at)`,
    args: [bridgeId, now],
  });
}

/** What came lately, as far as the inbox still has it: batches go when they are settled. Times are Unix ms. */
export interface Received {
  /** Positions that came since the time that was asked for. */
  positions: number;
  /** Whether these are all of them. */
  whole: boolean;
  /** If not: the first batch that is looked at, and when it came; null without any. */
  first: { positions: number; receivedAt: number } | null;
}

export interface Figures {
  bridges: { id: number; name: string | null; lastSeenAt: number | null }[];
  /** Of the newest batches that are still there. */
  received: Received;
  unclaimed: number;
  accounts: number;
  users: number;
  staff: number;
  devices: number;
  mails: { count: number; oldest: number | null };
  /** A text in force is the product's own template. */
  template: boolean;
  /** Staff whose training has run out, or does before a time. */
  training: { userId: number; validUntil: number | null }[];
}

/**
 * What the operator sees at a glance, in one round trip.
 * @param times since when positions are counted, since when unknown IMEIs are, before when training that ends is told
 * @param batches how many of the newest batches of positions are looked at
 */
export async function readFigures(
  db: Db,
  times: { now: number; receivedSince: number; unclaimedSince: number; trainingBefore: number },
  batches: number,
): Promise<Figures> {
  const [bridges, received, counts, training] = await db.$client.batch(
    [
      {
        sql: `SELECT 0 AS id, NULL AS name, (SELECT last_seen_at FROM bridge_seen WHERE bridge_id = 0)
          UNION ALL SELECT b.id, b.name, s.last_seen_at FROM bridges b LEFT JOIN bridge_seen s ON s.bridge_id = b.id
            WHERE b.revoked_at IS NULL ORDER BY 1 LIMIT 200`,
        args: [],
      },
      {
        sql: `WITH newest AS (SELECT id, positions, received_at FROM inbox ORDER BY id DESC LIMIT ?1),
            first AS (SELECT id, positions, received_at FROM newest ORDER BY id LIMIT 1)
          SELECT (SELECT coalesce(sum(positions), 0) FROM newest WHERE received_at >= ?2),
            coalesce((SELECT id = 1 OR received_at < ?2 FROM first), (SELECT merged = 0 FROM settlement)),
            (SELECT positions FROM first), (SELECT received_at FROM first)`,
        args: [batches, times.receivedSince],
      },
      {
        sql: `SELECT (SELECT count(*) FROM unclaimed WHERE last_seen > ?), (SELECT count(*) FROM accounts),
          (SELECT count(*) FROM users WHERE account_id IS NOT NULL), (SELECT count(*) FROM users WHERE account_id IS NULL),
          (SELECT count(*) FROM devices WHERE deleting_at IS NULL), (SELECT count(*) FROM mails), (SELECT min(created_at) FROM mails),
          EXISTS (SELECT 1 FROM documents d WHERE d.template = 1 AND d.effective_at <= ? AND NOT EXISTS (SELECT 1 FROM documents n
            WHERE n.kind = d.kind AND n.product = d.product AND n.region = d.region AND n.version > d.version AND n.effective_at <= ?))`,
        args: [times.unclaimedSince, times.now, times.now],
      },
      {
        sql: `SELECT id, training_valid_until FROM users WHERE account_id IS NULL AND disabled_at IS NULL
          AND coalesce(training_valid_until, 0) < ? ORDER BY id LIMIT 200`,
        args: [times.trainingBefore],
      },
    ],
    "read",
  );
  const row = counts!.rows[0]!;
  const number = (index: number) => row[index] as number;
  return {
    bridges: bridges!.rows.map((found) => ({
      id: found[0] as number,
      name: found[1] as string | null,
      lastSeenAt: found[2] as number | null,
    })),
    received: receivedOf(received!.rows[0]!),
    unclaimed: number(0),
    accounts: number(1),
    users: number(2),
    staff: number(3),
    devices: number(4),
    mails: { count: number(5), oldest: row[6] as number | null },
    template: number(7) === 1,
    training: training!.rows.map((found) => ({
      userId: found[0] as number,
      validUntil: found[1] as number | null,
    })),
  };
}

function receivedOf(row: ArrayLike<unknown>): Received {
  const first = row[3] === null ? null : { positions: Number(row[2]), receivedAt: Number(row[3]) };
  return { positions: Number(row[0]), whole: row[1] === 1, first };
}
