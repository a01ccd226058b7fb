import { join } from "node:path";
import { PositionTable } from "../../codec/columns.ts";
import { createRowStore, deleteRowsBefore, deleteRowsOfDevice, insertRows, readTrack } from "../row-store.ts";
import type { Batch } from "./movement.ts";
import { RowPacker } from "./row-pack.ts";
import { MeteredDatabase, type TrackStoreUnderTest } from "./under-test.ts";

const FRAGMENT_BYTES = 24;

/** The baseline, bench/row-store.ts. */
class Rows implements TrackStoreUnderTest {
  readonly name = "rows";
  readonly database: MeteredDatabase;
  readonly #accountIds: readonly number[];
  readonly #packer = new RowPacker();
  readonly #table = new PositionTable(1024);

  constructor(database: MeteredDatabase, accountIds: readonly number[]) {
    this.database = database;
    this.#accountIds = accountIds;
  }

  async beginDay(): Promise<void> {}

  append({ table, deviceIds, accountIds, receivedAt }: Batch): Promise<void> {
    const packer = this.#packer;
    packer.reset();
    for (let row = 0; row < table.count; row++) packer.add(table, row, accountIds[row]!, deviceIds[row]!, receivedAt);
    return insertRows(this.database.ingest.metered, packer);
  }

  async settle(): Promise<void> {}

  async history(deviceId: number, from: number, to: number) {
    this.#table.reset();
    const accountId = this.#accountIds[deviceId - 1]!;
    const positions = await readTrack(this.database.client, this.#table, { accountId, deviceId, from, to });
    return { positions, unsealMs: 0 };
  }

  async purge(before: number): Promise<void> {
    let deleted = 0;
    do deleted = await deleteRowsBefore(this.database.jobs.metered, before);
    while (deleted > 0);
    await this.database.scrub();
  }

  async erase(deviceId: number): Promise<void> {
    await deleteRowsOfDevice(this.database.jobs.metered, deviceId);
    await this.database.scrub();
  }

  async fragments(deviceId: number, count: number): Promise<Uint8Array[]> {
    const { rows } = await this.database.client.execute({
      sql: `SELECT record FROM (SELECT record, row_number() OVER (ORDER BY fix_time) - 1 AS n, count(*) OVER () AS of
        FROM positions WHERE device_id = ?) WHERE n % max(of / ?, 1) = 0 LIMIT ?`,
      args: [deviceId, count, count],
    });
    // From its end: what changes most, and no other position has.
    return rows.map((row) => new Uint8Array(row[0] as ArrayBuffer).slice(-FRAGMENT_BYTES));
  }

  outside(): Record<string, number> {
    return {};
  }

  async close(): Promise<void> {
    this.database.close();
  }
}

export async function makeRows(folder: string, accountIds: readonly number[]): Promise<TrackStoreUnderTest> {
  const database = await MeteredDatabase.open(join(folder, "rows.db"));
  await createRowStore(database.client, accountIds);
  await database.begin();
  return new Rows(database, accountIds);
}
