import { setTimeout as sleep } from "node:timers/promises";
import { imeiOf } from "../fleet.ts";
import { frameOf, identifierOf } from "../frames.ts";
import type { DeviceLedger } from "../ledger.ts";
import { LIMITS } from "../limits.ts";
import { Peer } from "../peers.ts";
import { eventually } from "../processes.ts";
import { reportOf } from "../records.ts";
import { makeFrame } from "../trackers.ts";
import type { Scenario, Trial } from "../trial.ts";

async function replays(trial: Trial): Promise<string> {
  const before = trial.world.ledger.resent;
  await trial.fleet.send({ replays: 0.1 });
  await trial.fleet.volume();
  const again = trial.world.ledger.resent - before;
  trial.check(again > 0, "no tracker sent anything twice");
  return `${again} frames with records sent before, cut anew, with new identifiers and counts`;
}

export const REPLAYS: Scenario = {
  row: 12,
  title: "same records in other frames",
  injection: "a tenth of the frames repeats acknowledged records, cut differently",
  pass: "duplicated 0, repeated records acknowledged",
  share: { positions: 0.12, faults: 0, shortFaults: 0 },
  run: replays,
};

/** Two connections that both send for one device, each its own records. */
async function twins(trial: Trial): Promise<number> {
  const devices = [...(await trial.fleet.register("CCC", 4, false)), ...(await trial.fleet.register("AFF", 4, false))];
  for (const device of devices) for (let i = 0; i < 2; i++) trial.fleet.tracker(device).start();
  return devices.length;
}

/** One connection that carries several devices in turn, as a gateway does. */
async function gateway(trial: Trial, rounds: number): Promise<number> {
  const { world } = trial;
  const devices = await trial.fleet.register("AAA", 8);
  const peer = new Peer(world.bridgePort);
  trial.onEnd(() => peer.destroy());
  for (let n = 0; n < rounds; n++) {
    for (const device of devices) {
      const frame = makeFrame(world, device, identifierOf(n), device.take(1), 0);
      world.ledger.sent(device, frame, false);
      await peer.write(frame.bytes);
    }
    await sleep(20);
  }
  return devices.length;
}

/** Trackers that the platform does not know: nothing is stored, nothing is answered, the operator can see them. */
async function strangers(trial: Trial, count: number): Promise<void> {
  const { world, random } = trial;
  const imeis = Array.from({ length: count }, (_, i) => imeiOf(random, 9_000 + i));
  const peers = imeis.map((imei) => {
    const peer = new Peer(world.bridgePort);
    trial.onEnd(() => peer.destroy());
    const reports = Array.from({ length: 18 }, (_, n) => reportOf(world.seed, imei, n, world.baseMs));
    return { imei, peer, reports };
  });
  for (let n = 0; n < 3; n++) {
    for (const { imei, peer, reports } of peers) {
      await peer.write(frameOf("CCC", identifierOf(n), imei, reports, 18));
      await peer.write(frameOf("AFF", identifierOf(n), imei, reports, 1));
    }
    await sleep(300);
  }
  const listed = await eventually(LIMITS.drainMs, async () => {
    const known = new Set(await world.api.unclaimed());
    return imeis.every((imei) => known.has(imei));
  });
  trial.check(listed, "unknown trackers are not on the unclaimed list");
  const answered = peers.filter(({ peer }) => peer.received.length > 0).length;
  trial.check(answered === 0, `${answered} unknown trackers got a reply`);
}

/** A device sends another one's number on its own connection: both are known, both are stored, each under its own. */
async function spoofed(trial: Trial): Promise<void> {
  const { world } = trial;
  const [own, other] = (await trial.fleet.register("AFF", 2)) as [DeviceLedger, DeviceLedger];
  const peer = new Peer(world.bridgePort);
  trial.onEnd(() => peer.destroy());
  for (const device of [own, other, own]) {
    const frame = makeFrame(world, device, identifierOf(device.taken), device.take(1), 1);
    world.ledger.sent(device, frame, false);
    await peer.write(frame.bytes);
  }
  const replies = (): number => peer.received.toString("latin1").split("AFF,1*").length - 1;
  await eventually(LIMITS.drainMs, () => replies() === 3);
  trial.check(replies() === 3, `${replies()} of 3 replies on a connection with two devices`);
}

/** Commands for a device with two connections go to the newest; when that closes, to the one that sends again. */
async function newestWins(trial: Trial): Promise<void> {
  const { world } = trial;
  const [device] = (await trial.fleet.register("AAA", 1, false)) as [DeviceLedger];
  const peerThatSends = async (peer = new Peer(world.bridgePort)): Promise<Peer> => {
    const frame = makeFrame(world, device, identifierOf(device.taken), device.take(1), 0);
    world.ledger.sent(device, frame, false);
    await peer.write(frame.bytes);
    await sleep(LIMITS.noticedMs);
    return peer;
  };
  const older = await peerThatSends();
  const newer = await peerThatSends();
  trial.onEnd(() => older.destroy());
  await world.api.queueCommand(device.id);
  await eventually(LIMITS.commandMs, () => newer.received.length > 0);
  trial.check(newer.received.includes(",A10*"), "the newest connection of a device did not get its command");
  trial.check(older.received.length === 0, "an older connection of a device got its command");
  newer.destroy();
  // Only a frame that comes after the bridge has seen the end of the newer one makes the older one the newest.
  await sleep(LIMITS.noticedMs);
  await peerThatSends(older);
  await world.api.queueCommand(device.id);
  await eventually(LIMITS.commandMs, () => older.received.length > 0);
  trial.check(older.received.includes(",A10*"), "the connection that is left did not get the next command");
}

async function identities(trial: Trial): Promise<string> {
  const doubled = await twins(trial);
  await trial.fleet.send();
  const count = Math.max(5, trial.size.faults);
  const [shared] = await Promise.all([gateway(trial, 25), strangers(trial, count), spoofed(trial), newestWins(trial)]);
  await trial.fleet.volume();
  return `${doubled} devices on two connections each, ${shared} on one, ${count} unknown trackers`;
}

export const IDENTITIES: Scenario = {
  row: 20,
  title: "one IMEI twice, unknown IMEI",
  injection: "two connections for one device, several devices on one connection, unregistered trackers",
  pass: "nothing lost; the unknown not stored, not answered, listed",
  share: { positions: 0.04, faults: 0.1, shortFaults: 3 },
  run: identities,
};
