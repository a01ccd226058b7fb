import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { verifyReceipt } from "../../client/receipt.ts";
import { appendLedger, publishedHeads, signedReceipt } from "../../src/ledger.ts";
import { aBase, aDatabase } from "../database.ts";

const folder = mkdtempSync(join(tmpdir(), "ephemeris-receipt-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const path = (name: string) => join(folder, name);
let receipt: string;
let publicKey: string;

beforeAll(async () => {
  const database = await aDatabase();
  const base = aBase(database.db);
  for (let i = 0; i < 3; i++) await appendLedger(base, "frozen", {});
  receipt = await signedReceipt(base, { request: "AbCdEfGhIjKlMnOpQrStUv" }, [1, 3]);
  const heads = await publishedHeads(base);
  publicKey = heads.keys[0]!.publicKey;
  writeFileSync(path("good.json"), `${receipt}\n`);
  writeFileSync(path("bad.json"), receipt.replace("frozen", "shredded"));
  writeFileSync(path("heads.json"), JSON.stringify(heads));
  database.close();
});

const run = (...args: string[]) =>
  new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    execFile(process.execPath, ["tools/verify-receipt.ts", ...args], (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    );
  });

test("verify-receipt says what it checked, and that the key is to be compared where none was given", async () => {
  const alone = await run(path("good.json"));
  expect(alone).toMatchObject({ code: 0, stderr: "" });
  expect(alone.stdout).toContain(`public key ${publicKey}`);
  expect(alone.stdout).toContain("compare it with the one at /.well-known/ledger-heads.json");
  for (const key of [publicKey, path("heads.json")]) {
    const known = await run(path("good.json"), "--key", key);
    expect(known).toMatchObject({ code: 0, stderr: "" });
    expect(known.stdout).toContain("yes  its key is the one that you gave");
    expect(known.stdout).not.toContain("compare it");
  }
});

test("verify-receipt ends with 1 for what is not good, and 2 where there is nothing to check", async () => {
  expect(await run(path("bad.json"))).toMatchObject({ code: 1, stdout: expect.stringContaining("NOT good") });
  expect(await run(path("good.json"), "--key", "00".repeat(32))).toMatchObject({ code: 1 });
  const json = await run(path("bad.json"), "--json");
  expect(JSON.parse(json.stdout)).toMatchObject({
    ok: false,
    checks: { form: true, signature: false, entries: false },
  });
  for (const args of [[], [path("none.json")], [path("good.json"), "--key", "abc"], ["--nonsense"]]) {
    expect(await run(...args)).toMatchObject({ code: 2, stdout: "" });
  }
});

test("a receipt is verified in less than 50 ms", async () => {
  await verifyReceipt(receipt);
  const begin = performance.now();
  expect((await verifyReceipt(receipt)).ok).toBe(true);
  expect(performance.now() - begin).toBeLessThan(50);
});
