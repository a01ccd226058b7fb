import { Buffer } from "node:buffer";
import { setTimeout as sleep } from "node:timers/promises";
import { readRequest } from "../../../codec/envelope.ts";
import { LIMITS } from "../limits.ts";
import { eventually, Restartable } from "../processes.ts";
import { type Answer, type Exchange, type Fault, pass } from "../proxy.ts";
import type { Scenario, Trial } from "../trial.ts";

const json = (status: number, body: unknown): Answer => ({
  status,
  headers: { "content-type": "application/json" },
  body: Buffer.from(JSON.stringify(body)),
});

/** What a libSQL server says in its bad hours, in the words of its protocol; the text names the cases in the result. */
const ANSWERS: Record<string, (exchange: Exchange) => Promise<void>> = {
  "stream expired": async (exchange) =>
    exchange.answer(json(400, { message: "The stream has expired due to inactivity", code: "STREAM_EXPIRED" })),
  "database is locked": async (exchange) => {
    const { requests } = JSON.parse(exchange.body.toString("utf8")) as { requests: { type: string }[] };
    const results = requests.map(({ type }) =>
      type === "close"
        ? { type: "ok", response: { type: "close" } }
        : { type: "error", error: { message: "SQLite error: database is locked", code: "SQLITE_BUSY" } },
    );
    exchange.answer(json(200, { baton: null, base_url: null, results }));
  },
  blocked: async (exchange) => exchange.answer(json(429, { message: "Operation was blocked", code: "BLOCKED" })),
  "no answer after commit": async (exchange) => {
    await exchange.forward().catch(() => {});
    exchange.drop();
  },
  "half an answer after commit": async (exchange) => {
    try {
      exchange.answerHalf(await exchange.forward());
    } catch {
      exchange.drop();
    }
  },
  "cut before": async (exchange) => exchange.drop(),
};

/** What the harness itself reads is answered properly: while it does, so is everything else. */
class Calm {
  #readers = 0;

  get now(): boolean {
    return this.#readers > 0;
  }

  async during<T>(work: () => Promise<T>): Promise<T> {
    this.#readers++;
    try {
      return await work();
    } finally {
      this.#readers--;
    }
  }
}

function moody(trial: Trial, probability: number, calm: Calm): Fault {
  const names = Object.keys(ANSWERS);
  return async (exchange) => {
    if (calm.now || exchange.method !== "POST" || !trial.whim.chance(probability)) return pass(exchange);
    const name = trial.whim.pick(names);
    exchange.note(name);
    return ANSWERS[name]!(exchange);
  };
}

/** Batches whose answer was a failure, and those of them of which a part was in the database then. */
interface Atomicity {
  failed: number;
  partial: number;
}

/**
 * Between the bridge and the edge: when the edge answers with a failure, looks what of the batch is in the database before
 * the bridge may try again. What was there before the request does not count: the bridge may have sent it twice.
 */
function inspecting(trial: Trial, seen: Atomicity, calm: Calm): Fault {
  const stored = (frames: readonly Uint8Array[]): Promise<number[]> =>
    calm.during(() => Promise.all(frames.map((frame) => trial.storedRecords(frame))));
  return async (exchange) => {
    const frames: Uint8Array[] = [];
    if (exchange.body.length > 0) {
      for (const entry of readRequest(exchange.body)) if (entry.kind === "frame") frames.push(entry.bytes.slice());
    }
    // A sample of the batch is enough: one statement takes all or nothing.
    const sample = frames.filter((_, i) => i % Math.ceil(frames.length / LIMITS.inspectedFrames) === 0);
    let before: number[];
    try {
      before = await stored(sample);
    } catch {
      return pass(exchange);
    }
    let answer: Answer;
    try {
      answer = await exchange.forward();
    } catch {
      return exchange.drop();
    }
    if (answer.status >= 500 && sample.length > 1) {
      try {
        const fresh = (await stored(sample)).filter((_, i) => before[i] === 0);
        seen.failed++;
        if (fresh.some((count) => count === 0) && fresh.some((count) => count > 0)) seen.partial++;
      } catch {
        // The database is away: nothing can be said about this batch.
      }
    }
    exchange.answer(answer);
  };
}

async function holdLock(trial: Trial, holdMs: number): Promise<void> {
  const { world } = trial;
  const holder = new Restartable({
    name: "lock holder",
    arguments: [new URL("../locking.ts", import.meta.url).pathname],
    env: { DATABASE_PATH: world.databasePath, HOLD_MS: String(holdMs) },
    ready: /locked/,
    log: `${world.folder}/locking.log`,
  });
  await holder.start({}, true);
  await holder.ended(holdMs + LIMITS.processMs);
}

async function busyDatabase(trial: Trial): Promise<string> {
  const { world, random, size } = trial;
  const seen: Atomicity = { failed: 0, partial: 0 };
  const calm = new Calm();
  world.edge.fault = inspecting(trial, seen, calm);
  const locks = Math.max(1, Math.round(size.faults / 10));
  // A third of the positions for each part.
  trial.fleet.step(0, 3 * locks);
  await trial.fleet.send();
  for (let i = 0; i < locks; i++) {
    trial.fleet.step(i, 3 * locks);
    // Longer than libsqld waits for the lock, every third time.
    const holdMs = i % 3 === 1 ? size.longestMs : random.int(300, Math.min(3_000, size.longestMs));
    trial.plan(`another program holds the write lock for ${holdMs} ms`);
    await holdLock(trial, holdMs);
    await sleep(random.int(100, 500));
  }
  trial.plan("the database answers wrongly, cuts, or commits in silence, every second time");
  trial.fleet.step(1, 3);
  world.database.fault = moody(trial, 0.5, calm);
  const from = performance.now();
  const spoiled = (): number => world.database.log.filter((line) => line.at >= from && line.fault !== "").length;
  await eventually(LIMITS.drainMs, () => spoiled() >= size.faults);
  const answers = spoiled();
  world.database.fault = pass;
  for (let i = 0; i < size.kills; i++) {
    trial.fleet.step(2 * size.kills + i, 3 * size.kills);
    const afterMs = random.int(0, 500);
    trial.plan(`SIGKILL of libsqld after ${afterMs} ms`);
    await sleep(afterMs);
    await world.libsqld.kill();
    trial.kills++;
    await sleep(random.int(0, 500));
    await world.libsqld.start();
    await sleep(random.int(300, 1_000));
  }
  trial.check(seen.partial === 0, `${seen.partial} of ${seen.failed} failed batches were stored in part`);
  return `${locks} foreign locks, ${answers} bad answers, ${size.kills} kills of libsqld; ${seen.failed} failed batches looked at, ${seen.partial} stored in part`;
}

export const BUSY: Scenario = {
  row: 21,
  title: "database locked, stream expired",
  injection: "another program holds the write lock; bad or lost answers of the database; kill -9 of libsqld",
  pass: "whole batch repeated, never stored in part, nothing lost or doubled",
  share: { positions: 0.06, kills: 0.13, faults: 0.3, shortFaults: 2 },
  run: busyDatabase,
};
