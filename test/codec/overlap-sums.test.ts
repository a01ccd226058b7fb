import fc from "fast-check";
import { expect, test } from "vitest";
import { OverlapSums } from "../../codec/overlap-sums.ts";

test("OverlapSums.sum() is the sum of any stretch, of an array that moves along the stream", () => {
  const stream = Uint8Array.from({ length: 200_000 }, (_, i) => (i * 151 + (i >> 7)) & 255);
  const prefix = new Float64Array(stream.length + 1);
  for (let i = 0; i < stream.length; i++) prefix[i + 1] = prefix[i] + stream[i];
  // How far the start moves, how long the stretch is, and how much of the stream before it the array still has.
  const step = fc.tuple(
    fc.oneof(fc.nat(20), fc.nat(3000)),
    fc.oneof(fc.integer({ min: 8, max: 300 }), fc.integer({ min: 8, max: 65_551 })),
    fc.nat(50),
  );
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 80 }), (steps) => {
      const sums = new OverlapSums();
      let start = 0;
      for (const [move, length, before] of steps) {
        start += move;
        const end = Math.min(stream.length, start + length);
        if (end - start < 8) break;
        const base = Math.max(0, start - before);
        sums.base = base;
        const sum = sums.sum(stream.subarray(base, end), start - base, end - base);
        if (sum !== (prefix[end] - prefix[start]) % 256) expect.fail(`[${start}, ${end}) from ${base}`);
      }
    }),
    { numRuns: 300 },
  );
});
