import { encodeAaa } from "../../codec/encode.ts";
import { RequestWriter, readResponse } from "../../codec/envelope.ts";
import { isAlarm } from "../../src/alarms.ts";
import { ingest } from "../../src/ingest.ts";
import { LIMITS } from "../../src/limits.ts";
import { cutoffAt, type Keeping, retentionTime } from "../../src/periods.ts";
import type { StoredPosition } from "../../src/positions.ts";
import type { TestBase } from "../database.ts";

// What the track store must look like from outside: every record once, as it first came. Nothing here knows of batches,
// runs or segments.

export interface ModelDevice {
  id: number;
  accountId: number;
  imei: string;
  keeping: Keeping;
}

/** A record as a tracker sends it, again and again perhaps. `number` tells it apart. */
export interface ModelRecord {
  device: ModelDevice;
  number: number;
  /** What the tracker's clock says, Unix ms, whole seconds. */
  deviceTime: number;
  event: number;
  valid: boolean;
}

/** A record as the store must have it. */
export interface ModelPosition extends ModelRecord {
  /** Learned when it is first seen; it must not change. */
  id: number | null;
  fixTime: number;
  receivedAt: number;
  clock: boolean;
  due: number;
}

export interface Sending {
  record: ModelRecord;
  receivedAt: number;
}

/** Sends records as a bridge does. @returns outcomes, codec/envelope.ts */
export async function send(base: TestBase, sendings: readonly Sending[]): Promise<number[]> {
  const request = new RequestWriter();
  for (const { record, receivedAt } of sendings) {
    const { deviceTime: fixTime, number: odometerM, event, valid } = record;
    const report = { event: { code: event }, fixTime, valid, latitude: 22.5, longitude: 114, odometerM };
    request.frame(1, 0, receivedAt, encodeAaa({ identifier: "A", imei: record.device.imei, report }));
  }
  const { frames } = readResponse(await ingest(base, 0, request.finish().slice()));
  await base.settled();
  return frames.map(({ outcome }) => outcome);
}

const byArrival = (a: ModelPosition, b: ModelPosition) => a.id! - b.id!;
const byFix = (a: ModelPosition, b: ModelPosition) => a.fixTime - b.fixTime || a.id! - b.id!;

export class TrackModel {
  /** By device id, in the order of arrival. */
  readonly positions = new Map<number, ModelPosition[]>();
  readonly removed = new Set<number>();
  /** The highest id that was ever given. */
  lastId = 0;

  /** @returns whether the record is new */
  arrive({ record, receivedAt }: Sending): boolean {
    const known = this.positions.get(record.device.id) ?? [];
    this.positions.set(record.device.id, known);
    if (known.some(({ number }) => number === record.number)) return false;
    const { deviceTime } = record;
    const clock = deviceTime < LIMITS.fixTimeMinMs || deviceTime > receivedAt + LIMITS.fixTimeAheadMs;
    const fixTime = clock ? receivedAt : deviceTime;
    known.push({ ...record, id: null, fixTime, receivedAt, clock, due: retentionTime(fixTime, receivedAt) });
    return true;
  }

  /** What a device must show at a time, in the order of fixes. Known ids only: call learn() first. */
  track(device: ModelDevice, now: number): ModelPosition[] {
    if (this.removed.has(device.id)) return [];
    const cutoff = cutoffAt(now, device.keeping);
    return (this.positions.get(device.id) ?? []).filter(({ due }) => due >= cutoff).sort(byFix);
  }

  events(device: ModelDevice, now: number): ModelPosition[] {
    return this.track(device, now).filter(({ event }) => isAlarm(event));
  }

  /** What an account's feed must hold after a cursor. */
  feed(devices: readonly ModelDevice[], now: number): ModelPosition[] {
    return devices.flatMap((device) => this.track(device, now)).sort(byArrival);
  }

  /**
   * Takes the ids of positions that came since the last call from what a device shows.
   * @throws when an id is not above all that were given before, in the order of arrival
   */
  learn(shown: readonly StoredPosition[]): void {
    const ids = new Map(shown.map(({ deviceId, odometerM, id }) => [`${deviceId} ${odometerM}`, id]));
    const fresh: ModelPosition[] = [];
    for (const positions of this.positions.values()) {
      for (const position of positions) {
        if (position.id !== null) continue;
        position.id = ids.get(`${position.device.id} ${position.number}`) ?? null;
        if (position.id !== null) fresh.push(position);
      }
    }
    for (const { id, number } of fresh) {
      if (id! <= this.lastId) throw new Error(`Record ${number} has id ${id}, and ${this.lastId} was given before`);
    }
    for (const { id } of fresh) this.lastId = Math.max(this.lastId, id!);
  }

  /**
   * The fixes that may be a device's newest. With unusable clocks "newer" can go in a circle; then it is any that is
   * newer than every other one, directly or by way of others. Null among them: one that is past its period was newer
   * than what is left, as it came late, and it is not looked for another one.
   */
  newest(device: ModelDevice, now: number): (ModelPosition | null)[] {
    const kept = this.track(device, now).filter(({ valid }) => valid);
    const came = (this.positions.get(device.id) ?? []).filter(
      ({ valid, due, receivedAt }) => valid && due >= cutoffAt(receivedAt, device.keeping),
    );
    const fixes: (ModelPosition | null)[] = newestAmong(kept);
    if (fixes.length > 0 && newestAmong(came).some((position) => !kept.includes(position))) fixes.push(null);
    return fixes;
  }
}

function newestAmong(all: readonly ModelPosition[]): ModelPosition[] {
  const isFirst = (from: ModelPosition) => {
    const reached = new Set([from]);
    for (const a of reached) for (const b of all) if (!reached.has(b) && isNewer(a, b)) reached.add(b);
    return reached.size === all.length;
  };
  return all.filter(isFirst);
}

function isNewer(a: ModelPosition, b: ModelPosition): boolean {
  if (b.clock && !a.clock && a.receivedAt >= b.receivedAt) return true;
  if (a.clock && !b.clock && b.receivedAt >= a.receivedAt) return false;
  const at = ({ fixTime, receivedAt }: ModelPosition) => Math.min(fixTime, receivedAt);
  return at(a) > at(b) || (at(a) === at(b) && a.id! > b.id!);
}
