import { expect, test } from "vitest";
import { authenticate, newToken, tokenHash } from "../../src/access.ts";
import { aBase, aDatabase } from "../database.ts";

test("tokenHash() is SHA-256 in hex", async () => {
  expect(await tokenHash("abc")).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
});

test("newToken() makes 256 random bits with a prefix that says what it opens, and their hash", async () => {
  const { db, close } = await aDatabase();
  const base = aBase(db);
  const made = await Promise.all([newToken(base, "key"), newToken(base, "key"), newToken(base, "bridge")]);
  expect(made[0]!.token).toMatch(/^eph_[\w-]{43}$/);
  expect(made[1]!.token).not.toBe(made[0]!.token);
  expect(made[2]!.token).toMatch(/^epb_[\w-]{43}$/);
  expect(made[0]!.hash).toBe(await tokenHash(made[0]!.token));
  close();
});

test("authenticate() never takes an empty token, not even where none is configured", async () => {
  const { db, close } = await aDatabase();
  const base = aBase(db);
  base.config = { ...base.config, adminToken: "", bridgeToken: "" };
  expect(await authenticate(base, "")).toBeNull();
  close();
});

test("authenticate() tells the admin, the configured bridge and strangers apart", async () => {
  const { db, close } = await aDatabase();
  const base = aBase(db);
  expect((await authenticate(base, base.config.adminToken))?.principal).toEqual({ kind: "admin" });
  expect((await authenticate(base, base.config.bridgeToken))?.principal).toEqual({ kind: "bridge", bridgeId: 0 });
  for (const token of [`${base.config.adminToken} `, "eph_", "epb_", "x"]) {
    expect(await authenticate(base, token)).toBeNull();
  }
  close();
});
