import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, onTestFinished, test } from "vitest";
import { decodeAaa, decodeAff } from "../../codec/aaa.ts";
import { decodeCcc } from "../../codec/ccc.ts";
import { decodeCce } from "../../codec/cce.ts";
import { PositionTable, SLOT, STRIDE } from "../../codec/columns.ts";
import { decodeMessage, decodePositions, decodePositionsInto, frameMeaning, UPLINKS } from "../../codec/decode.ts";
import { CodecError } from "../../codec/errors.ts";
import { encodeFrame, FRAME_STATUS, locateFrame, newBounds, parseFrame } from "../../codec/frame.ts";
import { positionAt } from "../../codec/position.ts";
import { decodeRecordInto, encodeRow, RECORD_HEAD_BYTES } from "../../codec/record.ts";
import { mutatedFrame, SEEDS } from "./mutations.ts";
import { frameOf, SENDER, seeded } from "./wire.ts";

const OPTIONS = { scale: 0, sourceFrame: 7 };

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

function heapBytes(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
}

describe("decodePositionsInto()", () => {
  test("throws nothing but CodecError for 200,000 mutated frames, and memory stays flat", { timeout: 60_000 }, () => {
    const random = seeded(20260214);
    const table = new PositionTable();
    const stored = new PositionTable();
    const record = new Uint8Array(16 * 1024);
    const copy = new Uint8Array(16 * 1024);
    const bounds = newBounds();
    const first = SEEDS[0];
    const { stackTraceLimit } = Error;
    onTestFinished(() => {
      Error.stackTraceLimit = stackTraceLimit;
    });
    Error.stackTraceLimit = 0;
    let rows = 0;
    let refused = 0;
    let atStart = 0;
    for (let n = 0; n < 200_000; n++) {
      // At first the garbage of starting up is still there.
      if (n === 20_000) atStart = heapBytes();
      const frame = mutatedFrame(random);
      if (locateFrame(frame, 0, frame.length, bounds) !== FRAME_STATUS.ok) throw new Error("the frame is not right");
      table.reset();
      // A row from before, which no failure may touch.
      decodeAaa(table, first.content, 0, first.content.length, OPTIONS);
      const { tailUsed } = table;
      const digest = table.i32[SLOT.digestLo];
      try {
        rows += decodePositionsInto(table, frame, bounds, OPTIONS);
      } catch (error) {
        if (!(error instanceof CodecError)) throw error;
        refused++;
        if (table.count !== 1 || table.tailUsed !== tailUsed) throw new Error("a throw left rows behind");
        if (error.offset < bounds.contentStart || error.offset > bounds.contentEnd)
          throw new Error("offset is outside");
      }
      if (table.i32[SLOT.digestLo] !== digest) throw new Error("an older row has changed");
      stored.reset();
      for (let row = 0; row < table.count; row++) {
        if (row > 3 && row < table.count - 1) continue;
        if (table.i32[row * STRIDE + SLOT.sourceFrame] !== 7) throw new Error("the number of the frame is not there");
        const end = encodeRow(table, row, record, 0);
        const copyEnd = encodeRow(stored, decodeRecordInto(stored, record, 0, end), copy, 0);
        for (let i = 0; i < Math.max(end, copyEnd); i++) if (copy[i] !== record[i]) throw new Error("stored otherwise");
        // Reading costs most.
        if ((n & 1) === 0) positionAt(stored, stored.count - 1).toJSON();
      }
    }
    expect(rows).toBeGreaterThan(50_000);
    expect(refused).toBeGreaterThan(20_000);
    expect(table.capacity).toBeLessThan(1_024);
    expect(table.tail.length).toBeLessThan(256 * 1024);
    expect(heapBytes() - atStart).toBeLessThan(4 * 1024 * 1024);
  });

  test("reads no byte of the content's neighbours", () => {
    const bounds = newBounds();
    const decoders = { AAA: decodeAaa, AFF: decodeAff, CCC: decodeCcc, CCE: decodeCce };
    for (const { type, content } of SEEDS) {
      const frame = frameOf(type, content);
      const rows = [0x00, 0x2c, 0x30, 0xff].map((fill) => {
        const stream = new Uint8Array(frame.length + 64).fill(fill);
        stream.set(frame, 32);
        expect(locateFrame(stream, 32, stream.length, bounds)).toBe(FRAME_STATUS.ok);
        const table = new PositionTable();
        const count = decodePositionsInto(table, stream, bounds, OPTIONS);
        expect(count).toBe(table.count);
        return Array.from({ length: count }, (_, row) => JSON.stringify(positionAt(table, row)));
      });
      for (const other of rows) expect(other).toEqual(rows[0]);
      const alone = new PositionTable();
      decoders[type](alone, content.slice(), 0, content.length, OPTIONS);
      expect(Array.from({ length: alone.count }, (_, row) => JSON.stringify(positionAt(alone, row)))).toEqual(rows[0]);
    }
  });

  test("gives each seed, cut anywhere, to the decoder without a throw that is not a CodecError", () => {
    for (const { type, content } of SEEDS) {
      for (let length = 0; length <= content.length; length++) {
        const frame = frameOf(type, content.subarray(0, length));
        try {
          for (const position of decodePositions(frame)) position.toJSON();
        } catch (error) {
          expect(error).toBeInstanceOf(CodecError);
          expect((error as CodecError).offset).toBeLessThanOrEqual(frame.length);
        }
      }
    }
  });

  test("appends nothing for a command and for frames that carry no position", () => {
    const table = new PositionTable();
    const bounds = newBounds();
    const content = SEEDS[0].content;
    const frames = [
      encodeFrame({ direction: "down", ...SENDER, type: "AAA", content }),
      encodeFrame({ direction: "down", ...SENDER, type: "CCC", content: "1" }),
      encodeFrame({ direction: "up", ...SENDER, type: "A10" }),
      encodeFrame({ direction: "up", ...SENDER, type: "AAC", content: "1" }),
      encodeFrame({ direction: "up", ...SENDER, type: "aaa", content }),
    ];
    for (const frame of frames) {
      expect(locateFrame(frame, 0, frame.length, bounds)).toBe(FRAME_STATUS.ok);
      expect(decodePositionsInto(table, frame, bounds, OPTIONS)).toBe(0);
      expect(decodePositions(frame)).toEqual([]);
    }
    expect(table.count).toBe(0);
  });

  test("writes no more than RECORD_HEAD_BYTES before the tail", () => {
    const table = new PositionTable();
    const record = new Uint8Array(4096);
    for (const { type, content } of SEEDS) {
      table.reset();
      const frame = frameOf(type, content);
      const bounds = newBounds();
      locateFrame(frame, 0, frame.length, bounds);
      decodePositionsInto(table, frame, bounds, OPTIONS);
      for (let row = 0; row < table.count; row++) {
        expect(encodeRow(table, row, record, 0)).toBeLessThanOrEqual(RECORD_HEAD_BYTES + table.tailAt(row).length);
      }
    }
  });
});

describe("decodePositions()", () => {
  test("takes a frame or its bytes", () => {
    const bytes = frameOf("CCC", SEEDS[10].content);
    const positions = decodePositions(bytes);
    expect(positions).toHaveLength(3);
    expect(JSON.stringify(decodePositions(parseFrame(bytes)))).toBe(JSON.stringify(positions));
  });
});

describe("decodeMessage()", () => {
  const up = (type: string, content?: string | Uint8Array) =>
    parseFrame(encodeFrame({ direction: "up", ...SENDER, type, ...(content === undefined ? {} : { content }) }));
  const head = { direction: "up", identifier: "Y", imei: "359999000000018" };

  test.each([
    ["AAA", undefined],
    ["AFF", 26],
    ["CCC", 3],
    ["CCE", 2],
  ])("gives the positions of %s and how many are left: %s", (type, remaining) => {
    const seed = { AAA: 0, AFF: 3, CCC: 10, CCE: 13 }[type] as number;
    const message = decodeMessage(up(type, SEEDS[seed].content));
    expect(message).toMatchObject({ ...head, type });
    expect(message.positions?.length).toBe({ AAA: 1, AFF: 1, CCC: 3, CCE: 2 }[type]);
    expect(message.remaining).toBe(remaining);
    expect("remaining" in message).toBe(remaining !== undefined);
  });

  test("gives the reply to a command", () => {
    expect(decodeMessage(up("A11", "OK"))).toMatchObject({ ...head, type: "A11", reply: {} });
    expect(decodeMessage(up("D82", "A11,OK")).reply).toBeDefined();
  });

  test("gives other content as text, or as hex when it is not printable", () => {
    expect(decodeMessage(up("AAC", "1"))).toEqual({ ...head, type: "AAC", content: "1" });
    expect(decodeMessage(up("AAC"))).toEqual({ ...head, type: "AAC" });
    expect(decodeMessage(up("D00", Uint8Array.of(0xff, 0xd8, 0)))).toEqual({
      ...head,
      type: "D00",
      contentHex: "FFD800",
    });
  });

  test("gives a command as its content", () => {
    const frame = encodeFrame({ direction: "down", ...SENDER, type: "A12", content: "6,60" });
    expect(decodeMessage(parseFrame(frame))).toEqual({ ...head, direction: "down", type: "A12", content: "6,60" });
  });
});

describe("frameMeaning()", () => {
  test.each(UPLINKS.map(({ type, meaning }) => [type, meaning] as const))("%s is about %s", (type, meaning) => {
    expect(frameMeaning(type)).toBe(meaning);
  });

  test("takes any other type for a reply", () => {
    for (const type of ["A10", "C01", "zzz", "", "toString"]) expect(frameMeaning(type)).toBe("reply");
  });
});
