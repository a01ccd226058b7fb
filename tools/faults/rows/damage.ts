import { readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { identifierOf } from "../frames.ts";
import { failing } from "../injections.ts";
import type { DeviceLedger, SentFrame } from "../ledger.ts";
import { LIMITS } from "../limits.ts";
import { Peer } from "../peers.ts";
import { eventually } from "../processes.ts";
import type { Random } from "../random.ts";
import { makeFrame } from "../trackers.ts";
import type { Scenario, Trial } from "../trial.ts";

interface Spooled {
  device: DeviceLedger;
  frame: SentFrame;
}

/** Where a spooled frame lies: file and offset of its first byte. */
interface Place {
  path: string;
  offset: number;
}

/** Ways to spoil a record, given the bytes of its segment and where its frame lies; a head of about 40 bytes precedes it. */
const DAMAGES: Record<string, (segment: Buffer, offset: number, length: number, random: Random) => void> = {
  "bit of the frame": (segment, offset, length, random) => {
    segment[offset + random.int(0, length - 1)]! ^= 1 << random.int(0, 7);
  },
  "bit of the head": (segment, offset, _length, random) => {
    segment[offset - random.int(1, 40)]! ^= 1 << random.int(0, 7);
  },
  "run of zeros": (segment, offset, length, random) => {
    const from = offset + random.int(0, length >> 1);
    segment.fill(0, from, Math.min(offset + length, from + random.int(8, length)));
  },
};

const DEVICES = { AAA: 12, CCE: 6 };
/** Reports in each CCE frame. */
const REPORTS = 3;

/**
 * Sends frames of unconfirmed kinds, which no tracker repeats: what the spool loses is lost for good. All go through one
 * connection, as from a gateway, so that they lie in the spool in the order of the seed.
 */
async function spool(trial: Trial, devices: readonly DeviceLedger[], rounds: number): Promise<Spooled[]> {
  const spooled: Spooled[] = [];
  const peer = new Peer(trial.world.bridgePort);
  trial.onEnd(() => peer.destroy());
  for (let n = 0; n < rounds; n++) {
    for (const device of devices) {
      const range = device.take(device.kind === "CCE" ? REPORTS : 1);
      const frame = makeFrame(trial.world, device, identifierOf(n), range, 0);
      trial.world.ledger.sent(device, frame, false);
      await peer.write(frame.bytes);
      spooled.push({ device, frame });
    }
  }
  return spooled;
}

/** The spool's segments as they lie on the disk. */
function segments(folder: string): { path: string; bytes: Buffer }[] {
  const names = readdirSync(folder).filter((name) => name.endsWith(".segment"));
  return names.sort().map((name) => ({ path: join(folder, name), bytes: readFileSync(join(folder, name)) }));
}

function find(all: readonly { path: string; bytes: Buffer }[], frame: Uint8Array): Place | null {
  for (const { path, bytes } of all) {
    const offset = bytes.indexOf(frame);
    if (offset >= 0) return { path, offset };
  }
  return null;
}

/**
 * Spoils some of the frames on the disk, never two neighbours: each must be counted as one.
 * @param tear the last frame on the disk also loses its end, as after a cut of power in the middle of a write
 * @returns the spoiled ones
 */
function spoil(trial: Trial, spooled: readonly Spooled[], count: number, tear: boolean): Spooled[] {
  const all = segments(trial.world.spoolFolder);
  const placed = spooled.flatMap((each) => {
    const place = find(all, each.frame.bytes);
    return place === null ? [] : [{ ...each, place }];
  });
  trial.check(placed.length === spooled.length, `${spooled.length - placed.length} frames are not on the disk`);
  placed.sort((a, b) =>
    a.place.path === b.place.path ? a.place.offset - b.place.offset : a.place.path < b.place.path ? -1 : 1,
  );
  const step = Math.floor((placed.length - 2) / count);
  const victims: Spooled[] = [];
  for (let i = 0; i < count; i++) {
    const { place, device, frame } = placed[1 + i * step + trial.random.int(0, step - 2)]!;
    const how = trial.random.pick(Object.keys(DAMAGES));
    const { bytes } = all.find(({ path }) => path === place.path)!;
    DAMAGES[how]!(bytes, place.offset, frame.bytes.length, trial.random);
    trial.plan(`${how} of record ${frame.from} of device ${device.id}`);
    victims.push({ device, frame });
  }
  for (const { path, bytes } of all) writeFileSync(path, bytes);
  if (!tear) return victims;
  const torn = placed.at(-1)!;
  truncateSync(torn.place.path, torn.place.offset + trial.random.int(1, torn.frame.bytes.length - 1));
  trial.plan(`cut in record ${torn.frame.from} of device ${torn.device.id}`);
  return [...victims, torn];
}

async function damageSpool(trial: Trial): Promise<string> {
  const { world, size } = trial;
  const devices = [
    ...(await trial.fleet.register("AAA", DEVICES.AAA)),
    ...(await trial.fleet.register("CCE", DEVICES.CCE)),
  ];
  const spoiled = new Set<string>();
  const keyOf = (device: DeviceLedger, sequence: number): string => `${device.id}:${sequence}`;
  trial.excuse((device, sequence) => spoiled.has(keyOf(device, sequence)));
  let counted = 0;
  let again = 0;
  let victims = 0;
  const rounds = Math.max(2, Math.round(size.faults / 10));
  const perDevice = Math.max(8, Math.ceil(size.positions / rounds / (DEVICES.AAA + DEVICES.CCE * REPORTS)));
  for (let round = 0; round < rounds; round++) {
    world.edge.fault = failing([503], trial.whim);
    const before = await world.backlog();
    const spooled = await spool(trial, devices, perDevice);
    const held = await eventually(LIMITS.drainMs, async () => (await world.backlog()) - before >= spooled.length);
    trial.check(held, `the bridge holds ${await world.backlog()} of ${spooled.length} frames`);
    await world.bridge.kill();
    trial.kills++;
    const harmed = spoil(trial, spooled, Math.ceil(size.faults / rounds), round % 2 === 0);
    for (const { device, frame } of harmed) {
      for (let n = frame.from; n < frame.to; n++) spoiled.add(keyOf(device, n));
    }
    victims += harmed.length;
    await world.startBridge();
    world.edge.fault = world.pass;
    const drained = await eventually(LIMITS.drainMs, () => world.drained());
    trial.check(drained, "the bridge did not deliver what was left");
    counted += await world.metric("damaged");
    // A clean stop writes down how far delivery got; only then may the next run know what was counted before.
    await world.bridge.kill("SIGTERM");
    await world.startBridge();
    await eventually(LIMITS.drainMs, () => world.drained());
    again += await world.metric("damaged");
  }
  trial.check(again === 0, `${again} damaged records were counted again after another start`);
  trial.check(counted === victims, `${victims} records were damaged, the bridge counted ${counted}`);
  return `${victims} records damaged in ${rounds} rounds, ${counted} counted, ${again} again after a restart`;
}

export const DAMAGE: Scenario = {
  row: 3,
  title: "damaged spool",
  injection: "bits flipped, stretches zeroed and the end cut off in the spool's files while the bridge is dead",
  pass: "exactly the damaged records missing and counted, all others delivered, no crash",
  share: { positions: 0.02, faults: 0.6, shortFaults: 6 },
  run: damageSpool,
};
