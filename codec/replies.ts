import { latin1 } from "./bytes.ts";
import { encodeFrame, type FrameBounds } from "./frame.ts";

/** How one type of uplink is answered once its records are stored. */
interface ReplyRow {
  readonly uplink: string;
  readonly type: string;
  /** Records that the uplink must have carried to be answered: an `AFF,OK` confirms our own answer and gets none. */
  readonly minRows: number;
  readonly content: (rows: number) => string;
  /** Only on demand: trackers live without it (the CCE answer is documented for no model outside the MDVR catalogue). */
  readonly onDemand?: true;
  readonly source: string;
}

/** Uplinks that are answered. Everything else gets no answer. */
export const REPLIES = [
  { uplink: "AFF", type: "AFF", minRows: 1, content: () => "1", source: "V1.8 AFF, hex count of events to delete" },
  { uplink: "CCC", type: "CCC", minRows: 1, content: (rows) => String(rows), source: "T622 CCC, decimal count" },
  { uplink: "AAC", type: "AAC", minRows: 0, content: () => "1", source: "MDVR login and heartbeat" },
  {
    uplink: "CCE",
    type: "CFF",
    minRows: 1,
    content: (rows) => rows.toString(16).toUpperCase(),
    onDemand: true,
    source: "MDVR CFF, hex count",
  },
] as const satisfies readonly ReplyRow[];

const BY_UPLINK = new Map<string, ReplyRow>(REPLIES.map((row) => [row.uplink, row]));

/**
 * The bytes that tell a tracker that its records are safe. Write them only when they are.
 * @param buf holds the uplink at `bounds`
 * @param rows records that the uplink carried, those stored before included
 * @param options.confirmCce also confirm CCE, for devices that repeat a CCE until it is
 * @returns a whole frame with the uplink's identifier and IMEI, or null when the type is not answered
 * Source: Meitrack GPRS protocol V1.8 (AFF), T622 (CCC), MDVR (AAC, CFF).
 */
export function replyFor(
  buf: Uint8Array,
  bounds: FrameBounds,
  rows: number,
  options: { confirmCce?: boolean } = {},
): Uint8Array | null {
  const row = BY_UPLINK.get(latin1(buf, bounds.typeStart, bounds.typeStart + 3));
  if (row === undefined || rows < row.minRows) return null;
  if (row.onDemand === true && options.confirmCce !== true) return null;
  return encodeFrame({
    direction: "down",
    identifier: String.fromCharCode(buf[bounds.start + 2]),
    imei: latin1(buf, bounds.imeiStart, bounds.imeiEnd),
    type: row.type,
    content: row.content(rows),
  });
}
