import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Client } from "@libsql/client";
import { StoredPositions } from "../../codec/segment.ts";
import type { Base, SecretCopy, Secrets } from "../../src/context.ts";
import { bucketOf, sealBatches } from "../../src/inbox.ts";
import { LIMITS } from "../../src/limits.ts";
import { recentOf } from "../../src/recent.ts";
import { removeDevice } from "../../src/retention.ts";
import { purgeExpired } from "../../src/retention-run.ts";
import { fileSecrets } from "../../src/runtime/secrets-file.ts";
import { keyInForce } from "../../src/settle.ts";
import { exchange } from "../../src/store/exchange.ts";
import { idsOf } from "../../src/store/segments.ts";
import { mainTelemetry } from "../../src/telemetry.ts";
import { trackOf } from "../../src/track.ts";
import { applyMigrations } from "../../tools/migrate.ts";
import { DAY_MS, START_MS } from "./fleets.ts";
import type { Batch } from "./movement.ts";
import { countOpening, openingMs } from "./opening-time.ts";
import { benchBase, makeKeys, type Settler, settlerApart, settlerHere } from "./settler.ts";
import { MeteredDatabase, type TrackStoreUnderTest } from "./under-test.ts";

/** Everything was received on one day, after the last of the fixes, as from the memories of trackers. */
const RECEIVED_MS = START_MS + 91 * DAY_MS;
/** The clock of a run stands there when it begins. */
const AHEAD_MS = RECEIVED_MS - performance.timeOrigin - performance.now();
const FRAGMENT_BYTES = 24;
const clock = () => performance.timeOrigin + performance.now() + AHEAD_MS;
/** What keeps every position until a purge is asked for. */
const LONG_DAYS = 3650;

interface SecretsCount {
  reads: number;
  writes: number;
}

function counted(copy: SecretCopy, count: SecretsCount): SecretCopy {
  return {
    get: (name) => {
      count.reads += 1;
      return copy.get(name);
    },
    put: (name, bytes, expected) => {
      count.writes += 1;
      return copy.put(name, bytes, expected);
    },
    getAll: (names) => {
      count.reads += names.length;
      return copy.getAll!(names);
    },
    putAll: (writes) => {
      count.writes += writes.length;
      return copy.putAll!(writes);
    },
    delete: (name) => copy.delete(name),
    list: (prefix) => copy.list(prefix),
  };
}

/** The store of tracks as the app drives it, on one connection of the native engine. */
class Tracks implements TrackStoreUnderTest {
  readonly name = "tracks";
  readonly database: MeteredDatabase;
  readonly #accountIds: readonly number[];
  readonly #secrets: Secrets & { close(): void };
  readonly #count: SecretsCount = { reads: 0, writes: 0 };
  #skippedMs = 0;
  readonly #ingest: Base;
  readonly #jobs: Base;
  readonly #settler: Settler;
  readonly #stored = new StoredPositions(1024);
  #key: { kid: number; key: CryptoKey } | null = null;
  #version = 0;
  #appended = 0;
  #busy: Promise<unknown> | null = null;
  #failure: unknown = null;

  private constructor(
    database: MeteredDatabase,
    accountIds: readonly number[],
    keys: Secrets & { close(): void },
    settler: Settler | null,
  ) {
    this.database = database;
    this.#accountIds = accountIds;
    this.#secrets = keys;
    const secrets: Secrets = {
      copies: [counted(keys.copies[0], this.#count), counted(keys.copies[1], this.#count)],
      escrow: counted(keys.escrow, this.#count),
    };
    const base = (client: Client) =>
      benchBase(
        client,
        secrets,
        () => clock() + this.#skippedMs,
        (error) => this.#fail(error),
      );
    this.#ingest = base(database.ingest.metered);
    this.#jobs = base(database.jobs.metered);
    this.#settler = settler ?? settlerHere(base(database.settling.metered));
  }

  static async make(database: MeteredDatabase, accountIds: readonly number[], keys: string, apart: boolean) {
    mkdirSync(keys);
    const settler = apart ? await settlerApart({ path: database.path, keys, aheadMs: AHEAD_MS }) : null;
    return new Tracks(database, accountIds, fileSecrets(keys), settler);
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
  }

  async beginDay(time: number): Promise<void> {
    const day = Math.floor(time / DAY_MS);
    const devices = [...this.#accountIds.entries()];
    const wishes = [...Map.groupBy(devices, ([, accountId]) => accountId)].map(([accountId, of]) => ({
      accountId,
      wanted: of.map(([n]) => ({ deviceId: n + 1, scope: "account", day })),
    }));
    await makeKeys(this.#ingest, wishes);
    // Its memory has them for the day too: a device sends thousands of positions in one.
    await this.#settler.beginDay(wishes);
  }

  async append({ table, deviceIds, accountIds }: Batch): Promise<void> {
    if (this.#failure !== null) throw this.#failure;
    const ctx = this.#ingest;
    const stored = this.#stored;
    const receivedAt = ctx.now();
    stored.reset();
    for (let row = 0; row < table.count; row++) {
      const deviceId = deviceIds[row]!;
      stored.add(table, row, 0, deviceId, bucketOf(accountIds[row]!, deviceId), receivedAt, false);
    }
    const telemetry = mainTelemetry(ctx);
    for (let tries = 0; ; tries++) {
      if (tries === 3) throw new Error("The batch is refused");
      this.#key ??= await keyInForce(ctx, telemetry);
      const { kid, key } = this.#key;
      const batches = await sealBatches(ctx, telemetry, stored, kid, key);
      const { version, settlement, lastBatch } = await exchange(ctx.db, {
        version: this.#version,
        bridgeId: 0,
        batches,
        answers: [],
        releases: [],
        claims: [],
        now: receivedAt,
        offers: 100,
      });
      if (version === this.#version && settlement.kid === kid) {
        recentOf(ctx).add(stored);
        const waiting = lastBatch - settlement.merged;
        this.#settleSoon(waiting, stored.count);
        if (waiting >= LIMITS.inboxBatches) await this.#busy;
        return;
      }
      this.#version = version;
      if (settlement.kid !== kid) this.#key = null;
    }
  }

  /** As src/ingest.ts does after its answer. */
  #settleSoon(waiting: number, positions: number): void {
    this.#appended += positions;
    if (waiting < LIMITS.mergeBatches && this.#appended < LIMITS.mergePositions) return;
    this.#appended = 0;
    if (this.#busy !== null) return;
    this.#busy = this.#settler
      .step()
      .catch((error) => this.#fail(error))
      .finally(() => {
        this.#busy = null;
      });
  }

  async settle(): Promise<void> {
    await this.#busy;
    await this.#settler.finish();
    if (this.#failure !== null) throw this.#failure;
  }

  async history(deviceId: number, from: number, to: number) {
    const accountId = this.#accountIds[deviceId - 1]!;
    const before = openingMs();
    const query = { from, to, descending: false, after: null, limit: 1_000_000 };
    const found = await trackOf(
      { ...this.#ingest, db: this.#ingest.db },
      { accountId, devices: null },
      deviceId,
      query,
    );
    return { positions: found?.rows.length ?? 0, unsealMs: openingMs() - before };
  }

  async purge(before: number): Promise<void> {
    const now = this.#jobs.now();
    if (now < before + DAY_MS) this.#skippedMs += before + DAY_MS - now;
    const days = Math.floor((this.#jobs.now() - before) / DAY_MS);
    await this.database.client.execute({ sql: "UPDATE accounts SET retention_days = ?", args: [days] });
    await purgeExpired(this.#jobs);
    if (this.#failure !== null) throw this.#failure;
  }

  async erase(deviceId: number): Promise<void> {
    const args = [this.#jobs.now(), deviceId];
    await this.database.client.execute({ sql: "UPDATE devices SET deleting_at = ? WHERE id = ?", args });
    if (!(await removeDevice(this.#jobs, deviceId))) throw new Error("The device is not removed in one call");
    if (this.#failure !== null) throw this.#failure;
  }

  async fragments(deviceId: number, count: number): Promise<Uint8Array[]> {
    const { rows } = await this.database.client.execute({
      sql: `SELECT sealed FROM (SELECT sealed, row_number() OVER (ORDER BY id) - 1 AS n, count(*) OVER () AS of
        FROM segments WHERE id >= ? AND id < ?) WHERE n % max(of / ?, 1) = 0 LIMIT ?`,
      args: [...idsOf(deviceId), count, count],
    });
    const ofEach = Math.ceil(count / rows.length);
    return rows
      .flatMap((row) => {
        const sealed = new Uint8Array(row[0] as ArrayBuffer);
        const apart = Math.floor((sealed.length - FRAGMENT_BYTES) / ofEach);
        return Array.from({ length: ofEach }, (_, n) => sealed.slice(n * apart, n * apart + FRAGMENT_BYTES));
      })
      .slice(0, count);
  }

  outside(): Record<string, number> {
    return { ...this.#count };
  }

  async close(): Promise<void> {
    await this.#busy;
    await this.#settler.end();
    this.database.close();
    this.#secrets.close();
  }
}

let counting = false;

export async function makeTracks(
  folder: string,
  accountIds: readonly number[],
  apart = false,
): Promise<TrackStoreUnderTest> {
  if (!counting) countOpening();
  counting = true;
  const database = await MeteredDatabase.open(join(folder, "tracks.db"));
  const { client } = database;
  await applyMigrations(client);
  const accounts = JSON.stringify(Array.from({ length: Math.max(...accountIds) }, (_, n) => n + 1));
  await client.batch(
    [
      {
        sql: "INSERT INTO accounts (id, name, created_at, retention_days) SELECT value, 'Bench', 0, ? FROM json_each(?)",
        args: [LONG_DAYS, accounts],
      },
      {
        sql: `INSERT INTO devices (id, account_id, imei, name, created_at)
          SELECT key + 1, value, 'bench ' || key, 'Bench', 0 FROM json_each(?)`,
        args: [JSON.stringify(accountIds)],
      },
    ],
    "write",
  );
  await database.begin();
  return Tracks.make(database, accountIds, join(folder, "keys"), apart);
}
