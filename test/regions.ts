import { encodeCce } from "../codec/encode.ts";
import { OUTCOME_NAMES, RequestWriter, readResponse } from "../codec/envelope.ts";
import { accountById } from "../src/accounts.ts";
import { ingest } from "../src/ingest.ts";
import { placeAccount } from "../src/placing.ts";
import { aContext, NOON, type TestBase, type TestDatabase } from "./database.ts";

export const MINUTE = 60_000;
export const REASON = "Asked for by the customer";

/** Places an account as the operator does. */
export async function place(base: TestBase, accountId: number, database: string, reason: string | null = REASON) {
  const operator = aContext(base, { kind: "admin" });
  return placeAccount(operator, await accountById(operator, accountId), database, reason);
}

/** A report of a tracker, so many minutes after noon. */
export const reportOf = (imei: string, minute: number) =>
  encodeCce({
    identifier: "A",
    imei,
    reports: [
      {
        event: { code: 35 },
        fixTime: NOON + minute * MINUTE,
        valid: true,
        latitude: 22.5,
        longitude: 114 + minute / 1e4,
      },
    ],
  });

/** Delivers frames as a bridge does. @returns what became of each */
export async function deliver(base: TestBase, frames: readonly Uint8Array[], claims: readonly number[] = []) {
  const request = new RequestWriter();
  for (const frame of frames) request.frame(7, 0, base.now(), frame);
  for (const command of claims) request.claim(command, 7);
  const response = readResponse(await ingest(base, 0, request.finish().slice()));
  await base.settled();
  return { outcomes: response.frames.map(({ outcome }) => OUTCOME_NAMES[outcome]), downlinks: response.downlinks };
}

const OF_TRACKS = ["inbox", "runs", "segments", "newest", "wrapped_secrets", "residents"] as const;

/** Rows of the tables of tracks; without those of the inbox that are settled already, of others perhaps. */
export async function rowsOf({ client }: TestDatabase): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const table of OF_TRACKS) {
    const { rows } = await client.execute(`SELECT count(*) FROM ${table}`);
    counts[table] = Number(rows[0]![0]);
  }
  return counts;
}

/** Makes every use of a database fail until it is taken back. */
export function broken({ client }: TestDatabase): () => void {
  const { batch, execute } = client;
  const fail = () => Promise.reject(new Error("The database is down"));
  Object.assign(client, { batch: fail, execute: fail });
  return () => Object.assign(client, { batch, execute });
}
