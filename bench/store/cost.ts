/**
 * What hosting bills, in dollars, each of them an input: `bench:store -- --price rowsWritten=0.8`. List prices of 2026
 * beyond what plans include: Cloudflare Workers and R2, and a libSQL host.
 */
export const PRICES = {
  /** A million requests to the Worker. */
  requests: 0.3,
  /** A million ms of CPU. */
  cpuMs: 0.02,
  /** A million rows that statements insert, update or delete. */
  rowsWritten: 1,
  /** A million entries of indexes that go with them; some hosts count them as rows. */
  indexEntries: 0,
  /** A GB of database for a month. */
  storage: 0.75,
  /** A million writes to, and reads from, the key store. */
  keyWrites: 4.5,
  keyReads: 0.36,
} as const;

export type Prices = { -readonly [price in keyof typeof PRICES]: number };

/** Days that a position is kept. */
const KEPT_DAYS = 90;
const MONTH_DAYS = 30;

/** What storing a position takes, each a mean over many. */
export interface Usage {
  /** Positions in a request. */
  batch: number;
  cpuMs: number;
  rowsWritten: number;
  indexEntries: number;
  bytes: number;
  keyWrites: number;
  keyReads: number;
}

/** Prices with some of them changed. @param changes "name=dollars" */
export function pricesWith(changes: readonly string[]): Prices {
  const prices: Prices = { ...PRICES };
  for (const change of changes) {
    const [name = "", dollars] = change.split("=");
    if (!(name in prices) || !(Number(dollars) >= 0)) {
      throw new Error(`--price takes one of ${Object.keys(PRICES).join(", ")} and dollars: ${change}`);
    }
    prices[name as keyof Prices] = Number(dollars);
  }
  return prices;
}

/** Dollars that a million positions cost, by what they are for. */
export function costOfMillion(usage: Usage, prices: Prices) {
  // A million of each at the price of a million; storage by the GB: a million positions of 1 byte are 0.001 GB.
  const parts = {
    requests: prices.requests / usage.batch,
    cpu: usage.cpuMs * prices.cpuMs,
    rows: usage.rowsWritten * prices.rowsWritten + usage.indexEntries * prices.indexEntries,
    keys: usage.keyWrites * prices.keyWrites + usage.keyReads * prices.keyReads,
    storage: ((usage.bytes * 1e6) / 1e9) * prices.storage * (KEPT_DAYS / MONTH_DAYS),
  };
  return { ...parts, total: Object.values(parts).reduce((sum, part) => sum + part, 0) };
}
