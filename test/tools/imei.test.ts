import { describe, expect, test } from "vitest";
import { checkDigit, FIRST_IMEI, imeiAfter } from "../../tools/imei.ts";

describe("imeiAfter()", () => {
  test("counts on and keeps the check digit right", () => {
    // 3 5 9 9 9 9 9 9 0 0 0 0 0 1, every second from the right doubled, digits added: 3+1+9+9+9+9+9+9+0+0+0+0+0+2 = 60.
    expect(FIRST_IMEI).toBe("359999990000010");
    for (const n of [0, 1, 9, 10, 999, 99_999]) {
      const imei = imeiAfter(FIRST_IMEI, n);
      expect(imei).toMatch(/^35999999\d{7}$/);
      expect(checkDigit(imei.slice(0, 14))).toBe(imei[14]);
    }
    expect(new Set(Array.from({ length: 1000 }, (_, n) => imeiAfter(FIRST_IMEI, n))).size).toBe(1000);
    // The example of the standard: 49015420323751 has the check digit 8.
    expect(checkDigit("49015420323751")).toBe("8");
  });
});
