import { describe, expect, test } from "vitest";
import { bytesOf, latin1 } from "../../codec/bytes.ts";
import { encodeFrame, FRAME_LIMITS, FrameReader } from "../../codec/frame.ts";

const imei = "353358017784062";
const aFrame = (content: string | Uint8Array = "35,1", identifier = "A") =>
  encodeFrame({ direction: "up", identifier, imei, type: "AAA", content });
const joined = (...parts: (Uint8Array | string)[]) =>
  Uint8Array.from(parts.flatMap((part) => [...(typeof part === "string" ? bytesOf(part) : part)]));
const altered = (frame: Uint8Array, text: RegExp, by: string) => bytesOf(latin1(frame).replace(text, () => by));
const repeated = (text: string, bytes: number) => bytesOf(text.repeat(Math.ceil(bytes / text.length)).slice(0, bytes));

/** Everything that comes out of `chunks`, and then of `flush()`. */
function read(chunks: readonly Uint8Array[], options: ConstructorParameters<typeof FrameReader>[0] = {}) {
  const reader = new FrameReader(options);
  const frames = chunks.flatMap((chunk) => reader.push(chunk));
  const flushed: Uint8Array[] = [];
  const { buffered } = reader;
  reader.flush((buf, { start, end }) => flushed.push(buf.slice(start, end)));
  return { reader, frames, flushed, buffered };
}

describe("FrameReader.push()", () => {
  test("finds both frames when two arrive in one chunk, as views into it", () => {
    const chunk = joined(aFrame("1"), aFrame("2"));
    const { frames, reader } = read([chunk]);
    expect(frames).toEqual([aFrame("1"), aFrame("2")]);
    for (const frame of frames) expect(frame.buffer).toBe(chunk.buffer);
    expect(reader).toMatchObject({ buffered: 0, rejected: 0, refused: 0 });
  });

  test("keeps an unfinished frame, copies it once it is whole, and goes on in the chunk", () => {
    const frame = aFrame("1");
    const chunk = joined(frame.subarray(10), aFrame("2"));
    const reader = new FrameReader();
    expect(reader.push(frame.subarray(0, 10))).toEqual([]);
    expect(reader.buffered).toBe(10);
    const [first, second] = reader.push(chunk);
    expect([first, second]).toEqual([frame, aFrame("2")]);
    expect(first.buffer).not.toBe(chunk.buffer);
    expect(second.buffer).toBe(chunk.buffer);
    chunk.fill(0);
    reader.push(joined(aFrame("3"), aFrame("4").subarray(0, 20)));
    expect(first).toEqual(frame);
  });

  test("skips noise between frames and counts its bytes", () => {
    const { frames, reader } = read([joined("\r\n", aFrame("1"), "\r\n$", aFrame("2"), "AT+CSQ\r\n@@", aFrame("3"))]);
    expect(frames).toEqual([aFrame("1"), aFrame("2"), aFrame("3")]);
    expect(reader).toMatchObject({ rejected: 15, refused: 0 });
  });

  test("finds a frame whose head follows one, two or three stray head bytes", () => {
    for (const stray of ["$", "$$", "$$$", "@@", "@$", "$$A", "$$A3", "$$A30", "$$A30,"]) {
      expect(read([joined(stray, aFrame())]).frames).toEqual([aFrame()]);
    }
  });

  test("finds nothing but the whole frames, whatever is wrong with one in between", () => {
    const wrong = aFrame("35,1,22.913191,114.079882");
    for (const bad of [
      altered(wrong, /\*../, "*00"),
      altered(wrong, /22\.9/, "22.8"),
      altered(wrong, /353/, "35 "),
      altered(wrong, /,AAA/, ",A-A"),
      altered(wrong, /A51,/, "A29,"),
      altered(wrong, /A51,/, "A71,"),
      altered(wrong, /A51,/, "A,"),
      altered(wrong, /A51,/, "A70000,"),
      altered(wrong, /\$\$/, "$"),
      wrong.subarray(0, 30),
      wrong.subarray(0, wrong.length - 5),
      wrong.subarray(8),
    ]) {
      const { frames, flushed, buffered } = read([joined(aFrame("1"), bad, aFrame("2"), aFrame("3"))]);
      expect([...frames, ...flushed], latin1(bad)).toEqual([aFrame("1"), aFrame("2"), aFrame("3")]);
      expect(buffered).toBe(0);
    }
  });

  test("finds a frame inside the content of a refused one", () => {
    const inner = aFrame("1");
    const outer = altered(aFrame(joined("x", inner, "y")), /\*..\r\n$/, "*zz\r\n");
    expect(read([joined(outer, aFrame("2"))]).frames).toEqual([inner, aFrame("2")]);
  });

  test("does not look for frames inside the content of a right one", () => {
    const outer = aFrame(joined("x", aFrame("1"), "y"));
    expect(read([outer]).frames).toEqual([outer]);
  });

  test("takes a length that is off by one or two when the checksum is right", () => {
    const sum = (text: string) => {
      const total = bytesOf(text).reduce((a, b) => (a + b) & 255, 0);
      return bytesOf(`${text}${total.toString(16).toUpperCase().padStart(2, "0")}\r\n`);
    };
    for (const length of [28, 29, 31, 32]) {
      const off = sum(`$$A${length},353358017784062,AAA,35,1*`);
      expect(read([joined(off, aFrame("2"))]).frames).toEqual([off, aFrame("2")]);
    }
  });

  test("hands a frame that ends early on at once, and does not take the end of a held part for such an end", () => {
    const early = aFrame("35,1");
    const declaredLonger = bytesOf(latin1(early).replace("A30", "A32").replace(/\*../, "*32"));
    expect(read([declaredLonger]).frames).toEqual([declaredLonger]);
    expect(read([declaredLonger.subarray(0, 20), declaredLonger.subarray(20)]).frames).toEqual([declaredLonger]);
    // A right frame with such an end inside, cut before it: all that has arrived must be seen before deciding.
    for (let filler = 0; filler < 256; filler++) {
      const frame = aFrame(bytesOf(`35,1${String.fromCharCode(filler)}*00\r\n`));
      expect(read([frame.subarray(0, 20), frame.subarray(20)]).frames).toEqual([frame]);
    }
  });

  test("reads the longest frame there is, byte by byte", () => {
    const frame = aFrame(new Uint8Array(FRAME_LIMITS.length - 26).fill(0x24));
    expect(frame).toHaveLength(FRAME_LIMITS.frameBytes);
    const reader = new FrameReader();
    let largest = 0;
    for (let i = 0; i < frame.length - 1; i++) {
      expect(reader.push(frame.subarray(i, i + 1))).toHaveLength(0);
      largest = Math.max(largest, reader.buffered);
    }
    expect(largest).toBe(frame.length - 1);
    expect(reader.push(frame.subarray(frame.length - 1))).toEqual([frame]);
    expect(reader.buffered).toBe(0);
  }, 60_000);
});

describe("FrameReader", () => {
  test("waits for a length that was damaged upwards, then finds what stood behind it", () => {
    const damaged = altered(aFrame("1"), /A27,/, "A927,");
    const later = Array.from({ length: 40 }, (_, i) => aFrame(`${i}`));
    const reader = new FrameReader();
    expect(reader.push(joined(damaged, ...later.slice(0, 20)))).toEqual([]);
    expect(reader.push(joined(...later.slice(20)))).toEqual(later);
    expect(reader).toMatchObject({ buffered: 0, refused: 1, rejected: damaged.length });
  });

  test("flush() gives the waiting frame up and hands on those behind it", () => {
    const damaged = altered(aFrame("1"), /A27,/, "A60027,");
    const { frames, flushed, buffered, reader } = read([joined(damaged, aFrame("2")), joined(aFrame("3"), "$$A3")]);
    expect(frames).toEqual([]);
    expect(buffered).toBeGreaterThan(60);
    expect(flushed).toEqual([aFrame("2"), aFrame("3")]);
    expect(reader).toMatchObject({ buffered: 0, refused: 1, rejected: damaged.length + 4 });
  });

  test("can be used on after flush()", () => {
    const { reader } = read([aFrame("1").subarray(0, 20)]);
    expect(reader.push(joined(aFrame("2"), aFrame("3").subarray(0, 9)))).toEqual([aFrame("2")]);
    expect(reader.push(aFrame("3").subarray(9))).toEqual([aFrame("3")]);
  });

  test("onReject tells each skipped stretch with its reason", () => {
    const told: [string, number][] = [];
    const wrong = altered(aFrame("2"), /\*../, "*00");
    const blank = altered(aFrame("2"), /353/, "3 3");
    const chunk = joined("noise", aFrame("1"), wrong, aFrame("1"), blank, aFrame("1"), "$$A99999,", aFrame("1"));
    const { reader } = read([chunk, joined(aFrame("3").subarray(0, 20))], {
      onReject: (code, bytes) => told.push([code, bytes]),
    });
    expect(told).toEqual([
      ["prefix", 5],
      ["checksum", wrong.length],
      ["value", blank.length],
      ["length", 9],
      ["truncated", 20],
    ]);
    expect(reader.rejected).toBe(5 + wrong.length + blank.length + 9 + 20);
    expect(reader.refused).toBe(4);
  });

  test("holds no more than its limit and refuses what claims more", () => {
    const reader = new FrameReader({ maxFrameBytes: 100 });
    const claims = repeated("$$A94,353358017784062,AAA,", 10_000);
    for (let i = 0; i < claims.length; i += 7) {
      reader.push(claims.subarray(i, i + 7));
      expect(reader.buffered).toBeLessThan(100);
    }
    reader.flush(() => {});
    const long = aFrame("x".repeat(100));
    expect(reader.push(joined(long, aFrame("1")))).toEqual([aFrame("1")]);
  });

  test("scan() gives the bounds of each frame in the array where it lies", () => {
    const chunk = joined("xx", aFrame("1"), aFrame("2").subarray(0, 8));
    const seen: [boolean, string, string][] = [];
    const reader = new FrameReader();
    const sink: Parameters<FrameReader["scan"]>[1] = (buf, at) =>
      seen.push([buf === chunk, latin1(buf, at.imeiStart, at.imeiEnd), latin1(buf, at.contentStart, at.contentEnd)]);
    reader.scan(chunk, sink);
    reader.scan(aFrame("2").subarray(8), sink);
    expect(seen).toEqual([
      [true, imei, "1"],
      [false, imei, "2"],
    ]);
  });
});

describe("garbage", () => {
  const bytes = 524_288;
  const block = 65_536;
  const good = latin1(aFrame("1"));
  // Blocks of heads whose claimed ends lie in the blocks behind them.
  const alternating = (heads: string, ends: string) =>
    bytesOf((latin1(repeated(heads, block)) + latin1(repeated(ends, block))).repeat(bytes / block / 2));
  const kinds: [string, Uint8Array][] = [
    ["zeros", new Uint8Array(bytes)],
    ["head bytes", repeated("$", bytes)],
    ["pairs of head bytes", repeated("$$@@", bytes)],
    ["heads without length", repeated("$$A", bytes)],
    ["heads that claim the longest frame", repeated("$$A65535,", bytes)],
    ["possible heads that claim long frames", repeated("$$A32768,1,AAA,", bytes)],
    ["possible heads and many ends", repeated("$$A1600,1,AAA*00\r\n", bytes)],
    ["long frames over each other, all with a possible end", alternating("$$A65000,1,AAA,", "*zz*00\r\n")],
    ["the same with good frames between the heads", alternating(`$$A65000,1,AAA,${good}`, "*zz*00\r\n")],
    ["the same with ends that are off", alternating("$$A65000,1,AAA,", "x*00\r\n*11\r\n")],
    ["frames with a wrong checksum", repeated(good.replace(/\*../, "*00"), bytes)],
  ];
  // Reading it takes 1 to 20 ms here. With a sum for each of the 17,000 claimed frames of 65 KB it takes 400.
  const mostMs = 80;

  test.each(kinds)("of %s costs linear time, in any cut, and a good frame behind it is found", (_, garbage) => {
    for (const cut of [garbage.length, 1448, 61]) {
      let fastest = Number.POSITIVE_INFINITY;
      for (let run = 0; run < 3; run++) {
        const reader = new FrameReader();
        let delivered = 0;
        const sink: Parameters<FrameReader["scan"]>[1] = (_buf, { start, end }) => {
          delivered += end - start;
        };
        const startedAt = performance.now();
        for (let i = 0; i < garbage.length; i += cut) reader.scan(garbage.subarray(i, i + cut), sink);
        reader.flush(sink);
        fastest = Math.min(fastest, performance.now() - startedAt);
        expect(reader.buffered).toBe(0);
        expect(reader.rejected + delivered).toBe(garbage.length);
        expect(reader.push(aFrame("2"))).toEqual([aFrame("2")]);
      }
      expect(fastest).toBeLessThan(mostMs);
    }
  });
});
