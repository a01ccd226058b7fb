export { checksum, fromHex, hash64, latin1, toHex } from "./bytes.ts";
export {
  COLUMNS,
  type Column,
  type ColumnName,
  type DecodeOptions,
  EPOCH_MS,
  FLAGS,
  PositionTable,
  SLOT,
  SOURCES,
  STRIDE,
} from "./columns.ts";
export {
  COMMANDS,
  type Command,
  type CommandParameter,
  commandOf,
  encodeCommand,
  matchReply,
  parseReply,
  type Reply,
} from "./commands.ts";
export {
  decodeMessage,
  decodePositions,
  decodePositionsInto,
  type FrameMeaning,
  frameMeaning,
  type Message,
  type MessageOptions,
  UPLINKS,
} from "./decode.ts";
export { encodeAaa, encodeAff, encodeCcc, encodeCce, type RawParameter, type Report } from "./encode.ts";
export { CodecError, type CodecErrorCode } from "./errors.ts";
export { EVENTS, type Event, eventName, eventOf } from "./events.ts";
export {
  encodeFrame,
  FRAME_LIMITS,
  FRAME_STATUS,
  type Frame,
  type FrameBounds,
  FrameReader,
  locateFrame,
  newBounds,
  parseFrame,
} from "./frame.ts";
export type { Reading } from "./meaning.ts";
export { MODEL_NAMES, MODELS, type Model, scaleOf } from "./models.ts";
export { type Cell, POSITION_FIELDS, Position, type PositionJson, positionAt } from "./position.ts";
export { decodeRecord, decodeRecordInto, encodeRecord, encodeRow, RECORD_VERSION, recordBound } from "./record.ts";
export { replyFor } from "./replies.ts";
