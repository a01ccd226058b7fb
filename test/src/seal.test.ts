import { createCipheriv, createHmac, hkdfSync } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { keyedHash, open, seal } from "../../src/seal.ts";
import { rewrap } from "../../src/vault.ts";
import { aDatabase, type TestDatabase } from "../database.ts";
import { anIsolate, KeyPlaces } from "./key-places.ts";

const OLD = "00".repeat(32);
const NEW = "a7".repeat(32);

let database: TestDatabase;
beforeAll(async () => {
  database = await aDatabase();
});
afterAll(() => database.close());

/** A new key store, and isolates of it by their root keys. */
function anInstallation() {
  const places = new KeyPlaces();
  return (rootKey: string, ...oldRootKeys: string[]) => {
    const base = anIsolate(database.db, places);
    return { ...base, config: { ...base.config, rootKey, oldRootKeys } };
  };
}

test("open() opens what an earlier root key sealed, as long as that is configured, and nothing that is altered", async () => {
  const on = anInstallation();
  const sealed = await seal(on(OLD), "mail", 7, "a secret");
  expect(await open(on(NEW, "11".repeat(32), OLD), "mail", 7, sealed)).toBe("a secret");
  expect(await open(on(NEW, OLD), "mail", 7, await seal(on(NEW, OLD), "mail", 7, "another"))).toBe("another");
  for (const [base, purpose, bound] of [
    [on(NEW), "mail", 7],
    [on(NEW, OLD), "token", 7],
    [on(NEW, OLD), "mail", 8],
  ] as const) {
    await expect(open(base, purpose, bound, sealed)).rejects.toThrow();
  }
});

test.each(["activation", "passkey user", "recovery"])("keyedHash() of %s outlives the root key", async (purpose) => {
  const key = Buffer.from(
    hkdfSync("sha256", Buffer.from(OLD, "hex"), Buffer.alloc(32), `ephemeris hash ${purpose}`, 32),
  );
  const expected = createHmac("sha256", key).update("a code").digest("hex");
  for (const wasUsed of [true, false]) {
    const on = anInstallation();
    if (wasUsed) expect(await keyedHash(on(OLD), purpose, "a code")).toBe(expected);
    await rewrap(on(NEW, OLD));
    expect(await keyedHash(on(NEW), purpose, "a code")).toBe(expected);
  }
});

test("a second factor's secret opens when the root key of before has gone", async () => {
  for (const wasUsed of [true, false]) {
    const on = anInstallation();
    const iv = Buffer.alloc(12, 9);
    // As it was sealed before there was a key store.
    const key = Buffer.from(hkdfSync("sha256", Buffer.from(OLD, "hex"), Buffer.alloc(32), "ephemeris seal totp", 32));
    const cipher = createCipheriv("aes-256-gcm", key, iv).setAAD(Buffer.from("7"));
    const parts = [iv, cipher.update("JBSWY3DPEHPK3PXP"), cipher.final(), cipher.getAuthTag()];
    const sealed = Buffer.concat(parts).toString("base64url");
    if (wasUsed) expect(await open(on(OLD), "totp", 7, sealed)).toBe("JBSWY3DPEHPK3PXP");
    await rewrap(on(NEW, OLD));
    expect(await open(on(NEW), "totp", 7, sealed)).toBe("JBSWY3DPEHPK3PXP");
    expect(await open(on(NEW), "totp", 8, await seal(on(NEW), "totp", 8, "another"))).toBe("another");
    await expect(open(on(NEW), "totp", 8, sealed)).rejects.toThrow();
  }
});

test("keyedHash() of what is over within days follows the root key", async () => {
  const on = anInstallation();
  const hashes = [await keyedHash(on(OLD), "throttle code", "x"), await keyedHash(on(NEW, OLD), "throttle code", "x")];
  expect(new Set(hashes).size).toBe(2);
});
