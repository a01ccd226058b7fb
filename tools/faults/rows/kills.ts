import { setTimeout as sleep } from "node:timers/promises";
import type { FailPoint } from "../../../bridge/failpoint.ts";
import { LIMITS } from "../limits.ts";
import type { Random } from "../random.ts";
import type { Scenario, Trial } from "../trial.ts";

/** How often each of the bridge's stations is passed before it dies there: by a full fleet all within a second or two. */
const STATIONS: Record<FailPoint, { least: number; most: number }> = {
  A: { least: 20, most: 400 },
  B: { least: 20, most: 400 },
  C: { least: 5, most: 80 },
  D: { least: 5, most: 80 },
  E: { least: 1, most: 12 },
  F: { least: 1, most: 12 },
  G: { least: 1, most: 12 },
  H: { least: 1, most: 12 },
  I: { least: 1, most: 2 },
  J: { least: 1, most: 2 },
};

/** Trackers for which the numbers above are meant. */
const FULL_FLEET = 90;

/** One end of the bridge: at a station, or by a signal from outside after some time. */
interface Kill {
  failpoint: string | null;
  afterMs: number;
}

/** Every second run of the bridge has small segments: they are filled and deleted (station J) while it lives. */
const SMALL_SEGMENTS = { segmentBytes: 1 << 20 };

/**
 * The stations in turn, and after every second one a signal at a random time.
 * @param fleet share of a full fleet that sends: a small one passes the stations less often
 */
function killPlan(random: Random, kills: number, fleet: number): Kill[] {
  const names = Object.keys(STATIONS) as FailPoint[];
  const first = random.int(0, names.length - 1);
  return Array.from({ length: kills }, (_, i) => {
    const afterMs = random.int(30, 1_200);
    if (i % 3 === 2) return { failpoint: null, afterMs };
    const name = names[(first + i - Math.floor(i / 3)) % names.length]!;
    const { least, most } = STATIONS[name]!;
    return { failpoint: `${name}:${Math.ceil(random.int(least, most) * fleet)}`, afterMs };
  });
}

/** Starts the bridge again and notes how long the trackers had nobody to talk to. */
async function reviveBridge(trial: Trial, failpoint: string | null): Promise<number> {
  const ms = await trial.world.startBridge(failpoint);
  trial.bridgeBack();
  return ms;
}

async function killBridge(trial: Trial): Promise<string> {
  const { world, random, size } = trial;
  const fleet = Math.min(1, Object.values(size.trackers).reduce((sum, count) => sum + count) / FULL_FLEET);
  trial.fleet.step(0, size.kills);
  await trial.fleet.send();
  const restarts: number[] = [];
  const reached = new Set<string>();
  let missed = 0;
  await world.bridge.kill();
  trial.bridgeDied();
  for (const [i, { failpoint, afterMs }] of killPlan(random, size.kills - 1, fleet).entries()) {
    trial.fleet.step(i + 1, size.kills);
    world.bridgeLimits = i % 2 === 1 || failpoint?.startsWith("J") === true ? SMALL_SEGMENTS : {};
    trial.plan(failpoint === null ? `SIGKILL ${afterMs} ms after the start` : `SIGKILL at ${failpoint}`);
    restarts.push(await reviveBridge(trial, failpoint));
    if (failpoint === null) await sleep(afterMs);
    else if (await world.bridge.ended(LIMITS.failpointMs)) reached.add(failpoint[0]!);
    else missed++;
    await world.bridge.kill();
    trial.bridgeDied();
  }
  world.bridgeLimits = {};
  restarts.push(await reviveBridge(trial, null));
  restarts.sort((a, b) => a - b);
  const median = Math.round(restarts[restarts.length >> 1]!);
  trial.check(median <= LIMITS.restartMs, `the bridge takes ${median} ms to accept again, at most ${LIMITS.restartMs}`);
  if (size.kills > 3 * Object.keys(STATIONS).length) {
    for (const name of Object.keys(STATIONS)) trial.check(reached.has(name), `station ${name} was never reached`);
  }
  const worst = Math.round(restarts.at(-1)!);
  return `${size.kills} kills, at stations ${[...reached].sort().join("")} (${missed} not passed); back in ${median} ms, at most ${worst} ms`;
}

export const KILLS: Scenario = {
  row: 1,
  title: "kill -9 of the bridge",
  injection: "SIGKILL at each station A to J and at random times, trackers reconnect and send again",
  pass: "lost 0, duplicated 0, accepting again within 1 s (median)",
  share: { positions: 0.4, kills: 0.75, faults: 0, shortFaults: 0 },
  run: killBridge,
};
