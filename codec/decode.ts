import { affRemaining, decodeAaa, decodeAff } from "./aaa.ts";
import { latin1, toHex } from "./bytes.ts";
import { cccRemaining, decodeCcc } from "./ccc.ts";
import { cceRemaining, decodeCce } from "./cce.ts";
import { type DecodeOptions, PositionTable } from "./columns.ts";
import { parseReply, type Reply } from "./commands.ts";
import { type Direction, type Frame, type FrameBounds, parseFrame } from "./frame.ts";
import { scaleOf } from "./models.ts";
import { type Position, positionAt } from "./position.ts";

/** What an uplink of some type is about. Every type that is not here is the reply to the command of that name. */
export const UPLINKS = [
  { type: "AAA", meaning: "positions", source: "V1.8, AAA" },
  { type: "AFF", meaning: "positions", source: "V1.8, C03 and AFF; also the reply AFF,OK" },
  { type: "CCC", meaning: "positions", source: "T622, CCC" },
  { type: "CCE", meaning: "positions", source: "MDVR and T633L, CCE" },
  { type: "AAC", meaning: "login", source: "MDVR, AAC" },
  { type: "CCB", meaning: "declaration", source: "T622, CCB" },
  { type: "D00", meaning: "media", source: "V1.8, D00: packet of a picture" },
  { type: "D01", meaning: "list", source: "V1.8, D01: names of pictures" },
  { type: "D13", meaning: "list", source: "V1.8, D13: authorised cards" },
  { type: "D82", meaning: "wrappedReply", source: "TA and TS299: another command's reply" },
  { type: "FC0", meaning: "ota", source: "OTA V1.0" },
  { type: "FC1", meaning: "ota", source: "OTA V1.0" },
  { type: "FC2", meaning: "ota", source: "OTA V1.0" },
  { type: "FC3", meaning: "ota", source: "OTA V1.0" },
  { type: "FC4", meaning: "ota", source: "OTA V1.0" },
  { type: "FC5", meaning: "ota", source: "OTA V1.0" },
  { type: "FC6", meaning: "ota", source: "OTA V1.0" },
  { type: "FC7", meaning: "ota", source: "OTA V1.0" },
] as const;

export type FrameMeaning = (typeof UPLINKS)[number]["meaning"] | "reply";

const MEANINGS = new Map<string, FrameMeaning>(UPLINKS.map((row) => [row.type, row.meaning]));

/** What an uplink of this type is about. */
export function frameMeaning(type: string): FrameMeaning {
  return MEANINGS.get(type) ?? "reply";
}

const typeCode = (type: string): number => (type.charCodeAt(0) << 16) | (type.charCodeAt(1) << 8) | type.charCodeAt(2);
const AAA = typeCode("AAA");
const AFF = typeCode("AFF");
const CCC = typeCode("CCC");
const CCE = typeCode("CCE");
const DOLLAR = 0x24;

/**
 * Appends the positions of the frame at `bounds` to `table`.
 * @returns number of new rows; 0 for a frame that carries no position
 * @throws {CodecError} when the content cannot be read, with an offset into `buf`; the table is as before
 */
export function decodePositionsInto(
  table: PositionTable,
  buf: Uint8Array,
  bounds: FrameBounds,
  options: DecodeOptions,
): number {
  if (buf[bounds.start] !== DOLLAR) return 0;
  const at = bounds.typeStart;
  const type = (buf[at] << 16) | (buf[at + 1] << 8) | buf[at + 2];
  const { contentStart, contentEnd } = bounds;
  if (type === AAA) return decodeAaa(table, buf, contentStart, contentEnd, options);
  if (type === CCE) return decodeCce(table, buf, contentStart, contentEnd, options);
  if (type === CCC) return decodeCcc(table, buf, contentStart, contentEnd, options);
  if (type === AFF) return decodeAff(table, buf, contentStart, contentEnd, options);
  return 0;
}

/** How to read a frame. */
export interface MessageOptions {
  /** Model of the tracker, which decides how it counts volts. Not needed for CCC and CCE. */
  readonly model?: string;
  /** Seconds by which the tracker's clock is ahead of UTC (command B36). */
  readonly offsetS?: number;
}

/**
 * The positions of one frame, none when its type carries none.
 * @throws {CodecError} with an offset into the frame
 */
export function decodePositions(frame: Frame | Uint8Array, options: MessageOptions = {}): Position[] {
  const parsed = frame instanceof Uint8Array ? parseFrame(frame) : frame;
  if (parsed.direction !== "up") return [];
  const decode = DECODERS[parsed.type];
  if (decode === undefined) return [];
  const start = parsed.contentOffset;
  const table = new PositionTable(1, 128);
  const { offsetS = 0 } = options;
  decode(table, parsed.bytes, start, start + parsed.content.length, { scale: scaleOf(options.model), offsetS });
  return Array.from({ length: table.count }, (_, row) => positionAt(table, row));
}

const DECODERS: Readonly<Record<string, typeof decodeAaa>> = {
  AAA: decodeAaa,
  AFF: decodeAff,
  CCC: decodeCcc,
  CCE: decodeCce,
};

/** A frame and what it says. */
export interface Message {
  readonly direction: Direction;
  readonly identifier: string;
  readonly imei: string;
  readonly type: string;
  readonly positions?: readonly Position[];
  /** Reports that the tracker has still cached, as it counts them. Devices disagree on what they count. */
  readonly remaining?: number;
  /** What the tracker said to a command. */
  readonly reply?: Reply;
  /** Content of any other frame, as text when all of it is printable. */
  readonly content?: string;
  /** The same as hex when it is not. */
  readonly contentHex?: string;
}

/**
 * Reads one frame in full, either direction.
 * @throws {CodecError} with an offset into the frame
 */
export function decodeMessage(frame: Frame, options: MessageOptions = {}): Message {
  const { direction, identifier, imei, type, content, bytes, contentOffset } = frame;
  const head = { direction, identifier, imei, type };
  if (direction === "up") {
    const meaning = frameMeaning(type);
    const positions = meaning === "positions" ? decodePositions(frame, options) : [];
    if (positions.length > 0) {
      const remaining = readRemaining(type, bytes, contentOffset, contentOffset + content.length);
      return { ...head, positions, ...(remaining === undefined ? {} : { remaining }) };
    }
    if (meaning === "reply" || meaning === "wrappedReply" || type === "AFF")
      return { ...head, reply: parseReply(frame) };
  }
  if (content.length === 0) return head;
  const text = latin1(content);
  return /^[\x20-\x7e]*$/.test(text) ? { ...head, content: text } : { ...head, contentHex: toHex(content) };
}

function readRemaining(type: string, bytes: Uint8Array, start: number, end: number): number | undefined {
  if (type === "CCC") return cccRemaining(bytes, start, end);
  if (type === "CCE") return cceRemaining(bytes, start, end);
  return type === "AFF" ? affRemaining(bytes, start, end) : undefined;
}
