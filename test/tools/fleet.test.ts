import { type AddressInfo, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { latin1 } from "../../codec/bytes.ts";
import { encodeCommand, matchReply, parseReply } from "../../codec/commands.ts";
import { encodeFrame, parseFrame } from "../../codec/frame.ts";
import { Fleet, type FleetOptions, simulate } from "../../tools/fleet.ts";
import { FIRST_IMEI, imeiAfter } from "../../tools/imei.ts";
import { type Ledger, STATE } from "../../tools/ledger.ts";
import { type FakePlatform, startFakePlatform } from "./fake-platform.ts";

const SOON = { timeout: 10_000, interval: 10 };

let platform: FakePlatform;
beforeEach(async () => {
  platform = await startFakePlatform();
});
afterEach(() => platform.close());

/** A short run as fast as it goes, against the platform of the test. */
function options(more: Partial<FleetOptions> = {}): Partial<FleetOptions> {
  const reconnectMs = { min: 10, max: 30 };
  return { port: platform.port, devices: 6, rate: 200, count: 20, reconnectMs, settleMs: 5000, ...more };
}

/** What the fleet sent and what the platform stored, both as sorted JSON, compared. */
function expectSame(ledger: Ledger, fleet: Fleet): void {
  for (const [device, { imei }] of fleet.trackers.entries()) {
    const stored = (platform.positions.get(imei) ?? []).map(({ runtimeS }) => runtimeS);
    const rows = ledger.rowsOf(device).filter((row) => ledger.stateOf(row) !== STATE.damaged);
    expect(stored.toSorted()).toEqual(rows.map((row) => ledger.get(row, "runtimeS")).toSorted());
    for (const row of rows) {
      const position = platform.positions.get(imei)?.find(({ runtimeS }) => runtimeS === ledger.get(row, "runtimeS"));
      const { event, fixTime, ...fields } = ledger.report(row);
      expect(position).toMatchObject({ ...fields, event, fixTime: new Date(fixTime).toISOString() });
    }
  }
}

const typesOf = (frames: readonly Uint8Array[]) => new Set(frames.map((frame) => parseFrame(frame).type));

describe("simulate()", () => {
  test("sends every kind of frame over TCP, and the platform reads exactly what the ledger holds", async () => {
    const { status, ledger, fleet } = await simulate(options());
    expect(status).toMatchObject({ devices: 6, made: 120, sent: 120, held: 0, refused: 0, connects: 6, broken: 0 });
    expect([status.asked, status.acknowledged]).toEqual([40, 40]);
    expect(typesOf(platform.frames)).toEqual(new Set(["AAA", "CCC", "CCE"]));
    expectSame(ledger, fleet);
  });

  test("sends one datagram for each frame over UDP", async () => {
    const { status, ledger, fleet } = await simulate(options({ transport: "udp", resend: true }));
    expect(status).toMatchObject({ sent: 120, asked: 80, acknowledged: 80, held: 0 });
    expect(platform.chunks).toBe(0);
    expectSame(ledger, fleet);
  });

  test("counts volts as the model does", async () => {
    await platform.close();
    platform = await startFakePlatform("MVT380");
    const { ledger, fleet } = await simulate(options({ model: "MVT380" }));
    expectSame(ledger, fleet);
  });

  test("cuts and joins frames without changing them", async () => {
    const { ledger, fleet } = await simulate(options({ split: true, frames: "aaa", count: 40, devices: 3 }));
    const right = platform.frames.length;
    expect(right).toBe(120);
    // A frame in one chunk each would be 120 chunks; some are joined, many are cut.
    expect(platform.chunks).not.toBe(right);
    expect(platform.refused).toBe(0);
    expectSame(ledger, fleet);
  });

  test("damages a share of the checksums, and those reports count as refused", async () => {
    const { status, ledger, fleet } = await simulate(options({ badChecksums: 0.2, count: 50 }));
    expect(status.damaged).toBeGreaterThan(20);
    expect(status.refused).toBeGreaterThan(0);
    expect(status.sent + status.refused).toBe(300);
    expect(platform.refused).toBeGreaterThan(0);
    expectSame(ledger, fleet);
  });

  test("sends again what is not confirmed, until it is", async () => {
    const unreliable = { resend: true, badChecksums: 0.1, loseAcks: 0.1, ackTimeoutMs: 60 };
    const { status, ledger, fleet } = await simulate(options({ ...unreliable, frames: "ccc", settleMs: 20_000 }));
    expect(status).toMatchObject({ sent: 120, asked: 120, acknowledged: 120, refused: 0, held: 0 });
    expect(status.resent).toBeGreaterThan(0);
    expect(platform.duplicates).toBeGreaterThan(0);
    expectSame(ledger, fleet);
  });

  test("waits with the next AFF report for the confirmation of the one before", async () => {
    platform.confirms = false;
    const fleet = new Fleet(options({ resend: true, frames: "aaa", devices: 2, ackTimeoutMs: 600 }));
    const running = fleet.run();
    await vi.waitFor(() => expect(platform.frames).toHaveLength(2), SOON);
    await sleep(100);
    expect(platform.frames).toHaveLength(2);
    await vi.waitFor(() => expect(platform.frames.length).toBeGreaterThanOrEqual(4), SOON);
    // It has connected anew and says the same again, with another identifier.
    expect(fleet.counts.connects).toBeGreaterThan(2);
    const [first, ...others] = platform.frames
      .map((bytes) => parseFrame(bytes))
      .filter(({ imei }) => imei === fleet.trackers[0].imei);
    expect(others.length).toBeGreaterThan(0);
    const reportOf = (content: Uint8Array) => latin1(content).split(",").slice(1).join(",");
    for (const other of others) {
      expect(reportOf(other.content)).toBe(reportOf(first.content));
      expect(other.identifier).not.toBe(first.identifier);
    }
    platform.confirms = true;
    const status = await running;
    expect(status.sent).toBeGreaterThan(2);
    expect(status.acknowledged).toBeGreaterThan(0);
  });

  test("keeps reports through an outage and uploads them in batches, oldest first", async () => {
    const gap = { lastsS: 0.2, everyS: 0.1 };
    const { status, ledger, fleet } = await simulate(
      options({ gap, frames: "ccc", rate: 100, count: 60, resend: true }),
    );
    expect(status).toMatchObject({ sent: 360, acknowledged: 360, held: 0 });
    expect(status.connects).toBeGreaterThan(6);
    const records = platform.frames.map((frame) => (parseFrame(frame).content.length - 8) / 52);
    expect(Math.max(...records)).toBeGreaterThan(5);
    expect(Math.max(...records)).toBeLessThanOrEqual(18);
    expectSame(ledger, fleet);
    for (const stored of platform.positions.values()) {
      const running = stored.map(({ runtimeS = 0 }) => runtimeS);
      expect(running).toEqual(running.toSorted((a, b) => a - b));
    }
  });

  test("begins with a full memory when told to", async () => {
    const { ledger, fleet } = await simulate(options({ backfillS: 300, rate: 1 / 10, count: 30, devices: 3 }));
    expectSame(ledger, fleet);
    for (const stored of platform.positions.values()) {
      const times = stored.map(({ fixTime = "" }) => Date.parse(fixTime));
      expect(times.slice(1).map((time, n) => time - times[n])).toEqual(Array(29).fill(10_000));
      expect(Date.now() - times[29]).toBeLessThan(60_000);
    }
  });

  test("lives in the past when told to, as fast as the platform takes it", async () => {
    const history = { fromMs: Date.UTC(2026, 2, 1), stepS: 30 };
    await simulate(options({ history, rate: Number.POSITIVE_INFINITY, count: 500, devices: 2 }));
    for (const stored of platform.positions.values()) {
      expect(stored).toHaveLength(500);
      expect(stored[499].fixTime).toBe(new Date(history.fromMs + 499 * 30_000).toISOString());
    }
  });

  test("says what may be lost when connections break, and goes on", async () => {
    const fleet = new Fleet(options({ frames: "aaa", count: 100 }));
    const running = fleet.run();
    await vi.waitFor(() => expect(platform.positions.size).toBe(6), SOON);
    platform.hangUp();
    const status = await running;
    expect(status.broken).toBe(6);
    expect(status.connects).toBe(12);
    expect(status).toMatchObject({ made: 600, sent: 600, held: 0 });
    const doubtful = fleet.trackers.flatMap((_, device) =>
      fleet.ledger.rowsOf(device).filter((row) => fleet.ledger.stateOf(row) === STATE.doubtful),
    );
    expect(doubtful.length).toBeGreaterThan(0);
    expect(doubtful.length).toBeLessThan(600);
  });

  test("does not take silence for a broken connection", async () => {
    const deaf = createServer({ allowHalfOpen: true }, (socket) => socket.resume().on("error", () => {}));
    await new Promise<void>((resolve) => deaf.listen(0, "127.0.0.1", resolve));
    const { port } = deaf.address() as AddressInfo;
    const { ledger } = await simulate(options({ port, devices: 1, frames: "aaa", count: 3, closeMs: 50 }));
    // They were sent, so that a proof has to find them.
    expect(ledger.rowsOf(0).map((row) => ledger.stateOf(row))).toEqual([STATE.sent, STATE.sent, STATE.sent]);
    deaf.close();
  });

  test("gives up in the end when nobody is there", async () => {
    await platform.close();
    const { status } = await simulate(options({ settleMs: 50, count: 2 }));
    expect(status).toMatchObject({ made: 12, sent: 0, held: 12, connects: 0, broken: 0 });
    platform = await startFakePlatform();
  });

  test("drives the same routes again with the same seed", async () => {
    const history = { fromMs: Date.UTC(2026, 2, 1), stepS: 10 };
    const run = async (seed: number) => {
      const { ledger } = await simulate(options({ history, seed, devices: 1, frames: "aaa", count: 50 }));
      return ledger.rowsOf(0).map((row) => ledger.report(row));
    };
    const [one, again, other] = [await run(7), await run(7), await run(8)];
    expect(again).toEqual(one);
    expect(other).not.toEqual(one);
  });
});

describe("Tracker, told something", () => {
  async function ask(fleet: Fleet, code: string, args: Record<string, unknown> = {}) {
    const { imei } = fleet.trackers[0];
    const before = platform.frames.length;
    const command = { imei, identifier: "q", code };
    platform.send(imei, encodeCommand({ ...command, arguments: args }));
    return await vi.waitFor(() => {
      const frames = platform.frames.slice(before).map((bytes) => parseFrame(bytes));
      const answer = frames.find((frame) => matchReply(command, frame) === "identifier");
      if (answer === undefined) throw new Error(`no answer to ${code}`);
      return answer;
    }, SOON);
  }

  test("answers every command of the table, and does what shows in its reports", async () => {
    const fleet = new Fleet(options({ devices: 1, frames: "aaa", rate: 20, count: null }));
    fleet.start();
    await vi.waitFor(() => expect(platform.frames).not.toHaveLength(0), SOON);
    const ok = [
      ["A11", { intervalMin: 10 }],
      ["A13", { angleDeg: 30 }],
      ["A14", { distanceM: 300 }],
      ["C03", { mode: 0 }],
      ["F09", { buffer: 2 }],
      ["C01", { speedKmh: 0, outputs: "12022" }],
    ] as const;
    for (const [code, args] of ok) {
      expect(parseReply(await ask(fleet, code, args))).toEqual({ command: code, outcome: "ok", values: [] });
    }
    const version = parseReply(await ask(fleet, "E91"));
    expect(version.named).toEqual({ firmware: "T366_Y01H1V001", serialNumber: FIRST_IMEI.slice(4) });

    const located = await ask(fleet, "A10");
    expect(latin1(located.content)).toMatch(/^34,/);
    expect(latin1(located.content).split(",")[14]).toMatch(/^0[02]01$/);

    expect(parseReply(await ask(fleet, "A12", { intervalS: 0 })).outcome).toBe("ok");
    await sleep(60);
    const { made } = fleet.status();
    await sleep(200);
    expect(fleet.status().made).toBe(made);
    await fleet.stop();
    expect(fleet.status().commands).toBe(9);
    expectSame(fleet.ledger, fleet);
  });

  test("ignores confirmations that are not its own", async () => {
    platform.confirms = false;
    const fleet = new Fleet(options({ devices: 1, frames: "ccc", resend: true, rate: 20, count: null, settleMs: 100 }));
    fleet.start();
    await vi.waitFor(() => expect(platform.frames).not.toHaveLength(0), SOON);
    const { identifier, imei } = parseFrame(platform.frames[0]);
    const reply = { direction: "down", type: "CCC", content: "1" } as const;
    platform.send(imei, encodeFrame({ ...reply, imei, identifier: identifier === "a" ? "b" : "a" }));
    platform.send(imei, encodeFrame({ ...reply, imei: imeiAfter(imei, 1), identifier }));
    await vi.waitFor(() => expect(fleet.counts).toMatchObject({ acknowledged: 0, strays: 2 }), SOON);
    platform.send(imei, encodeFrame({ ...reply, imei, identifier }));
    await vi.waitFor(() => expect(fleet.counts.acknowledged).toBe(1), SOON);
    await fleet.stop();
  });
});
