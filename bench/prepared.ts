import { createHash, randomBytes } from "node:crypto";
import { join } from "node:path";
import Database from "libsql";
import type { Report } from "../codec/encode.ts";
import { WAITING_IN_RUNS } from "../src/store/inbox.ts";
import { FIRST_IMEI, imeiAfter } from "../tools/imei.ts";
import type { Platform } from "../tools/platform.ts";

export const MODEL = "T366";

/** The n-th tracker of a bench. */
export const imeiOf = (n: number): string => imeiAfter(FIRST_IMEI, n);

/** Requests under way at a time while devices are registered. */
const REGISTERED_AT_ONCE = 8;
/** Keys of an account: each is let through a limited number of requests a minute. */
const KEYS = 8;

/** Devices of a bench on a platform. */
export interface Registered {
  /** Ids of the trackers, `imeiOf(n)` at n. */
  ids: number[];
  /** Reads of account n as the API answers them, each with another of its keys. @returns the answer's body */
  get(account: number, path: string): Promise<string>;
}

const hash = (text: string) => createHash("sha256").update(text).digest("hex");

/**
 * Registers devices. Accounts and their keys come straight into the database, since the operator's rate limit would make
 * minutes of it; devices over the API.
 * @param accountOf the account, from 0, of each device
 */
export async function registerDevices(platform: Platform, accountOf: readonly number[]): Promise<Registered> {
  await openActivation(platform);
  const keys = insertAccounts(platform, Math.max(...accountOf) + 1);
  const ids = new Array<number>(accountOf.length);
  let next = 0;
  const some = async () => {
    for (let n = next++; n < accountOf.length; n = next++) {
      const key = keys[accountOf[n]!]![n % KEYS]!;
      const response = await fetch(`${platform.url}/v1/devices`, {
        method: "POST",
        headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
        body: JSON.stringify({ imei: imeiOf(n), name: "Bench", model: MODEL }),
      });
      const body = (await response.json()) as { id: number };
      if (!response.ok) throw new Error(`Cannot register a device: ${JSON.stringify(body)}`);
      ids[n] = body.id;
    }
  };
  await Promise.all(Array.from({ length: REGISTERED_AT_ONCE }, some));
  let reads = 0;
  const get = async (account: number, path: string) => {
    const key = keys[account]![reads++ % KEYS]!;
    const response = await fetch(platform.url + path, { headers: { authorization: `Bearer ${key}` } });
    const text = await response.text();
    if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`);
    return text;
  };
  return { ids, get };
}

/** So that trackers are added without the codes that came with them. */
async function openActivation({ url, secrets }: Platform): Promise<void> {
  const response = await fetch(`${url}/v1/admin/settings`, {
    method: "PATCH",
    headers: { authorization: `Bearer ${secrets.adminToken}`, "content-type": "application/json" },
    body: JSON.stringify({ activation: "open" }),
  });
  if (!response.ok) throw new Error(`Cannot change a setting: ${await response.text()}`);
}

/** @returns for each account its keys, which may write */
function insertAccounts(platform: Platform, count: number): string[][] {
  const db = new Database(join(platform.dataDir, "main.db"));
  db.exec("PRAGMA busy_timeout = 10000");
  db.exec("BEGIN IMMEDIATE");
  const account = db.prepare(
    "INSERT INTO accounts (name, created_at, privacy_accepted, terms_accepted) VALUES ('Bench', 0, 1, 1)",
  );
  const insert = db.prepare("INSERT INTO api_keys (account_id, scope, hash, created_at) VALUES (?, 'write', ?, 0)");
  const keys = Array.from({ length: count }, () => {
    const accountId = account.run([]).lastInsertRowid as number;
    return Array.from({ length: KEYS }, () => {
      const key = `eph_${randomBytes(32).toString("base64url")}`;
      insert.run([accountId, hash(key)]);
      return key;
    });
  });
  db.exec("COMMIT");
  db.close();
  return keys;
}

const WAITING = `(SELECT coalesce(sum(positions), 0) FROM inbox WHERE id > (SELECT merged FROM settlement))
  + ${WAITING_IN_RUNS}`;
const STORED = `SELECT ${WAITING} + (SELECT coalesce(sum(positions), 0) FROM segments)`;

/** Counts the positions of a platform in its database, wherever they are on their way into segments. */
export class StoredCount {
  readonly #db: Database.Database;

  constructor(platform: Platform) {
    this.#db = new Database(join(platform.dataDir, "main.db"));
    this.#db.exec("PRAGMA busy_timeout = 10000");
  }

  read(): number {
    return this.#number(STORED);
  }

  /** Of them, those that are not in segments yet. */
  waiting(): number {
    return this.#number(`SELECT ${WAITING}`);
  }

  #number(sql: string): number {
    return Object.values(this.#db.prepare(sql).get([]) as Record<string, number>)[0]!;
  }

  close(): void {
    this.#db.close();
  }
}

/** The n-th report of a device, one a `stepS` from `fromMs` on. No two are alike. */
export function aReport(device: number, n: number, fromMs: number, stepS: number): Report {
  return {
    event: { code: n % 50 === 49 ? 2 : 35 },
    fixTime: fromMs + n * stepS * 1000,
    valid: true,
    latitude: (22_500_000 + device * 137) / 1e6,
    longitude: (114_050_000 + n * 113) / 1e6,
    satellites: 9,
    gsmSignal: 25,
    speedKmh: 33,
    courseDeg: 120,
    hdop: 0.9,
    altitudeM: 48,
    odometerM: 1_234_567 + n * 10,
    runtimeS: 555_555 + n,
    cell: { mcc: 460, mnc: 0, lac: 0x1234, cid: 0x5678 },
    inputs: 0,
    outputs: 0,
    batteryV: 4.1,
    supplyV: 12.5,
    analogV: { "1": 0.1, "2": 0, "3": 0 },
  };
}

/** Delivers a batch as a bridge does. @returns the response envelope */
export async function deliver(platform: Platform, body: Uint8Array): Promise<Uint8Array> {
  const response = await fetch(`${platform.url}/v1/bridge/frames`, {
    method: "POST",
    headers: { authorization: `Bearer ${platform.secrets.bridgeToken}`, "content-type": "application/octet-stream" },
    body: body as Uint8Array<ArrayBuffer>,
  });
  const answer = new Uint8Array(await response.arrayBuffer());
  if (!response.ok) throw new Error(`The batch was refused: ${new TextDecoder().decode(answer)}`);
  return answer;
}
