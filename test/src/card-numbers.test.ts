import { describe, expect, test } from "vitest";
import { holdsCardNumber, requireNoCardNumbers } from "../../src/card-numbers.ts";
import { anImei } from "../database.ts";

describe("holdsCardNumber()", () => {
  // Numbers that the card networks publish for tests.
  test.each([
    "4111111111111111",
    "4111 1111 1111 1111",
    "4111-1111-1111-1111",
    "4111 – 1111 – 1111 – 1111",
    "3782 822463 10005",
    "4222222222222",
    "6304 0000 0000 0000 000",
    "card:5555555555554444!",
    "x5555555555554444y",
    "4111111111111111 12/27 123",
    "Flat 7 4111 1111 1111 1111 99",
    "４１１１１１１１１１１１１１１１",
    "4111\u00a01111\u00a01111\u00a01111",
    "line\n4111 1111 1111 1111\nline",
    "4111.1111.1111.1111",
    "4111/1111/1111/1111",
    "4111_1111_1111_1111",
    "4111 · 1111 · 1111 · 1111",
    "4111−1111−1111−1111",
    "4111\t1111\n1111\r\n1111",
    "4111\u202f1111\u20071111\u30001111",
    "4111\u200b1111\u200d1111\u00ad1111",
    "4\ufe0f\u20e31\ufe0f\u20e311111111111111",
    "\u202d4111\u2060111111111111\ufeff",
    "٤١١١١١١١١١١١١١١١",
    "४१११-११११-११११-११११",
    "𝟒𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏",
  ])("finds the one in %j", (text) => expect(holdsCardNumber(text)).toBe(true));

  test.each([
    "",
    "Van 12",
    "4111 1111 1111 1112",
    "411111111111",
    "0000000000000",
    "2026-03-01T12:00:00.000Z",
    "12345678901234567890123456789012345678901234567890",
    "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14",
  ])("finds none in %j", (text) => expect(holdsCardNumber(text)).toBe(false));

  test("takes no longer for a long text of digits", () => {
    const before = performance.now();
    holdsCardNumber("1 ".repeat(30_000));
    holdsCardNumber("1".repeat(60_000));
    expect(performance.now() - before).toBeLessThan(500);
  });
});

test("requireNoCardNumbers() finds a number that is spread over the fields of one object", () => {
  const problem = (input: unknown) => {
    try {
      requireNoCardNumbers(input);
    } catch (error) {
      return error as { code: string; field: string; message: string };
    }
    return null;
  };
  for (const [input, field] of [
    [{ line1: "4111 1111", line2: "1111 1111" }, "line1"],
    [{ shipping: { recipient: "Ann", line1: "card 41111111", line2: "1111-1111 ok" } }, "shipping.line1"],
    [{ texts: ["4111", "1111", "1111", "1111"] }, "texts.0"],
  ] as const) {
    expect(problem(input)).toMatchObject({ code: "pan_not_accepted", field });
  }
  expect(problem({ line1: "4111 1111" })).toBeNull();
  // An address, a date and a port are no number together.
  expect(problem({ line1: "Hauptstraße 12", postcode: "1040", city: "Wien", from: "2026-03-01" })).toBeNull();
  expect(problem({ imei: anImei(), name: "12" })).toBeNull();
  // A port has a check of its own, so that no address beside it becomes a number with it.
  expect(holdsCardNumber("203.113.113.109 5020")).toBe(true);
  expect(problem({ bridgeHost: "203.113.113.109", bridgePort: "5020" })).toBeNull();
});

test("the refusal says why, and what to do with a number that is none, without repeating it", () => {
  expect(() => requireNoCardNumbers({ reference: "4111111111111111" })).toThrow(
    /^reference looks like a card number: 13 to 19 digits that pass its check.*put a letter between the digits$/,
  );
});

test("requireNoCardNumbers() looks everywhere, names the field and not the number, and leaves the exempt alone", () => {
  const number = "4111 1111 1111 1111";
  for (const [input, field] of [
    [{ name: number }, "name"],
    [{ addresses: { shipping: { line1: number } } }, "addresses.shipping.line1"],
    [{ rows: [{ reason: "fine" }, { reason: number }] }, "rows.1.reason"],
  ] as const) {
    let thrown: unknown;
    try {
      requireNoCardNumbers(input);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: "pan_not_accepted", status: 422, field });
    expect((thrown as Error).message).not.toContain("4111");
  }
  requireNoCardNumbers({
    imei: anImei(),
    term: anImei(),
    password: number,
    response: { signature: number },
    n: 1,
    z: null,
  });
});

test("requireNoCardNumbers() takes two days, one after the other, for days", () => {
  requireNoCardNumbers({ reviewAt: "2026-09-17", expiresAt: "2026-12-26" });
  // As one text they would pass the check.
  expect(() => requireNoCardNumbers({ one: "2026-09-17", other: "2026-12-26" })).toThrow("card number");
});
