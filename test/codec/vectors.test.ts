import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { fromHex, latin1, toHex } from "../../codec/bytes.ts";
import { CCE_GROUPS, PARAMETERS } from "../../codec/cce-parameters.ts";
import { type ColumnName, FLAGS, PositionTable, SLOT, STRIDE, TAIL, visitTail } from "../../codec/columns.ts";
import { decodeMessage, decodePositions, decodePositionsInto } from "../../codec/decode.ts";
import { CodecError } from "../../codec/errors.ts";
import { FRAME_LIMITS, type Frame, newBounds, parseFrame } from "../../codec/frame.ts";
import type { Position } from "../../codec/position.ts";
import { decodeRecord, encodeRecord } from "../../codec/record.ts";
import { le, refusal } from "./wire.ts";

/** A frame made by hand, with what is in it. */
interface OwnVector {
  readonly name: string;
  readonly hex?: string;
  readonly text?: string;
  readonly model?: string;
  readonly positions: readonly Record<string, unknown>[];
  readonly source: string;
  readonly checksum: "valid" | "altered";
}

const OWN_FOLDER = new URL("vectors/", import.meta.url);
const OWN = readdirSync(OWN_FOLDER).flatMap((file) =>
  (JSON.parse(readFileSync(new URL(file, OWN_FOLDER), "utf8")) as OwnVector[]).map(
    (vector) => [`${file}: ${vector.name}`, vector] as const,
  ),
);

const plainSum = (bytes: Uint8Array) => bytes.reduce((sum, byte) => (sum + byte) % 256, 0);

function bytesOfVector({ hex, text }: OwnVector): Uint8Array {
  return hex === undefined ? Uint8Array.from(text ?? "", (char) => char.charCodeAt(0)) : fromHex(hex);
}

describe("vectors made by hand", () => {
  test.each(OWN)("%s", (_, vector) => {
    const bytes = bytesOfVector(vector);
    const given = Number.parseInt(latin1(bytes, bytes.length - 4, bytes.length - 2), 16);
    expect(plainSum(bytes.subarray(0, bytes.length - 4)) === given).toBe(vector.checksum === "valid");
    if (vector.checksum === "altered") {
      const error = refusal(() => parseFrame(bytes));
      expect([error.code, error.offset]).toEqual(["checksum", bytes.length - 4]);
    }
    const frame = parseFrame(bytes, { lenient: vector.checksum === "altered" });
    expect(frame.checksumOk).toBe(vector.checksum === "valid");
    const options = vector.model === undefined ? {} : { model: vector.model };
    expect(decodePositions(frame, options).map((position) => position.toJSON())).toEqual(vector.positions);
    expect(vector.source).not.toBe("");
  });

  test.each(OWN)("%s: the IMEI is invented and its last digit is right", (_, vector) => {
    const { imei } = parseFrame(bytesOfVector(vector), { lenient: true });
    expect(imei).toMatch(/^35999900000\d{4}$/);
    const sum = [...imei].reduce((total, digit, i) => {
      const twice = i % 2 === 1 ? Number(digit) * 2 : Number(digit);
      return total + (twice > 9 ? twice - 9 : twice);
    }, 0);
    expect(sum % 10).toBe(0);
  });
});

/** A captured or printed frame with what other decoders found in it. These are of real vehicles and stay outside. */
interface Vector {
  readonly id: string;
  readonly kind: string;
  readonly direction: "up" | "down";
  readonly hex: string;
  readonly lengthOk: boolean;
  readonly checksumOk: boolean;
  // biome-ignore lint/suspicious/noExplicitAny: facts differ from type to type
  readonly decoded: any;
}

const SHARED = new URL("../../../shared/protocol/vectors.json", import.meta.url);
const FOUND = existsSync(SHARED);
const VECTORS: Vector[] = FOUND ? JSON.parse(readFileSync(SHARED, "utf8")) : [];

if (!FOUND) {
  test.skip("captured frames are not here: the file of vectors beside the repository is missing, so they are not compared", () => {});
}

const named = (vectors: readonly Vector[]) => vectors.map((vector) => [vector.id, vector] as const);
const right = VECTORS.filter((vector) => vector.lengthOk && vector.checksumOk);
const edited = VECTORS.filter((vector) => vector.lengthOk && !vector.checksumOk);
const wrong = VECTORS.filter((vector) => !vector.lengthOk || !vector.checksumOk);

/** Hex digits with one zero at the left for each that is missing. */
const raw = (value: number | undefined, count: number) =>
  value === undefined ? "" : value.toString(16).toUpperCase().padStart(count, "0");

const iso = (position: Position) => position.toJSON().fixTime?.replace(".000Z", "Z") ?? null;

function expectText(position: Position, facts: Vector["decoded"], row: Row): void {
  expect(position).toMatchObject({
    event: { code: facts.event },
    latitude: facts.lat,
    longitude: facts.lon,
    valid: facts.fixValid,
    satellites: facts.satellites,
    gsmSignal: facts.gsm,
    speedKmh: facts.speedKmh,
    courseDeg: facts.courseDeg,
    hdop: facts.hdop,
    altitudeM: facts.altitudeM,
    odometerM: facts.odometerM,
    runtimeS: facts.runtimeS,
  });
  expect(iso(position)).toBe(facts.time);
  const shown = position.readings ?? {};
  // A field that is shown as text is there as it came.
  const readBack = (field: number, text: string, value: string) => {
    if (row.tail.has(field)) expect(latin1(row.tail.get(field) as Uint8Array)).toBe(text);
    else expect(value).toBe(text);
    if (shown[`aaa.${field}`] !== undefined) expect(shown[`aaa.${field}`]).toBe(text);
  };
  const [mcc, mnc, lac = "", cid = ""] = String(facts.cell).split("|");
  const { cell } = position;
  const cellText = [
    String(cell?.mcc).padStart(mcc.length, "0"),
    String(cell?.mnc).padStart(mnc.length, "0"),
    raw(cell?.lac, lac.length),
    raw(cell?.cid, cid.length),
  ];
  readBack(14, facts.cell, cellText.join("|"));
  readBack(15, facts.io, raw(position.inputs, 2) + raw(position.outputs, 2));
  const analog: string[] = String(facts.analog).split("|");
  const rawAnalog = analog.map((text, index) =>
    row.has(`ad${index + 1}` as ColumnName) ? raw(row.number(`ad${index + 1}` as ColumnName), text.length) : "",
  );
  readBack(16, facts.analog, rawAnalog.join("|"));
  const rest: string[] = facts.tail;
  const text = row.tail.has(TAIL.aaaRest) ? latin1(row.tail.get(TAIL.aaaRest) as Uint8Array) : "";
  expect(text).toBe(rest.join(","));
}

/** What a row holds as numbers and as bytes. */
class Row {
  readonly tail = new Map<number, Uint8Array>();
  readonly #i32: Int32Array;

  constructor(table: PositionTable, row: number) {
    this.#i32 = table.i32.slice(row * STRIDE, (row + 1) * STRIDE);
    const bytes = table.tailAt(row);
    expect(visitTail(bytes, 0, bytes.length, (key, start, end) => this.tail.set(key, bytes.slice(start, end)))).toBe(
      true,
    );
  }

  has(name: ColumnName): boolean {
    return (this.#i32[SLOT.mask] & (1 << (SLOT[name] - 1))) !== 0;
  }

  number(name: ColumnName): number {
    return this.#i32[SLOT[name]] >>> 0;
  }

  get saidValid(): boolean {
    return (this.#i32[SLOT.flags] & FLAGS.saidValid) !== 0;
  }
}

function rowsOf(frame: Frame): Row[] {
  const table = new PositionTable();
  const { bytes, contentOffset, content } = frame;
  const at = newBounds();
  const typeStart = contentOffset - 4;
  const bounds = {
    ...at,
    end: bytes.length,
    typeStart,
    contentStart: contentOffset,
    contentEnd: contentOffset + content.length,
  };
  decodePositionsInto(table, bytes, bounds, { scale: 0 });
  return Array.from({ length: table.count }, (_, row) => new Row(table, row));
}

function expectRecord(position: Position, facts: Vector["decoded"], row: Row): void {
  expect(position).toMatchObject({
    event: { code: facts.event },
    latitude: facts.lat,
    longitude: facts.lon,
    valid: facts.fixValid,
    satellites: facts.satellites,
    gsmSignal: facts.gsm,
    speedKmh: facts.speedKmh,
    courseDeg: facts.courseDeg,
    hdop: facts.hdopRaw / 10,
    altitudeM: facts.altitudeM,
    odometerM: facts.odometerM,
    runtimeS: facts.runtimeS,
    cell: { mcc: facts.mcc, mnc: facts.mnc, lac: facts.lac, cid: facts.ci },
    inputs: facts.inputs,
    outputs: facts.outputs,
    analogV: { "1": facts.ad1 / 100 },
    batteryV: facts.ad4 / 100,
    supplyV: facts.ad5 / 100,
  });
  expect(raw(position.outputs, 2) + raw(position.inputs, 2)).toBe(facts.io);
  expect(iso(position)).toBe(facts.time);
  expect(row.number("geofence")).toBe(facts.geofence);
}

// Two-digit fix status and 12 bytes of the cell are in columns that the table of parameters does not name.
function columnHex(row: Row, id: number, count: number): string | undefined {
  if (id === 0x05) return row.saidValid ? "01" : "00";
  if (id === 0x0e && row.has("cid")) {
    const mccMnc = row.number("mccMnc");
    const parts = [le(2, mccMnc >>> 16), le(2, mccMnc & 0xffff), le(2, row.number("lac")), le(4, row.number("cid"))];
    return parts.join("") + le(2, row.number("rxLevel"));
  }
  for (const parameter of PARAMETERS) {
    if (!("column" in parameter) || parameter.id !== id || parameter.group !== count) continue;
    if (row.has(parameter.column)) return le(count, (row.number(parameter.column) | 0) / parameter.times);
  }
  return undefined;
}

function expectPacket(position: Position, facts: Vector["decoded"], row: Row): void {
  const voltage = { batteryV: facts.batteryV, supplyV: facts.externalV };
  const names = {
    latitude: facts.lat,
    longitude: facts.lon,
    satellites: facts.satellites,
    gsmSignal: facts.gsm,
    speedKmh: facts.speedKmh,
    courseDeg: facts.courseDeg,
    altitudeM: facts.altitudeM,
    odometerM: facts.odometerM,
    runtimeS: facts.runtimeS,
    ...voltage,
  };
  expect(position).toMatchObject({ ...names, event: { code: facts.event }, valid: facts.fixValid });
  expect(iso(position)).toBe(facts.time);
  const missing: string[] = [];
  for (const [name, hex] of Object.entries(facts.fields as Record<string, string>)) {
    const id = Number.parseInt(name, 16);
    const inTail = CCE_GROUPS.some((_, group) => {
      const bytes = row.tail.get(TAIL.cceGroup * (group + 1) + id);
      return bytes !== undefined && toHex(bytes).toLowerCase() === hex;
    });
    if (!inTail && columnHex(row, id, hex.length / 2) !== hex) missing.push(`${name} ${hex}`);
  }
  expect(missing).toEqual([]);
  expect(row.tail.get(TAIL.cceRest)?.length ?? 0).toBe(facts.leftover);
}

function expectFacts(frame: Frame, facts: Vector["decoded"]): void {
  const message = decodeMessage(frame);
  const positions = message.positions ?? [];
  const rows = rowsOf(frame);
  expect(rows).toHaveLength(positions.length);
  if (frame.type === "AAA") {
    expect(positions).toHaveLength(1);
    expectText(positions[0], facts, rows[0]);
  } else {
    expect(message.remaining).toBe(facts.cacheRemaining);
    expect(positions).toHaveLength(facts.records.length);
    const expectOne = frame.type === "CCC" ? expectRecord : expectPacket;
    for (const [n, record] of facts.records.entries()) expectOne(positions[n], record, rows[n]);
    expect(rows.at(-1)?.tail.get(TAIL.frameRest)?.length ?? 0).toBe(facts.trailing);
  }
  for (const position of positions) expect(decodeRecord(encodeRecord(position)).toJSON()).toEqual(position.toJSON());
}

describe.runIf(FOUND)("captured frames", () => {
  test("are there, right ones and wrong ones, with facts", () => {
    expect(right.length).toBeGreaterThan(200);
    expect(wrong.length).toBeGreaterThan(20);
    expect(right.filter((vector) => vector.decoded !== null).length).toBeGreaterThan(50);
  });

  test.each(named(right))("%s has the direction and type that it is listed with, and can be read", (_, vector) => {
    const frame = parseFrame(fromHex(vector.hex));
    // One manual prints the reply to E91 without its type.
    const type = vector.kind === "E91" && frame.type === "FWV" ? "E91" : frame.type;
    expect([frame.direction, type, frame.lengthOff]).toEqual([vector.direction, vector.kind, 0]);
    const message = decodeMessage(frame);
    expect(() => JSON.stringify(message)).not.toThrow();
  });

  test.each(named(right.filter((vector) => vector.decoded !== null)))("%s says what is known of it", (_, vector) => {
    expectFacts(parseFrame(fromHex(vector.hex)), vector.decoded);
  });

  test.each(named(edited))("%s, altered after its capture, is refused for its checksum", (_, vector) => {
    const bytes = fromHex(vector.hex);
    const error = refusal(() => parseFrame(bytes));
    expect([error.code, error.offset]).toEqual(["checksum", bytes.length - 4]);
    if (!/^[0-9A-Fa-f]{2}$/.test(latin1(bytes, bytes.length - 4, bytes.length - 2))) return;
    const frame = parseFrame(bytes, { lenient: true });
    expect(frame.checksumOk).toBe(false);
    if (vector.decoded !== null) expectFacts(frame, vector.decoded);
  });

  test.each(named(wrong))("%s, which is wrong, is refused with a code or accepted in the window", (_, vector) => {
    const bytes = fromHex(vector.hex);
    try {
      const { lengthOff } = parseFrame(bytes);
      expect(vector.checksumOk).toBe(true);
      expect(Math.abs(lengthOff)).toBeGreaterThan(0);
      expect(Math.abs(lengthOff)).toBeLessThanOrEqual(FRAME_LIMITS.lengthWindow);
    } catch (error) {
      if (!(error instanceof CodecError)) throw error;
      expect(["truncated", "prefix", "length", "checksum", "type", "value"]).toContain(error.code);
      expect(error.offset).toBeLessThanOrEqual(bytes.length);
    }
  });
});
