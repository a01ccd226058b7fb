import { existsSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bytesOf, fromHex, latin1 } from "../../codec/bytes.ts";
import {
  COMMANDS,
  type Command,
  type CommandParameter,
  encodeCommand,
  identifierAt,
  matchReply,
  parseReply,
  rangeOf,
} from "../../codec/commands.ts";
import { CodecError } from "../../codec/errors.ts";
import { encodeFrame, parseFrame } from "../../codec/frame.ts";

const VECTORS = new URL("../../../shared/protocol/vectors.json", import.meta.url);
const ROWS: readonly Command[] = COMMANDS;

// Fifteen zeros: a valid IMEI to the check digit, whose characters add up to 15 * 48 = 720.
const IMEI = "000000000000000";

function codecError(action: () => unknown): CodecError {
  try {
    action();
  } catch (error) {
    if (error instanceof CodecError) return error;
    throw error;
  }
  throw new Error("it did not throw");
}

function anyArgument(parameter: CommandParameter): fc.Arbitrary<unknown> {
  switch (parameter.type) {
    case "integer": {
      const step = parameter.step ?? 1;
      return fc.integer({ min: parameter.min, max: parameter.max / step }).map((n) => n * step);
    }
    case "choice":
      return fc.constantFrom(...parameter.values.map(({ value }) => value));
    case "text": {
      const { minLength, maxLength, alphabet = "abc 019." } = parameter;
      return fc.string({ unit: fc.constantFrom(...alphabet), minLength, maxLength });
    }
  }
}

/** Some valid arguments of a row. */
function argumentsOf(command: Command): fc.Arbitrary<Record<string, unknown>> {
  return fc.record(Object.fromEntries(command.parameters.map((parameter) => [parameter.name, anyArgument(parameter)])));
}

describe("encodeCommand()", () => {
  // Length: from the comma after it to LF: , + 15 + , + 3 = 20, then the arguments, then *hh CR LF = 5.
  // Sum: @@ 128, comma + IMEI + comma 44 + 720 + 44 = 808, * 42; the rest is written out. Modulo 256.
  test.each([
    // W 87, "25" 103, E91 175: 128 + 87 + 103 + 808 + 175 + 42 = 1343 = 5 * 256 + 0x3F
    ["E91", {}, "W", `@@W25,${IMEI},E91*3F\r\n`],
    // M 77, "34" 103, C01 164, ",20" 142, ",10122" 290: 128 + 77 + 103 + 808 + 164 + 142 + 290 + 42 = 1754 = 6 * 256 + 0xDA
    ["C01", { speedKmh: 20, outputs: "10122" }, "M", `@@M34,${IMEI},C01,20,10122*DA\r\n`],
    // V 86, "27" 105, A12 164, ",6" 98: 128 + 86 + 105 + 808 + 164 + 98 + 42 = 1431 = 5 * 256 + 0x97
    ["A12", { intervalS: 60 }, "V", `@@V27,${IMEI},A12,6*97\r\n`],
    // V 86, "29" 107, A12 164, ",6,0" 190: 128 + 86 + 107 + 808 + 164 + 190 + 42 = 1525 = 5 * 256 + 0xF5
    ["A12", { intervalS: 60, times: 0 }, "V", `@@V29,${IMEI},A12,6,0*F5\r\n`],
  ])("writes %s with %j byte for byte as worked out by hand", (code, args, identifier, expected) => {
    expect(latin1(encodeCommand({ imei: IMEI, identifier, code, arguments: args }))).toBe(expected);
  });

  test("writes frames that parse back to the code and the arguments, for any allowed arguments of every row", () => {
    for (const command of ROWS) {
      fc.assert(
        fc.property(argumentsOf(command), fc.nat(), (args, n) => {
          const bytes = encodeCommand({ imei: IMEI, identifier: identifierAt(n), code: command.code, arguments: args });
          const frame = parseFrame(bytes);
          expect(frame).toMatchObject({ direction: "down", type: command.code, imei: IMEI, lengthOff: 0 });
          expect(frame.identifier).toBe(identifierAt(n));
          expect(latin1(frame.content).split(",").filter(Boolean)).toHaveLength(Object.keys(args).length);
        }),
        { numRuns: 50 },
      );
    }
  });

  test("writes every right frame of the reference vectors again, byte for byte", (context) => {
    if (!existsSync(VECTORS)) context.skip("the reference vectors are not part of this repository");
    const vectors: {
      direction: string;
      kind: string;
      hex: string;
      lengthOk: boolean;
      checksumOk: boolean;
    }[] = JSON.parse(readFileSync(VECTORS, "utf8"));
    let walked = 0;
    for (const vector of vectors) {
      const row = ROWS.find(({ code }) => code === vector.kind);
      if (row === undefined || vector.direction !== "down" || !vector.lengthOk || !vector.checksumOk) continue;
      const bytes = fromHex(vector.hex);
      const { imei, identifier, content } = parseFrame(bytes);
      const texts = content.length === 0 ? [] : latin1(content).split(",");
      const args = Object.fromEntries(
        texts.map((text, at) => {
          const parameter = row.parameters[at];
          if (parameter.type === "text") return [parameter.name, text];
          return [parameter.name, Number(text) * (parameter.type === "integer" ? (parameter.step ?? 1) : 1)];
        }),
      );
      expect(encodeCommand({ imei, identifier, code: row.code, arguments: args })).toEqual(bytes);
      walked++;
    }
    expect(walked).toBeGreaterThan(20);
  });

  test.each([
    ["A11", { intervalMin: -1 }, '"intervalMin" must be a whole number from 0 to 65535 (min)'],
    ["A11", { intervalMin: 65536 }, '"intervalMin" must be'],
    ["A11", { intervalMin: 1.5 }, '"intervalMin" must be'],
    ["A11", { intervalMin: "10" }, '"intervalMin" must be'],
    ["A11", { intervalMin: Number.NaN }, '"intervalMin" must be'],
    ["A11", {}, '"intervalMin" is missing'],
    ["A12", { intervalS: 65 }, '"intervalS" must be a whole number from 0 to 655350 (s) in steps of 10'],
    ["A12", { intervalS: 60, times: -1 }, '"times" must be'],
    ["A13", { angleDeg: 360 }, '"angleDeg" must be a whole number from 0 to 359 (deg)'],
    ["A14", { distanceM: null }, '"distanceM" must be'],
    ["A10", { now: true }, 'it takes no "now"'],
    ["C01", { speedKmh: 0, outputs: "1222" }, '"outputs" must be a text of 5 characters out of "012"'],
    ["C01", { speedKmh: 0, outputs: "1,222" }, '"outputs" must be'],
    ["C01", { speedKmh: 0, outputs: "12\r\n2" }, '"outputs" must be'],
    ["C01", { speedKmh: 0, outputs: "12223" }, '"outputs" must be'],
    ["C01", { speedKmh: 256, outputs: "12222" }, '"speedKmh" must be a whole number from 0 to 255 (km/h)'],
    ["C03", { mode: 2 }, '"mode" must be one of 0 (automatic report), 1 (every event waits for a confirmation)'],
    ["F09", { buffer: 0 }, '"buffer" must be one of 1 (SMS), 2 (GPRS), 3 (both)'],
    ["ZZZ", {}, "no such command"],
  ])("refuses %s with %j and names what is wrong", (code, args, message) => {
    const error = codecError(() => encodeCommand({ imei: IMEI, identifier: "A", code, arguments: args }));
    expect(error.code).toBe("value");
    expect(error.message).toMatch(/^Cannot encode /);
    expect(error.message).toContain(message);
  });

  test("refuses an IMEI or an identifier that would break the frame", () => {
    expect(codecError(() => encodeCommand({ imei: "1,2", identifier: "A", code: "A10" })).code).toBe("value");
    expect(codecError(() => encodeCommand({ imei: IMEI, identifier: "{", code: "A10" })).code).toBe("value");
  });
});

describe("rangeOf()", () => {
  test("says what a free text may be", () => {
    expect(rangeOf({ name: "host", type: "text", minLength: 1, maxLength: 32 })).toBe(
      "a text of 1 to 32 characters without comma or line break",
    );
  });
});

describe("identifierAt()", () => {
  test("runs from A to z and wraps after 58", () => {
    expect([0, 25, 26, 57, 58, 5801].map(identifierAt)).toEqual(["A", "Z", "[", "z", "A", "B"]);
  });
});

function uplink(type: string, content?: string, identifier = "Q", imei = IMEI) {
  const parts = { direction: "up", identifier, imei, type } as const;
  return parseFrame(encodeFrame(content === undefined ? parts : { ...parts, content }));
}

describe("matchReply()", () => {
  const sent = { imei: IMEI, identifier: "Q", code: "A11" };

  test.each([
    ["the same identifier", sent, uplink("A11", "OK"), "identifier"],
    ["another identifier", sent, uplink("A11", "OK", "R"), "order"],
    ["another command", sent, uplink("A12", "OK"), null],
    ["another tracker", sent, uplink("A11", "OK", "Q", "000000000000018"), null],
    ["a wrapped result", sent, uplink("D82", "A11,OK"), "identifier"],
    ["a result that names no command", sent, uplink("D82", "0"), null],
    ["a report by chance with its identifier", sent, uplink("AAA", "35,1.0,2.0"), null],
    ["event 34 to A10", { ...sent, code: "A10" }, uplink("AAA", "34,1.0,2.0"), "identifier"],
    ["event 34 in a confirmed report to A10", { ...sent, code: "A10" }, uplink("AFF", "0004,34,1.0"), "identifier"],
    ["event 34 with another identifier to A10", { ...sent, code: "A10" }, uplink("AAA", "34,1.0", "R"), "order"],
    ["event 35 to A10", { ...sent, code: "A10" }, uplink("AAA", "35,1.0,2.0"), null],
    ["an echo of A10", { ...sent, code: "A10" }, uplink("A10", "OK"), null],
    ["a code outside the table", { ...sent, code: "ZZZ" }, uplink("ZZZ", "OK"), null],
  ])("takes %s as %#", (_, command, frame, expected) => {
    expect(matchReply(command, frame)).toBe(expected);
  });
});

describe("parseReply()", () => {
  test.each([
    [uplink("A11", "OK"), { command: "A11", outcome: "ok", values: [] }],
    [uplink("C03", "ok"), { command: "C03", outcome: "ok", values: [] }],
    [uplink("D82", "A11,OK"), { command: "A11", outcome: "ok", values: [] }],
    [uplink("D82", "0"), { command: "", outcome: "values", values: ["0"] }],
    [uplink("A12", "Error"), { command: "A12", outcome: "error", values: ["Error"] }],
    [uplink("A12", "3"), { command: "A12", outcome: "error", values: ["3"] }],
    [uplink("FC0", "NOT"), { command: "FC0", outcome: "error", values: ["NOT"] }],
    [uplink("A12"), { command: "A12", outcome: "error", values: [] }],
    [
      uplink("E91", "T366_Y01,12345"),
      {
        command: "E91",
        outcome: "values",
        values: ["T366_Y01", "12345"],
        named: { firmware: "T366_Y01", serialNumber: "12345" },
      },
    ],
    [
      uplink("A70", "13811111111,,13833333333"),
      { command: "A70", outcome: "values", values: ["13811111111", "", "13833333333"] },
    ],
  ])("reads reply %#", (frame, expected) => {
    expect(parseReply(frame)).toEqual(expected);
  });

  test("reads any bytes without throwing", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.constantFrom("A11", "D82", "E91", "XYZ"), (content, type) => {
        const reply = parseReply({ imei: IMEI, identifier: "A", type, content });
        expect(["ok", "error", "values"]).toContain(reply.outcome);
      }),
    );
    expect(parseReply({ imei: IMEI, identifier: "A", type: "D82", content: bytesOf("A11") }).command).toBe("A11");
  });
});
