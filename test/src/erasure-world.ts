import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createClient } from "@libsql/client";
import { and, eq } from "drizzle-orm";
import { carryOut } from "../../src/erasure.ts";
import type { ErasureScope } from "../../src/erasure-scope.ts";
import { runCron } from "../../src/jobs.ts";
import { mirrorHead } from "../../src/ledger-mirror.ts";
import { LIMITS } from "../../src/limits.ts";
import { history, type StoredPosition as Position } from "../../src/positions.ts";
import { cancelRequest, newName, verify } from "../../src/requests.ts";
import { erasable } from "../../src/store/erasable.ts";
import { insertRequest, requestNamed } from "../../src/store/requests.ts";
import * as schema from "../../src/store/schema.ts";
import { updateUser } from "../../src/store/users.ts";
import { applyMigrations } from "../../tools/migrate.ts";
import { aContext, aDevice, anAccount, asKey, aUser, NOON, type TestBase } from "../database.ts";
import { settled, stored } from "../stored.ts";
import { openFiles } from "./track-loop.ts";

// The platform over files, and what should be in it: what erasure-model.test.ts draws lots about.

const MINUTE = 60_000;

/** Numbers below 1 that are the same for the same seed (mulberry32). */
export function lots(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

type Device = { id: number; accountId: number; imei: string };
type Row = Record<string, unknown>;

interface Account {
  id: number;
  userId: number;
  devices: Device[];
}

/** What is read of an account, sealed columns open. */
export interface Reading {
  account: Row;
  user: Row;
  devices: Map<number, { row: Row; positions: Position[] }>;
}

export interface Asked {
  name: string;
  accountId: number;
  userId: number;
  scope: ErasureScope;
  deadline: number;
  state: "open" | "cleared" | "revoked";
}

/** A copy of the database file, and what was in it. */
export interface Backup {
  path: string;
  step: number;
  accounts: Account[];
  readings: Map<number, Reading>;
  /** What came later waited in the inbox, under a key that goes within the hour. */
  settledAt: number;
  entries: number;
}

/** What an erasure took, by the rules of the engine, and never may be read again. */
interface Gone {
  accounts: Set<number>;
  devices: Map<number, number>;
  /** "device fix time" */
  fixes: Map<string, Device>;
  /** Values of fields: each is used once. */
  values: Set<string>;
}

const PROFILE = ["name", "mobile", "timeZone"] as const;

export class World {
  base!: TestBase;
  step = 0;
  accounts: Account[] = [];
  readonly asked: Asked[] = [];
  readonly backups: Backup[] = [];
  readonly gone: Gone = { accounts: new Set(), devices: new Map(), fixes: new Map(), values: new Set() };
  /** When an erasure last worked on something: "account 7", "fields 7", "device 3". */
  readonly touched = new Map<string, number>();
  private close!: () => void;
  /** Values that were set while some were erased: under the secret that stays. */
  readonly late = new Set<string>();
  private values = 0;
  private settledAt = NOON;
  private readonly folder: string;
  private readonly random: () => number;
  private readonly bytes: () => number;

  constructor(folder: string, seed: number) {
    this.folder = folder;
    this.random = lots(seed);
    this.bytes = lots(seed + 1);
  }

  below = (n: number) => Math.floor(this.random() * n);
  one = <T>(list: readonly T[]): T => list[this.below(list.length)]!;

  async begin(): Promise<void> {
    const client = createClient({ url: `file:${join(this.folder, "main.db")}` });
    await applyMigrations(client);
    client.close();
    await this.openAt(NOON);
    for (let n = 0; n < 4; n++) await this.addAccount();
  }

  private async openAt(now: number): Promise<void> {
    const rootKeys = ["5a".repeat(32)];
    const opened = await openFiles({ folder: this.folder, now, rootKeys, first: 1, devices: [] });
    await opened.base.db.$client.execute("PRAGMA foreign_keys = ON");
    this.base = Object.assign(opened.base, {
      random: (length: number) => Uint8Array.from({ length }, () => Math.floor(this.bytes() * 256)),
    });
    this.close = opened.close;
    this.known.clear();
  }

  async end(): Promise<void> {
    await this.base.settled();
    this.close();
  }

  private async count(sql: string, ...args: (number | string)[]): Promise<number> {
    return Number((await this.base.db.$client.execute({ sql, args })).rows[0]![0]);
  }

  // What people and trackers do.

  async addAccount(): Promise<void> {
    const { base } = this;
    const createdAt = base.now();
    const id = await anAccount(base.db, { name: `Family ${++this.values}`, createdAt });
    const user = await aUser(base.db, {
      accountId: id,
      role: "owner",
      email: `p${++this.values}@edge.test`,
      createdAt,
    });
    const account: Account = { id, userId: user.id, devices: [] };
    this.accounts.push(account);
    await this.setFields(account);
    const devices = 1 + this.below(3);
    for (let n = 0; n < devices; n++) await this.addDevice(account);
  }

  async addDevice(account: Account): Promise<void> {
    const device = await aDevice(this.base.db, { accountId: account.id, createdAt: this.base.now() });
    account.devices.push(device);
    await this.send(device);
    await this.settle();
  }

  /** A mobile number, a name and a time zone that nobody had before. */
  async setFields(account: Account): Promise<void> {
    const n = ++this.values;
    const { db } = this.base;
    const isPart = ({ kind }: ErasureScope) => kind === "fields" || kind === "categories";
    if (this.asked.some((one) => one.state === "open" && one.accountId === account.id && isPart(one.scope)))
      for (const value of [`Ling ${n}.`, `+43${n}.`]) this.late.add(value);
    await updateUser(db, account.userId, { name: `Ling ${n}.`, mobile: `+43${n}.`, timeZone: `Zone/${n}.` });
    await db.$client.execute({ sql: "UPDATE accounts SET payment_mode = 'card' WHERE id = ?", args: [account.id] });
  }

  /** Some positions of the last minutes. */
  async send(device: Device): Promise<void> {
    const count = 1 + this.below(8);
    this.base.advance(count * MINUTE);
    const now = this.base.now();
    await stored(
      this.base,
      device,
      Array.from({ length: count }, (_, i) => ({ fixTime: now - i * MINUTE, receivedAt: now, record: now + i })),
    );
  }

  /** What was erased comes once more, as from a tracker or a bridge that kept it. */
  async sendAgain(): Promise<void> {
    const all = [...this.gone.fixes];
    if (all.length === 0) return;
    const [key, device] = this.one(all);
    const fixTime = Number(key.split(" ")[1]);
    this.base.advance(MINUTE);
    await stored(this.base, device, [{ fixTime, receivedAt: this.base.now() }]);
  }

  async settle(): Promise<void> {
    await settled(this.base);
    this.settledAt = this.base.now();
  }

  /** Asks for an erasure as who is signed in does. @returns false where the same is open, or nothing is there to erase */
  async ask(): Promise<boolean> {
    const account = this.one(this.accounts);
    const scope = await this.scopeFor(account);
    if (scope === null) return false;
    const { base } = this;
    const { id: accountId, userId } = account;
    const now = base.now();
    const kept = {
      ...({ name: newName(base), type: "erase", level: "V0", accountId, userId } as const),
      ...{ scope: JSON.stringify(scope), receivedAt: now },
    };
    const id = await insertRequest(base.db, kept, { since: now, limit: 100 });
    try {
      await verify(base, { id: id!, ...kept }, "V0");
    } catch {
      await base.db.$client.execute({ sql: "DELETE FROM requests WHERE id = ?", args: [id] });
      return false;
    }
    const { deadline } = (await requestNamed(base.db, kept.name))!;
    this.asked.push({ name: kept.name, accountId, userId, scope, deadline: deadline!, state: "open" });
    return true;
  }

  private async scopeFor({ id, devices }: Account): Promise<ErasureScope | null> {
    const kinds = ["account", "devices", "range", "range", "tracks", "categories", "fields", "fields"] as const;
    const kind = this.one(kinds);
    if (kind === "account") return this.accounts.length < 3 ? null : { kind };
    if (kind === "tracks") return { kind };
    if (kind === "categories") return { kind, categories: [this.one(["profile", "log", "other"] as const)] };
    if (kind === "fields") {
      const all = ["users.name", "users.mobile", "users.timeZone", "accounts.paymentMode"];
      const fields = all.filter(() => this.below(2) === 0);
      return fields.length === 0 ? null : { kind, fields };
    }
    if (devices.length === 0) return null;
    if (kind === "devices") return { kind, devices: [this.one(devices).id] };
    const device = this.one(devices);
    const track = await this.track(id, device.id);
    if (track.length < 2) return null;
    const times = track.map(({ fixTime }) => Date.parse(fixTime));
    const from = this.one(times);
    return { kind, device: device.id, from, to: from + (1 + this.below(30)) * MINUTE };
  }

  /** Somebody takes a request back that nothing was done for. */
  async cancel(): Promise<void> {
    // Of an account that is going there is nobody who could.
    const going = new Set(this.asked.filter(({ scope }) => scope.kind === "account").map(({ accountId }) => accountId));
    const open = this.asked.filter(
      ({ state, scope, accountId }) => state === "open" && (scope.kind === "account" || !going.has(accountId)),
    );
    if (open.length === 0) return;
    const asked = this.one(open);
    const row = await requestNamed(this.base.db, asked.name);
    if (row?.state !== "verified") return;
    await cancelRequest(aContext(this.base), row);
    asked.state = "revoked";
  }

  /** One run of the engine's job. */
  turn(): Promise<void> {
    return this.working(() => carryOut(this.base));
  }

  /** The jobs of a minute, and of an hour now and then. */
  async cron(): Promise<void> {
    this.base.advance(MINUTE);
    for (const cron of ["* * * * *", "*/10 * * * *", "7 * * * *"])
      if (this.below(3) > 0) await this.working(() => runCron(this.base, cron));
  }

  private async working(work: () => Promise<unknown>): Promise<void> {
    await this.look();
    const rowsNow = async () =>
      (await this.base.db.$client.execute("SELECT name, state, frozen_at, type, account_id FROM requests")).rows;
    const before = new Map((await rowsNow()).map(({ name, state }) => [name, state]));
    await work();
    for (const { name, state, frozen_at: frozenAt, type, account_id: accountId } of await rowsNow()) {
      // What was deleted or replaced is followed by another secret of the account's own.
      const isWorkedOn = state !== "verified" && (state !== before.get(name) || state !== "cleared");
      if (type === "correct" && isWorkedOn) this.touched.set(`fields ${accountId}`, this.step);
      const asked = this.asked.find((one) => one.name === name && one.state === "open");
      if (asked === undefined || state === "verified") continue;
      this.touch(asked);
      if (state === "cleared") this.cleared(asked, Number(frozenAt));
    }
  }

  /** Carries out everything that is open. */
  async finish(): Promise<void> {
    for (let run = 0; run < 30 && this.asked.some(({ state }) => state === "open"); run++) {
      await this.turn();
      this.base.advance(LIMITS.erasureRetryMaxMs + LIMITS.erasureLeaseMs);
    }
  }

  private touch({ accountId, scope }: Asked): void {
    const what = {
      account: [`account ${accountId}`],
      devices: scope.kind === "devices" ? scope.devices.map((id) => `device ${id}`) : [],
      range: scope.kind === "range" ? [`device ${scope.device}`] : [],
      tracks: [`tracks ${accountId}`],
      categories: [`fields ${accountId}`],
      fields: [`fields ${accountId}`],
    }[scope.kind];
    for (const one of what) this.touched.set(one, this.step);
  }

  /** Whether something was worked on since a backup, or was then. */
  since(backup: Backup, what: string): boolean {
    return (this.touched.get(what) ?? -1) >= backup.step || this.open.has(what);
  }
  /** What erasures that are not over are about. */
  open = new Set<string>();

  private cleared(asked: Asked, frozenAt: number): void {
    asked.state = "cleared";
    const { accountId, scope } = asked;
    const last = this.known.get(accountId);
    const isBefore = (fix: number) => fix < frozenAt + 1;
    const bury = (device: Device, goes: (fix: number) => boolean) => {
      for (const { fixTime } of last?.devices.get(device.id)?.positions ?? []) {
        if (goes(Date.parse(fixTime))) this.gone.fixes.set(`${device.id} ${Date.parse(fixTime)}`, device);
      }
    };
    const account = this.accounts.find(({ id }) => id === accountId);
    const devices = account?.devices ?? [];
    if (scope.kind === "account") {
      for (const device of devices) bury(device, () => true);
      this.gone.accounts.add(accountId);
      this.accounts = this.accounts.filter(({ id }) => id !== accountId);
      for (const value of this.valuesIn(last, PROFILE)) this.gone.values.add(value);
    }
    if (scope.kind === "devices") {
      for (const id of scope.devices) {
        const device = devices.find((one) => one.id === id);
        if (device !== undefined) bury(device, () => true);
        this.gone.devices.set(id, accountId);
      }
      if (account !== undefined) account.devices = devices.filter(({ id }) => !scope.devices.includes(id));
    }
    if (scope.kind === "tracks") for (const device of devices) bury(device, isBefore);
    if (scope.kind === "range") {
      const device = devices.find(({ id }) => id === scope.device);
      if (device !== undefined) bury(device, (fix) => fix >= scope.from && fix < scope.to && isBefore(fix));
    }
    if (scope.kind === "fields" || scope.kind === "categories") {
      const users = erasable(scope).find(({ name }) => name === "users");
      const columns = PROFILE.filter((column) => users?.columns.some(({ name }) => name === column));
      for (const value of this.valuesIn(last, columns)) this.gone.values.add(value);
    }
  }

  private valuesIn(reading: Reading | undefined, columns: readonly (typeof PROFILE)[number][]): string[] {
    return columns.map((column) => String(reading?.user[column] ?? "")).filter((value) => value.endsWith("."));
  }

  // What can be read.

  /** What was read last, before what is erased next. */
  known = new Map<number, Reading>();

  /** What is frozen is not read any more: then it is as it was. */
  async look(): Promise<void> {
    for (const [id, reading] of await this.readAll(this.accounts)) {
      const { devices } = this.known.get(id) ?? reading;
      this.known.set(id, { ...reading, devices: new Map([...devices, ...reading.devices]) });
    }
  }

  async track(accountId: number, deviceId: number): Promise<Position[]> {
    const ctx = aContext(this.base, asKey(accountId));
    const all: Position[] = [];
    for (let cursor: string | undefined; ; ) {
      const page = await history(ctx, deviceId, { limit: 1000, ...(cursor === undefined ? {} : { cursor }) });
      all.push(...page.data);
      if (page.nextCursor === null) return all;
      cursor = page.nextCursor;
    }
  }

  async readAll(accounts: readonly Account[]): Promise<Map<number, Reading>> {
    const readings = new Map<number, Reading>();
    for (const { id, userId, devices } of accounts) {
      const reading = await this.read(id, userId, devices);
      if (reading !== null) readings.set(id, reading);
    }
    return readings;
  }

  /** @returns null: there is no such account, or it is frozen */
  private async read(accountId: number, userId: number, devices: readonly Device[]): Promise<Reading | null> {
    const { db } = this.base;
    const [account] = await db.select().from(schema.accounts).where(eq(schema.accounts.id, accountId));
    if (account === undefined || account.frozenAt !== null) return null;
    const users = and(eq(schema.users.accountId, accountId), eq(schema.users.id, userId));
    const [openAccount] = await db.$fields.open("accounts", [account], accountId);
    const [openUser] = await db.$fields.open("users", await db.select().from(schema.users).where(users), accountId);
    const reading: Reading = { account: openAccount as Row, user: openUser as Row, devices: new Map() };
    for (const { id } of devices) {
      const where = and(eq(schema.devices.accountId, accountId), eq(schema.devices.id, id));
      const [row] = await db.$fields.open("devices", await db.select().from(schema.devices).where(where), accountId);
      if (row === undefined || (row as Row).deletingAt !== null) continue;
      reading.devices.set(id, { row: row as Row, positions: await this.track(accountId, id) });
    }
    return reading;
  }

  // What operators do.

  async backUp(): Promise<void> {
    await this.base.db.$client.execute("PRAGMA wal_checkpoint(TRUNCATE)");
    const path = join(this.folder, `backup-${this.backups.length}.db`);
    cpSync(join(this.folder, "main.db"), path);
    this.backups.push({
      ...{
        path,
        step: this.step++,
        accounts: structuredClone(this.accounts),
        readings: await this.readAll(this.accounts),
      },
      settledAt: this.settledAt,
      entries: await this.count("SELECT count(*) FROM ledger"),
    });
  }

  /** Puts a copy in place of the file: an isolate starts over it. @returns whether the ledger is longer than it knows */
  async putBack(backup: Backup): Promise<boolean> {
    const now = this.base.now();
    const behind = ((await mirrorHead(this.base))?.size ?? 0) > backup.entries;
    await this.end();
    const live = join(this.folder, "main.db");
    for (const file of ["-wal", "-shm", "-journal"]) rmSync(live + file, { force: true });
    cpSync(backup.path, live);
    await this.openAt(now);
    this.settledAt = backup.settledAt;
    this.accounts = structuredClone(backup.accounts).filter(({ id }) => !this.gone.accounts.has(id));
    for (const account of this.accounts)
      account.devices = account.devices.filter(({ id }) => !this.gone.devices.has(id));
    return behind;
  }
}
