import { expect, test } from "vitest";
import { charge } from "../../../src/http/ratelimit.ts";
import { LIMITS } from "../../../src/limits.ts";

const { requests, windowS } = LIMITS.rate.key;

test("charge() counts down, refuses with the seconds to wait, and begins anew", () => {
  let now = 1_000_000;
  const first = charge("key", "counted", now);
  expect(first).toEqual({
    headers: {
      "RateLimit-Policy": `"key";q=${requests};w=${windowS}`,
      RateLimit: `"key";r=${requests - 1};t=${windowS}`,
    },
    retryAfterS: null,
  });
  for (let i = 1; i < requests; i++) expect(charge("key", "counted", now).retryAfterS).toBeNull();
  now += 10_400;
  const refused = charge("key", "counted", now);
  expect(refused.retryAfterS).toBe(windowS - 10);
  expect(refused.headers.RateLimit).toBe(`"key";r=0;t=${windowS - 10}`);
  now = 1_000_000 + windowS * 1000;
  expect(charge("key", "counted", now).retryAfterS).toBeNull();
});

test("charge() counts callers and rows apart", () => {
  for (let i = 0; i < requests; i++) charge("key", "busy", 0);
  expect(charge("key", "busy", 0).retryAfterS).toBe(windowS);
  expect(charge("key", "calm", 0).retryAfterS).toBeNull();
  expect(charge("admin", "busy", 0).retryAfterS).toBeNull();
});

test("charge() forgets the oldest callers when a flood of them comes", () => {
  const start = 50_000_000;
  for (let i = 0; i < requests; i++) charge("key", "before the flood", start);
  for (let i = 0; i < LIMITS.rateBuckets; i++) charge("public", `address ${i}`, start);
  expect(charge("key", "before the flood", start).headers.RateLimit).toContain(`r=${requests - 1};`);
});
