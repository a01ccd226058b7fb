import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { latin1, toHex } from "../../codec/bytes.ts";
import { encodeCommand } from "../../codec/commands.ts";
import { encodeAaa, encodeCcc, encodeCce, type Report } from "../../codec/encode.ts";
import { encodeFrame, parseFrame } from "../../codec/frame.ts";
import { decodeLine, LINE_CHARACTERS } from "../../tools/decode-line.ts";

const TOOL = fileURLToPath(new URL("../../tools/decode.ts", import.meta.url));
const VECTORS = new URL("../../../shared/protocol/vectors.json", import.meta.url);

const SENDER = { identifier: "Y", imei: "359999990000010" };
const REPORT: Report = {
  event: { code: 35 },
  fixTime: Date.UTC(2026, 0, 2, 3, 4, 5),
  valid: true,
  latitude: -6.166383,
  longitude: 106.816666,
  satellites: 9,
  gsmSignal: 24,
  speedKmh: 41,
  courseDeg: 123,
  hdop: 0.9,
  altitudeM: -3,
  odometerM: 123456,
  runtimeS: 7890,
  cell: { mcc: 510, mnc: 10, lac: 149, cid: 20534 },
  inputs: 2,
  outputs: 0,
  batteryV: 4.17,
  supplyV: 13.7,
};
const AAA = encodeAaa({ ...SENDER, report: REPORT });
const CCC = encodeCcc({ ...SENDER, reports: [REPORT, REPORT] });
const CCE = encodeCce({ ...SENDER, reports: [REPORT, { ...REPORT, temperaturesC: { "1": -12.34 } }] });
const TEXT = latin1(AAA).slice(0, -2);

const PLAIN = { lenient: false, explain: false };

interface Answer {
  ok: boolean;
  positions?: Record<string, unknown>[];
  error?: { code: string; offset: number; message: string };
  fields?: { offset: number; hex: string; name: string; value: unknown; position?: number }[];
  [name: string]: unknown;
}

function decode(line: string, options = {}): Answer {
  const answer = decodeLine(line, { ...PLAIN, ...options });
  expect(answer).not.toBeNull();
  return JSON.parse(JSON.stringify(answer));
}

/** Runs the tool as a person does. */
function run(args: string[], input: Uint8Array | string): Promise<{ code: number | null; out: string; err: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [TOOL, ...args]);
    let out = "";
    let err = "";
    child.stdout.on("data", (chunk) => {
      out += chunk;
    });
    child.stderr.on("data", (chunk) => {
      err += chunk;
    });
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, out, err }));
    child.stdin.on("error", () => {});
    child.stdin.end(input);
  });
}

describe("decodeLine()", () => {
  test.each([
    ["hex", toHex(AAA)],
    ["lower-case hex", toHex(AAA).toLowerCase()],
    ["hex with spaces", toHex(AAA).replace(/(..)/g, "$1 ")],
    ["text without its end of line", TEXT],
    ["text with its end of line written out", `${TEXT}\\r\\n`],
    ["text with half of its end of line written out", `${TEXT}\\n`],
    ["text with a carriage return", `${TEXT}\r`],
    ["text with blanks around it", `  ${TEXT}\t`],
  ])("reads %s", (_, line) => {
    const answer = decode(line);
    expect(Object.keys(answer)).toEqual(["ok", "direction", "identifier", "imei", "type", "positions"]);
    expect(answer).toMatchObject({ ok: true, direction: "up", ...SENDER, type: "AAA" });
    expect(answer.positions).toHaveLength(1);
    expect(answer.positions?.[0]).toMatchObject({
      ...REPORT,
      fixTime: "2026-01-02T03:04:05.000Z",
      event: { code: 35, name: "time interval" },
    });
  });

  test("keeps the order of the fields in a position", () => {
    expect(Object.keys(decode(TEXT, { model: "T366" }).positions?.[0] ?? {})).toEqual([
      ...["event", "fixTime", "valid", "latitude", "longitude", "satellites", "gsmSignal", "speedKmh", "courseDeg"],
      ...["hdop", "altitudeM", "odometerM", "runtimeS", "cell", "inputs", "outputs", "batteryV", "supplyV"],
    ]);
  });

  test("reads downlinks and replies", () => {
    const command = encodeCommand({ ...SENDER, code: "A13", arguments: { angleDeg: 30 } });
    expect(decode(toHex(command))).toMatchObject({ ok: true, direction: "down", type: "A13", content: "30" });
    const reply = encodeFrame({ ...SENDER, direction: "up", type: "A13", content: "OK" });
    expect(decode(toHex(reply))).toMatchObject({ ok: true, type: "A13", reply: { command: "A13", outcome: "ok" } });
  });

  // The frame: 3 head bytes, digits of the length, the rest; the checksum's digits are 4 bytes before the end.
  test.each([
    ["a wrong checksum", `${TEXT.slice(0, -2)}00`, "checksum", TEXT.length - 2],
    ["no hex digits in the checksum", `${TEXT.slice(0, -2)}OD`, "checksum", TEXT.length - 2],
    ["another head", `##${TEXT.slice(2)}`, "prefix", 0],
    ["words", "hello", "prefix", 0],
    ["a cut line", TEXT.slice(0, 60), "truncated", 60],
    ["a head alone", "$$", "truncated", 2],
    ["cut hex", toHex(AAA).slice(0, -4), "truncated", AAA.length - 2],
    ["half a byte", toHex(AAA).slice(0, -1), "truncated", AAA.length - 1],
    ["a wrong length", `$$Y999,${TEXT.slice(7)}`, "truncated", TEXT.length + 2],
    ["a short length", `$$Y050,${TEXT.slice(7)}`, "length", undefined],
    ["bytes behind the frame", `${toHex(AAA)}00`, "length", AAA.length],
  ])("says what is wrong and where for %s", (_, line, code, offset) => {
    const { ok, error } = decode(line);
    expect(ok).toBe(false);
    expect(error?.code).toBe(code);
    if (offset !== undefined) expect(error?.offset).toBe(offset);
    expect(error?.message).toMatch(/^Cannot read .+: .+[^.]$/);
  });

  test("says that a line is too long instead of reading it", () => {
    expect(decode("2".repeat(LINE_CHARACTERS + 1)).error).toMatchObject({ code: "length", offset: LINE_CHARACTERS });
  });

  test("skips blank lines", () => {
    for (const line of ["", " ", "\r", "\t "]) expect(decodeLine(line, PLAIN)).toBeNull();
  });

  test("accepts a wrong checksum when lenient, and says so", () => {
    const wrong = `${TEXT.slice(0, -2)}00`;
    expect(decode(wrong, { lenient: true })).toMatchObject({ ok: true, checksumOk: false, type: "AAA" });
    expect(decode(TEXT, { lenient: true })).not.toHaveProperty("checksumOk");
  });

  test("says by how much a length was off", () => {
    const off = latin1(AAA).replace(/^\$\$Y(\d+)/, (_, length) => `$$Y${Number(length) + 1}`);
    // 131 instead of 130: one more in the sum.
    const sum = (Number.parseInt(off.slice(-4, -2), 16) + 1) % 256;
    const line = `${off.slice(0, -4)}${sum.toString(16).toUpperCase().padStart(2, "0")}`;
    expect(decode(line)).toMatchObject({ ok: true, lengthOff: -1 });
  });

  test("counts volts as the model does", () => {
    // 0x1A1 = 417: 4.17 V in hundredths, 417 * 6 / 1024 = 2.443 V with an MVT380.
    expect(decode(TEXT, { model: "MVT380" }).positions?.[0]).toMatchObject({ batteryV: 2.443 });
  });
});

/** Every byte of the frame is in exactly one field, but commas and the star. */
function expectWhole({ fields = [] }: Answer, bytes: Uint8Array): void {
  const covered = new Uint8Array(bytes.length);
  for (const { offset, hex } of fields) {
    expect(hex).toBe(toHex(bytes.subarray(offset, offset + hex.length / 2)));
    for (let i = 0; i < hex.length / 2; i++) covered[offset + i]++;
  }
  const missed = [...covered.entries()].filter(
    ([at, times]) => times !== 1 && !(times === 0 && ",*".includes(latin1(bytes, at, at + 1))),
  );
  expect(missed).toEqual([]);
}

describe("decodeLine() with explain", () => {
  function explained(bytes: Uint8Array): Answer {
    const answer = decode(toHex(bytes), { explain: true });
    expectWhole(answer, bytes);
    return answer;
  }

  test("lists the fields of a text report", () => {
    const { fields } = explained(AAA);
    expect(fields?.slice(0, 6)).toEqual([
      { offset: 0, hex: "2424", name: "prefix", value: "$$" },
      { offset: 2, hex: "59", name: "identifier", value: "Y" },
      { offset: 3, hex: "313330", name: "length", value: 130 },
      { offset: 7, hex: "333539393939393930303030303130", name: "imei", value: "359999990000010" },
      { offset: 23, hex: "414141", name: "type", value: "AAA" },
      { offset: 27, hex: "3335", name: "event", value: { code: 35, name: "time interval" }, position: 0 },
    ]);
    expect(fields).toContainEqual({ offset: 78, hex: "302E39", name: "hdop", value: 0.9, position: 0 });
    expect(fields?.at(-2)).toMatchObject({ name: "checksum", value: "right" });
  });

  test("lists the fields of every record and packet", () => {
    const { fields } = explained(CCC);
    expect(fields?.filter(({ name }) => name === "hdop")).toMatchObject([
      { hex: "0900", value: 0.9, position: 0 },
      { hex: "0900", value: 0.9, position: 1 },
    ]);
    const { fields: packets } = explained(CCE);
    expect(packets).toContainEqual(
      expect.objectContaining({ hex: "0BFDFF", name: "altitudeM", value: -3, position: 1 }),
    );
    expect(packets).toContainEqual(
      expect.objectContaining({ hex: "2A03012EFB", name: "temperature", value: { temperaturesC: { "1": -12.34 } } }),
    );
  });

  test("names the arguments of a command", () => {
    const command = encodeCommand({ ...SENDER, code: "C01", arguments: { speedKmh: 20, outputs: "10122" } });
    const { fields } = explained(command);
    expect(fields).toContainEqual({ offset: 26, hex: "3230", name: "speedKmh", value: "20" });
    expect(fields).toContainEqual({ offset: 29, hex: "3130313232", name: "outputs", value: "10122" });
  });

  test("covers every readable frame of the reference vectors", (context) => {
    if (!existsSync(VECTORS)) context.skip("the reference vectors are not part of this repository");
    const vectors: { hex: string }[] = JSON.parse(readFileSync(VECTORS, "utf8"));
    let covered = 0;
    for (const { hex } of vectors) {
      if (!decode(hex).ok) continue;
      explained(Uint8Array.from(Buffer.from(hex, "hex")));
      covered++;
    }
    expect(covered).toBeGreaterThan(250);
  });
});

describe("decodeLine() with anything in a right frame", () => {
  /** Content that begins well and goes wrong somewhere. */
  const contents = fc
    .tuple(
      fc.constantFrom(AAA, CCC, CCE),
      fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 4 }),
      fc.nat(),
    )
    .map(([bytes, edits, cut]) => {
      const { type, content } = parseFrame(bytes);
      const edited = content.slice(0, cut % 2 === 0 ? content.length : cut % content.length);
      for (const [at, byte] of edits) if (edited.length > 0) edited[at % edited.length] = byte;
      return { type, content: edited };
    });

  test("explains every byte once or says what is wrong, and never throws", () => {
    fc.assert(
      fc.property(contents, ({ type, content }) => {
        const frame = encodeFrame({ ...SENDER, direction: "up", type, content });
        const answer = decode(toHex(frame), { explain: true });
        if (answer.ok) expectWhole(answer, frame);
        else expect(["truncated", "value"]).toContain(answer.error?.code);
      }),
      { numRuns: 1000 },
    );
  });
});

describe("npm run decode", () => {
  test("prints one JSON line for each line, also for the last without a line feed, and ends with 0", async () => {
    const { code, out, err } = await run([], `${TEXT}\\r\\n\n\n${toHex(AAA)}\nnonsense\n${TEXT}`);
    expect(
      out
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line).ok),
    ).toEqual([true, true, false, true]);
    expect({ code, err }).toEqual({ code: 0, err: "" });
  });

  test("reads bytes above 127 in text as bytes", async () => {
    const frame = encodeFrame({ ...SENDER, direction: "up", type: "A70", content: Uint8Array.of(0x80, 0xff) });
    const { out } = await run([], frame.subarray(0, frame.length - 2));
    expect(JSON.parse(out)).toMatchObject({ ok: true, type: "A70" });
  });

  test("streams: a long input and a line without end do not fill the memory", async () => {
    const line = `${toHex(AAA)}\n`;
    const input = Buffer.concat([
      Buffer.from(line.repeat(20_000)),
      Buffer.alloc(3_000_000, "2"),
      Buffer.from("\n"),
      Buffer.from(line),
    ]);
    const { out, code } = await run([], input);
    const answers = out.trimEnd().split("\n");
    expect(answers).toHaveLength(20_002);
    expect(JSON.parse(answers[20_000])).toMatchObject({ ok: false, error: { code: "length" } });
    expect(JSON.parse(answers[20_001])).toMatchObject({ ok: true });
    expect(code).toBe(0);
  });

  test.each([
    [["--model", "X1"], /^--model must be one of MT90, /],
    [["--model"], /--model/],
    [["--bogus"], /^Unknown option '--bogus'; --help lists the options$/m],
    [["file.txt"], /^Unexpected argument 'file.txt'; --help/],
  ])("refuses %j with a sentence and ends with 2", async (args, sentence) => {
    const { code, out, err } = await run(args, "");
    expect(err).toMatch(sentence);
    expect(err.trim().split("\n")).toHaveLength(1);
    expect({ code, out }).toEqual({ code: 2, out: "" });
  });

  test("takes model, lenient and explain together", async () => {
    const { out } = await run(["--model", "mvt380", "--lenient", "--explain"], `${TEXT.slice(0, -2)}00`);
    expect(JSON.parse(out)).toMatchObject({ ok: true, checksumOk: false, positions: [{ batteryV: 2.443 }] });
    expect(JSON.parse(out).fields.length).toBeGreaterThan(20);
  });
});
