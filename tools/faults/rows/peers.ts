import { Buffer } from "node:buffer";
import { imeiOf } from "../fleet.ts";
import { frameOf, identifierOf } from "../frames.ts";
import { LIMITS } from "../limits.ts";
import { Peer } from "../peers.ts";
import { eventually, openFiles, Restartable } from "../processes.ts";
import type { Random } from "../random.ts";
import { reportOf } from "../records.ts";
import { makeFrame } from "../trackers.ts";
import type { Scenario, Trial } from "../trial.ts";

/** What rows with bad peers ask of the bridge, instead of minutes: limits of bridge/limits.ts. */
const PATIENCE = { idleMs: 2_000, strangerMs: 2_000, frameMs: 1_500, sweepMs: 250 };

/** A frame of a device that nobody knows; if a damaged one were taken for good, it would show as unclaimed only. */
function strangeFrame(random: Random): Buffer {
  const imei = imeiOf(random, 8_000 + random.int(0, 99));
  const reports = [reportOf(random.int(0, 1e6), imei, 0, Date.UTC(2026, 0, 1))];
  return frameOf(random.pick(["AAA", "CCC", "CCE"] as const), identifierOf(random.int(0, 57)), imei, reports, 1);
}

/** Things that come down a line and are no frame. None claims more bytes than it brings. */
export const GARBAGE: Record<string, (random: Random) => Uint8Array> = {
  "random bytes": (random) => random.bytes(random.int(1, 600)),
  "wrong checksum": (random) => {
    const frame = strangeFrame(random);
    frame.write("ZZ", frame.length - 4, "latin1");
    return frame;
  },
  "frame without its end": (random) => {
    const frame = strangeFrame(random);
    const digits = /^\$\$.(\d+),/.exec(frame.toString("latin1"))![1]!;
    const head = `$$A${Number(digits) - random.int(20, 60)},`;
    return Buffer.concat([Buffer.from(head, "latin1"), frame.subarray(4 + digits.length, frame.length - 8)]);
  },
  "length 99999": () => Buffer.from("$$A99999,000000000000000,AAA,35,", "latin1"),
  "length of six digits": () => Buffer.from("$$A100000,000000000000000,AAA,35,", "latin1"),
  "head of digits": (random) => Buffer.from(`$$A${"1".repeat(random.int(7, 60))}`, "latin1"),
  dollars: (random) => Buffer.alloc(random.int(2, 40), "$"),
  "text of another protocol": () => Buffer.from("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", "latin1"),
  "line ends": (random) => Buffer.from("\r\n".repeat(random.int(1, 5)), "latin1"),
};

function garbage(random: Random): Uint8Array {
  return GARBAGE[random.pick(Object.keys(GARBAGE))]!(random);
}

/**
 * A head that claims more than it brings hides what follows for as long as the bridge waits for the rest. When the tracker
 * closes, the frames behind it must come to light.
 */
async function liar(trial: Trial): Promise<void> {
  const { world, random } = trial;
  const [device] = await trial.fleet.register("AAA", 1);
  const peer = new Peer(world.bridgePort);
  await peer.write(Buffer.from(`$$A${random.int(900, 60_000)},000000000000000,AAA,`, "latin1"));
  for (let n = 0; n < 3; n++) {
    const frame = makeFrame(world, device!, identifierOf(n), device!.take(1), 0);
    world.ledger.sent(device!, frame, false);
    await peer.write(frame.bytes);
  }
  await peer.end();
}

async function noise(trial: Trial): Promise<string> {
  const { world, whim, size } = trial;
  const refusedBefore = await world.closed();
  await trial.fleet.send({ noise: (own) => (own.chance(0.25) ? garbage(own) : null) });
  await liar(trial);
  let bytes = 0;
  const peers: Peer[] = [];
  for (let i = 0; i < size.faults; i++) {
    const peer = new Peer(world.bridgePort);
    peers.push(peer);
    trial.onEnd(() => peer.destroy());
    const make = whim.chance(0.5) ? garbage : GARBAGE[whim.pick(Object.keys(GARBAGE))]!;
    for (let sent = 0; sent < LIMITS.garbageBytes && !peer.closed; ) {
      const piece = make(whim);
      await peer.write(piece);
      sent += piece.length;
      bytes += piece.length;
    }
  }
  const allClosed = await eventually(LIMITS.drainMs, () => peers.every((peer) => peer.closed));
  trial.check(allClosed, `${peers.filter((peer) => !peer.closed).length} peers may send garbage for ever`);
  const refused = (await world.closed()) - refusedBefore;
  trial.check(refused >= peers.length, `${peers.length} peers of garbage, ${refused} closed with a reason`);
  return `${peers.length} peers sent ${Math.round(bytes / 1024)} KiB of garbage, ${refused} closed with a reason; ${await memoryHeld(trial)}`;
}

export const NOISE: Scenario = {
  row: 17,
  title: "garbage, wrong length, bad checksum",
  injection: "garbage of every sort between the trackers' frames and from peers that send nothing else",
  pass: "every good frame stored, the garbage peers closed with a counted reason",
  share: { positions: 0.05, faults: 0.5, shortFaults: 10 },
  bridgeLimits: PATIENCE,
  run: noise,
};

/** Whatever peers send, the bridge stays small. @returns its memory in words */
async function memoryHeld(trial: Trial): Promise<string> {
  const bytes = await trial.world.metric("memory");
  trial.check(bytes <= LIMITS.bridgeBytes, `the bridge holds ${bytes} bytes of memory, at most ${LIMITS.bridgeBytes}`);
  return `bridge ${Math.round(bytes / 2 ** 20)} MiB`;
}

/** Peers that want the bridge to hold bytes for them without an end. */
const GREEDY: Record<string, (peer: Peer, random: Random) => Promise<void>> = {
  "longest length, then nothing": async (peer) => peer.write(Buffer.from("$$A65000,000000000000000,AAA,35,", "latin1")),
  "longest length, then drops": async (peer, random) => {
    await peer.write(Buffer.from("$$A65000,000000000000000,CCC,", "latin1"));
    await peer.drip(random.bytes(400), 50);
  },
  "almost all of the longest frame": async (peer, random) => {
    await peer.write(Buffer.from("$$A65000,000000000000000,CCC,", "latin1"));
    await peer.write(random.bytes(64_000));
  },
  "head without an end": async (peer) => peer.drip(Buffer.from(`$$A${"1".repeat(400)}`, "latin1"), 50),
  "length 99999, then a flood": async (peer, random) => {
    await peer.write(Buffer.from("$$A99999,000000000000000,CCC,", "latin1"));
    for (let i = 0; i < 16 && !peer.closed; i++) await peer.write(random.bytes(6_000));
  },
  "nothing at all": async () => {},
};

async function greedy(trial: Trial): Promise<string> {
  const { world, whim, size } = trial;
  const filesBefore = openFiles(world.bridge.pid!);
  await trial.fleet.send();
  const closedBefore = await world.closed();
  const names = Object.keys(GREEDY);
  const peers: Peer[] = [];
  for (let i = 0; i < Math.max(size.faults, names.length); i++) {
    const peer = new Peer(world.bridgePort);
    trial.onEnd(() => peer.destroy());
    peers.push(peer);
    void GREEDY[names[i % names.length]!]!(peer, whim);
  }
  const allClosed = await eventually(LIMITS.drainMs, () => peers.every((peer) => peer.closed));
  trial.check(allClosed, `${peers.filter((peer) => !peer.closed).length} greedy peers are still connected`);
  const closed = (await world.closed()) - closedBefore;
  trial.check(closed >= peers.length, `${peers.length} greedy peers, ${closed} closed with a reason`);
  const memory = await memoryHeld(trial);
  const files = await filesBack(trial, filesBefore);
  return `${peers.length} greedy peers, ${closed} closed with a reason; ${files}; ${memory}`;
}

/** Connections that are over must give back their descriptors. */
async function filesBack(trial: Trial, before: number): Promise<string> {
  await trial.settle();
  const now = (): number => openFiles(trial.world.bridge.pid!);
  const back = await eventually(PATIENCE.idleMs * 4, () => now() <= before + LIMITS.filesSlack);
  trial.check(back, `the bridge has ${now()} files open, ${before} before`);
  return `files ${before} before, ${now()} after`;
}

export const GREED: Scenario = {
  row: 18,
  title: "length 99999, head without end",
  injection: "peers that announce, drip or flood up to and over the longest frame",
  pass: "all closed with a counted reason, files given back, neighbours stored",
  share: { positions: 0.03, faults: 0.4, shortFaults: 6 },
  bridgeLimits: PATIENCE,
  run: greedy,
};

async function vanish(trial: Trial): Promise<string> {
  const { world, random, size } = trial;
  const filesBefore = openFiles(world.bridge.pid!);
  await trial.fleet.send();
  const closedBefore = await world.closed();
  const devices = await trial.fleet.register("AAA", 5, false);
  const halves = new Set<string>();
  const frames = Array.from({ length: size.faults }, (_, i) => {
    if (i % 3 === 0) return "";
    const device = devices[i % devices.length]!;
    const whole = i % 3 === 1;
    const frame = makeFrame(world, device, identifierOf(i), device.take(1), 0);
    if (whole) world.ledger.sent(device, frame, false);
    else halves.add(`${device.id}:${frame.from}`);
    const end = whole ? frame.bytes.length : random.int(1, frame.bytes.length - 1);
    return Buffer.from(frame.bytes.subarray(0, end)).toString("hex");
  });
  trial.excuse((device, sequence) => halves.has(`${device.id}:${sequence}`));
  const gone = new Restartable({
    name: "vanishing peers",
    arguments: [new URL("../vanishing.ts", import.meta.url).pathname],
    env: { BRIDGE_PORT: String(world.bridgePort), FRAMES: frames.join() },
    ready: /connected/,
    log: `${world.folder}/vanishing.log`,
  });
  await gone.start();
  process.kill(gone.pid!, "SIGSTOP");
  trial.onEnd(() => gone.kill());
  const closed = async (): Promise<number> => (await world.closed()) - closedBefore;
  const from = performance.now();
  const all = await eventually(PATIENCE.idleMs * 5, async () => (await closed()) >= frames.length);
  const seconds = ((performance.now() - from) / 1000).toFixed(1);
  trial.check(all, `${frames.length} peers vanished, ${await closed()} closed with a reason`);
  const files = await filesBack(trial, filesBefore);
  return `${frames.length} peers stopped without a FIN, all closed after ${seconds} s; ${files}`;
}

export const VANISH: Scenario = {
  row: 15,
  title: "half-open connections",
  injection: "a process with open connections (silent, mid-frame, after a frame) is stopped",
  pass: "closed by the idle time with a counted reason, files given back",
  share: { positions: 0.02, faults: 0.2, shortFaults: 9 },
  bridgeLimits: PATIENCE,
  run: vanish,
};
