import { existsSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bytesOf, fromHex } from "../../codec/bytes.ts";
import { CodecError } from "../../codec/errors.ts";
import { encodeFrame, FRAME_LIMITS, type Frame, FrameReader, parseFrame } from "../../codec/frame.ts";
import { naiveFrames } from "./naive-frames.ts";

const VECTORS = new URL("../../../shared/protocol/vectors.json", import.meta.url);

interface Vector {
  id: string;
  hex: string;
  lengthOk: boolean;
  checksumOk: boolean;
}

const imei = "353358017784062";
const every = Uint8Array.from({ length: 256 }, (_, i) => i);
const report = "35,22.913191,114.079882,180425071619,A,10,24,41,120,0.9,35,1234,567,460|0|27BA|0DFA,0400,0|0|0|2DE|10A";

/** Frames of our own: both directions, text and binary, with heads and ends inside, and the shortest there is. */
const OWN: Uint8Array[] = [
  encodeFrame({ direction: "up", identifier: "A", imei, type: "AAA", content: report }),
  encodeFrame({ direction: "up", identifier: "[", imei, type: "CCE", content: every }),
  encodeFrame({ direction: "down", identifier: "@".replace("@", "`"), imei, type: "A10" }),
  encodeFrame({ direction: "up", identifier: "z", imei: "1", type: "CCC", content: every.subarray(30, 50) }),
  encodeFrame({ direction: "up", identifier: "\\", imei: "0407", type: "D00", content: "a*00\r\n$$A25,1,AAA*FF\r\n" }),
  encodeFrame({ direction: "down", identifier: "Q", imei, type: "D73", parameterTable: "0", content: "50,50" }),
  encodeFrame({ direction: "up", identifier: "b", imei: "02092247SKY6A70", type: "AAA", content: "" }),
  encodeFrame({ direction: "up", identifier: "c", imei, type: "FC1", content: new Uint8Array(1408).fill(0x24) }),
];

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const stream = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    stream.set(part, at);
    at += part.length;
  }
  return stream;
}

const same = (buf: Uint8Array, start: number, end: number, frame: Uint8Array | undefined) => {
  if (frame === undefined || frame.length !== end - start) return false;
  for (let i = 0; i < frame.length; i++) if (buf[start + i] !== frame[i]) return false;
  return true;
};

/** Reads `stream` in the pieces between `cuts` and expects exactly `frames`. */
function expectFrames(stream: Uint8Array, cuts: readonly number[], frames: readonly Uint8Array[]): void {
  const reader = new FrameReader();
  let count = 0;
  const sink = (buf: Uint8Array, { start, end }: { start: number; end: number }) => {
    if (!same(buf, start, end, frames[count])) expect.fail(`cut at ${cuts}: frame ${count} is another one`);
    count++;
  };
  let from = 0;
  for (const to of [...cuts, stream.length]) {
    reader.scan(stream.subarray(from, to), sink);
    from = to;
  }
  reader.flush(sink);
  if (count !== frames.length) expect.fail(`cut at ${cuts}: ${count} frames instead of ${frames.length}`);
}

function expectSameInAnyCut(stream: Uint8Array): void {
  const frames = naiveFrames(stream).map(([start, end]) => stream.subarray(start, end));
  expectFrames(stream, [], frames);
  for (let cut = 0; cut <= stream.length; cut++) expectFrames(stream, [cut], frames);
  expectFrames(stream, [...stream.keys()], frames);
  const cuts = fc.array(fc.nat(stream.length), { maxLength: 200 }).map((list) => list.sort((a, b) => a - b));
  fc.assert(
    fc.property(cuts, (list) => expectFrames(stream, list, frames)),
    { numRuns: 200 },
  );
}

describe("the stream of our own frames", () => {
  test("is taken apart into these frames", () => {
    expect(new FrameReader().push(joined(OWN))).toEqual(OWN);
  });

  test("yields the same frames cut at every byte, byte by byte, and in random pieces", () => {
    expectSameInAnyCut(joined(OWN));
  });

  test("yields the same frames with damaged ones and noise in between", () => {
    const damaged = OWN.map((frame, i) => frame.map((byte, at) => (at === (i * 7) % frame.length ? byte ^ 1 : byte)));
    const noise = [bytesOf("\r\n"), bytesOf("$$A40,"), every.subarray(0, 50), bytesOf("@@@@"), bytesOf("$$b21,1,AAA")];
    expectSameInAnyCut(joined(OWN.flatMap((frame, i) => [damaged[i], frame, noise[i % noise.length]])));
  });
});

// Frames of real vehicles: they stay outside of the repository.
const reason = existsSync(VECTORS) ? "" : " (skipped: ../shared/protocol/vectors.json is not on this machine)";

describe.skipIf(reason !== "")(`the stream of all captured and manual frames${reason}`, () => {
  const vectors: Vector[] = reason === "" ? JSON.parse(readFileSync(VECTORS, "utf8")) : [];
  const parsed = vectors.map(({ hex, ...vector }) => {
    const bytes = fromHex(hex);
    try {
      return { ...vector, bytes, frame: parseFrame(bytes) as Frame | null, code: "" };
    } catch (error) {
      if (!(error instanceof CodecError)) throw error;
      return { ...vector, bytes, frame: null, code: error.code };
    }
  });

  test("parseFrame() takes every frame that is marked right", () => {
    const right = parsed.filter(({ lengthOk, checksumOk }) => lengthOk && checksumOk);
    expect(right.length).toBeGreaterThan(200);
    expect(right.filter(({ frame }) => frame?.lengthOff !== 0).map(({ id }) => id)).toEqual([]);
  });

  test("parseFrame() refuses every frame that is marked wrong with a code, or takes it within the length window", () => {
    const wrong = parsed.filter(({ lengthOk, checksumOk }) => !(lengthOk && checksumOk));
    expect(wrong.length).toBeGreaterThan(30);
    for (const { id, frame, code, lengthOk, checksumOk } of wrong) {
      if (frame === null) expect(code, id).toMatch(/^(truncated|prefix|length|checksum|type|value)$/);
      else {
        expect({ lengthOk, checksumOk }, id).toEqual({ lengthOk: false, checksumOk: true });
        expect(Math.abs(frame.lengthOff), id).toBeGreaterThan(0);
        expect(Math.abs(frame.lengthOff), id).toBeLessThanOrEqual(FRAME_LIMITS.lengthWindow);
      }
    }
  });

  test("encodeFrame() writes every right frame again, byte for byte", () => {
    const comma = 0x2c;
    for (const { id, bytes, frame } of parsed) {
      if (frame === null || frame.lengthOff !== 0) continue;
      const { content, ...parts } = frame;
      const separated = bytes[frame.contentOffset - 1] === comma;
      if (!separated && content.length > 0) continue;
      expect(encodeFrame(separated ? { ...parts, content } : parts), id).toEqual(bytes);
    }
  });

  test("yields every frame that parseFrame() takes", () => {
    const whole = joined(parsed.map(({ bytes }) => bytes));
    const texts = new Set(naiveFrames(whole).map(([start, end]) => `${whole.subarray(start, end)}`));
    const taken = parsed.filter(({ frame }) => frame !== null);
    expect(taken.filter(({ bytes }) => !texts.has(`${bytes}`)).map(({ id }) => id)).toEqual([]);
  });

  test("yields the same frames cut at every byte, byte by byte, and in random pieces", () => {
    expectSameInAnyCut(joined(parsed.map(({ bytes }) => bytes)));
  });
});

describe("200,000 mutated frames and random streams", () => {
  const byte = fc.nat(255);
  const mutation = fc.record({
    frame: fc.nat(OWN.length - 1),
    kind: fc.constantFrom("none", "set", "set", "set", "insert", "remove", "cut", "length", "random"),
    at: fc.nat(2000),
    value: byte,
  });
  type Mutation = typeof mutation extends fc.Arbitrary<infer T> ? T : never;

  const random = (length: number, seed: number) => {
    let state = seed + 1;
    return Uint8Array.from({ length }, () => {
      state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9;
      // Every second byte is one that frames are made of.
      return state & 0x100 ? "$@A1,*\r\n0"[(state >>> 10) % 9].charCodeAt(0) : (state >>> 16) & 255;
    });
  };

  const mutated = ({ frame: index, kind, at, value }: Mutation): Uint8Array => {
    const frame = OWN[index];
    const place = at % frame.length;
    if (kind === "none") return frame;
    if (kind === "set") return frame.map((old, i) => (i === place ? value : old));
    if (kind === "insert") return joined([frame.subarray(0, place), Uint8Array.of(value), frame.subarray(place)]);
    if (kind === "remove") return joined([frame.subarray(0, place), frame.subarray(place + 1)]);
    if (kind === "cut") return frame.subarray(0, place);
    if (kind === "length") return frame.map((old, i) => (i === 3 + (at % 3) ? 0x30 + (value % 10) : old));
    return random(value, at);
  };

  test("parseFrame() throws nothing but CodecError, with an offset inside the bytes", () => {
    fc.assert(
      fc.property(fc.array(mutation, { minLength: 100, maxLength: 100 }), (list) => {
        for (const item of list) {
          const bytes = mutated(item);
          try {
            parseFrame(bytes, { lenient: item.value % 2 === 0 });
          } catch (error) {
            if (!(error instanceof CodecError) || !/^Cannot read frame: .*[^.]$/.test(error.message)) throw error;
            if (!(error.offset >= 0 && error.offset <= bytes.length)) expect.fail(`offset ${error.offset}`);
          }
        }
      }),
      { numRuns: 1000 },
    );
  });

  const pieces = fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 5 });

  /** Reads `stream` in pieces of these sizes, again and again, and compares with the plain search. */
  function expectPlain(stream: Uint8Array, sizes: readonly number[], maxFrameBytes: number): void {
    const expected = naiveFrames(stream, maxFrameBytes);
    const reader = new FrameReader({ maxFrameBytes });
    let count = 0;
    let delivered = 0;
    const sink = (buf: Uint8Array, { start, end }: { start: number; end: number }) => {
      const [from, to] = expected[count] ?? [0, 0];
      if (!same(buf, start, end, stream.subarray(from, to))) expect.fail(`frame ${count} is another one`);
      count++;
      delivered += end - start;
    };
    for (let from = 0, i = 0; from < stream.length; i++) {
      let to = Math.min(stream.length, from + sizes[i % sizes.length]);
      // What ends before its declared end is taken when nothing follows yet, which depends on the cut.
      if (stream[to - 1] === 0x0a && to < stream.length) to++;
      reader.scan(stream.subarray(from, to), sink);
      if (reader.buffered >= maxFrameBytes) expect.fail(`${reader.buffered} bytes held`);
      from = to;
    }
    reader.flush(sink);
    if (count !== expected.length) expect.fail(`${count} frames instead of ${expected.length}`);
    if (reader.rejected !== stream.length - delivered) expect.fail(`${reader.rejected} bytes rejected`);
  }

  test("FrameReader finds what the plain search finds, in any cut, and never holds more than its limit", () => {
    fc.assert(
      fc.property(fc.array(mutation, { minLength: 50, maxLength: 50 }), pieces, (list, sizes) => {
        expectPlain(joined(list.map(mutated)), sizes, 2048);
      }),
      { numRuns: 2000 },
    );
  }, 60_000);

  test("FrameReader finds what the plain search finds among heads and ends that overlap", () => {
    const head = fc.tuple(fc.constantFrom("$$A", "@@z", "$$$A"), fc.integer({ min: 0, max: 500 }), fc.nat(3));
    const token = fc.oneof(
      head.map(([first, length, kind]) => `${first}${length},${["1,AAA,", "1,0D73,", `${imei},CCE`, "1,A"][kind]}`),
      byte.map((sum) => `*${sum.toString(16).padStart(2, "0")}\r\n`),
      fc.constantFrom("x", "\n", "*", "$", "@", "0123456789".repeat(12)),
    );
    fc.assert(
      fc.property(fc.array(token, { minLength: 200, maxLength: 200 }), pieces, (tokens, sizes) => {
        expectPlain(bytesOf(tokens.join("")), sizes, 400);
      }),
      { numRuns: 500 },
    );
  });
});
