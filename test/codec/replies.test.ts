import { describe, expect, test } from "vitest";
import { latin1 } from "../../codec/bytes.ts";
import { encodeFrame, locateFrame, newBounds, parseFrame } from "../../codec/frame.ts";
import { replyFor } from "../../codec/replies.ts";

// Fifteen zeros: a valid IMEI to the check digit, whose characters add up to 15 * 48 = 720.
const IMEI = "000000000000000";

/** What the platform says to an uplink, read from the middle of a larger buffer as the edge does. */
function answer(
  type: string,
  rows: number,
  options?: { confirmCce?: boolean; identifier?: string; imei?: string },
): string | null {
  const { identifier = "U", imei = IMEI } = options ?? {};
  const frame = encodeFrame({ direction: "up", identifier, imei, type, content: "x" });
  const buf = new Uint8Array(frame.length + 7);
  buf.set(frame, 7);
  const bounds = newBounds();
  expect(locateFrame(buf, 7, buf.length, bounds)).toBe(0);
  const reply = replyFor(buf, bounds, rows, options);
  return reply === null ? null : latin1(reply);
}

describe("replyFor()", () => {
  // Length: , + 15 + , + 3 + , = 21, then the count, then *hh CR LF = 5.
  // Sum: @@ 128, identifier, length digits, comma + IMEI + comma 808, type, comma 44, count, * 42. Modulo 256.
  test.each([
    // U 85, "27" 105, CCC 201, "1" 49: 128 + 85 + 105 + 808 + 201 + 44 + 49 + 42 = 1462 = 5 * 256 + 0xB6
    [1, `@@U27,${IMEI},CCC,1*B6\r\n`],
    // "28" 106, "10" 97: 1462 + 1 + 48 = 1511 = 5 * 256 + 0xE7
    [10, `@@U28,${IMEI},CCC,10*E7\r\n`],
    // "29" 107, "100" 145: 1462 + 2 + 96 = 1560 = 6 * 256 + 0x18
    [100, `@@U29,${IMEI},CCC,100*18\r\n`],
  ])("confirms %i CCC records byte for byte as worked out by hand", (rows, expected) => {
    expect(answer("CCC", rows)).toBe(expected);
  });

  test("confirms any number of CCC records with the right length, also where it gains a digit", () => {
    for (const rows of [2, 9, 10, 18, 19, 20, 21, 99, 100, 999, 1000, 1250]) {
      const reply = answer("CCC", rows, { identifier: "\\" });
      const frame = parseFrame(Uint8Array.from(reply ?? "", (character) => character.charCodeAt(0)));
      expect(frame).toMatchObject({ type: "CCC", identifier: "\\", imei: IMEI, lengthOff: 0 });
      expect(latin1(frame.content)).toBe(String(rows));
    }
  });

  // h 104, "27" 105, AFF 205, "1" 49: 128 + 104 + 105 + 808 + 205 + 44 + 49 + 42 = 1485 = 5 * 256 + 0xCD
  test("deletes one event for an AFF report", () => {
    expect(answer("AFF", 1, { identifier: "h" })).toBe(`@@h27,${IMEI},AFF,1*CD\r\n`);
  });

  test("does not answer an AFF without a report, which is the tracker's OK to our own answer", () => {
    expect(answer("AFF", 0)).toBeNull();
  });

  // z 122, "27" 105, AAC 197, "1" 49: 128 + 122 + 105 + 808 + 197 + 44 + 49 + 42 = 1495 = 5 * 256 + 0xD7
  test("answers a login although it carries no record", () => {
    expect(answer("AAC", 0, { identifier: "z" })).toBe(`@@z27,${IMEI},AAC,1*D7\r\n`);
  });

  test("confirms CCE only on demand, with a hex count", () => {
    expect(answer("CCE", 12)).toBeNull();
    // P 80, "27" 105, CFF 207, "C" 67: 128 + 80 + 105 + 808 + 207 + 44 + 67 + 42 = 1481 = 5 * 256 + 0xC9
    expect(answer("CCE", 12, { confirmCce: true, identifier: "P" })).toBe(`@@P27,${IMEI},CFF,C*C9\r\n`);
    expect(answer("CCE", 26, { confirmCce: true })).toContain(",CFF,1A*");
    expect(answer("CCE", 0, { confirmCce: true })).toBeNull();
  });

  test("repeats the IMEI as it came, whatever its length", () => {
    expect(answer("CCC", 1, { imei: "407" })).toContain(",407,CCC,1*");
  });

  test.each(["AAA", "A11", "D82", "E91", "D00", "FC7", "CCB"])("does not answer %s", (type) => {
    expect(answer(type, 1)).toBeNull();
  });
});
