import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Manifest } from "../../src/export-archive.ts";
import { createExport, download, exportOfToken } from "../../src/exports.ts";
import { LIMITS } from "../../src/limits.ts";
import { insertAccount } from "../../src/store/accounts.ts";
import { devices } from "../../src/store/schema.ts";
import { type Ask, importArchive } from "../../tools/import.ts";
import { ZipError, ZipReader } from "../../tools/unzip.ts";
import { aContext, aDevice, asUser, aUser, NOON } from "../database.ts";
import { settled, stored } from "../stored.ts";
import { type Api, anApi } from "./http/api.ts";

/** Of what an import brings: the content of each file, whatever the ids in it. */
const contentsOf = ({ files }: Manifest) =>
  files
    .filter(
      ({ contentSha256, table, category }) => contentSha256 && (table ? BROUGHT.has(table) : category === "location"),
    )
    .map(({ name, rows, contentSha256 }) => ({ file: name.replace(/device-\d+/, "device"), rows, contentSha256 }))
    .toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
const BROUGHT = new Set(["devices", "deviceGroups", "addresses"]);

async function exported(api: Api, accountId: number): Promise<{ bytes: Uint8Array; manifest: Manifest }> {
  const owner = await aUser(api.base.db, { role: "owner", accountId });
  const ctx = aContext(api.base, asUser(accountId, owner.id));
  const { url } = await createExport(ctx);
  const { body } = await download(ctx, await exportOfToken(ctx, url.split("/").at(-1)!));
  const bytes = new Uint8Array(await new Response(body as ReadableStream<Uint8Array<ArrayBuffer>>).arrayBuffer());
  return { bytes, manifest: JSON.parse(await new ZipReader(bytes).text("manifest.json")) as Manifest };
}

describe("an import", () => {
  let from: Api;
  let to: Api;
  let original: Awaited<ReturnType<typeof exported>>;

  const ask: Ask = async (method, path, body) => {
    const response = await to.call(method as "POST", path, { key: to.admin, body });
    const answer = (await response.json()) as Record<string, unknown>;
    if (!response.ok) throw new Error(`${response.status} ${answer.detail}`);
    return answer;
  };
  const emptyAccount = async () => (await insertAccount(to.base.db, { name: "Empty", createdAt: NOON })).id;

  beforeAll(async () => {
    [from, to] = [await anApi(), await anApi()];
    const cookie = from.sessions.owner;
    const address = { line1: "Road 1", city: "Town", country: "AT", recipient: '"Kim"' };
    const body = { addresses: { billing: address, shipping: { ...address, line1: "Road 2" } } };
    expect((await from.call("PATCH", "/v1/me/account", { cookie, body })).status).toBe(200);
    const group = { name: "Vans, all", days: 60 };
    expect((await from.call("POST", "/v1/groups", { key: from.write, body: group })).status).toBe(201);
    const owned = [];
    for (let n = 0; n < 2; n++) owned.push(await aDevice(from.base.db, { accountId: from.accountId }));
    await from.base.db.update(devices).set({ groupId: 1, model: "T366G", clockOffsetMinutes: 60 });
    for (const [n, device] of owned.entries()) {
      const specs = Array.from({ length: 2500 }, (_, i) => ({
        fixTime: NOON - 86_400_000 + Math.floor(i / 2) * 15_000,
        receivedAt: NOON - 86_400_000 + i * 15_000 + 4000,
        clock: i % 97 === 0,
        deviceTime: Date.UTC(2019, 0, 1) + i * 1000,
        event: i % 50 === 0 ? 1 : 35,
        latitudeE6: 48_000_000 + n * 100_000 + i,
      }));
      await stored(from.base, device, specs.slice(0, 2000));
      await settled(from.base);
      await stored(from.base, device, specs.slice(2000));
    }
    original = await exported(from, from.accountId);
  });
  afterAll(() => {
    from.close();
    to.close();
  });

  test("into an empty account brings what the export of that account then says again", async () => {
    const account = await emptyAccount();
    const done = await importArchive(original.bytes, account, ask);
    expect(done).toMatchObject({ devices: 2, groups: 1, addresses: 2, positions: 5000, past: 0 });
    expect(done.notImported).toContain("users: people join by invitation");
    const again = await exported(to, account);
    expect(contentsOf(original.manifest)).toHaveLength(5);
    expect(contentsOf(again.manifest)).toEqual(contentsOf(original.manifest));
    // Also when all of it has come to rest.
    await settled(to.base);
    expect(contentsOf((await exported(to, account)).manifest)).toEqual(contentsOf(original.manifest));
    // Once only.
    await expect(importArchive(original.bytes, account, ask)).rejects.toThrow("409 This account has devices");
    const other = await emptyAccount();
    await expect(importArchive(original.bytes, other, ask)).rejects.toThrow("409 Another account has one");
    expect((await exported(to, other)).manifest.files.filter(({ table }) => BROUGHT.has(table ?? ""))).toEqual([]);
  });

  test("takes nothing that is not as it was signed, and no other account's device", async () => {
    const account = await emptyAccount();
    for (const at of [200, Math.floor(original.bytes.length / 2)]) {
      const altered = original.bytes.map((byte, i) => (i === at ? byte ^ 1 : byte));
      await expect(importArchive(altered, account, ask)).rejects.toThrow();
    }
    await expect(importArchive(original.bytes.subarray(0, 1000), account, ask)).rejects.toThrow(ZipError);
    const foreign = await aDevice(to.base.db, { accountId: to.strangerId });
    const path = `/v1/admin/accounts/${account}/imports/${foreign.id}`;
    await expect(ask("POST", path, new Uint8Array(0))).rejects.toThrow("404");
    const own = `/v1/admin/accounts/${to.strangerId}/imports/${foreign.id}`;
    for (const bad of [[1], [9, 0, 0, 0, 1], [1, 0, 0, 0, 7]]) {
      await expect(ask("POST", own, Uint8Array.from(bad))).rejects.toThrow("400");
    }
    await expect(ask("POST", own, new Uint8Array(LIMITS.importBytes + 1))).rejects.toThrow("413");
    await expect(
      ask("POST", "/v1/admin/accounts/999999/imports", { groups: [], devices: [], addresses: [] }),
    ).rejects.toThrow("404");
  });

  test("leaves out what is past its period", async () => {
    const account = await emptyAccount();
    const { rows } = await to.base.db.$client.execute("SELECT count(*) FROM devices");
    expect(Number(rows[0]![0])).toBeGreaterThan(0);
    await to.base.db.$client.execute("DELETE FROM devices");
    await to.base.db.$client.execute({ sql: "UPDATE accounts SET retention_days = 1 WHERE id = ?", args: [account] });
    to.base.advance(61 * 86_400_000);
    const done = await importArchive(original.bytes, account, ask);
    expect(done).toMatchObject({ positions: 0, past: 5000 });
  });
});
