import { setTimeout as sleep } from "node:timers/promises";
import type { Scenario, Trial } from "../trial.ts";

const VICTIMS = ["workerd", "libsqld", "the edge's host"] as const;

async function kill({ world, random }: Trial, victim: (typeof VICTIMS)[number]): Promise<void> {
  if (victim === "workerd") return world.killRuntime();
  if (victim === "the edge's host") return world.killRuntimeHost();
  await world.libsqld.kill();
  await sleep(random.int(0, 300));
  await world.libsqld.start();
}

async function killSettler(trial: Trial): Promise<string> {
  const { world, random, size } = trial;
  trial.fleet.step(0, size.kills);
  await trial.fleet.send();
  const first = random.int(0, VICTIMS.length - 1);
  let underWay = 0;
  for (let i = 0; i < size.kills; i++) {
    trial.fleet.step(i, size.kills);
    const victim = VICTIMS[(first + i) % VICTIMS.length]!;
    const afterMs = random.int(0, 150);
    trial.plan(`SIGKILL of ${victim} ${afterMs} ms after a settler began`);
    await sleep(random.int(200, 1_000));
    // The lease of the settler that was killed before runs out.
    await world.sql.execute("UPDATE settlement SET held_until = 0");
    let ended = false;
    const settling = world.settle().then(
      () => {
        ended = true;
      },
      () => undefined,
    );
    await sleep(afterMs);
    if (!ended) underWay++;
    await kill(trial, victim);
    trial.kills++;
    await settling;
  }
  return `${size.kills} kills, ${underWay} of them while a settler was at work`;
}

export const SETTLING: Scenario = {
  row: 25,
  title: "kill -9 of a settler",
  injection: "SIGKILL of workerd, its host or libsqld while positions move from the inbox into segments",
  pass: "nothing lost or doubled, and what is read stays the same to the byte",
  share: { positions: 0.05, kills: 0.12, faults: 0, shortFaults: 0 },
  run: killSettler,
};
