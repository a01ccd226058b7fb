import { CCC_FIELDS } from "./ccc.ts";
import { encodeFrame } from "./frame.ts";
import { HUNDREDTHS, SCALES, type Scale, scaleOf } from "./models.ts";
import {
  channelName,
  channelVolts,
  hex,
  putInteger,
  REPORTED,
  type Report,
  rangeOfBytes,
  refuse,
  type Sender,
  temperatures,
  U8,
  U16,
  U32,
  wire,
  wireText,
  wireTime,
  wireVolts,
} from "./report.ts";

export { type CceReport, encodeCce, type RawParameter } from "./encode-cce.ts";
export type { Report, Sender } from "./report.ts";

/** A number as AAA prints it. */
function decimal(name: string, value: number | undefined, per: number, min: number, max: number): string {
  if (value === undefined) return "";
  wire(name, value, per, min * per, max * per);
  return String(value);
}

function aaaTime({ fixTime }: Report): string {
  wireTime(fixTime);
  const iso = new Date(fixTime).toISOString();
  if (!iso.startsWith("20")) throw refuse("fixTime", iso, "not in the years 2000 to 2099");
  return iso.slice(2, 19).replace(/[-T:]/g, "");
}

function aaaCell({ cell }: Report): string {
  if (cell === undefined) return "";
  const mcc = wire("cell.mcc", cell.mcc, 1, 0, U16);
  const mnc = wire("cell.mnc", cell.mnc, 1, 0, U16);
  const lac = cell.lac === undefined ? "" : hex(wire("cell.lac", cell.lac, 1, 0, U16), 4);
  const cid = cell.cid === undefined ? "" : hex(wire("cell.cid", cell.cid, 1, 0, U32), 4);
  return `${mcc}|${mnc}|${lac}|${cid}`;
}

function aaaPorts({ inputs, outputs }: Report): string {
  if (inputs === undefined && outputs === undefined) return "";
  return hex(wire("inputs", inputs ?? 0, 1, 0, U8), 2) + hex(wire("outputs", outputs ?? 0, 1, 0, U8), 2);
}

/** `AD1|AD2|AD3|battery|supply`, and AD6 to AD8 when there are any. */
function aaaAnalog(report: Report, scale: Scale): string {
  const texts: string[] = [];
  for (let channel = 1; channel <= 8; channel++) {
    const volts = channelVolts(report, channel);
    const steps = channel === 4 ? scale.battery : channel === 5 ? scale.supply : scale.analog;
    texts.push(volts === undefined ? "" : hex(wireVolts(channelName(channel), volts, steps), 4));
  }
  while (texts.length > 5 && texts.at(-1) === "") texts.pop();
  return texts.join("|");
}

/** Field 17 means what the event says it means. */
function aaaAssist(report: Report): string {
  if (report.driverId !== undefined) return wireText("driverId", report.driverId);
  if (report.pictureName !== undefined) return wireText("pictureName", report.pictureName);
  return report.geofence === undefined ? "" : hex(wire("geofence", report.geofence, 1, 0, 0xffffff), 8);
}

function aaaFuel({ fuelPercent }: Report): string {
  if (fuelPercent === undefined) return "";
  const hundredths = wire("fuelPercent", fuelPercent, 100, 0, 25599);
  return hex(Math.floor(hundredths / 100), 2) + hex(hundredths % 100, 2);
}

/** From this protocol version on, temperatures are a sensor and a 16-bit number of hundredths. */
const TEMPERATURE_VERSION = 3;

function aaaVersion({ readings, temperaturesC }: Report): string {
  const version = readings?.protocolVersion;
  if (typeof version === "number" && (version >= TEMPERATURE_VERSION || temperaturesC === undefined))
    return String(version);
  return temperaturesC === undefined ? "" : String(TEMPERATURE_VERSION);
}

const aaaReading = (name: string) => (report: Report) => {
  const value = report.readings?.[name];
  return typeof value === "number" || typeof value === "string" ? wireText(name, String(value)) : "";
};

function aaaTemperatures(report: Report): string {
  return temperatures(report)
    .map(([sensor, hundredths]) => hex(sensor, 2) + hex(hundredths & U16, 4))
    .join("|");
}

/** Fields of an AAA report in their order. Source: Meitrack GPRS protocol V1.8, AAA; T366 (fields 17 to 23). */
const AAA_FIELDS: readonly ((report: Report, scale: Scale) => string)[] = [
  (r) => decimal("event", r.event.code, 1, 0, U16),
  (r) => (wire("latitude", r.latitude, 1e6, -90e6, 90e6) / 1e6).toFixed(6),
  (r) => (wire("longitude", r.longitude, 1e6, -180e6, 180e6) / 1e6).toFixed(6),
  aaaTime,
  (r) => (r.valid ? "A" : "V"),
  (r) => decimal("satellites", r.satellites, 1, 0, U8),
  (r) => decimal("gsmSignal", r.gsmSignal, 1, 0, U8),
  (r) => decimal("speedKmh", r.speedKmh, 1000, 0, U16),
  (r) => decimal("courseDeg", r.courseDeg, 1000, 0, U16),
  (r) => decimal("hdop", r.hdop, 1000, 0, U16),
  (r) => decimal("altitudeM", r.altitudeM, 1000, -32768, 32767),
  (r) => decimal("odometerM", r.odometerM, 1, 0, U32),
  (r) => decimal("runtimeS", r.runtimeS, 1, 0, U32),
  aaaCell,
  aaaPorts,
  aaaAnalog,
  aaaAssist,
  aaaReading("custom"),
  aaaVersion,
  aaaFuel,
  aaaTemperatures,
  aaaReading("maxAccelerationMg"),
  aaaReading("maxDecelerationMg"),
];

/** Every model sends at least this many fields, empty or not. */
const AAA_LEAST_FIELDS = 16;

function aaaText(report: Report, model: string | undefined): string {
  const scale = SCALES[scaleOf(model) || HUNDREDTHS];
  const texts = AAA_FIELDS.map((field) => field(report, scale));
  while (texts.length > AAA_LEAST_FIELDS && texts.at(-1) === "") texts.pop();
  return texts.join(",");
}

/**
 * Encodes a text report.
 * @param message.model decides how volts are counted; hundredths of a volt without one
 * @returns the whole frame, CR LF included
 * @throws {CodecError} `value` naming the field that does not fit the wire
 * Source: Meitrack GPRS protocol V1.8, AAA.
 */
export function encodeAaa(message: Sender & { readonly report: Report; readonly model?: string }): Uint8Array {
  const { identifier, imei, report, model } = message;
  return encodeFrame({ direction: "up", identifier, imei, type: "AAA", content: aaaText(report, model) });
}

/**
 * Encodes a text report that waits for its confirmation (transmission mode C03,1).
 * @param message.remaining events that the tracker still holds, this one included
 * @param message.model decides how volts are counted; hundredths of a volt without one
 * @throws {CodecError} `value` naming the field that does not fit the wire
 * Source: Meitrack GPRS protocol V1.8, AFF.
 */
export function encodeAff(
  message: Sender & { readonly report: Report; readonly remaining: number; readonly model?: string },
): Uint8Array {
  const { identifier, imei, report, model } = message;
  const remaining = hex(wire("remaining", message.remaining, 1, 0, U16), 4);
  const content = `${remaining},${aaaText(report, model)}`;
  return encodeFrame({ direction: "up", identifier, imei, type: "AFF", content });
}

/** What a record holds besides the numbers of the decoder's table. Offsets in the record. */
const CCC_STATUS = 13;
const CCC_MCC = 32;
const CCC_MNC = 34;

const CCC_NUMBERS = CCC_FIELDS.flatMap((field) => {
  if (field.column === "mccMnc") return [];
  const { name, per, of } = REPORTED[field.column];
  const { offset, size, times } = field;
  return [{ name, of, offset, size, per: per / times, range: rangeOfBytes(size, "signed" in field) }];
});

function putRecord(content: Uint8Array, start: number, report: Report): void {
  for (const { name, of, offset, size, per, range } of CCC_NUMBERS) {
    putInteger(content, start + offset, size, wire(name, of(report) ?? 0, per, ...range));
  }
  content[start + CCC_STATUS] = Number(report.valid);
  putInteger(content, start + CCC_MCC, 2, wire("cell.mcc", report.cell?.mcc ?? 0, 1, 0, U16));
  putInteger(content, start + CCC_MNC, 2, wire("cell.mnc", report.cell?.mnc ?? 0, 1, 0, U16));
}

/** Layout of a CCC frame: two id bytes, record length, records in the cache, records. */
const CCC_LAYOUT = { id: [0x02, 0x01], headBytes: 8, recordBytes: 52 } as const;

/**
 * Encodes a batch of compressed records.
 * @param message.remaining records that the tracker still holds, those of this frame included (their number by default)
 * @throws {CodecError} `value` naming the field that does not fit the wire, `length` for more records than a frame holds
 * Source: T622 GPRS protocol, CCC.
 */
export function encodeCcc(
  message: Sender & { readonly reports: readonly Report[]; readonly remaining?: number },
): Uint8Array {
  const { identifier, imei, reports, remaining = reports.length } = message;
  const content = new Uint8Array(CCC_LAYOUT.headBytes + reports.length * CCC_LAYOUT.recordBytes);
  content.set(CCC_LAYOUT.id);
  putInteger(content, 2, 2, CCC_LAYOUT.recordBytes);
  putInteger(content, 4, 4, wire("remaining", remaining, 1, 0, U32));
  for (const [n, report] of reports.entries()) {
    putRecord(content, CCC_LAYOUT.headBytes + n * CCC_LAYOUT.recordBytes, report);
  }
  return encodeFrame({ direction: "up", identifier, imei, type: "CCC", content });
}
