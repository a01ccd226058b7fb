import { getTableColumns } from "drizzle-orm";
import { getTableConfig } from "drizzle-orm/sqlite-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeAaa } from "../../../codec/encode.ts";
import { RequestWriter } from "../../../codec/envelope.ts";
import type { Principal } from "../../../src/context.ts";
import { held } from "../../../src/held.ts";
import { CATEGORIES, CLASSES, DATA_MAP, type Mapped } from "../../../src/store/personal.ts";
import { ZipReader } from "../../../tools/unzip.ts";
import { type Canary, classOf, FIRST, MAP, plantCanaries, TABLES } from "../../canaries.ts";
import { aContext, aDatabase, aDevice, aSession, aUser, NOON, type TestDatabase } from "../../database.ts";
import { type Api, anApi } from "../http/api.ts";

const exportAs = (table: string) => (DATA_MAP as Mapped)[table]!.exportAs;
describe("the data map", () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await aDatabase();
  });
  afterAll(() => database.close());

  test("whose a table's rows are said to be, with them they go", async () => {
    const { rows } = await database.client.execute(`
      SELECT m.name AS t, f."table" AS r FROM sqlite_schema m JOIN pragma_foreign_key_list(m.name) f
      WHERE m.type = 'table' AND f.on_delete = 'CASCADE'`);
    const goes = new Set(rows.map((row) => `${row.t} with ${row.r}`));
    const kept = Object.entries(MAP).flatMap(([name, { of }]) => {
      const table = getTableConfig(TABLES[name]!).name;
      const owner = `${of}s`;
      return of === "platform" || table === owner || goes.has(`${table} with ${owner}`) ? [] : [name];
    });
    // With the key; and by time, as ids only: the operator can be asked about an account that is gone. Tracks may lie in
    // another database, where no reference reaches: removing a device or an account ends with them.
    expect(kept.toSorted()).toEqual([
      "audit",
      "heldParts",
      "keyDevices",
      "legalHolds",
      "newest",
      "requests",
      "residents",
      "segments",
      "wrappedSecrets",
    ]);
    expect(goes).toContain("key_devices with api_keys");
    expect(goes).toContain("users with accounts");
  });

  test("names a class and a category for each, and a mark that there is", () => {
    for (const [table, { columns }] of Object.entries(MAP)) {
      for (const [column, entry] of Object.entries(columns)) {
        const [cls, category, mark = "optional", other = column, ...rest] = entry.split(" ");
        expect(CLASSES).toContain(cls);
        expect(CATEGORIES).toContain(category);
        expect(["correctable", "emptiable", "optional", "with"]).toContain(mark);
        expect({ table, columns: Object.keys(columns) }).toMatchObject({ columns: expect.arrayContaining([other]) });
        expect(rest).toEqual([]);
      }
    }
  });

  /** Texts that say nothing about anyone although no constraint holds them to that. */
  const FREE: Readonly<Record<string, string>> = {
    "documents.product": "published by the operator for everybody",
    "documents.region": "published by the operator for everybody",
    "documents.title": "published by the operator for everybody",
    "documents.body": "published by the operator for everybody",
    "documents.sha256": "of a published text",
    "brands.hostname": "a reseller's public name",
    "brands.name": "a reseller's public name",
    "brandTexts.url": "a public link",
    "brandTexts.body": "published by the reseller for everybody",
    "brandTexts.sha256": "of a published text",
    "settings.name": "a row of the table of settings",
    "settings.value": "what the operator says about itself",
    "bridges.name": "the operator's name for its own server",
    "commands.identifier": "one byte that the platform counts up",
    "accounts.daysDestroyed": "scopes and days, written by the platform",
    "inbox.directory": "digits: where each chunk begins",
    "runs.directory": "digits: where each chunk begins",
    "residence.name": "the operator's name for its own database",
    "residence.region": "where that is",
    "broken.telemetry": "the operator's name for its own database",
    "requests.calendar": "version of a published calendar",
    "requestSteps.store": "a row of the table of stores",
    "ledger.type": "a row of the table of entries",
    "ledger.entry": "test/src/ledger.test.ts: no text of anybody's",
    "ledgerHeads.keyId": "names the platform's own key",
    "jobRuns.name": "a row of the table of jobs",
    "jobRuns.error": "the platform's own error code",
    "migrations.name": "the name of a file of this repository",
  };

  test("calls a text nobody's only where a constraint or a reason holds it to that", () => {
    const free = Object.entries(MAP).flatMap(([name, { columns }]) => {
      const config = getTableColumns(TABLES[name]!) as Record<string, { getSQLType(): string; enumValues?: unknown[] }>;
      return Object.keys(columns)
        .filter((column) => classOf(name, column) === "none")
        .filter((column) => config[column]!.getSQLType() === "text" && config[column]!.enumValues === undefined)
        .map((column) => `${name}.${column}`);
    });
    // A length that fits nothing but a code is a constraint, too.
    const checked = ["documents.language", "brandTexts.language", "brands.accent", "calendarDays.date"];
    expect(free.filter((name) => !checked.includes(name)).toSorted()).toEqual(Object.keys(FREE).toSorted());
  });
});

describe("canaries", () => {
  let api: Api;
  /** What was written where, and for whom. */
  let written: Canary[];
  let ownCookie: string;
  let own: Principal;
  let viewerCookie: string;

  const SMALL = Object.entries(MAP).filter(([, { of }]) => of === "account" || of === "user");

  beforeAll(async () => {
    api = await anApi();
    written = [];
    const { db } = api.base;
    const client = db.$client;
    const document = await client.execute({
      sql: `INSERT INTO documents (kind, version, language, title, body, sha256, material, published_at, effective_at)
        VALUES ('notice', 900, 'en', 't', 'b', 'h', 0, 1, ?) RETURNING id`,
      args: [NOON + 1e12],
    });
    for (const [owner, accountId] of [
      ["own", api.accountId],
      ["other", api.strangerId],
    ] as const) {
      const user = await aUser(db, { role: "owner", accountId });
      const device = await aDevice(db, { accountId });
      const key = await client.execute({
        sql: "INSERT INTO api_keys (account_id, scope, hash, created_at) VALUES (?, 'read', ?, 1) RETURNING id",
        args: [accountId, owner],
      });
      const ids = {
        account: accountId,
        user: user.id,
        device: device.id,
        key: Number(key.rows[0]![0]),
        document: Number(document.rows[0]![0]),
      };
      for (const name of [...FIRST, ...SMALL.map(([table]) => table).filter((table) => !FIRST.includes(table))]) {
        written.push(...(await plantCanaries(api.base, owner, name, ids)));
      }
      await client.execute({ sql: "UPDATE users SET device_limited = 0 WHERE id = ?", args: [user.id] });
      const batch = new RequestWriter();
      const fix = { valid: true, latitude: owner === "own" ? 48.25 : 11.75, longitude: 16.5, fixTime: NOON - 60_000 };
      batch.frame(
        1,
        0,
        NOON,
        encodeAaa({ identifier: "A", imei: device.imei, report: { event: { code: 35 }, ...fix } }),
      );
      expect((await api.call("POST", "/v1/bridge/frames", { key: api.bridge, body: batch.finish() })).status).toBe(200);
      if (owner === "other") continue;
      ownCookie = await aSession(api.base, user);
      own = {
        kind: "user",
        accountId,
        role: "owner",
        devices: null,
        editable: null,
        standing: "good",
        userId: user.id,
      } as never;
      viewerCookie = await aSession(api.base, await aUser(db, { role: "viewer", accountId }));
    }
  });
  afterAll(() => api.close());

  const read = async (path: string, cookie: string) => {
    const response = await api.call("GET", path, { cookie });
    expect(response.status, path).toBe(200);
    return response.text();
  };

  test("were written into every column of free text, and into the times", () => {
    expect(written.length).toBeGreaterThan(100);
    expect(new Set(written.map(({ table }) => table)).size).toBeGreaterThan(15);
  });

  test("GET /v1/me/held and its page show every one of the account but the secret ones", async () => {
    const json = await read("/v1/me/held", ownCookie);
    const page = await read("/profile/held", ownCookie);
    for (const { owner, table, column, text } of written) {
      const cls = classOf(table, column);
      const isShown = owner === "own" && cls !== "secret" && cls !== "none";
      expect({ table, column, text, there: json.includes(text) }).toMatchObject({ there: isShown });
      expect({ table, column, text, onPage: page.includes(text) }).toMatchObject({ onPage: isShown });
    }
    expect(json).toContain("48.25");
    expect(page).toContain("48.25");
    expect(json + page).not.toContain("11.75");
  });

  /** Every file of an export, one after the other. */
  const exported = async (cookie: string) => {
    const made = await api.call("POST", "/v1/me/exports", { cookie, body: {} });
    expect(made.status, await made.clone().text()).toBe(201);
    const { url } = (await made.json()) as { url: string };
    const response = await api.call("GET", new URL(url).pathname, { cookie });
    const zip = new ZipReader(new Uint8Array(await response.arrayBuffer()));
    const files = new Map<string, string>();
    for (const name of zip.entries.keys()) files.set(name, await zip.text(name));
    return files;
  };

  test("an export has every one of the account but the secret ones, both as lines and as cells", async () => {
    const files = await exported(ownCookie);
    const all = (end: string) => [...files].flatMap(([name, text]) => (name.endsWith(end) ? [text] : [])).join("\n");
    const [lines, cells, whole] = [all(".jsonl"), all(".csv"), all("")];
    for (const { owner, table, column, text } of written) {
      const cls = classOf(table, column);
      // Those that the tracks tell have no files of their own.
      const isThere = owner === "own" && cls !== "secret" && cls !== "none" && exportAs(table) !== "positions";
      expect({ table, column, text, there: lines.includes(text) }).toMatchObject({ there: isThere });
      expect({ table, column, text, there: cells.includes(text) }).toMatchObject({ there: isThere });
      if (!isThere) expect(whole.includes(text), `${table}.${column}`).toBe(false);
    }
    expect(lines).toContain("48.25");
    expect(whole).not.toContain("11.75");
  });

  test("an export of a viewer has what is about them and their devices, and one of staff there is not", async () => {
    const whole = [...(await exported(viewerCookie)).values()].join("\n");
    const shown = written.filter((canary) => whole.includes(canary.text));
    expect([...new Set(shown.map(({ owner, table }) => `${owner} ${table}`))]).toEqual(["own devices"]);
    const refused = await api.call("POST", "/v1/me/exports", { cookie: api.sessions.support, body: {} });
    expect(refused.status).toBe(403);
  });

  test("no secret one and none of another account is in any other answer about the person", async () => {
    for (const path of [
      "/v1/me",
      "/profile",
      "/profile/email",
      "/profile/mobile",
      "/search",
      "/v1/me/personalisation",
    ]) {
      const text = await read(path, ownCookie);
      for (const canary of written) {
        if (canary.owner === "own" && classOf(canary.table, canary.column) !== "secret") continue;
        expect(text.includes(canary.text), `${path} ${canary.text}`).toBe(false);
      }
    }
  });

  test("a viewer sees what is about them and their devices, and nothing else of the account", async () => {
    const text = await read("/v1/me/held", viewerCookie);
    const shown = written.filter((canary) => text.includes(canary.text));
    expect(shown.every(({ owner }) => owner === "own")).toBe(true);
    expect([...new Set(shown.map(({ table }) => table))]).toEqual(["devices"]);
    const me = await read("/v1/me", viewerCookie);
    expect(
      written
        .filter((canary) => me.includes(canary.text))
        .every(({ table }) => table === "accounts" || table === "acceptances"),
    ).toBe(true);
  });

  test("staff see their own rows", async () => {
    const text = await read("/v1/me/held", api.sessions.support);
    expect(written.filter((canary) => text.includes(canary.text))).toEqual([]);
    const { tables } = JSON.parse(text) as { tables: { name: string; rows: number }[] };
    expect(tables.filter(({ rows }) => rows > 0).map(({ name }) => name)).toEqual(["users", "sessions", "audit"]);
  });

  test("a column that the map calls secret disappears, and one that it calls personal appears", async () => {
    const ctx = aContext(api.base, own);
    for (const [table, { of, columns }] of SMALL) {
      for (const [column, described] of Object.entries(columns)) {
        if (described.startsWith("none")) continue;
        const flipped = described.startsWith("secret") ? "personal account" : "secret account";
        const map = { [table]: { of, columns: { ...columns, [column]: flipped } } };
        const [found] = (await held(ctx, map as never)).tables;
        expect(
          found?.columns.some(({ name }) => name === column),
          `${table}.${column}`,
        ).toBe(flipped.startsWith("personal"));
        const text = JSON.stringify(found);
        for (const canary of written) {
          if (
            canary.owner === "own" &&
            canary.table === table &&
            canary.column === column &&
            canary.text.startsWith("canary")
          )
            expect(text.includes(canary.text), `${table}.${column}`).toBe(flipped.startsWith("personal"));
        }
      }
    }
  });

  test("nothing of it is in the log", () => {
    expect(api.base.logged.join("\n")).not.toContain("canary");
  });
});
