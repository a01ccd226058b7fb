import { afterEach, beforeEach, expect, test } from "vitest";
import { fromHex } from "../../client/hex.ts";
import { followed, verifyReceipt } from "../../client/receipt.ts";
import type { Ctx } from "../../src/context.ts";
import { appendLedger, publishedHeads, signedReceipt, signLedgerHead } from "../../src/ledger.ts";
import { rotateLedgerKey } from "../../src/ledger-rotate.ts";
import { verifyLedger } from "../../src/ledger-verify.ts";
import { LIMITS } from "../../src/limits.ts";
import { refreshEscrow, restoreFromEscrow } from "../../src/vault.ts";
import { aContext, aDatabase, type TestBase, type TestDatabase } from "../database.ts";
import { anIsolate, KeyPlaces } from "./key-places.ts";

let database: TestDatabase;
let places: KeyPlaces;
let base: TestBase;
beforeEach(async () => {
  database = await aDatabase();
  places = new KeyPlaces();
  base = anIsolate(database.db, places);
});
afterEach(() => database.close());

const admin = (on: TestBase = base): Ctx => aContext(on, { kind: "admin" });
const receipt = (seq: number, on: TestBase = base) => signedReceipt(on, { request: "AbCdEfGhIjKlMnOpQrStUv" }, [seq]);
/** Secrets that the ledger is signed with, in every copy. */
const secrets = async () => {
  const labels = ["a", "b", "escrow"] as const;
  const objects = await Promise.all(labels.map((label) => places.opened(base, label, "lasting")));
  return objects.map((object) => object!.secrets.filter(({ scope }) => /ledger/.test(scope)).map(({ kid }) => kid));
};

test("rotateLedgerKey() signs with another key, and what the one before signed is good for ever", async () => {
  for (let i = 0; i < 3; i++) await appendLedger(base, "frozen", {});
  await signLedgerHead(base);
  const before = await receipt(2);
  const [first] = (await publishedHeads(base)).keys;
  const [[old]] = await secrets();
  base.advance(86_400_000);
  const at = base.now();
  const second = await rotateLedgerKey(admin());
  expect(second).toMatchObject({ from: at, until: null, signedBy: first!.keyId });
  const [[present], ...others] = await secrets();
  expect(present).not.toBe(old);
  expect(others).toEqual([[present], [present]]);

  base.advance(5000);
  const after = await receipt(2);
  const heads = await publishedHeads(base);
  expect(heads.keys).toEqual([second, { ...first, until: at + LIMITS.shredEveryMs }]);
  expect(await verifyLedger(base)).toMatchObject({ size: 4, heads: 2, faults: [] });
  for (const text of [before, after]) {
    expect((await verifyReceipt(text, heads)).checks).toMatchObject({ key: true, published: true });
    expect(await verifyReceipt(text, heads)).toMatchObject({ ok: true });
    // Who wrote the first one down follows to the second.
    expect(await verifyReceipt(text, [first!.publicKey], heads)).toMatchObject({ ok: true, checks: { key: true } });
  }
  expect((await verifyReceipt(before)).keyId).toBe(first!.keyId);
  expect((await verifyReceipt(after)).keyId).toBe(second.keyId);
  expect(await verifyReceipt(after, [first!.publicKey])).toMatchObject({ ok: false, checks: { key: false } });
  // Nothing leads back from the second.
  expect(await verifyReceipt(before, [second.publicKey], heads)).toMatchObject({ ok: false, checks: { key: false } });

  // What a key is said to have signed after its time is not its.
  const stolen = {
    ...heads,
    keys: heads.keys.map((key) => (key.from === null ? { ...key, until: at - 86_400_001 } : key)),
  };
  expect(await verifyReceipt(before, stolen)).toMatchObject({ ok: false, checks: { key: false } });
  const { rows } = await database.client.execute("SELECT type, entry ->> '$.kidCount' FROM ledger WHERE seq = 4");
  expect([rows[0]![0], rows[0]![1]]).toEqual(["key_rotated", 1]);
});

test("followed() goes along true signatures alone", async () => {
  await appendLedger(base, "frozen", {});
  await signLedgerHead(base);
  for (let i = 0; i < 3; i++) await rotateLedgerKey(admin());
  const { keys } = await publishedHeads(base);
  const [d, c, b, a] = keys.map(({ publicKey }) => publicKey);
  expect(new Set(await followed([a!], keys))).toEqual(new Set([a, b, c, d]));
  expect(new Set(await followed([c!], keys))).toEqual(new Set([c, d]));
  expect(await followed(["00".repeat(32)], keys)).toEqual(["00".repeat(32)]);
  for (const wrong of [
    { signature: "00".repeat(64) },
    { signature: null },
    { from: 1 },
    { signedBy: keys[0]!.keyId },
    { publicKey: "11".repeat(32) },
  ]) {
    const forged = keys.map((key) => (key.publicKey === b ? { ...key, ...wrong } : key));
    expect(await followed([a!], forged)).toEqual([a]);
  }
  expect(fromHex(d, 32)).not.toBe(null);
});

test("another isolate signs with the new key a minute later, and until then with the one before", async () => {
  await appendLedger(base, "frozen", {});
  const other = anIsolate(database.db, places);
  const first = (await verifyReceipt(await receipt(1, other))).keyId;
  const { keyId } = await rotateLedgerKey(admin());
  const between = await receipt(1, other);
  expect((await verifyReceipt(between)).keyId).toBe(first);
  expect(await verifyReceipt(between, await publishedHeads(base))).toMatchObject({ ok: true });
  other.advance(LIMITS.shredEveryMs);
  expect((await verifyReceipt(await receipt(1, other))).keyId).toBe(keyId);
  expect((await publishedHeads(other)).keys).toEqual((await publishedHeads(base)).keys);
});

test("stopped at any access to the key store it is asked for again, and no key is left that nobody can follow to", async () => {
  let stopped = 0;
  for (let left = 0; left < 200; left++) {
    places = new KeyPlaces();
    await database.client.execute("DELETE FROM ledger_heads");
    await database.client.execute("DELETE FROM ledger");
    base = anIsolate(database.db, places);
    await appendLedger(base, "frozen", {});
    await signLedgerHead(base);
    const [first] = (await publishedHeads(base)).keys;
    places.left = left;
    const done = await rotateLedgerKey(admin()).then(
      () => true,
      () => false,
    );
    places.left = Number.POSITIVE_INFINITY;
    base = anIsolate(database.db, places, { now: base.now() + 1000 });
    if (!done) await rotateLedgerKey(admin());
    const heads = await publishedHeads(base);
    expect(await followed([first!.publicKey], heads.keys)).toHaveLength(heads.keys.length);
    expect(await verifyReceipt(await receipt(1), [first!.publicKey], heads)).toMatchObject({ ok: true });
    expect(await verifyLedger(base)).toMatchObject({ faults: [] });
    for (const kids of await secrets()) expect(kids).toHaveLength(1);
    if (done) break;
    stopped += 1;
  }
  expect(stopped).toBeGreaterThan(10);
});

test("a ledger that was cut short and signed anew fits, but not to heads that were kept", async () => {
  const grow = async (entries: number, type: "frozen" | "cleared") => {
    for (let i = 0; i < entries; i++) {
      await appendLedger(base, type, {});
      base.advance(LIMITS.ledgerHeadMs);
      await signLedgerHead(base);
    }
    return (await publishedHeads(base)).heads.map(({ size, root }) => ({ size, root }));
  };
  const kept = await grow(10, "frozen");
  expect(await verifyLedger(base, kept)).toEqual({ size: 10, heads: 20, faults: [] });
  // By who has everything: the database, the key store, the key.
  await database.client.execute("DELETE FROM ledger WHERE seq > 6");
  await database.client.execute("DELETE FROM ledger_heads WHERE size > 6");
  for (const label of ["a", "b", "escrow"] as const) {
    for (const name of ["ledger/head", "ledger/00000000"]) await places.of(label).delete(name);
  }
  await grow(1, "cleared");
  const faults = (sizes: number[]) => sizes.map((seq) => ({ seq, what: "published", place: null }));
  expect((await verifyLedger(base)).faults).toEqual([]);
  expect((await verifyLedger(base, kept)).faults).toEqual(faults([10, 9, 8, 7]));
  await grow(9, "cleared");
  expect((await verifyLedger(base)).faults).toEqual([]);
  expect((await verifyLedger(base, kept)).faults).toEqual(faults([10, 9, 8, 7]));
  expect((await verifyLedger(base, kept.slice(-6))).faults).toEqual([]);
});

test("the list of keys outlives two lost places, and upkeep and restores of the key store leave it alone", async () => {
  await appendLedger(base, "frozen", {});
  await signLedgerHead(base);
  const { keyId } = await rotateLedgerKey(admin());
  const { keys } = await publishedHeads(base);
  await refreshEscrow(base);
  for (const label of ["a", "b"] as const) {
    await places.of(label).delete("ledger/keys");
    await places.of(label).delete("lasting");
  }
  await restoreFromEscrow(base);
  const fresh = anIsolate(database.db, places);
  expect((await publishedHeads(fresh)).keys).toEqual(keys);
  expect((await verifyReceipt(await receipt(1, fresh))).keyId).toBe(keyId);
  // The next head brings it into each place again.
  fresh.advance(LIMITS.ledgerHeadMs);
  await appendLedger(fresh, "frozen", {});
  expect(await signLedgerHead(fresh)).toBe(1);
  for (const label of ["a", "b"] as const) expect(await places.of(label).get("ledger/keys")).not.toBe(null);
});
