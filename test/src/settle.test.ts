import { createClient } from "@libsql/client";
import { drizzle } from "drizzle-orm/libsql/node";
import fc from "fast-check";
import { expect, test } from "vitest";
import { OUTCOMES } from "../../codec/envelope.ts";
import type { Ctx, Db } from "../../src/context.ts";
import { runJob } from "../../src/jobs.ts";
import { keepingOf } from "../../src/periods.ts";
import { events, extentOf, feed, history, latest, type Page, type StoredPosition } from "../../src/positions.ts";
import { removeDevice } from "../../src/retention.ts";
import { settle, tidy } from "../../src/settle.ts";
import { readFixes } from "../../src/store/newest.ts";
import * as schema from "../../src/store/schema.ts";
import { mainTelemetry } from "../../src/telemetry.ts";
import {
  aBase,
  aContext,
  aDatabase,
  aDatabaseFile,
  aDevice,
  anAccount,
  asKey,
  NOON,
  type TestBase,
  type TestDatabase,
} from "../database.ts";
import { intrude } from "./intrude.ts";
import {
  type ModelDevice,
  type ModelPosition,
  type ModelRecord,
  type Sending,
  send,
  TrackModel,
} from "./track-model.ts";

// Random trackers, arrivals and jobs against a model of a dozen lines. After each step every read must show what the model does.

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** When a record says that it was made, before it is received; a negative one is ahead. */
const AGES = [
  0,
  3 * SECOND,
  MINUTE,
  20 * MINUTE,
  3 * HOUR,
  30 * HOUR,
  9 * DAY,
  29 * DAY + 23 * HOUR,
  60 * DAY,
  401 * DAY,
];
const AHEAD = [-30 * SECOND, -9 * MINUTE, -11 * MINUTE, -2 * HOUR, -23 * HOUR, -26 * HOUR];
const NO_CLOCK = Date.UTC(2009, 1, 15);
/** What is sent again comes within this time, in which the store knows it again. */
const AGAIN_MS = 7 * DAY;

const sending = fc.record({
  device: fc.nat(),
  /** Sends a record of before again. */
  again: fc.option(fc.nat(), { nil: null, freq: 3 }),
  age: fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(...AGES) },
    { weight: 2, arbitrary: fc.constantFrom(...AHEAD) },
    { weight: 2, arbitrary: fc.constant("none" as const) },
  ),
  jitter: fc.nat(1000),
  late: fc.constantFrom(0, 0, 0, 1, 2 * SECOND, 5 * MINUTE),
  event: fc.constantFrom(35, 35, 35, 31, 1, 19),
  valid: fc.boolean(),
});
const isolate = fc.constantFrom(0, 1);
const WAITS = [MINUTE, 11 * MINUTE, 40 * MINUTE, 5 * HOUR, DAY, 9 * DAY, 40 * DAY];
const STEPS = {
  send: fc.record({
    do: fc.constant("send" as const),
    isolate,
    sendings: fc.array(sending, { minLength: 1, maxLength: 12 }),
  }),
  burst: fc.record({
    do: fc.constant("burst" as const),
    isolate,
    device: fc.nat(),
    count: fc.integer({ min: 50, max: 400 }),
    everyS: fc.constantFrom(1, 10, 40, 300),
  }),
  wait: fc.record({ do: fc.constant("wait" as const), ms: fc.constantFrom(...WAITS) }),
  /** As if the lease had run out under the first settler. */
  twice: fc.record({ do: fc.constant("settle twice" as const) }),
  job: fc.record({
    do: fc.constantFrom("merge" as const, "settle" as const, "settle" as const, "tidy" as const),
    isolate,
  }),
  retention: fc.record({ do: fc.constantFrom("purge" as const, "finish" as const), isolate }),
  register: fc.record({ do: fc.constant("register" as const), account: fc.nat() }),
  remove: fc.record({ do: fc.constant("remove" as const), device: fc.nat(), isolate }),
};
const simple = fc.oneof(
  { weight: 12, arbitrary: STEPS.send },
  { weight: 2, arbitrary: STEPS.burst },
  { weight: 6, arbitrary: STEPS.wait },
  { weight: 2, arbitrary: STEPS.twice },
  { weight: 8, arbitrary: STEPS.job },
  { weight: 3, arbitrary: STEPS.retention },
  { weight: 1, arbitrary: STEPS.register },
  { weight: 1, arbitrary: STEPS.remove },
);
/** One thing after some round trip of another. */
const amid = fc.record({
  do: fc.constant("amid" as const),
  outer: fc.oneof(STEPS.send, STEPS.job, STEPS.job, STEPS.retention, STEPS.remove),
  trip: fc.nat(12),
  inner: fc.oneof(STEPS.send, STEPS.job, STEPS.job, STEPS.retention, STEPS.remove),
});
const READS = ["asc", "desc", "events", "extent", "latest", "feed"] as const;
const readAmid = fc.record({
  do: fc.constant("read amid" as const),
  read: fc.constantFrom(...READS),
  device: fc.nat(),
  trip: fc.nat(3),
  inner: fc.oneof(STEPS.job, STEPS.retention),
});
const step = fc.oneof(
  { weight: 6, arbitrary: simple },
  { weight: 2, arbitrary: amid },
  { weight: 2, arbitrary: readAmid },
);
type Simple = typeof simple extends fc.Arbitrary<infer T> ? T : never;
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** How one look at everything is done. */
const look = fc.record({
  limit: fc.constantFrom(1, 2, 3, 7, 100, 1000),
  from: fc.nat(1000),
  to: fc.nat(1000),
  cursor: fc.nat(),
});
type Look = typeof look extends fc.Arbitrary<infer T> ? T : never;

class World {
  readonly model = new TrackModel();
  readonly devices: ModelDevice[] = [];
  readonly accounts: number[] = [];
  readonly sent: { record: ModelRecord; at: number }[] = [];
  /** A reader of each account's feed that goes on from its last cursor. */
  readonly readers = new Map<number, { cursor: string | undefined; got: Set<number> }>();
  readonly database: TestDatabase;
  readonly bases: TestBase[];
  #number = 1;

  constructor(database: TestDatabase, bases: TestBase[]) {
    this.database = database;
    this.bases = bases;
  }

  static async make(database: TestDatabase, bases: TestBase[]): Promise<World> {
    const world = new World(database, bases);
    for (let n = 0; n < 2; n++) {
      const account = await anAccount(database.db);
      world.accounts.push(account);
      world.readers.set(account, { cursor: undefined, got: new Set() });
      for (let of = 0; of < 2; of++) await world.register(account);
    }
    return world;
  }

  get now(): number {
    return this.bases[0]!.now();
  }

  ctx(accountId: number): Ctx {
    return aContext(this.bases[this.#number % this.bases.length]!, asKey(accountId));
  }

  async register(accountId: number): Promise<void> {
    const { id, imei } = await aDevice(this.database.db, { accountId, createdAt: 0 });
    const days = this.devices.length % 2 === 1 ? 30 : null;
    if (days !== null) {
      await this.database.client.execute({
        sql: "UPDATE devices SET retention_days = ? WHERE id = ?",
        args: [days, id],
      });
    }
    const row = {
      deviceId: id,
      timeZone: "UTC",
      accountDays: null,
      groupId: null,
      groupDays: null,
      deviceDays: days,
      floor: 0,
    };
    this.devices.push({ id, accountId, imei, keeping: keepingOf(row, 3) });
  }

  living(): ModelDevice[] {
    return this.devices.filter(({ id }) => !this.model.removed.has(id));
  }

  async send(isolate: number, sendings: Sending[]): Promise<void> {
    const isRemoved = sendings.map(({ record }) => this.model.removed.has(record.device.id));
    const outcomes = await send(this.bases[isolate]!, sendings);
    for (const [i, one] of sendings.entries()) {
      const fresh = !isRemoved[i] && this.model.arrive(one);
      if (isRemoved[i]) expect(outcomes[i]).toBe(OUTCOMES.unknown_device);
      // Removed meanwhile: before or after what was sent came.
      else if (this.model.removed.has(one.record.device.id)) continue;
      else if (fresh) expect(outcomes[i]).toBe(OUTCOMES.stored);
      else expect([OUTCOMES.stored, OUTCOMES.duplicate]).toContain(outcomes[i]);
      if (!isRemoved[i]) this.sent.push({ record: one.record, at: this.now });
    }
  }

  /** Does something else after a round trip to the database from now on. @returns ends the wait for it */
  intrude(trip: number, what: () => Promise<void>): () => boolean {
    return intrude(this.database.client, trip, what);
  }

  async do(step: Step): Promise<void> {
    if (step.do === "amid") {
      const end = this.intrude(step.trip, () => this.doSimple(step.inner));
      await this.doSimple(step.outer);
      end();
    } else if (step.do === "read amid") {
      const device = this.living()[step.device % this.living().length]!;
      const end = this.intrude(step.trip, () => this.doSimple(step.inner));
      await this.readOne(step.read, device);
      end();
    } else await this.doSimple(step);
  }

  /** One read that is not told apart from what happens meanwhile. */
  async readOne(read: (typeof READS)[number], device: ModelDevice): Promise<void> {
    const { model, now } = this;
    const ctx = this.ctx(device.accountId);
    const track = model.track(device, now).map(briefly);
    const devices = this.living().filter(({ accountId }) => accountId === device.accountId);
    if (read === "asc" || read === "desc") {
      const shown = await this.pages((of) => history(ctx, device.id, { order: read, limit: 100, ...of }));
      expect(shown.map(brief)).toEqual(read === "asc" ? track : track.reverse());
    } else if (read === "events") {
      const shown = await this.pages((of) => events(ctx, device.id, { limit: 100, ...of }));
      expect(shown.map(brief)).toEqual(model.events(device, now).map(briefly));
    } else if (read === "extent") expect((await extentOf(ctx, device.id)).positions).toBe(track.length);
    else if (read === "latest") await this.checkLatest(ctx, devices, 100);
    else {
      const { got } = await this.feedFrom(ctx, undefined, 50);
      expect(got.map(brief)).toEqual(model.feed(devices, now).map(briefly));
    }
  }

  async doSimple(step: Simple): Promise<void> {
    const { now } = this;
    const base = this.bases["isolate" in step ? step.isolate : 0]!;
    const telemetry = mainTelemetry(base);
    const pick = <T>(list: readonly T[], n: number) => list[n % list.length]!;
    if (step.do === "send") {
      const sendings = step.sendings.flatMap(({ device, again, age, jitter, late, event, valid }): Sending[] => {
        const receivedAt = now - late;
        const lately = this.sent.filter(({ at }) => at > now - AGAIN_MS);
        if (again !== null && lately.length > 0) return [{ record: pick(lately, again).record, receivedAt }];
        const seconds = Math.floor(receivedAt / SECOND) * SECOND;
        const deviceTime = age === "none" ? NO_CLOCK : seconds - age - (age > 0 ? jitter * SECOND : 0);
        const record = { device: pick(this.devices, device), number: this.#number++, deviceTime, event, valid };
        return [{ record, receivedAt }];
      });
      await this.send(step.isolate, sendings);
    } else if (step.do === "burst") {
      const device = pick(this.devices, step.device);
      const sendings = Array.from({ length: step.count }, (_, i) => ({
        record: { device, number: this.#number++, deviceTime: now - i * step.everyS * SECOND, event: 35, valid: true },
        receivedAt: now,
      }));
      await this.send(step.isolate, sendings);
    } else if (step.do === "merge") await settle(base, telemetry, { all: true, settle: false });
    else if (step.do === "settle") await settle(base, telemetry, { all: true });
    else if (step.do === "settle twice") {
      // As if the lease had run out under the first one.
      const free = () => this.database.client.execute("UPDATE settlement SET held_until = 0");
      const first = settle(base, telemetry, { all: true });
      await free();
      const second = settle(this.bases[1]!, telemetry, { all: true });
      await free();
      await Promise.all([first, second]);
    } else if (step.do === "tidy") await tidy(base, telemetry);
    else if (step.do === "wait") for (const each of this.bases) each.advance(step.ms);
    else if (step.do === "purge") await runJob(base, "retention");
    else if (step.do === "finish") await runJob(base, "finish-removals");
    else if (step.do === "register") await this.register(pick(this.accounts, step.account));
    else if (step.do === "remove" && this.living().length > 2) {
      const { id } = pick(this.living(), step.device);
      this.model.removed.add(id);
      await this.database.client.execute({ sql: "UPDATE devices SET deleting_at = 1 WHERE id = ?", args: [id] });
      // False when somebody settles at that moment; then the job ends it.
      await removeDevice(base, id);
    }
  }

  /** Compares every read with the model. */
  async check({ limit, from, to, cursor }: Look): Promise<void> {
    const { model, now } = this;
    const tracks = new Map<ModelDevice, StoredPosition[]>();
    for (const device of this.living())
      tracks.set(
        device,
        await this.pages((of) => history(this.ctx(device.accountId), device.id, { limit: 1000, ...of })),
      );
    model.learn([...tracks.values()].flat());
    for (const [device, shown] of tracks) {
      const ctx = this.ctx(device.accountId);
      const track = model.track(device, now);
      expect(shown.map(brief)).toEqual(track.map(briefly));
      const times = track.map(({ fixTime }) => fixTime);
      const [first, last] = [times[from % (times.length || 1)], times[to % (times.length || 1)]].sort(
        (a, b) => a! - b!,
      );
      const window = track.length === 0 ? {} : { from: first!, to: last! };
      const within = track.filter(({ fixTime }) => track.length === 0 || (fixTime >= first! && fixTime < last!));
      const size = Math.max(limit, Math.ceil(track.length / 12));
      const read = (order: "asc" | "desc") =>
        this.pages((of) => history(ctx, device.id, { ...window, order, limit: Math.min(1000, size), ...of }));
      expect((await read("asc")).map(brief)).toEqual(within.map(briefly));
      expect((await read("desc")).map(brief)).toEqual(within.map(briefly).reverse());
      const alarms = await this.pages((of) => events(ctx, device.id, { limit: 100, order: "desc", ...of }));
      expect(alarms.map(brief)).toEqual(model.events(device, now).map(briefly).reverse());
      const some = await this.pages((of) => events(ctx, device.id, { codes: [31, 1], limit: 3, ...of }));
      expect(some.map(brief)).toEqual(track.filter(({ event }) => event === 31 || event === 1).map(briefly));
      expect(await extentOf(ctx, device.id)).toEqual({
        positions: track.length,
        from: times[0] ?? null,
        to: times.at(-1) ?? null,
      });
    }
    for (const accountId of this.accounts) await this.checkAccount(accountId, limit, cursor);
  }

  async checkAccount(accountId: number, limit: number, cursor: number): Promise<void> {
    const { model, now } = this;
    const ctx = this.ctx(accountId);
    const devices = this.living().filter((device) => device.accountId === accountId);
    await this.checkLatest(ctx, devices, limit);
    const arrived = model.feed(devices, now);
    const after = arrived[cursor % (arrived.length + 1)]?.id ?? 0;
    const size = Math.min(1000, Math.max(limit, Math.ceil(arrived.length / 12)));
    const { got } = await this.feedFrom(ctx, after === 0 ? undefined : btoa(String(after)).replaceAll("=", ""), size);
    expect(got.map(brief)).toEqual(arrived.filter(({ id }) => id! > after).map(briefly));

    // One page a step, as a slow reader takes it.
    const reader = this.readers.get(accountId)!;
    const page = await feed(ctx, { limit: size, ...(reader.cursor === undefined ? {} : { cursor: reader.cursor }) });
    reader.cursor = page.nextCursor;
    for (const { id } of page.data) {
      expect(reader.got.has(id)).toBe(false);
      reader.got.add(id);
    }
  }

  async checkLatest(ctx: Ctx, devices: readonly ModelDevice[], limit: number): Promise<void> {
    const shown = await this.pages((of) => latest(ctx, { limit, ...of }));
    const ids = shown.map(({ deviceId }) => deviceId);
    expect(ids).toEqual(devices.map(({ id }) => id).filter((id) => ids.includes(id)));
    for (const device of devices) {
      const fixes = this.model.newest(device, this.now);
      const fix = shown.find(({ deviceId }) => deviceId === device.id);
      const allowed = fixes.length === 0 ? [null] : fixes.map((each) => (each === null ? null : briefly(each)));
      expect(allowed).toContain(fix === undefined ? null : brief(fix));
    }
  }

  /** Lets the readers of the feeds catch up: they have got whatever can be read now. */
  async finish(): Promise<void> {
    for (const [accountId, reader] of this.readers) {
      const { got } = await this.feedFrom(this.ctx(accountId), reader.cursor, 1000);
      for (const { id } of got) expect(reader.got.has(id)).toBe(false);
      const all = new Set([...reader.got, ...got.map(({ id }) => id)]);
      const devices = this.living().filter((device) => device.accountId === accountId);
      expect(this.model.feed(devices, this.now).filter(({ id }) => !all.has(id!))).toEqual([]);
    }
  }

  async feedFrom(ctx: Ctx, cursor: string | undefined, limit: number) {
    const got: StoredPosition[] = [];
    for (;;) {
      const page = await feed(ctx, { limit, ...(cursor === undefined ? {} : { cursor }) });
      got.push(...page.data);
      if (page.data.length === 0 && page.nextCursor === cursor) return { got, cursor };
      cursor = page.nextCursor;
    }
  }

  async pages(read: (of: { cursor?: string }) => Promise<Page<StoredPosition>>): Promise<StoredPosition[]> {
    const data: StoredPosition[] = [];
    let cursor: string | null = null;
    do {
      const page: Page<StoredPosition> = await read(cursor === null ? {} : { cursor });
      data.push(...page.data);
      cursor = page.nextCursor;
    } while (cursor !== null);
    return data;
  }
}

const brief = ({ id, deviceId, odometerM, fixTime, receivedAt, event, valid }: StoredPosition) =>
  `${id} of ${deviceId}: ${odometerM} ${fixTime} ${receivedAt} ${event.code} ${valid}`;
const briefly = ({ id, device, number, fixTime, receivedAt, event, valid }: ModelPosition) =>
  `${id} of ${device.id}: ${number} ${new Date(fixTime).toISOString()} ${new Date(receivedAt).toISOString()} ${event} ${valid}`;

const script = fc.array(fc.tuple(step, look), { minLength: 5, maxLength: 30 });

async function play(
  database: TestDatabase,
  bases: TestBase[],
  steps: readonly (readonly [Step, Look])[],
): Promise<void> {
  const world = await World.make(database, bases);
  for (const [step, look] of steps) {
    await world.do(step);
    await world.check(look);
  }
  await world.finish();
  await removedAreGone(world);
  for (const { logged } of bases) expect(logged.filter((line) => line.includes("broken"))).toEqual([]);
  await leavesNothing(world);
}

/** After the jobs nothing is left of a device that was removed. */
async function removedAreGone({ database, bases, model }: World): Promise<void> {
  const [base] = bases;
  await settle(base!, mainTelemetry(base!), { all: true });
  await runJob(base!, "finish-removals");
  await runJob(base!, "retention");
  const { rows: segments } = await database.client.execute("SELECT DISTINCT device_id FROM segments");
  const { rows: newest } = await database.client.execute("SELECT fixes FROM newest");
  const { rows: devices } = await database.client.execute("SELECT id FROM devices");
  const found = [...segments.map((row) => row[0]), ...devices.map((row) => row[0])];
  for (const row of newest) for (const { deviceId } of readFixes(row[0])) found.push(deviceId);
  expect(found.filter((id) => model.removed.has(Number(id)))).toEqual([]);
}

/** When every period is over, the jobs leave nothing of any track, nor a key of one. */
async function leavesNothing({ database, bases, model, devices }: World): Promise<void> {
  const [base] = bases;
  for (const each of bases) each.advance(100 * DAY);
  await settle(base!, mainTelemetry(base!), { all: true });
  await runJob(base!, "retention");
  for (const table of ["segments", "newest"]) {
    expect((await database.client.execute(`SELECT count(*) FROM ${table}`)).rows[0]![0]).toBe(0);
  }
  for (const device of devices) expect(model.track(device, base!.now())).toEqual([]);
}

const RUNS = Number(process.env.SETTLE_RUNS ?? 12);
const SEED = process.env.SETTLE_SEED;

test("whatever is sent, merged, settled and purged in whatever order, every read shows each record once and in its place", async () => {
  await fc.assert(
    fc.asyncProperty(script, async (steps) => {
      const database = await aDatabase();
      try {
        await play(database, [aBase(database.db), aBase(database.db)], steps);
      } finally {
        database.close();
      }
    }),
    SEED === undefined
      ? // Whoever looks for the smallest example gives the seed that is told.
        { numRuns: RUNS, endOnFailure: true }
      : {
          numRuns: RUNS,
          seed: Number(SEED),
          path: process.env.SETTLE_PATH ?? "",
          endOnFailure: process.env.SETTLE_SHRINK === undefined,
        },
  );
}, 600_000);

const CONCURRENT = fc.oneof(STEPS.send, STEPS.burst, STEPS.job, STEPS.retention, STEPS.twice);
const pairs = fc.array(fc.tuple(fc.oneof(CONCURRENT, STEPS.wait), fc.option(CONCURRENT, { nil: null }), look), {
  minLength: 5,
  maxLength: 20,
});

const PRAGMAS = ["busy_timeout=10000", "secure_delete=ON", "synchronous=OFF"];
/** One, as Deno has it: a pragma belongs to it. */
const connection = (path: string) => createClient({ url: `file:${path}`, concurrency: 1 });

test("the same with two isolates at once, each with a connection of its own to the file of the database", async () => {
  await fc.assert(
    fc.asyncProperty(pairs, async (steps) => {
      const file = await aDatabaseFile();
      const clients = [connection(file.path), connection(file.path)];
      try {
        for (const client of clients) for (const pragma of PRAGMAS) await client.execute(`PRAGMA ${pragma}`);
        const [one, other] = clients.map((client) => drizzle(client, { schema }) as Db);
        const first = aBase(one!);
        const second = Object.assign(aBase(other!), { secrets: first.secrets });
        const world = await World.make({ ...file, db: one!, client: clients[0]! }, [first, second]);
        for (const [one, beside, look] of steps) {
          // Who waits, waits alone: the model has one clock.
          if (one.do === "wait" || beside === null) await world.do(one);
          else
            await Promise.all([world.do({ ...one, isolate: 0 } as Step), world.do({ ...beside, isolate: 1 } as Step)]);
          await world.check(look);
        }
        await world.finish();
        await leavesNothing(world);
      } finally {
        for (const client of clients) client.close();
        file.close();
      }
    }),
    {
      numRuns: Math.ceil(RUNS / 4),
      endOnFailure: true,
      ...(SEED === undefined ? {} : { seed: Number(SEED), path: process.env.SETTLE_PATH ?? "" }),
    },
  );
}, 600_000);

test("a device that is removed at any moment of a settler's work leaves nothing behind", async () => {
  for (let trip = 0; trip < 12; trip++) {
    const database = await aDatabase();
    const world = await World.make(database, [aBase(database.db), aBase(database.db)]);
    const [first, second] = world.devices;
    const record = (device: ModelDevice, number: number) => ({
      device,
      number,
      deviceTime: NOON,
      event: 35,
      valid: true,
    });
    const both = (number: number) =>
      [first!, second!].map((device) => ({ record: record(device, number), receivedAt: NOON }));
    await world.send(0, both(1));
    await world.do({ do: "settle", isolate: 0 });
    await world.send(0, both(2));
    const end = world.intrude(trip, () => world.doSimple({ do: "remove", device: 0, isolate: 1 }));
    await world.do({ do: "settle", isolate: 0 });
    end();
    await removedAreGone(world);
    await world.check({ limit: 7, from: 0, to: 0, cursor: 0 });
    database.close();
  }
});
