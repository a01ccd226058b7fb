import { commandOf } from "../codec/commands.ts";
import type { Ledger } from "./ledger.ts";
import { Vehicle } from "./motion.ts";

/** Whole seconds since 2000-01-01 UTC, as trackers count. */
export function secondsSince2000(unixMs: number): number {
  return Math.floor(unixMs / 1000) - 946_684_800;
}

/** Who a simulated tracker is, and what its clocks show at the start. */
export interface Identity {
  /** Its number in the fleet, from 0. */
  readonly index: number;
  readonly imei: string;
  readonly model: string;
  readonly odometerM: number;
  readonly runtimeS: number;
}

/** The unit in the vehicle: takes positions and does what commands say. What it measures goes into the ledger. */
export class Unit {
  /** Seconds since 2000 of the newest report. */
  timeS = 0;
  /** Reports made. */
  made = 0;
  /** Seconds between reports when a command A12 has set them, otherwise null. */
  intervalS: number | null = null;
  readonly #who: Identity;
  readonly #vehicle: Vehicle;
  readonly #ledger: Ledger;
  #runtimeS: number;
  #outputs = 0;

  constructor(who: Identity, seed: number, ledger: Ledger) {
    this.#who = who;
    this.#vehicle = new Vehicle(seed, who.index, who.odometerM);
    this.#ledger = ledger;
    this.#runtimeS = who.runtimeS;
  }

  /**
   * Drives on and takes a position.
   * @param timeS seconds since 2000 that the receiver reads
   * @param elapsedS seconds since the position before
   * @param event what made it report; by default what the drive brought
   * @returns the ledger's row
   */
  measure(timeS: number, elapsedS: number, event?: number): number {
    const vehicle = this.#vehicle;
    vehicle.step(elapsedS);
    this.timeS = timeS;
    // The running time grows with every report, so that two of one second are never the same record.
    this.#runtimeS += Math.max(1, Math.round(elapsedS));
    this.made++;
    return this.#ledger.add({
      device: this.#who.index,
      event: event ?? vehicle.takeEvent(),
      timeS,
      latitudeE6: vehicle.latitudeE6,
      longitudeE6: vehicle.longitudeE6,
      valid: Number(vehicle.valid),
      satellites: vehicle.satellites,
      gsmSignal: vehicle.gsmSignal,
      speedKmh: vehicle.speedKmh,
      courseDeg: vehicle.courseDeg,
      hdopTenths: vehicle.hdopTenths,
      altitudeM: vehicle.altitudeM,
      odometerM: vehicle.odometerM,
      runtimeS: this.#runtimeS,
      mcc: vehicle.mcc,
      mnc: vehicle.mnc,
      lac: vehicle.lac,
      cid: vehicle.cid,
      inputs: vehicle.ignition ? 2 : 0,
      outputs: this.#outputs,
      analogCv: 24 + (vehicle.fuelCentiPercent >> 5),
      batteryCv: vehicle.batteryCv,
      supplyCv: vehicle.supplyCv,
      fuelCentiPercent: vehicle.fuelCentiPercent,
    });
  }

  /**
   * Obeys a command, where that shows in the reports, and says what it answers.
   * @param content the arguments as they came
   */
  obey(code: string, content: string): string {
    const [first, second = ""] = content.split(",");
    if (code === "E91") return `${this.#who.model}_Y01H1V001,${this.#who.imei.slice(4)}`;
    if (code === "A12") this.intervalS = first === "0" ? Number.POSITIVE_INFINITY : Number(first) * 10;
    if (code === "C01") {
      for (const [port, digit] of [...second].entries()) {
        if (digit !== "2") this.#outputs = (this.#outputs & ~(1 << port)) | (Number(digit) << port);
      }
    }
    return commandOf(code) === undefined ? "Error" : "OK";
  }
}
