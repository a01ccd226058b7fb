import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  ENVELOPE_LIMITS,
  encodeResponse,
  forEachEntry,
  OUTCOME_NAMES,
  OUTCOMES,
  type RequestEntry,
  RequestWriter,
  readRequest,
  readResponse,
  TRANSPORTS,
} from "../../codec/envelope.ts";
import { CodecError } from "../../codec/errors.ts";

const bytes = fc.uint8Array({ maxLength: 300 });
const connection = fc.nat(0xffffffff);
const commandId = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });

const anEntry: fc.Arbitrary<RequestEntry> = fc.oneof(
  fc.record({
    kind: fc.constant("frame" as const),
    connection,
    transport: fc.constantFrom(...Object.values(TRANSPORTS)),
    receivedAt: fc.double({ noNaN: true, min: 0 }),
    bytes,
  }),
  fc.record({ kind: fc.constant("claim" as const), commandId, connection }),
  fc.record({ kind: fc.constant("release" as const), commandId }),
);

function written(entries: readonly RequestEntry[]): Uint8Array {
  const writer = new RequestWriter(0);
  for (const entry of entries) {
    if (entry.kind === "frame") writer.frame(entry.connection, entry.transport, entry.receivedAt, entry.bytes);
    else if (entry.kind === "claim") writer.claim(entry.commandId, entry.connection);
    else writer.release(entry.commandId);
  }
  expect(writer.count).toBe(entries.length);
  expect(writer.finish()).toHaveLength(writer.bytes);
  return writer.finish();
}

const aResponse = fc.record({
  frames: fc.array(fc.record({ outcome: fc.nat(OUTCOME_NAMES.length - 1), reply: bytes })),
  downlinks: fc.array(fc.record({ commandId, connection, bytes })),
  offers: fc.array(fc.record({ commandId, imei: fc.stringMatching(/^[0-9]{1,20}$/) })),
});

/** A request of one frame of 3 bytes, one claim and one release, and where each begins. */
const small = written([
  {
    kind: "frame",
    connection: 7,
    transport: TRANSPORTS.udp,
    receivedAt: 1_700_000_000_000,
    bytes: Uint8Array.of(1, 2, 3),
  },
  { kind: "claim", commandId: 12, connection: 7 },
  { kind: "release", commandId: 13 },
]);
const answer = encodeResponse({
  frames: [{ outcome: OUTCOMES.stored, reply: Uint8Array.of(9) }],
  downlinks: [{ commandId: 12, connection: 7, bytes: Uint8Array.of(5, 6) }],
  offers: [{ commandId: 14, imei: "353358017784062" }],
});

function patched(body: Uint8Array, at: number, ...values: number[]): Uint8Array {
  const copy = body.slice();
  copy.set(values, at);
  return copy;
}

function errorOf(run: () => unknown): Pick<CodecError, "code" | "offset" | "message"> | null {
  try {
    run();
    return null;
  } catch (error) {
    expect(error).toBeInstanceOf(CodecError);
    return error as CodecError;
  }
}

describe("requests", () => {
  test("RequestWriter and readRequest() return any entries in order", () => {
    fc.assert(
      fc.property(fc.array(anEntry, { maxLength: 40 }), (entries) => {
        expect(readRequest(written(entries))).toEqual(entries);
      }),
    );
  });

  test("RequestWriter writes the documented bytes", () => {
    expect(Buffer.from(small).toString("hex")).toBe(
      [
        "45504231 03000000",
        "01 01 0000 07000000 00008056febc7842",
        "03000000 010203",
        "02 00 0000 07000000 0000000000002840",
        "03 00 0000 00000000 0000000000002a40",
      ]
        .join("")
        .replace(/ /g, ""),
    );
  });

  test("RequestWriter.finish() of an empty writer is a request that asks for commands only", () => {
    expect(readRequest(new RequestWriter().finish())).toEqual([]);
  });

  test("forEachEntry() gives frames as places in the body, without a copy", () => {
    const seen: unknown[] = [];
    forEachEntry(small, {
      frame: (...values) => seen.push(values),
      claim: (...values) => seen.push(values),
      release: (...values) => seen.push(values),
    });
    expect(seen).toEqual([[7, 1_700_000_000_000, 28, 31, TRANSPORTS.udp], [12, 7], [13]]);
    expect(readRequest(small)[0]).toHaveProperty("bytes.buffer", small.buffer);
  });

  test("forEachEntry() reads a body that is a part of a larger array", () => {
    const larger = new Uint8Array(small.length + 20).fill(0xff);
    larger.set(small, 9);
    expect(readRequest(larger.subarray(9, 9 + small.length))).toEqual(readRequest(small));
  });

  const float = (value: number) => new Uint8Array(Float64Array.of(value).buffer);
  const bad: [string, Uint8Array, string, number][] = [
    ["nothing", new Uint8Array(0), "truncated", 0],
    ["half a mark", small.subarray(0, 7), "truncated", 7],
    ["another mark", patched(small, 0, 0x46), "prefix", 0],
    ["the mark of a response", answer, "prefix", 0],
    ["a later version", patched(small, 3, 0x32), "prefix", 0],
    ["an end inside an entry's head", small.subarray(0, 20), "truncated", 20],
    ["an end inside a frame's length", small.subarray(0, 26), "truncated", 26],
    ["an end inside a frame", small.subarray(0, 30), "truncated", 30],
    ["a frame that claims the rest of the world", patched(small, 24, 255, 255, 255, 255), "truncated", small.length],
    ["more entries than there are", patched(small, 4, 4), "truncated", small.length],
    ["fewer entries than there are", patched(small, 4, 2), "length", 47],
    ["millions of entries", patched(small, 4, 255, 255, 255, 255), "length", 4],
    ["a kind that is not known", patched(small, 8, 9), "type", 8],
    ["a transport that is not known", patched(small, 9, 2), "value", 9],
    ["a command id of zero", patched(small, 39, ...float(0)), "value", 39],
    ["a negative command id", patched(small, 39, ...float(-1)), "value", 39],
    ["a command id with a fraction", patched(small, 39, ...float(1.5)), "value", 39],
    ["a command id that is no number", patched(small, 39, ...float(Number.NaN)), "value", 39],
    ["more bytes than allowed", new Uint8Array(ENVELOPE_LIMITS.bodyBytes + 1), "length", ENVELOPE_LIMITS.bodyBytes],
  ];
  test.each(bad)("readRequest() refuses %s", (_, body, code, offset) => {
    expect(errorOf(() => readRequest(body))).toMatchObject({
      code,
      offset,
      message: expect.stringMatching(/^Cannot read request: .*[^.]$/),
    });
  });

  test("readRequest() refuses more frames or commands than one batch may have", () => {
    const { framesPerBatch, commandsPerBatch } = ENVELOPE_LIMITS;
    const frames = new RequestWriter();
    for (let i = 0; i < framesPerBatch; i++) frames.frame(1, 0, 0, Uint8Array.of(1));
    expect(readRequest(frames.finish())).toHaveLength(framesPerBatch);
    frames.frame(1, 0, 0, Uint8Array.of(1));
    expect(errorOf(() => readRequest(frames.finish()))).toMatchObject({ code: "length" });

    const commands = new RequestWriter();
    for (let i = 1; i <= commandsPerBatch; i++) commands.release(i);
    expect(readRequest(commands.finish())).toHaveLength(commandsPerBatch);
    commands.claim(1, 1);
    expect(errorOf(() => readRequest(commands.finish()))).toMatchObject({ code: "length" });
  });
});

describe("responses", () => {
  test("encodeResponse() and readResponse() return any response", () => {
    fc.assert(
      fc.property(aResponse, (response) => {
        expect(readResponse(encodeResponse(response))).toEqual(response);
      }),
    );
  });

  test("encodeResponse() writes the documented bytes", () => {
    expect(Buffer.from(answer).toString("hex")).toBe(
      [
        "45505231 01000000 00 00 0100 09",
        "01000000 0000000000002840 07000000 0200 0506",
        "01000000 0000000000002c40 0f 333533333538303137373834303632",
      ]
        .join("")
        .replace(/ /g, ""),
    );
  });

  test("encodeResponse() takes no reply for one without bytes", () => {
    const body = encodeResponse({ frames: [{ outcome: OUTCOMES.invalid, reply: null }] });
    expect(readResponse(body)).toEqual({
      frames: [{ outcome: OUTCOMES.invalid, reply: new Uint8Array(0) }],
      downlinks: [],
      offers: [],
    });
  });

  test("encodeResponse() refuses what its length fields cannot say", () => {
    const long = new Uint8Array(65_536);
    const frames = [{ outcome: 0, reply: long }];
    expect(errorOf(() => encodeResponse({ frames }))).toMatchObject({ code: "length" });
    const downlinks = [{ commandId: 1, connection: 1, bytes: long }];
    expect(errorOf(() => encodeResponse({ frames: [], downlinks }))).toMatchObject({ code: "length" });
    const offers = [{ commandId: 1, imei: "1".repeat(256) }];
    expect(errorOf(() => encodeResponse({ frames: [], offers }))).toMatchObject({ code: "length" });
  });

  const bad: [string, Uint8Array, string, number][] = [
    ["the mark of a request", small, "prefix", 0],
    ["an end before the commands", answer.subarray(0, 14), "truncated", 14],
    ["an end inside an offer", answer.subarray(0, answer.length - 1), "truncated", answer.length - 1],
    ["more outcomes than fit", patched(answer, 4, 255, 255, 255, 255), "truncated", 4],
    ["more commands than fit", patched(answer, 13, 255, 255, 255, 255), "truncated", 13],
    ["a reply longer than the body", patched(answer, 10, 255, 255), "truncated", answer.length],
    ["an outcome that is not known", patched(answer, 8, 5), "value", 8],
    ["a command id that is no integer", patched(answer, 17, 1), "value", 17],
    ["bytes behind its end", Uint8Array.of(...answer, 0), "length", answer.length],
  ];
  test.each(bad)("readResponse() refuses %s", (_, body, code, offset) => {
    expect(errorOf(() => readResponse(body))).toMatchObject({
      code,
      offset,
      message: expect.stringMatching(/^Cannot read response: .*[^.]$/),
    });
  });
});

test("OUTCOME_NAMES are the keys of OUTCOMES by number", () => {
  for (const [name, number] of Object.entries(OUTCOMES)) expect(OUTCOME_NAMES[number]).toBe(name);
});

describe("bodies from a stranger", () => {
  // Behind a guard page of other bytes: what is read out of bounds would show in the result.
  const within = (body: Uint8Array) => {
    const larger = new Uint8Array(body.length + 64).fill(0xa5);
    larger.set(body, 32);
    return larger.subarray(32, 32 + body.length);
  };
  const mutated = (body: fc.Arbitrary<Uint8Array>) =>
    fc
      .tuple(body, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 }), fc.nat(40))
      .map(([good, edits, cut]) => {
        const copy = good.slice(0, Math.max(0, good.length - (cut > 30 ? cut : 0)));
        for (const [at, value] of edits) if (copy.length > 0) copy[at % copy.length] = value;
        return copy;
      });

  test("readRequest() throws nothing but CodecError, and what it returns lies in the body", () => {
    const bodies = fc.oneof(
      mutated(fc.array(anEntry, { maxLength: 8 }).map(written)),
      fc.uint8Array({ maxLength: 200 }),
    );
    fc.assert(
      fc.property(bodies, (body) => {
        const given = within(body);
        errorOf(() => {
          for (const entry of readRequest(given)) {
            if (entry.kind !== "frame") continue;
            expect(entry.bytes.byteOffset).toBeGreaterThanOrEqual(given.byteOffset);
            expect(entry.bytes.byteOffset + entry.bytes.length).toBeLessThanOrEqual(given.byteOffset + given.length);
          }
        });
      }),
      { numRuns: 20_000 },
    );
  });

  test("readResponse() throws nothing but CodecError, and never returns more entries than bytes", () => {
    const bodies = fc.oneof(mutated(aResponse.map(encodeResponse)), fc.uint8Array({ maxLength: 200 }));
    fc.assert(
      fc.property(bodies, (body) => {
        errorOf(() => {
          const { frames, downlinks, offers } = readResponse(within(body));
          expect(frames.length + downlinks.length + offers.length).toBeLessThan(body.length);
        });
      }),
      { numRuns: 20_000 },
    );
  });
});
