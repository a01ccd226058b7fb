import { expect, test } from "vitest";
import { decodePositions } from "../../../codec/decode.ts";
import { encodeFrame, parseFrame } from "../../../codec/frame.ts";
import { frameOf, identifierOf, MOST_REPORTS, readReply } from "../../../tools/faults/frames.ts";
import { differenceOf } from "../../../tools/faults/oracle.ts";
import { seeded } from "../../../tools/faults/random.ts";
import { expectedOf, FRAME_KINDS, reportOf } from "../../../tools/faults/records.ts";

const IMEI = "001000100000018";
const BASE_MS = Date.UTC(2026, 2, 1);

test.each(FRAME_KINDS)("frameOf() writes %s frames that decode to exactly what expectedOf() says", (kind) => {
  for (let from = 0; from < 300; from += MOST_REPORTS[kind]) {
    const reports = Array.from({ length: MOST_REPORTS[kind] }, (_, i) => reportOf(7, IMEI, from + i, BASE_MS));
    const frame = frameOf(kind, identifierOf(from), IMEI, reports, 12);
    expect(parseFrame(frame)).toMatchObject({ checksumOk: true, lengthOff: 0, imei: IMEI, type: kind });
    const positions = decodePositions(frame, { model: "T366" });
    expect(positions).toHaveLength(reports.length);
    for (const [i, position] of positions.entries()) {
      const json = position.toJSON() as unknown as Record<string, unknown>;
      expect(differenceOf(expectedOf(kind, reports[i]!), json)).toBeNull();
    }
  }
});

test("reportOf() gives the same report for the same seed, and another one for another record", () => {
  expect(reportOf(1, IMEI, 5, BASE_MS)).toEqual(reportOf(1, IMEI, 5, BASE_MS));
  expect(reportOf(1, IMEI, 5, BASE_MS)).not.toEqual(reportOf(1, IMEI, 6, BASE_MS));
});

test("reportOf() puts the head of a frame into some payloads", () => {
  const heads = Array.from({ length: 400 }, (_, n) => frameOf("CCC", "A", IMEI, [reportOf(3, IMEI, n, BASE_MS)], 1));
  expect(heads.some((frame) => frame.indexOf("$$A99,", 10) > 0)).toBe(true);
});

test("readReply() takes the platform's replies and nothing that is damaged", () => {
  const reply = encodeFrame({ direction: "down", identifier: "k", imei: IMEI, type: "CCC", content: "18" });
  const line = Buffer.from(reply.subarray(0, reply.length - 2));
  expect(readReply(line)).toEqual({ identifier: "k", imei: IMEI, type: "CCC", content: "18" });
  for (let at = 0; at < line.length; at++) {
    const damaged = Buffer.from(line);
    damaged[at]! ^= 1;
    expect(readReply(damaged)).toBeNull();
  }
});

test("seeded() repeats a purpose's choices and keeps two purposes apart", () => {
  const first = seeded(4, "kills").bytes(32);
  expect(seeded(4, "kills").bytes(32)).toEqual(first);
  expect(seeded(4, "noise").bytes(32)).not.toEqual(first);
  expect(seeded(5, "kills").bytes(32)).not.toEqual(first);
});
