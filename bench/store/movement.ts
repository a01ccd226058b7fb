import { bits, EPOCH_MS, FLAGS, PositionTable, SLOT, SOURCES, STRIDE } from "../../codec/columns.ts";
import { scaleOf } from "../../codec/models.ts";
import { Vehicle } from "../../tools/motion.ts";
import { MODEL } from "../prepared.ts";

/** Positions as one delivery of a bridge brings them: row n of the table is of device n. */
export interface Batch {
  readonly table: PositionTable;
  readonly deviceIds: readonly number[];
  readonly accountIds: readonly number[];
  /** Unix ms, of all of them. */
  readonly receivedAt: number;
}

/** Of a report of this model in each of the three types, as the codec decodes them. */
const SCALE = scaleOf(MODEL) << FLAGS.scaleShift;
const COMMON = bits(
  ...(["event", "latitudeE6", "longitudeE6", "timeS", "satellites", "gsmSignal", "speedMilli", "courseMilli"] as const),
  ...(["hdopMilli", "altitudeMilli", "odometerM", "runtimeS", "mccMnc", "lac", "cid", "inputs", "outputs"] as const),
  ...(["ad1", "ad4", "ad5"] as const),
);
const KINDS = [
  { mask: COMMON | bits("ad2", "ad3"), flags: SCALE },
  { mask: COMMON | bits("geofence"), flags: SCALE | (SOURCES.indexOf("CCC") << FLAGS.sourceShift) },
  { mask: COMMON | bits("ad2", "ad3", "rxLevel"), flags: SCALE | (SOURCES.indexOf("CCE") << FLAGS.sourceShift) },
] as const;

const EPOCH_S = EPOCH_MS / 1000;
const LATE_MS = 1500;

/**
 * Trackers in driving vehicles that report at a steady interval, in AAA, CCC and CCE in equal parts, with every field
 * that the types have. The same seed gives the same positions. Each starts at its own second of the interval.
 */
export class Movement {
  readonly devices: number;
  readonly #vehicles: Vehicle[];
  readonly #made: Uint32Array;
  readonly #accountIds: readonly number[];
  readonly #fromS: number;
  readonly #stepS: number;

  /**
   * @param accountIds of the devices 1, 2, 3, ...
   * @param fromMs when the first report is due
   * @param stepS seconds between a device's reports
   */
  constructor(accountIds: readonly number[], fromMs: number, stepS: number, seed = 1) {
    this.devices = accountIds.length;
    this.#accountIds = accountIds;
    this.#fromS = fromMs / 1000;
    this.#stepS = stepS;
    this.#vehicles = accountIds.map((_, n) => new Vehicle(seed, n, 1_000_000 + n * 977));
    this.#made = new Uint32Array(accountIds.length);
  }

  /**
   * The next report of each of these devices.
   * @param idleS seconds that pass before, without a report: the night
   */
  batch(deviceIds: readonly number[], idleS = 0): Batch {
    const table = new PositionTable(deviceIds.length, 64);
    let newest = 0;
    for (const deviceId of deviceIds) newest = Math.max(newest, this.#report(table, deviceId, idleS));
    const accountIds = deviceIds.map((deviceId) => this.#accountIds[deviceId - 1]!);
    return { table, deviceIds, accountIds, receivedAt: newest * 1000 + LATE_MS };
  }

  /** @returns its time, Unix seconds */
  #report(table: PositionTable, deviceId: number, idleS: number): number {
    const n = deviceId - 1;
    const vehicle = this.#vehicles[n]!;
    const made = this.#made[n]!;
    const timeS = this.#fromS + made * this.#stepS + ((Math.imul(deviceId, 7919) >>> 0) % this.#stepS);
    this.#made[n] = made + 1 + Math.round(idleS / this.#stepS);
    vehicle.step(this.#stepS);
    const base = table.addRow();
    const { i32 } = table;
    const { mask, flags } = KINDS[n % KINDS.length]!;
    i32.fill(0, base, base + STRIDE);
    i32[base + SLOT.mask] = mask;
    i32[base + SLOT.event] = vehicle.takeEvent();
    i32[base + SLOT.latitudeE6] = vehicle.latitudeE6;
    i32[base + SLOT.longitudeE6] = vehicle.longitudeE6;
    i32[base + SLOT.timeS] = timeS - EPOCH_S;
    i32[base + SLOT.satellites] = vehicle.satellites;
    i32[base + SLOT.gsmSignal] = vehicle.gsmSignal;
    i32[base + SLOT.speedMilli] = vehicle.speedKmh * 1000;
    i32[base + SLOT.courseMilli] = vehicle.courseDeg * 1000;
    i32[base + SLOT.hdopMilli] = vehicle.hdopTenths * 100;
    i32[base + SLOT.altitudeMilli] = vehicle.altitudeM * 1000;
    i32[base + SLOT.odometerM] = vehicle.odometerM;
    i32[base + SLOT.runtimeS] = 500_000 + (made + 1) * this.#stepS;
    i32[base + SLOT.mccMnc] = (vehicle.mcc << 16) | vehicle.mnc;
    i32[base + SLOT.lac] = vehicle.lac;
    i32[base + SLOT.cid] = vehicle.cid;
    i32[base + SLOT.inputs] = vehicle.ignition ? 2 : 0;
    i32[base + SLOT.ad1] = 24 + (vehicle.fuelCentiPercent >> 5);
    i32[base + SLOT.ad4] = vehicle.batteryCv;
    i32[base + SLOT.ad5] = vehicle.supplyCv;
    i32[base + SLOT.flags] = flags | (vehicle.valid ? FLAGS.valid | FLAGS.saidValid : 0);
    // As good as a hash: no two are alike, and they lie anywhere.
    i32[base + SLOT.digestHi] = Math.imul(timeS ^ Math.imul(deviceId, 0x9e3779b1), 0x85ebca6b);
    i32[base + SLOT.digestLo] = Math.imul(deviceId, 0xc2b2ae35) ^ Math.imul(timeS, 0x27d4eb2f);
    return timeS;
  }
}
