import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { keyFileText, newKeyFile } from "../../client/key-file.ts";
import { encodeAaa } from "../../codec/encode.ts";
import { RequestWriter } from "../../codec/envelope.ts";
import type { Manifest } from "../../src/export-archive.ts";
import { runCron } from "../../src/jobs.ts";
import { LIMITS } from "../../src/limits.ts";
import { ZipReader } from "../../tools/unzip.ts";
import { anImei, aSession, aUser, NOON } from "../database.ts";
import { settled } from "../stored.ts";
import { type Api, anApi, expectProblem } from "./http/api.ts";

const bytesOf = async (response: Response) => new Uint8Array(await response.arrayBuffer());
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

describe("an export", () => {
  let api: Api;
  let device: number;
  let imei: string;
  let foreign: string;
  const sql = (statement: string) => api.base.db.$client.execute(statement);

  const report = async (of: string, count: number, latitude: number, since = NOON) => {
    const batch = new RequestWriter();
    for (let i = 0; i < count; i++) {
      const fix = { valid: true, latitude, longitude: 16.3, fixTime: since - 60_000 * (i + 1), odometerM: i };
      batch.frame(1, 0, NOON, encodeAaa({ identifier: "A", imei: of, report: { event: { code: 35 }, ...fix } }));
    }
    const answer = await api.call("POST", "/v1/bridge/frames", { key: api.bridge, body: batch.finish() });
    expect(answer.status).toBe(200);
  };

  beforeAll(async () => {
    api = await anApi();
    imei = anImei();
    foreign = anImei();
    const make = async (key: string, imei: string, name: string) =>
      ((await (await api.call("POST", "/v1/devices", { key, body: { imei, name } })).json()) as { id: number }).id;
    device = await make(api.write, imei, '=Van "1"');
    await make(api.stranger, foreign, "Foreign van");
    await report(imei, 30, 48.25);
    await report(foreign, 3, 11.75);
    await settled(api.base);
    await report(imei, 12, 48.5);
  });
  afterAll(async () => {
    await api.base.settled();
    api.close();
  });

  const ask = async (cookie: string, body: object = {}) => {
    await sql("DELETE FROM export_links");
    const made = await api.call("POST", "/v1/me/exports", { cookie, body });
    expect(made.status, await made.clone().text()).toBe(201);
    const { url, expiresAt } = (await made.json()) as { url: string; expiresAt: string };
    expect(Date.parse(expiresAt) - api.base.now()).toBe(72 * 3_600_000);
    return new URL(url).pathname;
  };
  const fetched = async (cookie: string, body: object = {}) => {
    const response = await api.call("GET", await ask(cookie, body), { cookie });
    expect(response.status).toBe(200);
    const bytes = await bytesOf(response);
    const zip = new ZipReader(bytes);
    return { zip, manifest: JSON.parse(await zip.text("manifest.json")) as Manifest, bytes, response };
  };

  test("is a ZIP with everything in it, and its manifest last", async () => {
    const { zip, manifest, response } = await fetched(api.sessions.owner);
    expect(response.headers.get("content-type")).toBe("application/zip");
    expect(response.headers.get("content-disposition")).toMatch(/^attachment; filename="export-\d+\.zip"$/);
    const names = [...zip.entries.keys()];
    expect(names.slice(0, manifest.files.length)).toEqual(manifest.files.map(({ name }) => name));
    expect(names.slice(manifest.files.length)).toEqual(["manifest.json", "manifest.sig"]);
    const said = JSON.parse(await zip.text("manifest.sig")) as { publicKey: string; signature: string };
    const key = await crypto.subtle.importKey("raw", Buffer.from(said.publicKey, "hex"), "Ed25519", false, ["verify"]);
    const signed = new Uint8Array(await zip.bytes("manifest.json"));
    const verifies = () => crypto.subtle.verify("Ed25519", key, Buffer.from(said.signature, "hex"), signed);
    expect(await verifies()).toBe(true);
    signed[signed.length - 3]! ^= 1;
    expect(await verifies()).toBe(false);
    for (const file of manifest.files) {
      const bytes = await zip.bytes(file.name);
      expect({ name: file.name, bytes: bytes.length, sha256: sha256(bytes) }).toEqual({
        name: file.name,
        bytes: file.bytes,
        sha256: file.sha256,
      });
      if (file.name.endsWith(".jsonl")) expect(bytes.toString().split("\n").length - 1, file.name).toBe(file.rows);
      if (file.name.endsWith(".csv")) expect(bytes.toString()).toMatch(/^\w+(,\w+)*\r\n/);
    }
    expect(names).toContain("account/account.jsonl");
    expect(await zip.text("device/devices.csv")).toContain(`'=Van ""1""`);
  });

  test("has every position of the account's devices in each format, and nobody else's", async () => {
    const { zip, manifest } = await fetched(api.sessions.owner);
    const of = (format: string) => `location/device-${device}/positions.${format}`;
    const rows = (format: string) => manifest.files.find(({ name }) => name === of(format))?.rows;
    expect(["jsonl", "csv", "gpx", "geojson", "blocks"].map(rows)).toEqual([42, 42, 42, 42, 42]);
    const response = await api.call("GET", `/v1/devices/${device}/positions?limit=1000`, { key: api.read });
    const { data } = (await response.json()) as { data: object[] };
    const lines = (await zip.text(of("jsonl"))).trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line))).toEqual(data);
    expect((JSON.parse(await zip.text(of("geojson"))) as { features: object[] }).features).toHaveLength(42);
    expect((await zip.text(of("gpx"))).match(/<trkpt/g)).toHaveLength(42);
    for (const name of zip.entries.keys()) {
      const text = await zip.text(name);
      expect(text.includes("11.75"), name).toBe(false);
      expect(text.includes(foreign), name).toBe(false);
    }
  });

  test("is cut to what is asked for", async () => {
    const window = { from: new Date(NOON - 10 * 60_000).toISOString(), to: new Date(NOON).toISOString() };
    const { manifest } = await fetched(api.sessions.owner, { ...window, categories: ["location"], devices: [device] });
    expect(new Set(manifest.files.map(({ category }) => category))).toEqual(new Set(["location"]));
    // Ten that are settled, and ten that wait.
    expect(manifest.files.find(({ name }) => name.endsWith("positions.jsonl"))?.rows).toBe(20);
    const { manifest: accounts } = await fetched(api.sessions.owner, { categories: ["account"] });
    expect(accounts.files.some(({ name }) => name.startsWith("location/"))).toBe(false);
    const columns = accounts.files.flatMap((file) => file.columns ?? []);
    expect(new Set(columns.map(({ category }) => category))).toEqual(new Set(["account"]));
  });

  test("refuses devices that are not the caller's, and times that run backwards", async () => {
    const cookie = api.sessions.owner;
    const { rows } = await sql(`SELECT id FROM devices WHERE account_id = ${api.strangerId}`);
    const of = (body: object) => api.call("POST", "/v1/me/exports", { cookie, body });
    await expectProblem(await of({ devices: [Number(rows[0]![0])] }), 400, "invalid");
    await expectProblem(await of({ from: "2026-03-02T00:00:00.000Z", to: "2026-03-01T00:00:00.000Z" }), 400, "invalid");
  });

  test("opens for nobody but the person who asked for it, with their own session", async () => {
    const path = await ask(api.sessions.owner);
    await expectProblem(await api.call("GET", path), 401, "unauthenticated");
    await expectProblem(await api.call("GET", path, { key: api.write }), 403, "forbidden");
    for (const cookie of [api.sessions.strangerOwner, api.sessions.manager, api.sessions.viewer]) {
      await expectProblem(await api.call("GET", path, { cookie }), 404, "not_found");
    }
    await expectProblem(await api.call("GET", path, { cookie: api.sessions.admin }), 403, "forbidden");
    expect((await api.call("GET", path, { cookie: api.sessions.owner })).status).toBe(200);
    const wrong = `${path.slice(0, -1)}${path.endsWith("A") ? "B" : "A"}`;
    await expectProblem(await api.call("GET", wrong, { cookie: api.sessions.owner }), 404, "not_found");
  });

  test("cannot be asked for with a key, nor without a fresh proof", async () => {
    await expectProblem(await api.call("POST", "/v1/me/exports", { key: api.write, body: {} }), 403, "forbidden");
    const stale = await aSession(api.base, await aUser(api.base.db, { role: "owner", accountId: api.accountId }));
    await sql(
      `UPDATE sessions SET proved_at = proved_at - ${LIMITS.stepUpMs} WHERE id = (SELECT max(id) FROM sessions)`,
    );
    const refused = await api.call("POST", "/v1/me/exports", { cookie: stale, body: {} });
    await expectProblem(refused, 401, "step_up_required");
  });

  test("is listed for the person, and over when it is revoked, too old, or the account is frozen", async () => {
    const cookie = api.sessions.owner;
    const gone = async (path: string) => expectProblem(await api.call("GET", path, { cookie }), 404, "not_found");
    const list = async (cookie: string) =>
      ((await (await api.call("GET", "/v1/me/exports", { cookie })).json()) as { data: { id: number }[] }).data;

    let path = await ask(cookie, { categories: ["account"] });
    const [one] = await list(cookie);
    expect(one).toMatchObject({ scope: { categories: ["account"] }, fetchedAt: null });
    await (await api.call("GET", path, { cookie })).arrayBuffer();
    expect((await list(cookie))[0]).toMatchObject({ fetchedAt: new Date(api.base.now()).toISOString() });
    expect(await list(api.sessions.manager)).toEqual([]);
    for (const other of [api.sessions.manager, api.sessions.strangerOwner]) {
      await expectProblem(await api.call("DELETE", `/v1/me/exports/${one!.id}`, { cookie: other }), 404, "not_found");
    }
    expect((await api.call("DELETE", `/v1/me/exports/${one!.id}`, { cookie })).status).toBe(204);
    await gone(path);

    path = await ask(cookie);
    await sql(`UPDATE accounts SET frozen_at = ${api.base.now()} WHERE id = ${api.accountId}`);
    const frozen = await api.call("GET", path, { cookie });
    expect([401, 403, 404]).toContain(frozen.status);
    await sql(`UPDATE accounts SET frozen_at = NULL WHERE id = ${api.accountId}`);

    path = await ask(cookie);
    await sql(`UPDATE export_links SET expires_at = ${api.base.now()}`);
    await gone(path);
    await runCron(api.base, "*/10 * * * *");
    expect((await sql("SELECT count(*) FROM export_links")).rows[0]![0]).toBe(0);
  });

  test("ends in the middle when it is revoked while it is fetched", async () => {
    const cookie = api.sessions.owner;
    const response = await api.call("GET", await ask(cookie), { cookie });
    const reader = response.body!.getReader();
    await reader.read();
    await sql("DELETE FROM export_links");
    api.base.advance(LIMITS.exportCheckMs);
    const rest = async () => {
      while (!(await reader.read()).done);
    };
    await expect(rest()).rejects.toThrow();
  });

  test("leaves neither its token in the database nor in the log", async () => {
    const path = await ask(api.sessions.owner);
    await (await api.call("GET", path, { cookie: api.sessions.owner })).arrayBuffer();
    const token = path.split("/").at(-1)!;
    expect(token).toHaveLength(43);
    expect(api.base.logged.join("\n")).not.toContain(token);
    const { rows } = await sql("SELECT * FROM export_links");
    expect(JSON.stringify(rows)).not.toContain(token);
    expect(rows[0]!.hash).toBe(createHash("sha256").update(token).digest("hex"));
  });

  test("of a viewer has what is about them and their devices", async () => {
    const { manifest } = await fetched(api.sessions.viewer);
    const tables = new Set(manifest.files.flatMap(({ table }) => table ?? []));
    expect(manifest.wholeAccount).toBe(false);
    expect([...tables].toSorted()).toEqual(
      ["audit", "commands", "devices", "exportLinks", "segments", "sessions", "users"].filter((name) =>
        tables.has(name),
      ),
    );
    expect(tables.has("accounts")).toBe(false);
  });

  test("is not more than so many at a time", async () => {
    await sql("DELETE FROM export_links");
    const make = () => api.call("POST", "/v1/me/exports", { cookie: api.sessions.owner, body: {} });
    for (let i = 0; i < LIMITS.exportLinks; i++) expect((await make()).status).toBe(201);
    await expectProblem(await make(), 409, "conflict");
    await sql("DELETE FROM export_links");
  });

  test("is encrypted to the account's sealing key where there is one, and what is sealed already is in it", async () => {
    const cookie = api.sessions.owner;
    const file = await newKeyFile(NOON);
    const { publicKey, check } = file;
    const body = { kind: "offline", publicKey, check, lostKeyIsFinal: true };
    expect((await api.call("POST", "/v1/me/sealing-keys", { cookie, body })).status).toBe(201);
    await report(imei, 3, 47.125, NOON - 86_400_000);
    await settled(api.base);
    const response = await api.call("GET", await ask(cookie), { cookie });
    expect(response.headers.get("content-type")).toBe("application/vnd.ephemeris.sealed");
    expect(response.headers.get("content-disposition")).toContain(".zip.sealed");
    const sealed = await bytesOf(response);
    expect(Buffer.from(sealed).includes("manifest.json")).toBe(false);

    const folder = mkdtempSync(join(tmpdir(), "ephemeris-export-"));
    const at = (name: string) => join(folder, name);
    writeFileSync(at("my.key"), keyFileText(file));
    writeFileSync(at("export.zip.sealed"), sealed);
    const run = (...args: string[]) => spawnSync(process.execPath, ["tools/unseal.ts", ...args], { maxBuffer: 1e9 });
    const opened = run("--key", at("my.key"), at("export.zip.sealed"));
    expect({ status: opened.status, said: String(opened.stderr) }).toEqual({ status: 0, said: "" });
    const zip = new ZipReader(new Uint8Array(opened.stdout));
    const manifest = JSON.parse(await zip.text("manifest.json")) as Manifest;
    expect(manifest.files.find(({ name }) => name.endsWith("sealed.jsonl"))?.rows).toBeGreaterThanOrEqual(3);
    for (const { name, sha256: hash } of manifest.files) expect(sha256(await zip.bytes(name)), name).toBe(hash);
    const lines = await zip.text(`location/device-${device}/sealed.jsonl`);
    expect(lines).not.toContain("47.125");
    writeFileSync(at("sealed.jsonl"), lines);
    const positions = run("--key", at("my.key"), at("sealed.jsonl"));
    expect(String(positions.stdout).match(/47\.125/g)).toHaveLength(3);

    writeFileSync(at("cut"), sealed.subarray(0, sealed.length - 1));
    expect(run("--key", at("my.key"), at("cut")).status).toBe(2);
    rmSync(folder, { recursive: true });
    await sql("UPDATE customer_keys SET revoked_at = 1");
  });

  test("is made on a page, without a script, and revoked there", async () => {
    await sql("DELETE FROM export_links");
    const cookie = api.sessions.owner;
    const profile = await (await api.call("GET", "/profile", { cookie })).text();
    expect(profile).toContain('href="/profile/export"');
    const body = new URLSearchParams({ act: "make" });
    const made = await (await api.call("POST", "/profile/export", { cookie, body })).text();
    const [, path] = /href="(\/v1\/exports\/[\w-]{43})"/.exec(made) ?? [];
    const zip = await bytesOf(await api.call("GET", path!, { cookie }));
    expect([...new ZipReader(zip).entries.keys()]).toContain("manifest.json");
    // Shown once.
    const page = await (await api.call("GET", "/profile/export", { cookie })).text();
    expect(page).not.toContain("/v1/exports/");
    const [, id] = /name="id" value="(\d+)"/.exec(page) ?? [];
    const revoke = (cookie: string) =>
      api.call("POST", "/profile/export", { cookie, body: new URLSearchParams({ act: "revoke", id: id! }) });
    expect((await revoke(api.sessions.viewer)).status).toBe(404);
    expect((await revoke(cookie)).headers.get("location")).toBe("/profile/export?done=exportRevoked");
    expect((await api.call("GET", path!, { cookie })).status).toBe(404);
    await sql("UPDATE sessions SET proved_at = 1");
    const again = await api.call("POST", "/profile/export", { cookie, body });
    expect(again.headers.get("location")).toBe("/prove?next=%2Fprofile%2Fexport");
    await sql(`UPDATE sessions SET proved_at = ${api.base.now()}`);
  });
});
