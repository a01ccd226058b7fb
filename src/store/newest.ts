import { bytesOf, type Statement } from "./db.ts";

// The newest valid fix of each device, as many devices in a row as have near ids, so that settling writes few rows.

/** A device's newest valid fix as it is stored. */
export interface StoredFix {
  deviceId: number;
  dayKid: number;
  deviceKid: number;
  /** The time that retention goes by, Unix ms. */
  due: number;
  /** Names the customer's half of the key; null: the whole of it is ours. */
  customerKid: number | null;
  sealed: Uint8Array;
}

/** Account in the id of a row. */
export const ROWS_AN_ACCOUNT: number = 2 ** 21;

export function newestIdOf(accountId: number, deviceId: number, devices: number): number {
  return accountId * ROWS_AN_ACCOUNT + Math.floor(deviceId / devices);
}

// Five numbers, the last 0 where there is no customer's half, and the length of what is sealed.
const HEAD_NUMBERS = 5;
const HEAD_BYTES = HEAD_NUMBERS * 8 + 2;

export function writeFixes(fixes: readonly StoredFix[]): Uint8Array {
  const bytes = new Uint8Array(fixes.reduce((sum, { sealed }) => sum + HEAD_BYTES + sealed.length, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const { deviceId, dayKid, deviceKid, due, customerKid, sealed } of fixes) {
    const head = [deviceId, dayKid, deviceKid, due, customerKid ?? 0];
    for (const [i, value] of head.entries()) view.setFloat64(at + i * 8, value, true);
    view.setUint16(at + HEAD_NUMBERS * 8, sealed.length, true);
    bytes.set(sealed, at + HEAD_BYTES);
    at += HEAD_BYTES + sealed.length;
  }
  return bytes;
}

export function readFixes(value: unknown): StoredFix[] {
  const bytes = bytesOf(value);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const fixes: StoredFix[] = [];
  for (let at = 0; at + HEAD_BYTES <= bytes.length; ) {
    const length = view.getUint16(at + HEAD_NUMBERS * 8, true);
    const number = (place: number) => view.getFloat64(at + place * 8, true);
    const [deviceId, dayKid, deviceKid, due] = [number(0), number(1), number(2), number(3)];
    const sealed = bytes.subarray(at + HEAD_BYTES, at + HEAD_BYTES + length);
    fixes.push({ deviceId, dayKid, deviceKid, due, customerKid: number(4) || null, sealed });
    at += HEAD_BYTES + length;
  }
  return fixes;
}

/** Rows by their ids: id and fixes. */
export function newestStatement(ids: readonly number[]): Statement {
  return {
    sql: "SELECT n.id, n.fixes FROM json_each(?) j JOIN newest n ON n.id = j.value",
    args: [JSON.stringify(ids)],
  };
}

/** @param condition in SQL with ?1 and ?2 */
export function writeNewestStatement(
  rows: readonly { id: number; accountId: number; fixes: Uint8Array }[],
  condition: string,
  args: readonly [number, number],
): Statement {
  let length = 0;
  const places = rows.map(({ id, accountId, fixes }) => {
    const start = length + 1;
    length += fixes.length;
    return [id, accountId, start, fixes.length];
  });
  const bytes = new Uint8Array(length);
  for (const [i, { fixes }] of rows.entries()) bytes.set(fixes, places[i]![2]! - 1);
  return {
    sql: `INSERT INTO newest (id, account_id, fixes)
      SELECT value ->> 0, value ->> 1, substr(?4, value ->> 2, value ->> 3) FROM json_each(?3)
      WHERE ${condition} ON CONFLICT (id) DO UPDATE SET account_id = excluded.account_id, fixes = excluded.fixes`,
    args: [...args, JSON.stringify(places), bytes],
  };
}
