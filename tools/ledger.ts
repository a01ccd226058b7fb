import type { Report } from "../codec/encode.ts";
import { HUNDREDTHS, SCALES, type Scale, scaleOf, type Volts } from "../codec/models.ts";

/** Numbers of a ledger row, in wire precision. */
const COLUMNS = [
  "device",
  "sequence",
  "event",
  "timeS",
  "latitudeE6",
  "longitudeE6",
  "valid",
  "satellites",
  "gsmSignal",
  "speedKmh",
  "courseDeg",
  "hdopTenths",
  "altitudeM",
  "odometerM",
  "runtimeS",
  "mcc",
  "mnc",
  "lac",
  "cid",
  "inputs",
  "outputs",
  "analogCv",
  "batteryCv",
  "supplyCv",
  "fuelCentiPercent",
  "kind",
  "state",
] as const;

type Column = (typeof COLUMNS)[number];
/** What is known of a report when it is made; the rest follows when it is sent. */
export type Measured = Readonly<Record<Exclude<Column, "kind" | "state" | "sequence">, number>>;

const SLOT = Object.fromEntries(COLUMNS.map((name, slot) => [name, slot])) as Readonly<Record<Column, number>>;
const STRIDE = COLUMNS.length;
const MEASURED = COLUMNS.filter((name) => name !== "kind" && name !== "state" && name !== "sequence");
// A power of two, so that a row number splits by shift and mask.
const CHUNK_BITS = 14;
const CHUNK_ROWS = 1 << CHUNK_BITS;

/** How a report travelled last. */
export const KINDS = ["AAA", "AFF", "CCC", "CCE"] as const;
export type Kind = (typeof KINDS)[number];

/** What became of a report. */
export const STATE = {
  /** Made, still in the tracker. */
  queued: 0,
  /** Written to the network as a right frame. */
  sent: 1,
  /** The platform said that it is safe. */
  acked: 2,
  /** Written only with a wrong checksum. */
  damaged: 3,
  /** Written, but the connection broke soon after: it may or may not have arrived. */
  doubtful: 4,
} as const;
export type State = (typeof STATE)[keyof typeof STATE];

const EPOCH_2000_MS = 946_684_800_000;

/** What a report says after the tracker's converter has counted it and the platform has rounded it to millivolts. */
function counted(centivolts: number, scale: Volts | null): number | undefined {
  if (scale === null) return undefined;
  const raw = Math.round(((centivolts / 100) * scale.per) / scale.times);
  return Math.round(((raw * scale.times) / scale.per) * 1000) / 1000;
}

/**
 * Everything a fleet ever reported: the exact report, when it was first sent and when it was confirmed. 124 bytes a
 * row, in blocks, so that a load of millions fits.
 */
export class Ledger {
  count = 0;
  /** Reports in state `damaged`. */
  damaged = 0;
  readonly #scale: Scale;
  readonly #rows: Int32Array[] = [];
  readonly #times: Float64Array[] = [];
  readonly #rowsOfDevice: number[][] = [];

  /** @param model decides how text reports count volts */
  constructor(model: string) {
    this.#scale = SCALES[scaleOf(model) || HUNDREDTHS];
  }

  /** Writes down a new report and returns its row. */
  add(measured: Measured): number {
    const row = this.count++;
    const at = (row & (CHUNK_ROWS - 1)) * STRIDE;
    if (at === 0) {
      this.#rows.push(new Int32Array(CHUNK_ROWS * STRIDE));
      this.#times.push(new Float64Array(CHUNK_ROWS * 2));
    }
    const chunk = this.#rows[row >> CHUNK_BITS];
    for (const name of MEASURED) chunk[at + SLOT[name]] = measured[name];
    this.#rowsOfDevice[measured.device] ??= [];
    const rows = this.#rowsOfDevice[measured.device];
    chunk[at + SLOT.sequence] = rows.length;
    rows.push(row);
    return row;
  }

  /** Rows of a device in the order of their making; the index is the report's `sequence`. */
  rowsOf(device: number): readonly number[] {
    return this.#rowsOfDevice[device] ?? [];
  }

  get(row: number, column: Column): number {
    const value = this.#rows[row >> CHUNK_BITS][(row & (CHUNK_ROWS - 1)) * STRIDE + SLOT[column]];
    return column === "odometerM" || column === "runtimeS" || column === "timeS" ? value >>> 0 : value;
  }

  #set(row: number, column: Column, value: number): void {
    this.#rows[row >> CHUNK_BITS][(row & (CHUNK_ROWS - 1)) * STRIDE + SLOT[column]] = value;
  }

  /** Unix ms. */
  fixTimeOf(row: number): number {
    return EPOCH_2000_MS + this.get(row, "timeS") * 1000;
  }

  stateOf(row: number): State {
    return this.get(row, "state") as State;
  }

  kindOf(row: number): Kind {
    return KINDS[this.get(row, "kind")];
  }

  /** Unix ms of the first right frame, 0 before. */
  sentAt(row: number): number {
    return this.#times[row >> CHUNK_BITS][(row & (CHUNK_ROWS - 1)) * 2];
  }

  /** Unix ms of the confirmation, 0 before. */
  ackedAt(row: number): number {
    return this.#times[row >> CHUNK_BITS][(row & (CHUNK_ROWS - 1)) * 2 + 1];
  }

  /** Notes that a report was written to the network. Returns true when it is the first right frame with it. */
  noteSent(row: number, kind: Kind, now: number, damaged: boolean): boolean {
    const state = this.stateOf(row);
    if (state === STATE.acked) return false;
    this.#set(row, "kind", KINDS.indexOf(kind));
    if (damaged) {
      if (state === STATE.queued) {
        this.#set(row, "state", STATE.damaged);
        this.damaged++;
      }
      return false;
    }
    if (state === STATE.damaged) this.damaged--;
    this.#set(row, "state", STATE.sent);
    const times = this.#times[row >> CHUNK_BITS];
    const at = (row & (CHUNK_ROWS - 1)) * 2;
    if (times[at] !== 0) return false;
    times[at] = now;
    return true;
  }

  /** Notes a confirmation. Returns true when it is the first. */
  noteAcked(row: number, now: number): boolean {
    if (this.stateOf(row) === STATE.acked) return false;
    this.#set(row, "state", STATE.acked);
    this.#times[row >> CHUNK_BITS][(row & (CHUNK_ROWS - 1)) * 2 + 1] = now;
    return true;
  }

  noteDoubtful(row: number): void {
    if (this.stateOf(row) === STATE.sent) this.#set(row, "state", STATE.doubtful);
  }

  /** The report of a row as the tracker meant it, with what its kind can carry. */
  report(row: number, kind: Kind = this.kindOf(row)): Report {
    const text = kind === "AAA" || kind === "AFF";
    const scale = text ? this.#scale : SCALES[HUNDREDTHS];
    const get = (column: Column) => this.get(row, column);
    const analog = counted(get("analogCv"), scale.analog);
    return {
      event: { code: get("event") },
      fixTime: this.fixTimeOf(row),
      valid: get("valid") === 1,
      latitude: get("latitudeE6") / 1e6,
      longitude: get("longitudeE6") / 1e6,
      satellites: get("satellites"),
      gsmSignal: get("gsmSignal"),
      speedKmh: get("speedKmh"),
      courseDeg: get("courseDeg"),
      hdop: get("hdopTenths") / 10,
      altitudeM: get("altitudeM"),
      odometerM: get("odometerM"),
      runtimeS: get("runtimeS"),
      cell: { mcc: get("mcc"), mnc: get("mnc"), lac: get("lac"), cid: get("cid") },
      inputs: get("inputs"),
      outputs: get("outputs"),
      ...(analog === undefined ? {} : { analogV: { "1": analog } }),
      batteryV: counted(get("batteryCv"), scale.battery),
      supplyV: counted(get("supplyCv"), scale.supply),
      ...(kind === "CCC" ? {} : { fuelPercent: get("fuelCentiPercent") / 100 }),
    };
  }
}
