import { setImmediate as nextTurn } from "node:timers/promises";
import { type Client, createClient } from "@libsql/client";
import { databaseBytes, LogMeter, MeteredClient } from "./meters.ts";
import type { Batch } from "./movement.ts";

/** As every local connection of the product is set. */
const PRAGMAS = ["busy_timeout=10000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"];

/** One connection of the native engine. */
export async function openClient(path: string): Promise<Client> {
  const client = createClient({ url: `file:${path}`, concurrency: 1 });
  for (const pragma of PRAGMAS) await client.execute(`PRAGMA ${pragma}`);
  return client;
}

/** A database file behind one connection of the native engine, with meters. */
export class MeteredDatabase {
  readonly path: string;
  readonly client: Client;
  /** What ingest calls. */
  readonly ingest: MeteredClient;
  /** What reads and jobs call; ingest may come between two calls. */
  readonly jobs: MeteredClient;
  /** What settling calls, likewise. */
  readonly settling: MeteredClient;
  #log: LogMeter | undefined;
  #emptyBytes = 0;

  private constructor(path: string, client: Client) {
    this.path = path;
    this.client = client;
    this.ingest = new MeteredClient(this.client);
    this.jobs = new MeteredClient(this.client);
    this.settling = new MeteredClient(this.client);
    // As where the engine is another process: what has come meanwhile is served first.
    for (const meter of [this.jobs, this.settling]) meter.before = () => nextTurn();
  }

  static async open(path: string): Promise<MeteredDatabase> {
    return new MeteredDatabase(path, await openClient(path));
  }

  /** What is in it by now is not counted by `bytes()`. */
  async begin(): Promise<void> {
    this.#emptyBytes = (await databaseBytes(this.client, this.path)).used;
  }

  /** The meter of the write-ahead log, once the tables are made. */
  get log(): LogMeter {
    this.#log ??= new LogMeter(this.path);
    return this.#log;
  }

  /** Empties the log into the file, so that no deleted byte is left in it. */
  async scrub(): Promise<void> {
    const { rows } = await this.jobs.metered.execute("PRAGMA wal_checkpoint(TRUNCATE)");
    if (Number(rows[0]![0]) !== 0) throw new Error("The log is in use");
  }

  /** Bytes of the file since `begin()`, and of them those that hold something. */
  async bytes(): Promise<{ file: number; used: number }> {
    const { file, used } = await databaseBytes(this.client, this.path);
    return { file: file - this.#emptyBytes, used: used - this.#emptyBytes };
  }

  close(): void {
    this.#log?.close();
    this.client.close();
  }
}

/** A store of tracks as the benchmark uses it. Devices are 1, 2, 3, ...; the clock is the newest batch's. */
export interface TrackStoreUnderTest {
  readonly name: string;
  readonly database: MeteredDatabase;
  /** Does what the first positions of a day (UTC) cost once: makes its keys, for all devices. @param time Unix ms */
  beginDay(time: number): Promise<void>;
  /** Stores a batch, with whatever the product does after the answer to its request. */
  append(batch: Batch): Promise<void>;
  /** Does what still waits to be done with what was appended. */
  settle(): Promise<void>;
  /**
   * Reads and decodes a stretch of a track.
   * @returns positions, and ms of it that went into opening seals
   */
  history(deviceId: number, from: number, to: number): Promise<{ positions: number; unsealMs: number }>;
  /** Deletes every position whose fix is before this midnight (UTC), with the scrub. */
  purge(before: number): Promise<void>;
  /** Deletes a device and every position of it, with the scrub. */
  erase(deviceId: number): Promise<void>;
  /** Stretches of bytes that are in the file because of this device, from as many places as asked for. */
  fragments(deviceId: number, count: number): Promise<Uint8Array[]>;
  /** What it did outside of the database, by name: reads and writes of the key store. */
  outside(): Record<string, number>;
  close(): Promise<void>;
}

/**
 * Makes a store in a new folder for devices of these accounts.
 * @param apart what the app does after its answers is done in another thread
 */
export type MakeStore = (
  folder: string,
  accountIds: readonly number[],
  apart?: boolean,
) => Promise<TrackStoreUnderTest>;
