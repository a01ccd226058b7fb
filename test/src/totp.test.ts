import { Secret, TOTP } from "otpauth";
import { expect, test } from "vitest";
import { toBase32, totpCode, totpStep, totpUri } from "../../src/totp.ts";
import { NOON } from "../database.ts";

test("totpCode() gives the codes of RFC 6238, appendix B (last six of eight digits)", async () => {
  const secret = toBase32(new TextEncoder().encode("12345678901234567890"));
  const vectors = [
    [59, "94287082"],
    [1111111109, "07081804"],
    [1111111111, "14050471"],
    [1234567890, "89005924"],
    [2000000000, "69279037"],
    [20000000000, "65353130"],
  ] as const;
  for (const [seconds, code] of vectors) {
    expect(await totpCode(secret, Math.floor(seconds / 30))).toBe(code.slice(2));
  }
});

test("totpCode(), toBase32() and totpUri() agree with another implementation", async () => {
  for (let i = 0; i < 50; i++) {
    const bytes = crypto.getRandomValues(new Uint8Array(16 + (i % 9)));
    const secret = toBase32(bytes);
    expect(secret).toBe(new Secret({ buffer: bytes.buffer }).base32);
    const other = new TOTP({ secret, issuer: "Ephemeris", label: "eve@edge.test" });
    const at = NOON + i * 12_345_678;
    expect(await totpCode(secret, Math.floor(at / 30_000))).toBe(other.generate({ timestamp: at }));
    expect(await totpStep(secret, other.generate({ timestamp: at }), at)).toBe(Math.floor(at / 30_000));
  }
});

test("totpUri() is read by another implementation as it was meant", async () => {
  const { URI } = await import("otpauth");
  const secret = toBase32(new Uint8Array(20).fill(7));
  const read = URI.parse(totpUri(secret, "Fleet & Söhne", "eve+x@edge.test")) as TOTP;
  expect(read).toMatchObject({ issuer: "Fleet & Söhne", label: "eve+x@edge.test", digits: 6, period: 30 });
  expect(read.secret.base32).toBe(secret);
  expect(read.algorithm).toBe("SHA1");
});

test("totpStep() takes one step before and after, and no other code", async () => {
  const secret = toBase32(new Uint8Array(20).fill(9));
  const present = Math.floor(NOON / 30_000);
  for (const away of [-1, 0, 1]) {
    expect(await totpStep(secret, await totpCode(secret, present + away), NOON)).toBe(present + away);
  }
  for (const away of [-2, 2, 60]) {
    expect(await totpStep(secret, await totpCode(secret, present + away), NOON)).toBeNull();
  }
  for (const code of ["", "1", "12345", "1234567", "abcdef", "１２３４５６"]) {
    expect(await totpStep(secret, code, NOON)).toBeNull();
  }
});
