import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bytesOf, latin1 } from "../../codec/bytes.ts";
import { CodecError } from "../../codec/errors.ts";
import {
  encodeFrame,
  FRAME_LIMITS,
  FRAME_STATUS,
  type FrameParts,
  locateFrame,
  newBounds,
  parseFrame,
  statusCode,
} from "../../codec/frame.ts";

const imei = "353358017784062";
const aFrame = (parts: Partial<FrameParts> = {}) =>
  encodeFrame({ direction: "up", identifier: "A", imei, type: "AAA", content: "35,1", ...parts });

/** A frame as text with the checksum that belongs to it, whatever its length field says. */
function summed(textToStar: string): Uint8Array {
  const sum = bytesOf(textToStar).reduce((total, byte) => (total + byte) & 255, 0);
  return bytesOf(`${textToStar}${sum.toString(16).toUpperCase().padStart(2, "0")}\r\n`);
}

function errorOf(run: () => unknown): CodecError {
  try {
    run();
  } catch (error) {
    if (error instanceof CodecError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

// From the manual's examples with its own sample IMEI, and the answers that protocol notes give.
const GOOD: [string, FrameParts][] = [
  ["@@Q25,359999000000729,A10*6A\r\n", { direction: "down", identifier: "Q", imei: "359999000000729", type: "A10" }],
  [
    "@@S28,359999000000729,A11,10*FD\r\n",
    { direction: "down", identifier: "S", imei: "359999000000729", type: "A11", content: "10" },
  ],
  [
    "$$S28,359999000000729,A11,OK*FE\r\n",
    { direction: "up", identifier: "S", imei: "359999000000729", type: "A11", content: "OK" },
  ],
  [
    "@@]30,359999000000729,B02,1,17*65\r\n",
    { direction: "down", identifier: "]", imei: "359999000000729", type: "B02", content: "1,17" },
  ],
  ["@@[25,359999000000729,F11*7A\r\n", { direction: "down", identifier: "[", imei: "359999000000729", type: "F11" }],
  [
    "@@h27,359999000000729,AFF,1*0B\r\n",
    { direction: "down", identifier: "h", imei: "359999000000729", type: "AFF", content: "1" },
  ],
  [
    "$$H28,359999000000729,A21,OK*F4\r\n",
    { direction: "up", identifier: "H", imei: "359999000000729", type: "A21", content: "OK" },
  ],
];

describe("parseFrame() and encodeFrame()", () => {
  test.each(GOOD)("walk %j both ways", (text, parts) => {
    expect(latin1(encodeFrame(parts))).toBe(text);
    const frame = parseFrame(bytesOf(text));
    const { content = "", ...rest } = parts;
    expect(frame).toMatchObject({ ...rest, parameterTable: "", lengthOff: 0, checksumOk: true });
    expect(latin1(frame.content)).toBe(content);
    expect(frame.bytes).toEqual(bytesOf(text));
    expect(text.slice(frame.contentOffset)).toBe(`${content}*${text.slice(-4)}`);
    expect(frame.declaredLength).toBe(text.length - text.indexOf(","));
  });

  test("return any frame", () => {
    const parts = fc.record({
      direction: fc.constantFrom("up" as const, "down" as const),
      identifier: fc.integer({ min: 0x41, max: 0x7a }).map((code) => String.fromCharCode(code)),
      imei: fc.stringMatching(/^[0-9A-Za-z]{1,20}$/),
      type: fc.stringMatching(/^[0-9A-Za-z]{3}$/),
      content: fc.uint8Array({ maxLength: 400 }),
      parameterTable: fc.constantFrom(""),
    });
    fc.assert(
      fc.property(parts, (given) => {
        const bytes = encodeFrame(given);
        const frame = parseFrame(bytes);
        expect(frame).toMatchObject({ ...given, checksumOk: true, lengthOff: 0, contentOffset: expect.any(Number) });
        expect(frame.content.buffer).toBe(bytes.buffer);
      }),
      { numRuns: 2000 },
    );
  });

  test("keep the digit that T622 puts in front of a command", () => {
    const text = "@@Q32,353358017784062,0D73,50,50*C6\r\n";
    const frame = parseFrame(bytesOf(text));
    expect(frame).toMatchObject({ type: "D73", parameterTable: "0", content: bytesOf("50,50") });
    expect(latin1(encodeFrame(frame))).toBe(text);
    const bare = encodeFrame({ direction: "down", identifier: "Q", imei, type: "D73", parameterTable: "2" });
    expect(parseFrame(bare)).toMatchObject({ type: "D73", parameterTable: "2", content: new Uint8Array(0) });
    // A tracker never writes one, so there the type is what stands first.
    expect(parseFrame(summed("$$Q32,353358017784062,0D73,50,50*"))).toMatchObject({ type: "0D7", parameterTable: "" });
  });

  test("parseFrame() takes what follows the type as content when there is no comma", () => {
    const frame = parseFrame(summed("$$W38,353358017784062,FWV1.00,12345678*"));
    expect(frame).toMatchObject({ type: "FWV", content: bytesOf("1.00,12345678") });
  });

  test("parseFrame() takes binary content with every byte value, frame heads and ends in it", () => {
    const every = Uint8Array.from({ length: 256 }, (_, i) => i);
    for (const content of [every, bytesOf("*00\r\n$$A25,"), bytesOf("\r\n"), aFrame()]) {
      expect(parseFrame(aFrame({ type: "CCE", content })).content).toEqual(content);
    }
  });

  test("parseFrame() takes a checksum in lower case", () => {
    expect(parseFrame(bytesOf("@@S28,353358017784062,A11,10*fd\r\n")).checksumOk).toBe(true);
    expect(parseFrame(bytesOf("@@S28,353358017784062,A11,10*Fd\r\n")).checksumOk).toBe(true);
  });

  test("parseFrame() reads a frame inside a larger array and gives offsets from its own start", () => {
    const larger = new Uint8Array(200).fill(0x24);
    const bytes = aFrame();
    larger.set(bytes, 61);
    const given = larger.subarray(61, 61 + bytes.length);
    expect(parseFrame(given)).toMatchObject({ contentOffset: latin1(bytes).indexOf("35,1"), bytes });
  });

  test("parseFrame() reads the longest frame there is, and encodeFrame() writes none that is longer", () => {
    const most = FRAME_LIMITS.length - ",353358017784062,AAA,*00\r\n".length;
    const longest = aFrame({ content: new Uint8Array(most).fill(255) });
    expect(longest).toHaveLength(FRAME_LIMITS.frameBytes);
    expect(parseFrame(longest).content).toHaveLength(most);
    expect(errorOf(() => aFrame({ content: new Uint8Array(most + 1) }))).toMatchObject({ code: "length" });
  });

  test.each([
    ["an identifier of two characters", { identifier: "AB" }, "value"],
    ["an identifier that is a digit", { identifier: "1" }, "value"],
    ["no identifier", { identifier: "" }, "value"],
    ["an empty IMEI", { imei: "" }, "value"],
    ["an IMEI of 21 characters", { imei: "1".repeat(21) }, "value"],
    ["an IMEI with a blank", { imei: " 353358017784062" }, "value"],
    ["an IMEI that ends in a line feed", { imei: "353358017784062\n" }, "value"],
    ["a type of two characters", { type: "AA" }, "type"],
    ["a type with a star", { type: "A*A" }, "type"],
    ["a parameter table above 2", { parameterTable: "3" }, "value"],
    ["text that has no single byte", { content: "\u20ac" }, "value"],
  ])("encodeFrame() refuses %s", (_, parts, code) => {
    expect(errorOf(() => aFrame(parts))).toMatchObject({ code, message: expect.stringMatching(/^Cannot write /) });
  });
});

describe("parseFrame() refuses", () => {
  const good = latin1(aFrame());
  const bad: [string, string, string, number, string][] = [
    ["nothing", "", "truncated", 0, "it ends after 0 bytes, inside the header"],
    ["half a header", "$$A3", "truncated", 4, "it ends after 4 bytes, inside the header"],
    ["a frame without its end", good.slice(0, -3), "truncated", 32, "it has 32 bytes, expected 35"],
    ["a frame without CR LF", good.slice(0, -2), "truncated", 33, "it has 33 bytes, expected 35"],
    ["a lost first byte", good.slice(1), "prefix", 1, "it does not begin with $$ or @@, an identifier and a length"],
    ["a mixed head", `$@${good.slice(2)}`, "prefix", 1, "it does not begin with $$ or @@, an identifier and a length"],
    ["another protocol", "&&A25,", "prefix", 0, "it does not begin with $$ or @@, an identifier and a length"],
    ["an identifier below A", good.replace("A", ")"), "prefix", 2, "it does not begin"],
    ["an identifier above z", good.replace("A", "{"), "prefix", 2, "it does not begin"],
    ["no length", `$$A${good.slice(5)}`, "prefix", 3, "it does not begin"],
    ["a length without comma", good.replace("30,", "30;"), "length", 5, "its length is not 1 to 5 digits and a comma"],
    [
      "a length of six digits",
      good.replace("30,", "000030,"),
      "length",
      8,
      "its length is not 1 to 5 digits and a comma",
    ],
    ["a length of 65536", good.replace("30,", "65536,"), "length", 3, "a length of 65536 is not possible"],
    ["a length of 2", good.replace("30,", "2,"), "length", 3, "a length of 2 is not possible"],
    [
      "a length off by more than the window",
      good.replace("30,", "21,"),
      "length",
      21,
      "it does not end where its length says",
    ],
    ["bytes behind the frame", `${good}$$`, "length", 35, "its end is followed by 2 more bytes"],
    ["another end", good.replace("\r\n", "\n\r"), "length", 30, "it does not end where its length says"],
    ["a checksum that is no hex", good.replace(/\*../, "*OD"), "checksum", 31, "its checksum is not two hex digits"],
    ["a wrong checksum", good.replace(/\*../, "*3F"), "checksum", 31, "checksum is 3F, expected 30"],
    ["a changed byte", good.replace("35,1", "35,2"), "checksum", 31, "checksum is 30, expected 31"],
    ["a blank before the IMEI", latin1(summed("@@T25, 353358017784062,A70*")), "value", 6, "its IMEI is not 1 to 20"],
    ["an empty IMEI", latin1(summed("@@T10,,A70*")), "value", 6, "its IMEI is not 1 to 20"],
    ["an IMEI of 21 digits", latin1(summed(`@@T31,${"1".repeat(21)},A70*`)), "value", 26, "its IMEI is not 1 to 20"],
    ["a type of two characters", latin1(summed("@@T24,353358017784062,A7*")), "type", 24, "its type is not three"],
    ["no type", latin1(summed("@@T21,353358017784062*")), "value", 21, "its IMEI is not 1 to 20"],
  ];
  test.each(bad)("%s", (_, text, code, offset, why) => {
    const error = errorOf(() => parseFrame(bytesOf(text)));
    expect(error).toMatchObject({ code, offset });
    expect(error.message.startsWith(`Cannot read frame: ${why}`), error.message).toBe(true);
  });

  test("a wrong checksum only when it is not told to be lenient, and then says so", () => {
    const frame = parseFrame(bytesOf(good.replace(/\*../, "*3F")), { lenient: true });
    expect(frame).toMatchObject({ checksumOk: false, imei, type: "AAA", content: bytesOf("35,1") });
    expect(parseFrame(bytesOf(good), { lenient: true }).checksumOk).toBe(true);
    expect(errorOf(() => parseFrame(bytesOf(good.slice(1)), { lenient: true })).code).toBe("prefix");
  });
});

describe("a wrong length", () => {
  const withLength = (length: number) => summed(`$$A${length},353358017784062,AAA,35,1*`);

  test("is accepted up to eight bytes off when the checksum is right", () => {
    for (let off = -8; off <= 8; off++) {
      expect(parseFrame(withLength(30 - off))).toMatchObject({
        lengthOff: off,
        declaredLength: 30 - off,
        content: bytesOf("35,1"),
      });
    }
    expect(errorOf(() => parseFrame(withLength(21)))).toMatchObject({ code: "length" });
    expect(errorOf(() => parseFrame(withLength(39)))).toMatchObject({ code: "truncated" });
  });

  test("is refused when the checksum is wrong too", () => {
    const bytes = withLength(31);
    bytes[10]++;
    expect(errorOf(() => parseFrame(bytes))).toMatchObject({ code: "truncated" });
    const short = withLength(29);
    short[10]++;
    expect(errorOf(() => parseFrame(short))).toMatchObject({ code: "length" });
  });
});

describe("locateFrame()", () => {
  const at = newBounds();

  test("fills in where everything is, from any start", () => {
    const frame = aFrame();
    const buf = new Uint8Array(100);
    buf.set(frame, 40);
    expect(locateFrame(buf, 40, 100, at)).toBe(FRAME_STATUS.ok);
    expect(at).toMatchObject({
      start: 40,
      end: 40 + frame.length,
      comma: 45,
      imeiStart: 46,
      imeiEnd: 61,
      typeStart: 62,
      contentStart: 66,
      contentEnd: 70,
      lengthOff: 0,
    });
  });

  test("finds the same with and without the short way for usual frames", () => {
    const sums = {
      sum: (bytes: Uint8Array, start: number, end: number) =>
        bytes.subarray(start, end).reduce((a, b) => (a + b) & 255, 0),
    };
    for (const type of ["AAA", "A10"]) {
      for (const content of [undefined, "", "35,1", "x".repeat(3000)]) {
        const frame = aFrame({ type, ...(content === undefined ? {} : { content }) });
        const careful = newBounds();
        expect(locateFrame(frame, 0, frame.length, at)).toBe(FRAME_STATUS.ok);
        expect(locateFrame(frame, 0, frame.length, careful, FRAME_LIMITS.frameBytes, sums)).toBe(FRAME_STATUS.ok);
        expect({ ...at, faultAt: 0 }).toEqual({ ...careful, faultAt: 0 });
      }
    }
  });

  test("needs more for every beginning of a frame, and says where it will end once it knows", () => {
    for (const frame of [
      aFrame(),
      encodeFrame({ direction: "down", identifier: "Q", imei: "407", type: "D73", parameterTable: "1" }),
    ]) {
      const comma = latin1(frame).indexOf(",");
      for (let to = 0; to < frame.length; to++) {
        expect(locateFrame(frame, 0, to, at)).toBe(FRAME_STATUS.needMore);
        expect(at.end).toBe(to > comma ? frame.length : 0);
      }
      expect(locateFrame(frame, 0, frame.length, at)).toBe(FRAME_STATUS.ok);
    }
  });

  test("refuses what is longer than the limit it is given", () => {
    const frame = aFrame();
    expect(locateFrame(frame, 0, frame.length, at, frame.length)).toBe(FRAME_STATUS.ok);
    expect(locateFrame(frame, 0, frame.length, at, frame.length - 1)).toBe(FRAME_STATUS.length);
  });

  test("takes a frame that ends early at once when nothing follows, and waits for the rest otherwise", () => {
    const early = summed("$$A32,353358017784062,AAA,35,1*");
    expect(locateFrame(early, 0, early.length, at)).toBe(FRAME_STATUS.ok);
    expect(at).toMatchObject({ end: early.length, lengthOff: -2 });
    const followed = Uint8Array.of(...early, 0x24);
    expect(locateFrame(followed, 0, followed.length, at)).toBe(FRAME_STATUS.needMore);
    const more = Uint8Array.of(...early, 0x24, 0x24);
    expect(locateFrame(more, 0, more.length, at)).toBe(FRAME_STATUS.ok);
    expect(at).toMatchObject({ end: early.length, lengthOff: -2 });
  });

  test("prefers the declared end to an earlier one that would also be right", () => {
    // The content ends with `*hh` CR LF of its own, and hh happens to be the sum so far.
    const inner = summed("$$A39,353358017784062,AAA,35,12345*");
    const outer = summed(`${latin1(inner)}*`);
    expect(parseFrame(outer)).toMatchObject({ lengthOff: 0, declaredLength: 39 });
  });

  test("has an error code for every status but ok", () => {
    const codes = Object.values(FRAME_STATUS).slice(1).map(statusCode);
    expect(codes).toEqual(["truncated", "prefix", "length", "checksum", "type", "value"]);
  });
});
