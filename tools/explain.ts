import { AAA_FIELDS } from "../codec/aaa-fields.ts";
import { latin1, toHex } from "../codec/bytes.ts";
import { CCC_FIELDS } from "../codec/ccc.ts";
import { CCE_GROUPS, CCE_PREFIXES, type CceGroup, PARAMETERS } from "../codec/cce-parameters.ts";
import { readStructure } from "../codec/cce-structures.ts";
import { commandOf } from "../codec/commands.ts";
import type { Frame } from "../codec/frame.ts";
import type { PositionJson } from "../codec/position.ts";
import { REPORTED } from "../codec/report.ts";

/** One field of a frame: where its bytes are and what they say. */
export interface ExplainedField {
  /** Of its first byte in the frame. */
  readonly offset: number;
  readonly hex: string;
  readonly name: string;
  readonly value: unknown;
  /** Which of the frame's positions it belongs to, from 0. */
  readonly position?: number;
}

/** Text fields of an AAA report after the table of the decoder, from field 17 on. */
const AAA_REST = ["assist", "custom", "protocolVersion", "fuel", "temperatures"];

/** What an AAA field says, where the position has more to say than the text. */
const AAA_VALUES: Readonly<Record<string, (position: PositionJson) => unknown>> = {
  event: (p) => p.event,
  time: (p) => p.fixTime,
  status: (p) => p.valid,
  cell: (p) => p.cell,
  ports: ({ inputs, outputs }) => ({ inputs, outputs }),
  analog: ({ analogV, batteryV, supplyV }) => ({ analogV, batteryV, supplyV }),
  fuel: (p) => p.fuelPercent,
  temperatures: (p) => p.temperaturesC,
};

const EPOCH_2000_MS = 946_684_800_000;

/** Parameters of CCE that the decoder reads without its table, and one that an erased value may make longer. */
const CCE_STATUS_ID = 0x05;
const CCE_CELL_ID = 0x0e;
const CCE_NETWORK = { id: 0x4b, erasedBytes: 258 } as const;

/** Types whose content is bytes, not text. Source: Meitrack GPRS protocol V1.8 (D00, D13, C40 to C46), OTA V1.0. */
const BINARY_TYPES = /^(D00|D13|C4\d|FC[0-2]|A9.|AB.)$/;

const COMMA = 0x2c;

/** Least significant byte first. */
function little(bytes: Uint8Array, from: number, to: number, signed = false): number {
  let value = 0;
  for (let i = to - 1; i >= from; i--) value = value * 256 + bytes[i];
  const values = 256 ** (to - from);
  return signed && value >= values / 2 ? value - values : value;
}

/** Collects the fields of one frame. */
class Explanation {
  readonly fields: ExplainedField[] = [];
  readonly #bytes: Uint8Array;
  readonly #positions: readonly PositionJson[];

  constructor(frame: Frame, positions: readonly PositionJson[]) {
    this.#bytes = frame.bytes;
    this.#positions = positions;
  }

  add(name: string, from: number, to: number, value: unknown, position?: number): void {
    const field = { offset: from, hex: toHex(this.#bytes.subarray(from, to)), name, value };
    this.fields.push(position === undefined ? field : { ...field, position });
  }

  /** Bytes that end at the next comma, or at `end`. */
  fieldEnd(from: number, end: number): number {
    const comma = this.#bytes.indexOf(COMMA, from);
    return comma < 0 || comma > end ? end : comma;
  }

  text(from: number, to: number): string {
    return latin1(this.#bytes, from, to);
  }

  /** Comma separated fields, each with the name that `nameOf` gives. */
  list(start: number, end: number, nameOf: (n: number) => string): void {
    for (let n = 0, from = start; from <= end; n++) {
      const to = this.fieldEnd(from, end);
      this.add(nameOf(n), from, to, this.text(from, to));
      from = to + 1;
    }
  }

  aaa(start: number, end: number): void {
    const [position] = this.#positions;
    for (let n = 0, from = start; from <= end; n++) {
      const to = this.fieldEnd(from, end);
      const name = AAA_FIELDS[n]?.name ?? AAA_REST[n - AAA_FIELDS.length] ?? `field ${n + 1}`;
      const known = position === undefined || from === to ? undefined : AAA_VALUES[name]?.(position);
      const text = this.text(from, to);
      const number = n < AAA_FIELDS.length && "places" in AAA_FIELDS[n] && text !== "" ? Number(text) : Number.NaN;
      this.add(name, from, to, known ?? (Number.isNaN(number) ? text : number), 0);
      from = to + 1;
    }
  }

  aff(start: number, end: number): void {
    const to = this.fieldEnd(start, end);
    const text = this.text(start, to);
    if (to === end) {
      this.add("reply", start, to, text);
      return;
    }
    this.add("remaining", start, to, Number.parseInt(text, 16));
    this.aaa(to + 1, end);
  }

  ccc(start: number, end: number): void {
    const bytes = this.#bytes;
    const length = little(bytes, start + 2, start + 4);
    this.add("layout", start, start + 2, this.hex(start, start + 2));
    this.add("recordLength", start + 2, start + 4, length);
    this.add("remaining", start + 4, start + 8, little(bytes, start + 4, start + 8));
    let at = start + 8;
    for (let n = 0; n < this.#positions.length && length > 0; n++, at += length) this.#record(at, at + length, n);
    if (at < end) this.add("rest", at, end, this.hex(at, end));
  }

  #record(start: number, end: number, position: number): void {
    const bytes = this.#bytes;
    let at = start;
    for (const field of CCC_FIELDS) {
      const from = start + field.offset;
      const to = from + field.size;
      if (from > at && from <= end) {
        this.add("valid", at, from, bytes[at] === 1, position);
        at = from;
      }
      if (to > end) break;
      if (field.column === "mccMnc") {
        this.add("cell.mcc", from, from + 2, little(bytes, from, from + 2), position);
        this.add("cell.mnc", from + 2, to, little(bytes, from + 2, to), position);
      } else {
        const raw = little(bytes, from, to, "signed" in field);
        this.add(REPORTED[field.column].name, from, to, columnValue(field, raw), position);
      }
      at = to;
    }
    if (at < end) this.add("extra", at, end, this.hex(at, end), position);
  }

  cce(start: number, end: number): void {
    const bytes = this.#bytes;
    this.add("remaining", start, start + 4, little(bytes, start, start + 4));
    this.add("packets", start + 4, start + 6, little(bytes, start + 4, start + 6));
    let at = start + 6;
    for (let n = 0; n < this.#positions.length; n++) {
      const from = at + 2;
      const to = from + little(bytes, at, from);
      this.add("packetLength", at, from, to - from, n);
      this.add("parameters", from, from + 2, little(bytes, from, from + 2), n);
      this.#packet(from + 2, to, n);
      at = to;
    }
    if (at < end) this.add("rest", at, end, this.hex(at, end));
  }

  #packet(start: number, end: number, position: number): void {
    let at = start;
    for (const group of CCE_GROUPS) {
      if (at >= end) return;
      const count = this.#bytes[at];
      this.add(`group ${group}`, at, at + 1, `${count} parameters`, position);
      at++;
      for (let i = 0; i < count; i++) {
        const next = this.#parameter(group, at, end, position);
        if (next === 0) {
          this.add("rest", at, end, this.hex(at, end), position);
          return;
        }
        at = next;
      }
    }
    if (at < end) this.add("rest", at, end, this.hex(at, end), position);
  }

  /** Returns where the parameter ends, 0 when the packet ends before. */
  #parameter(group: CceGroup, start: number, end: number, position: number): number {
    const bytes = this.#bytes;
    const wide = CCE_PREFIXES.includes(bytes[start]);
    const id = wide ? (bytes[start] << 8) | bytes[start + 1] : bytes[start];
    let from = start + (wide ? 2 : 1);
    let size = group === "n" ? bytes[from++] : group;
    const erased = bytes.subarray(from, from + CCE_NETWORK.erasedBytes);
    if (id === CCE_NETWORK.id && size === 2 && from + erased.length <= end && erased.every((byte) => byte === 0xff)) {
      size = erased.length;
    }
    const to = from + size;
    if (to > end) return 0;
    const [name, value] = meaningOf(group, id, bytes.slice(from, to));
    this.add(name, start, to, value, position);
    return to;
  }

  hex(from: number, to: number): string {
    return toHex(this.#bytes.subarray(from, to));
  }
}

function columnValue({ column, times }: { column: keyof typeof REPORTED; times: number }, raw: number): unknown {
  if (column === "timeS") return new Date(EPOCH_2000_MS + raw * 1000).toISOString();
  return raw / (REPORTED[column].per / times);
}

/** Name and value of a CCE parameter. */
function meaningOf(group: CceGroup, id: number, bytes: Uint8Array): [name: string, value: unknown] {
  const unknown = `parameter ${id.toString(16).toUpperCase().padStart(2, "0")}`;
  if (group === 1 && id === CCE_STATUS_ID) return ["valid", bytes[0] > 0];
  const row = PARAMETERS.find((parameter) => parameter.group === group && parameter.id === id);
  if (group === "n" && id === CCE_CELL_ID && bytes.length === 12) {
    const [mcc, mnc, lac] = [0, 2, 4].map((at) => little(bytes, at, at + 2));
    return ["cell", { mcc, mnc, lac, cid: little(bytes, 6, 10), rxLevelDbm: little(bytes, 10, 12, true) }];
  }
  if (row === undefined) return [unknown, toHex(bytes)];
  const raw = little(bytes, 0, bytes.length, "signed" in row);
  if ("column" in row) return [REPORTED[row.column].name, columnValue(row, raw)];
  if ("name" in row) return [row.name, raw / row.per];
  return [row.structure, readStructure(row.structure, id, bytes) ?? toHex(bytes)];
}

function explainContent(explanation: Explanation, frame: Frame, start: number, end: number): void {
  const { direction, type } = frame;
  const command = commandOf(type);
  if (direction === "up" && type === "AAA") explanation.aaa(start, end);
  else if (direction === "up" && type === "AFF") explanation.aff(start, end);
  else if (direction === "up" && type === "CCC") explanation.ccc(start, end);
  else if (direction === "up" && type === "CCE") explanation.cce(start, end);
  else if (BINARY_TYPES.test(type)) explanation.add("content", start, end, explanation.hex(start, end));
  else if (direction === "down") explanation.list(start, end, (n) => command?.parameters[n]?.name ?? `field ${n + 1}`);
  else explanation.list(start, end, (n) => command?.replyNames?.[n] ?? `field ${n + 1}`);
}

/**
 * Lists every field of a frame with its bytes, in their order; commas and the star are left out.
 * @param positions what the frame decoded to
 */
export function explain(frame: Frame, positions: readonly PositionJson[]): ExplainedField[] {
  const { bytes, contentOffset, content, type, parameterTable } = frame;
  const explanation = new Explanation(frame, positions);
  const comma = bytes.indexOf(COMMA, 3);
  const imeiEnd = explanation.fieldEnd(comma + 1, bytes.length);
  const typeStart = imeiEnd + 1 + parameterTable.length;
  explanation.add("prefix", 0, 2, explanation.text(0, 2));
  explanation.add("identifier", 2, 3, frame.identifier);
  explanation.add("length", 3, comma, frame.declaredLength);
  explanation.add("imei", comma + 1, imeiEnd, frame.imei);
  if (parameterTable !== "") explanation.add("parameterTable", imeiEnd + 1, typeStart, parameterTable);
  explanation.add("type", typeStart, typeStart + 3, type);
  const end = contentOffset + content.length;
  if (content.length > 0) explainContent(explanation, frame, contentOffset, end);
  explanation.add("checksum", end + 1, end + 3, frame.checksumOk ? "right" : "wrong");
  explanation.add("end", end + 3, end + 5, "CR LF");
  return explanation.fields;
}
