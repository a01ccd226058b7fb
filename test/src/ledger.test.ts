import { randomBytes } from "node:crypto";
import { createClient } from "@libsql/client";
import { drizzle } from "drizzle-orm/libsql/node";
import { afterEach, beforeEach, expect, test } from "vitest";
import { canonical } from "../../client/canonical.ts";
import { entryHash, verifyReceipt } from "../../client/receipt.ts";
import type { Db } from "../../src/context.ts";
import { appendLedger, publishedHeads, signedReceipt, signLedgerHead } from "../../src/ledger.ts";
import { mirrorHead } from "../../src/ledger-mirror.ts";
import { verifyLedger } from "../../src/ledger-verify.ts";
import {
  ACTOR_ROLES,
  LEDGER_RESULTS,
  LEDGER_STORES,
  LEDGER_TYPES,
  type LedgerFields,
  SCOPE_CLASSES,
} from "../../src/ledger-words.ts";
import { LIMITS } from "../../src/limits.ts";
import { fileSecrets } from "../../src/runtime/secrets-file.ts";
import * as schema from "../../src/store/schema.ts";
import { checkKeys, refreshEscrow, restoreFromEscrow } from "../../src/vault.ts";
import { aBase, aDatabase, aDatabaseFile, type TestBase, type TestDatabase } from "../database.ts";
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

const aName = () => randomBytes(16).toString("base64url");
const FULL: LedgerFields = {
  request: "AbCdEfGhIjKlMnOpQrStUv",
  kids: [7, 3, 2 ** 47],
  scopeClass: "account",
  stores: [
    { name: "tracks", found: 12, erased: 12, ok: true },
    { name: "keys", found: 3, erased: 3, ok: true },
  ],
  result: "done",
  calendar: "CN-2026.2",
  actorRole: "owner",
};

const entries = async (db = database.db) =>
  (await db.$client.execute("SELECT seq, at, type, entry, hash FROM ledger ORDER BY seq")).rows.map((row) => ({
    seq: Number(row.seq),
    at: Number(row.at),
    text: String(row.entry),
    entry: JSON.parse(String(row.entry)),
    hash: Buffer.from(row.hash as ArrayBuffer).toString("hex"),
  }));
const mirrored = async (label: "a" | "b" | "escrow", chunk = 0) => {
  const stored = await places.of(label).get(`ledger/${String(chunk).padStart(8, "0")}`);
  return stored === null ? [] : Buffer.from(stored.bytes).toString().split("\n").slice(0, -1);
};

test("appendLedger() binds each entry to the one before, in the database and in three places", async () => {
  expect(await mirrorHead(base)).toBe(null);
  expect(await appendLedger(base, "verified", FULL)).toEqual({ seq: 1 });
  base.at(base.now() - 5000);
  expect(await appendLedger(base, "cleared", {})).toEqual({ seq: 2 });
  const [first, second] = await entries();
  expect(first!.entry).toMatchObject({ seq: 1, prev: "0".repeat(64), kidCount: 3, request: FULL.request });
  expect(second!.entry).toMatchObject({ seq: 2, prev: first!.hash, at: first!.at, kidsRoot: null, stores: [] });
  for (const { text, entry, hash } of [first!, second!]) {
    expect(canonical(entry)).toBe(text);
    expect(Buffer.from(await entryHash(text)).toString("hex")).toBe(hash);
  }
  for (const label of ["a", "b", "escrow"] as const) expect(await mirrored(label)).toEqual([first!.text, second!.text]);
  expect(await mirrorHead(base)).toEqual({ size: 2, hash: second!.hash });
});

test("an entry says nothing but words of the lists, digests, random names and numbers", async () => {
  await appendLedger(base, "verified", FULL);
  const words = new Set<string>([
    ...[LEDGER_TYPES, SCOPE_CLASSES, LEDGER_RESULTS, ACTOR_ROLES, LEDGER_STORES].flat(),
    FULL.calendar!,
  ]);
  const isBland = (text: string) => words.has(text) || /^[0-9a-f]{64}$/.test(text) || /^[A-Za-z0-9_-]{22}$/.test(text);
  const strings = (value: unknown): string[] =>
    typeof value === "string"
      ? [value]
      : typeof value === "object" && value !== null
        ? Object.values(value).flatMap(strings)
        : [];
  expect(strings((await entries())[0]!.entry).filter((text) => !isBland(text))).toEqual([]);
  for (const bad of [
    { request: "someone@example.com" },
    { request: "1" },
    { calendar: "as Ms Ling said" },
    { scopeClass: "Ling" as never },
    { result: "gone" as never },
    { actorRole: "Ling" as never },
    { stores: [{ name: "353358017784062", found: 0, erased: 0, ok: true }] },
    { stores: [{ name: "tracks", found: 0.5, erased: 0, ok: true }] },
  ] satisfies LedgerFields[]) {
    await expect(appendLedger(base, "verified", bad)).rejects.toMatchObject({ code: "internal" });
  }
  await expect(appendLedger(base, "Ling" as never, {})).rejects.toMatchObject({ code: "internal" });
  expect(await entries()).toHaveLength(1);
});

test("appendLedger() at once in two isolates, each with a connection of its own, forks nothing", async () => {
  const file = await aDatabaseFile();
  const other = createClient({ url: `file:${file.path}` });
  await other.execute("PRAGMA busy_timeout = 5000");
  await file.client.execute("PRAGMA busy_timeout = 5000");
  const behind = fileSecrets(null);
  const isolates = [file.db, drizzle(other, { schema }) as Db].map((db) => anIsolate(db, new KeyPlaces(behind)));
  const many = Array.from({ length: 24 }, (_, i) => appendLedger(isolates[i % 2]!, "frozen", { request: aName() }));
  const seqs = (await Promise.all(many)).map(({ seq }) => seq);
  expect(seqs.sort((a, b) => a - b)).toEqual(Array.from({ length: 24 }, (_, i) => i + 1));
  const all = await entries(file.db);
  for (const [i, { entry }] of all.entries()) expect(entry.prev).toBe(all[i - 1]?.hash ?? "0".repeat(64));
  places = new KeyPlaces(behind);
  for (const label of ["a", "b", "escrow"] as const) expect(await mirrored(label)).toEqual(all.map(({ text }) => text));
  other.close();
  file.close();
});

test("whatever call of the mirror is the last before a crash, the next entry brings it up to date", async () => {
  let crashes = 0;
  for (let calls = 0; ; calls++) {
    places.left = calls;
    const crashed = await appendLedger(base, "frozen", { request: aName() }).then(
      () => false,
      () => true,
    );
    places.left = Number.POSITIVE_INFINITY;
    await appendLedger(anIsolate(database.db, places), "cleared", {});
    const texts = (await entries()).map(({ text }) => text);
    for (const label of ["a", "b", "escrow"] as const) expect(await mirrored(label)).toEqual(texts);
    expect(await mirrorHead(base)).toMatchObject({ size: texts.length });
    if (!crashed) break;
    crashes++;
  }
  expect(crashes).toBeGreaterThan(10);
});

test("the mirror goes on in another object after a hundred entries, and a place that was lost gets all again", async () => {
  for (let i = 0; i < LIMITS.ledgerChunk + 3; i++) await appendLedger(base, "frozen", { request: aName() });
  for (const name of await places.of("b").list("ledger/")) await places.of("b").delete(name);
  await places.garble("escrow", "ledger/head");
  await appendLedger(base, "cleared", {});
  const texts = (await entries()).map(({ text }) => text);
  for (const label of ["a", "b", "escrow"] as const) {
    expect([...(await mirrored(label, 0)), ...(await mirrored(label, 1))]).toEqual(texts);
  }
});

test("the key store's upkeep leaves the mirror alone", async () => {
  await appendLedger(base, "verified", FULL);
  await refreshEscrow(base);
  expect(await checkKeys(base)).toMatchObject({ damaged: 0, missing: 0 });
  expect(await restoreFromEscrow(base)).toBe(0);
  expect(await mirrored("a")).toHaveLength(1);
});

test("appendLedger() refuses to go on in a database that knows less than the mirror, or something else", async () => {
  for (let i = 0; i < 3; i++) await appendLedger(base, "frozen", { request: aName() });
  await database.client.execute("DELETE FROM ledger WHERE seq = 3");
  await expect(appendLedger(base, "cleared", {})).rejects.toMatchObject({ code: "unavailable" });
  expect(await entries()).toHaveLength(2);
});

test("signLedgerHead() signs once a day what was added, and publishes it", async () => {
  expect(await signLedgerHead(base)).toBe(0);
  expect(await publishedHeads(base)).toEqual({ keys: [], heads: [] });
  await appendLedger(base, "verified", FULL);
  expect(await signLedgerHead(base)).toBe(1);
  await appendLedger(base, "cleared", {});
  expect(await signLedgerHead(base)).toBe(0);
  base.advance(LIMITS.ledgerHeadMs);
  expect(await signLedgerHead(base)).toBe(1);
  base.advance(LIMITS.ledgerHeadMs);
  expect(await signLedgerHead(base)).toBe(0);
  const { keys, heads } = await publishedHeads(base);
  expect(heads.map(({ size }) => size)).toEqual([2, 1]);
  const alone = { from: null, until: null, signedBy: null, signature: null };
  expect(keys).toEqual([{ keyId: heads[0]!.keyId, algorithm: "Ed25519", publicKey: expect.any(String), ...alone }]);
});

test("signedReceipt() can be checked with nothing but the published key, in any isolate", async () => {
  for (let i = 0; i < 5; i++) await appendLedger(base, "frozen", { request: aName() });
  const { seq } = await appendLedger(base, "cleared", FULL);
  const text = await signedReceipt(base, { request: FULL.request!, scope: { kind: "account" } }, [seq, 2]);
  const again = await signedReceipt(anIsolate(database.db, places), { request: aName() }, [1]);
  const heads = await publishedHeads(base);
  for (const one of [text, again]) {
    expect(await verifyReceipt(one, heads)).toMatchObject({
      ok: true,
      keyId: heads.keys[0]!.keyId,
      checks: { form: true, key: true, signature: true, head: true, entries: true, published: true },
    });
  }
  expect(JSON.parse(text).ledger.entries.map(({ entry }: { entry: { seq: number } }) => entry.seq)).toEqual([2, 6]);
  expect(await verifyReceipt(text)).toMatchObject({ ok: true, checks: { key: null, published: null } });
  expect(await verifyReceipt(text, ["00".repeat(32)])).toMatchObject({ ok: false, checks: { key: false } });
  const other = heads.heads.map((head) => ({ ...head, root: "00".repeat(32) }));
  expect(await verifyReceipt(text, { ...heads, heads: other })).toMatchObject({ checks: { published: false } });
  await expect(signedReceipt(base, {}, [])).rejects.toMatchObject({ code: "internal" });
  await expect(signedReceipt(base, {}, [7])).rejects.toMatchObject({ code: "internal" });
});

test("verifyReceipt() finds each of 10,000 flipped bits", async () => {
  for (let i = 0; i < 20; i++) await appendLedger(base, "frozen", { ...FULL, request: aName() });
  const text = await signedReceipt(
    base,
    { request: FULL.request!, deadline: base.now(), note: "\u5df2\u6e05\u9664" },
    [3, 20],
  );
  const bytes = Buffer.from(text);
  const bits = bytes.length * 8;
  expect(bits).toBeGreaterThan(10_000);
  const missed: number[] = [];
  for (let n = 0; n < 10_000; n++) {
    const bit = Math.floor((n * bits) / 10_000);
    const altered = Buffer.from(bytes);
    altered[bit >> 3]! ^= 1 << (bit & 7);
    if ((await verifyReceipt(altered.toString())).ok) missed.push(bit);
  }
  expect(missed).toEqual([]);
  expect((await verifyReceipt(text)).ok).toBe(true);
});

test("verifyReceipt() gives false for what is no receipt", async () => {
  for (const text of ["", "{}", "null", "[]", '{"ledger":null}', '{"ledger":{"publicKey":"00"}}', "\u0000"]) {
    expect(await verifyReceipt(text)).toMatchObject({ ok: false });
  }
});

test("verifyLedger() names the entry that was altered, whatever of it was", async () => {
  for (let i = 0; i < 9; i++) await appendLedger(base, "frozen", { ...FULL, request: aName() });
  await signLedgerHead(base);
  expect(await verifyLedger(base)).toEqual({ size: 9, heads: 1, faults: [] });
  await database.client.execute("DROP TRIGGER ledger_fixed");
  const faultsAfter = async (sql: string, undo: string) => {
    await database.client.execute(sql);
    const { faults } = await verifyLedger(base);
    await database.client.execute(undo);
    return faults.map(({ seq, what, place }) => `${seq} ${what}${place === null ? "" : ` ${place}`}`);
  };
  await database.client.execute("CREATE TABLE kept AS SELECT * FROM ledger");
  const undo = `INSERT OR REPLACE INTO ledger SELECT * FROM kept`;
  const inMirror = ["5 mirror a", "5 mirror b", "5 mirror escrow"];
  expect(
    await faultsAfter(`UPDATE ledger SET entry = replace(entry, '"found":12', '"found":11') WHERE seq = 5`, undo),
  ).toEqual([...inMirror, "5 entry", "9 head"]);
  expect(await faultsAfter("UPDATE ledger SET hash = zeroblob(32) WHERE seq = 5", undo)).toEqual([
    "5 entry",
    "6 chain",
  ]);
  expect(await faultsAfter("UPDATE ledger SET at = at + 1 WHERE seq = 5", undo)).toEqual(["5 entry"]);
  expect(await faultsAfter("DELETE FROM ledger WHERE seq = 5", undo)).toEqual(["5 missing", "6 chain", "9 head"]);
  expect(await faultsAfter("DELETE FROM ledger WHERE seq = 9", undo)).toEqual(
    expect.arrayContaining(["9 mirror a", "9 mirror b", "9 mirror escrow", "9 head"]),
  );
  await database.client.execute("CREATE TABLE kept_heads AS SELECT * FROM ledger_heads");
  const undoHeads = "INSERT OR REPLACE INTO ledger_heads SELECT * FROM kept_heads";
  for (const change of [
    "at = at + 1",
    "root = zeroblob(32)",
    "signature = zeroblob(64)",
    "key_id = 'ffffffffffffffff'",
  ]) {
    expect(await faultsAfter(`UPDATE ledger_heads SET ${change}`, undoHeads)).toEqual(["9 head"]);
  }
  expect(await verifyLedger(base)).toMatchObject({ faults: [] });
  const name = "ledger/00000000";
  const { bytes, version } = (await places.of("b").get(name))!;
  const altered = Buffer.from(bytes);
  altered[altered.indexOf('"seq":4') + 6]! ^= 1;
  await places.of("b").put(name, altered, version);
  await places.of("escrow").delete("ledger/head");
  expect((await verifyLedger(base)).faults).toEqual([
    { seq: 4, what: "mirror", place: "b" },
    { seq: 0, what: "mirror", place: "escrow" },
  ]);
});

test("verifyLedger() finds each of 2,000 flipped bits of the ledger, and names its entry", async () => {
  for (let i = 0; i < 4; i++) await appendLedger(base, "frozen", { ...FULL, request: aName() });
  await signLedgerHead(base);
  await database.client.execute("DROP TRIGGER ledger_fixed");
  const rows = await entries();
  const missed: string[] = [];
  const tryEach = async (column: "entry" | "hash", seq: number, bytes: Buffer) => {
    // Of a text not the eighth bit: the driver ends the process over what is not UTF-8.
    const each = column === "entry" ? 7 : 8;
    for (let n = 0; n < 250; n++) {
      const bit = Math.floor((n * bytes.length * each) / 250);
      const altered = Buffer.from(bytes);
      altered[Math.floor(bit / each)]! ^= 1 << (bit % each);
      const set = (value: Buffer) =>
        database.client.execute({
          sql: `UPDATE ledger SET ${column} = CAST(? AS ${column === "entry" ? "TEXT" : "BLOB"}) WHERE seq = ?`,
          args: [value, seq],
        });
      await set(altered);
      const { faults } = await verifyLedger(base);
      if (!faults.some((fault) => fault.seq === seq && fault.what === "entry")) missed.push(`${column} ${seq} ${bit}`);
      await set(bytes);
    }
  };
  for (const { seq, text, hash } of rows) {
    await tryEach("entry", seq, Buffer.from(text));
    await tryEach("hash", seq, Buffer.from(hash, "hex"));
  }
  expect(missed).toEqual([]);
  expect((await verifyLedger(base)).faults).toEqual([]);
});

test("the base of tests has a ledger of its own", async () => {
  expect(await appendLedger(aBase(database.db), "incident", {})).toEqual({ seq: 1 });
});
