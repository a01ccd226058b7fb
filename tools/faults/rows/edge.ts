import { setTimeout as sleep } from "node:timers/promises";
import { readResponse } from "../../../codec/envelope.ts";
import { identifierOf } from "../frames.ts";
import { commitThenDrop, failing, poisoned, rateLimited, repeated, sluggish, tooLarge } from "../injections.ts";
import { LIMITS } from "../limits.ts";
import { Peer } from "../peers.ts";
import { eventually } from "../processes.ts";
import type { Answer, LogLine } from "../proxy.ts";
import { makeFrame } from "../trackers.ts";
import type { Scenario, Trial } from "../trial.ts";

/** Frames in a bridge's request: the count stands after the four bytes of the mark. */
function framesIn(body: Buffer): number {
  return body.length >= 8 ? body.readUInt32LE(4) : 0;
}

/** The requests that a fault answered since then. */
function faulted(trial: Trial, since: number): LogLine[] {
  return trial.world.edge.log.filter((line) => line.at >= since && line.fault !== "");
}

async function bursts(trial: Trial): Promise<string> {
  const { world, random, size } = trial;
  trial.fleet.step(0, size.faults);
  await trial.fleet.send();
  const startedAt = performance.now();
  let asked = 0;
  for (let i = 0; i < size.faults; i++) {
    trial.fleet.step(i, size.faults);
    // One long outage at the end shows the growing pauses; the short ones hit what is under way.
    const ms = i === size.faults - 1 ? size.longestMs : random.int(100, 1_500);
    const pauseMs = random.int(100, 800);
    trial.plan(`edge fails for ${ms} ms, works for ${pauseMs} ms`);
    const from = performance.now();
    world.edge.fault = failing([500, 502, 503], trial.whim);
    await eventually(LIMITS.drainMs, () => faulted(trial, from).length > 0);
    await sleep(ms);
    asked = faulted(trial, from).length;
    world.edge.fault = world.pass;
    // Bursts in which no request gets through between them are one long outage.
    const healedAt = performance.now();
    await eventually(LIMITS.drainMs, () => world.edge.log.some((line) => line.at > healedAt));
    await sleep(pauseMs);
  }
  trial.check(asked <= LIMITS.outageRequests, `${asked} requests in the last outage: no growing pause`);
  const failed = faulted(trial, startedAt).length;
  return `${size.faults} bursts, ${failed} answers 5xx, ${asked} of them in the last burst of ${size.longestMs} ms`;
}

export const BURSTS: Scenario = {
  row: 6,
  title: "edge 500/502/503",
  injection: "bursts of 500, 502 and 503 instead of the edge",
  pass: "nothing lost, growing pauses, drained afterwards",
  share: { positions: 0.06, faults: 0.3, shortFaults: 1 },
  run: bursts,
};

async function quota(trial: Trial): Promise<string> {
  const { world, random, size } = trial;
  trial.fleet.step(0, size.faults);
  await trial.fleet.send();
  let early = 0;
  let answered = 0;
  for (let i = 0; i < size.faults; i++) {
    trial.fleet.step(i, size.faults);
    const seconds = random.int(1, Math.max(2, Math.round(size.longestMs / 3_000)));
    const form = random.pick(["seconds", "date"] as const);
    trial.plan(`429, Retry-After ${seconds} s as ${form}`);
    const from = performance.now();
    world.edge.fault = rateLimited(seconds, form);
    await eventually(LIMITS.drainMs, () => faulted(trial, from).length > 0);
    const first = faulted(trial, from)[0]!.at;
    // A date has whole seconds: it may name a moment up to a second sooner.
    const until = first + seconds * 1000 - (form === "date" ? 1_000 : 0) - LIMITS.clockSlackMs;
    await sleep(Math.max(0, until - performance.now()));
    // Requests already on their way when the first 429 was written are not the sender's fault.
    const within = world.edge.log.filter((line) => line.at > first + LIMITS.clockSlackMs && line.at < until);
    early += within.length;
    answered += faulted(trial, from).length;
    world.edge.fault = world.pass;
    await sleep(random.int(200, 1_200));
  }
  trial.check(early === 0, `${early} requests before Retry-After was over`);
  return `${size.faults} times 429 (${answered} answers), ${early} requests too early`;
}

export const QUOTA: Scenario = {
  row: 7,
  title: "edge 429",
  injection: "429 with Retry-After in seconds or as a date",
  pass: "no request before the time is over, nothing lost",
  share: { positions: 0.04, faults: 0.1, shortFaults: 1 },
  run: quota,
};

async function poison(trial: Trial): Promise<string> {
  const { world, random, size } = trial;
  trial.fleet.step(0, 2 * size.faults);
  await trial.fleet.send();
  const parkedBefore = await world.metric("parked");
  const senders = await trial.fleet.register("AAA", Math.min(size.faults, 20), false);
  const needles: Buffer[] = [];
  trial.excuse((device) => senders.includes(device));
  world.edge.fault = poisoned(needles, trial.whim);
  const from = performance.now();
  for (let i = 0; i < size.faults; i++) {
    trial.fleet.step(i, 2 * size.faults);
    const device = senders[i % senders.length]!;
    const frame = makeFrame(world, device, identifierOf(i), device.take(1), 0);
    needles.push(Buffer.from(frame.bytes));
    trial.plan(`poison frame from device ${device.id}`);
    world.ledger.sent(device, frame, false);
    const peer = new Peer(world.bridgePort);
    trial.onEnd(() => peer.destroy());
    await peer.write(frame.bytes);
    await sleep(random.int(0, 300));
  }
  const parked = async (): Promise<number> => (await world.metric("parked")) - parkedBefore;
  await eventually(LIMITS.drainMs, async () => (await parked()) >= needles.length);
  trial.check((await parked()) === needles.length, `${await parked()} frames set aside, poison were ${needles.length}`);
  const refused = faulted(trial, from).length;
  const most = random.int(1_500, 4_000);
  trial.fleet.step(1, 2);
  trial.plan(`413 above ${most} bytes`);
  world.edge.fault = tooLarge(most);
  await sleep(Math.min(size.longestMs, 3_000));
  const large = faulted(trial, from).length - refused;
  trial.check(large > 0, "no batch was too large");
  trial.check((await parked()) === needles.length, "a frame was set aside although a smaller batch would have passed");
  return `${needles.length} poison frames (${refused} batches refused), then 413 above ${most} bytes (${large} refused)`;
}

export const POISON: Scenario = {
  row: 8,
  title: "400/413 for a batch",
  injection: "400 or 413 for each batch that holds a chosen frame, then 413 above a size",
  pass: "exactly the chosen frames set aside, all others delivered",
  share: { positions: 0.05, faults: 0.3, shortFaults: 3 },
  run: poison,
};

async function lostReplies(trial: Trial): Promise<string> {
  const { world, size } = trial;
  const startedAt = performance.now();
  let frames = 0;
  world.edge.fault = commitThenDrop(0.5, trial.whim, (body) => {
    frames += framesIn(body);
  });
  await trial.fleet.send();
  const lost = (): number => faulted(trial, startedAt).length;
  await eventually(LIMITS.drainMs, () => lost() >= size.faults);
  trial.check(lost() >= size.faults, `only ${lost()} replies were lost`);
  return `${lost()} replies lost after the commit, for ${frames} frames`;
}

export const LOST_REPLIES: Scenario = {
  row: 9,
  title: "reply lost after commit",
  injection: "the edge commits, then the connection is cut before or in the middle of the answer, every second time",
  pass: "duplicated 0",
  share: { positions: 0.1, faults: 1, shortFaults: 5 },
  run: lostReplies,
};

async function slowEdge(trial: Trial): Promise<string> {
  const { world, size } = trial;
  const startedAt = performance.now();
  world.edge.fault = sluggish(trial.whim, size.longestMs / 4, size.longestMs);
  await trial.fleet.send();
  await eventually(LIMITS.drainMs, () => faulted(trial, startedAt).length >= size.faults);
  const counts = new Map<string, number>();
  for (const { fault } of faulted(trial, startedAt)) counts.set(fault, (counts.get(fault) ?? 0) + 1);
  return [...counts].map(([what, count]) => `${count} ${what}`).join(", ");
}

export const SLOW: Scenario = {
  row: 10,
  title: "slow edge, half answers",
  injection: "answers that come late, never, or only to the half",
  pass: "nothing lost or doubled, drained afterwards",
  share: { positions: 0.03, faults: 0.2, shortFaults: 4 },
  longOnly: true,
  run: slowEdge,
};

/** The replies to the trackers in an answer, in order: what must be the same whoever was first. */
function repliesIn(answer: Answer): string {
  const replies: string[] = [];
  for (const { reply } of readResponse(answer.body).frames) replies.push(Buffer.from(reply).toString("hex"));
  return replies.join();
}

async function concurrent(trial: Trial): Promise<string> {
  const { world, size } = trial;
  const startedAt = performance.now();
  let different = 0;
  world.edge.fault = repeated(8, (answers) => {
    if (new Set(answers.map(repliesIn)).size > 1) different++;
  });
  await trial.fleet.send();
  await eventually(LIMITS.drainMs, () => faulted(trial, startedAt).length >= size.faults);
  trial.check(different === 0, `${different} batches got different replies`);
  return `${faulted(trial, startedAt).length} requests sent eight times at once, ${different} with different replies`;
}

export const CONCURRENT: Scenario = {
  row: 11,
  title: "same POST eight times",
  injection: "each request reaches the edge eight times at the same time",
  pass: "one set of rows, the same replies in all answers",
  share: { positions: 0.04, faults: 0.3, shortFaults: 4 },
  run: concurrent,
};

async function killEdge(trial: Trial): Promise<string> {
  const { world, random, size } = trial;
  trial.fleet.step(0, size.kills);
  await trial.fleet.send();
  for (let i = 0; i < size.kills; i++) {
    trial.fleet.step(i, size.kills);
    const afterMs = random.int(0, 60);
    const host = i % 4 === 3;
    trial.plan(`SIGKILL of ${host ? "the edge's host" : "workerd"} ${afterMs} ms into a request`);
    await new Promise<void>((done, fail) => {
      const kill = async (): Promise<void> => {
        await sleep(afterMs);
        // Usually workerd alone; sometimes everything that belongs to it.
        await (host ? world.killRuntimeHost() : world.killRuntime());
      };
      let armed = true;
      world.edge.fault = async (exchange) => {
        if (!armed || framesIn(exchange.body) === 0) return world.pass(exchange);
        armed = false;
        exchange.note("killed");
        await Promise.all([world.pass(exchange), kill()]).then(() => done(), fail);
      };
    });
    trial.kills++;
    await sleep(random.int(300, 1_500));
  }
  return `${size.kills} kills of the edge's runtime with a request under way`;
}

export const EDGE_KILLS: Scenario = {
  row: 24,
  title: "kill -9 of the edge",
  injection: "SIGKILL of workerd while it handles a batch",
  pass: "no part of a batch stored without the rest for good, nothing lost or doubled",
  share: { positions: 0.05, kills: 0.12, faults: 0, shortFaults: 0 },
  run: killEdge,
};
