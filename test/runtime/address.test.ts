import { expect, test } from "vitest";
import { clientAddress } from "../../src/runtime/address.ts";

test.each([
  ["no proxy: nobody's word is taken", { "X-Forwarded-For": "203.0.113.9" }, undefined, "127.0.0.1"],
  [
    "the proxy's own entry, not what the client sent before it",
    { "X-Forwarded-For": "10.0.0.1, 203.0.113.9" },
    "x-forwarded-for",
    "203.0.113.9",
  ],
  ["a header with one address", { "X-Real-IP": "2001:db8::7" }, "X-Real-IP", "2001:db8::7"],
  ["a request that came past the proxy", {}, "x-real-ip", "127.0.0.1"],
  ["an empty header", { "X-Real-IP": " " }, "x-real-ip", "127.0.0.1"],
] as const)("clientAddress(): %s", (_, headers, proxyHeader, address) => {
  expect(clientAddress(new Headers(headers), "127.0.0.1", proxyHeader)).toBe(address);
});
