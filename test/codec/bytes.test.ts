import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bytesOf, checksum, fromHex, HEX_PAIRS, HEX_VALUE, hash64, latin1, toHex } from "../../codec/bytes.ts";
import { CodecError } from "../../codec/errors.ts";

function errorOf(run: () => unknown): CodecError {
  try {
    run();
  } catch (error) {
    if (error instanceof CodecError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("checksum()", () => {
  const plain = (bytes: Uint8Array, start: number, end: number) =>
    bytes.subarray(start, end).reduce((sum, byte) => (sum + byte) & 255, 0);

  test("is the sum modulo 256 for every short length at every alignment", () => {
    const bytes = Uint8Array.from({ length: 160 }, (_, i) => (i * 151 + 77) & 255);
    for (let offset = 0; offset < 8; offset++) {
      const shifted = new Uint8Array(bytes.length + offset).subarray(offset);
      shifted.set(bytes);
      for (let start = 0; start < 9; start++) {
        for (let end = start; end <= bytes.length; end++) {
          if (checksum(shifted, start, end) !== plain(shifted, start, end)) expect.fail(`${offset} ${start} ${end}`);
        }
      }
    }
  });

  test("does not overflow on long runs of the largest byte", () => {
    const bytes = new Uint8Array(70_000).fill(255);
    for (const length of [959, 960, 961, 975, 976, 1023, 1024, 1920, 1935, 65_543, 70_000]) {
      expect(checksum(bytes, 0, length)).toBe(((length % 256) * 255) % 256);
    }
  });

  test("is the sum of any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 5000 }), (bytes) => {
        expect(checksum(bytes, 0, bytes.length)).toBe(plain(bytes, 0, bytes.length));
      }),
    );
  });

  test("sees what was written to the array since the last call", () => {
    const bytes = new Uint8Array(100);
    expect(checksum(bytes, 0, 100)).toBe(0);
    bytes[50] = 7;
    expect(checksum(bytes, 0, 100)).toBe(7);
  });
});

describe("hash64()", () => {
  const out = new Int32Array(2);
  const hashOf = (bytes: Uint8Array, start = 0, end = bytes.length) => {
    hash64(bytes, start, end, out, 0);
    return toHex(Uint8Array.of(...[out[0], out[1]].flatMap((half) => [half >>> 24, half >>> 16, half >>> 8, half])));
  };

  // Stored positions are recognised by these values: a change here loses deduplication against everything stored.
  test.each([
    ["", "0C893017ACAB0A44"],
    ["a", "39DB2EBF18F6F732"],
    ["abc", "2A394FEDCF9AF33D"],
    ["0123456789abcde", "EF9E26B2F5F2038A"],
    ["0123456789abcdef", "FF473B849C829366"],
    ["0123456789abcdefg", "B619527A05158F69"],
    ["35,22.913191,114.079882,180425071619,A,10,24,41,120,0.9,35", "AFDD635C9827D3B3"],
    ["\0", "291960D0BC84620E"],
    ["\0".repeat(20), "7EB6F603462F3344"],
  ])("of %j is frozen", (text, hash) => {
    expect(hashOf(bytesOf(text))).toBe(hash);
  });

  test("writes the high half first, where it is told to", () => {
    const at = new Int32Array(5);
    hash64(bytesOf("abc"), 0, 3, at, 2);
    expect([...at]).toEqual([0, 0, 0x2a394fed, 0xcf9af33d | 0, 0]);
  });

  test("depends on the bytes and not on where they stand", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(9), fc.nat(9), (bytes, before, after) => {
        const larger = new Uint8Array(before + bytes.length + after).fill(0xa5);
        larger.set(bytes, before);
        expect(hashOf(larger, before, before + bytes.length)).toBe(hashOf(bytes));
      }),
    );
  });

  test("tells runs of zeros of every length apart", () => {
    const zeros = new Uint8Array(200);
    const seen = new Set(Array.from({ length: 200 }, (_, length) => hashOf(zeros, 0, length)));
    expect(seen.size).toBe(200);
  });

  test("has half of its bits changed by any one bit of the input", () => {
    for (const length of [4, 13, 16, 52, 130]) {
      const rounds = 20;
      const bytes = new Uint8Array(length);
      let changed = 0;
      for (let k = 0; k < rounds * length * 8; k++) {
        const bit = k % (length * 8);
        if (bit === 0) for (let i = 0; i < length; i++) bytes[i] = (i * 167 + k * 13 + (k >> 5)) & 255;
        hash64(bytes, 0, length, out, 0);
        const [high, low] = out;
        bytes[bit >> 3] ^= 1 << (bit & 7);
        hash64(bytes, 0, length, out, 0);
        bytes[bit >> 3] ^= 1 << (bit & 7);
        const flips = bits(high ^ out[0]) + bits(low ^ out[1]);
        expect(flips).toBeGreaterThan(10);
        expect(flips).toBeLessThan(54);
        changed += flips;
      }
      expect(changed / (rounds * length * 8)).toBeCloseTo(32, 0);
    }
  });

  const bits = (word: number) => {
    let count = 0;
    for (let left = word; left !== 0; left &= left - 1) count++;
    return count;
  };

  /** Number of different hashes of a million records that `next` makes by changing a few bytes each time. */
  const different = (record: Uint8Array, next: (record: Uint8Array, i: number) => void) => {
    const hashes = new BigInt64Array(1_000_000);
    const halves = new Int32Array(hashes.buffer);
    for (let i = 0; i < hashes.length; i++) {
      next(record, i);
      hash64(record, 0, record.length, halves, 2 * i);
    }
    hashes.sort();
    return hashes.reduce((count, hash, i) => count + (i === 0 || hash !== hashes[i - 1] ? 1 : 0), 0);
  };

  test("has no collision among a million text records that differ in a few digits", () => {
    const record = bytesOf(
      "35,22.913191,114.079882,180425071619,A,10,24,41,120,0.9,35,1234567,7654321,505|1|00B5|02D1,0400",
    );
    const places = [9, 10, 11, 20, 21, 22];
    const count = different(record, (bytes, i) => {
      for (let k = 0, rest = i; k < places.length; k++, rest = (rest / 10) | 0) bytes[places[k]] = 0x30 + (rest % 10);
    });
    expect(count).toBe(1_000_000);
  });

  test("has no collision among a million binary records that differ in the top bits of two words", () => {
    const count = different(new Uint8Array(52), (bytes, i) => {
      bytes[10] = i & 255;
      bytes[11] = (i >> 8) & 3;
      bytes[18] = (i >> 10) & 255;
      bytes[19] = i >> 18;
    });
    expect(count).toBe(1_000_000);
  });
});

describe("hex and text", () => {
  test("fromHex() and toHex() return any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(fromHex(toHex(bytes))).toEqual(bytes);
      }),
    );
  });

  test("fromHex() reads both cases, toHex() writes upper case", () => {
    expect(toHex(fromHex("00aBFf7e"))).toBe("00ABFF7E");
  });

  test("fromHex() says where it is wrong", () => {
    expect(errorOf(() => fromHex("00g0"))).toMatchObject({
      code: "value",
      offset: 2,
      message: 'Cannot read hex: "g" is not a hex digit',
    });
    expect(errorOf(() => fromHex("00 0"))).toMatchObject({ code: "value", offset: 2 });
    expect(errorOf(() => fromHex("0\u01300"))).toMatchObject({ code: "value", offset: 1 });
    expect(errorOf(() => fromHex("000"))).toMatchObject({ code: "truncated", offset: 3 });
  });

  test("HEX_VALUE knows the 22 hex digits and nothing else", () => {
    for (let byte = 0; byte < 256; byte++) {
      const text = String.fromCharCode(byte);
      expect(HEX_VALUE[byte]).toBe(/[0-9A-Fa-f]/.test(text) ? Number.parseInt(text, 16) : -1);
      expect(HEX_PAIRS[byte]).toBe(byte.toString(16).padStart(2, "0").toUpperCase());
    }
  });

  test("latin1() and bytesOf() return all 256 byte values", () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
    expect(bytesOf(latin1(bytes))).toEqual(bytes);
    expect(latin1(bytes, 0x41, 0x44)).toBe("ABC");
    expect(errorOf(() => bytesOf("ab\u0100"))).toMatchObject({ code: "value", offset: 2 });
  });
});
