import { join } from "node:path";
import Database from "libsql";
import type { Report } from "../codec/encode.ts";
import { FIRST_IMEI, imeiAfter } from "../tools/imei.ts";
import type { Platform } from "../tools/platform.ts";

export const MODEL = "T366";

/** The n-th tracker of a bench. */
export const imeiOf = (n: number): string => imeiAfter(FIRST_IMEI, n);

/** Registers devices straight in the database: the API's rate limit would make a minute of it. */
export function registerDevices(platform: Platform, count: number): Database.Database {
  const db = new Database(join(platform.dataDir, "main.db"));
  db.exec("PRAGMA busy_timeout = 10000");
  db.exec("BEGIN IMMEDIATE; INSERT INTO accounts (name, created_at) VALUES ('Bench', 0)");
  const insert = db.prepare(
    "INSERT INTO devices (account_id, imei, name, model, created_at) SELECT max(id), ?, 'Bench', ?, 0 FROM accounts",
  );
  for (let n = 0; n < count; n++) insert.run([imeiOf(n), MODEL]);
  db.exec("COMMIT");
  return db;
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
