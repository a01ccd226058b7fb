import { getTableColumns } from "drizzle-orm";
import { getTableConfig, type SQLiteTable } from "drizzle-orm/sqlite-core";
import { afterEach, expect, test } from "vitest";
import { encodeAaa } from "../../codec/encode.ts";
import { RequestWriter } from "../../codec/envelope.ts";
import { encodeFrame } from "../../codec/frame.ts";
import { currentDocuments } from "../../src/documents.ts";
import { app } from "../../src/http/app.ts";
import { SESSION_COOKIE } from "../../src/http/browser.ts";
import { toBase64Url } from "../../src/seal.ts";
import { insertPasskey } from "../../src/store/passkeys.ts";
import * as schema from "../../src/store/schema.ts";
import { clearRows } from "../../src/store/seal-clear.ts";
import { type Fields, SEALED, type SealedTable } from "../../src/store/sealed.ts";
import { type Canary, found, scan } from "../../tools/residue.ts";
import { needlesOf } from "../../tools/residue-forms.ts";
import { aBase, aDatabaseFile, anImei, aSession, aUser, NOON, type TestBase } from "../database.ts";

// Somebody fills in everything that there is, over the real routes. What they said is in no file of the database, and
// where it is not sealed the same search finds all of it.

const PASSWORD = "nineteen canaries sing";
const IMEI = anImei();
const SOLD = anImei();
const NOBODYS = anImei();
const SAID = {
  email: "zaunkoenig.canary@edge.test",
  name: "Žofie Canarywood 東",
  account: "Canary Freight 8841",
  recipient: "Canary recipient 1291",
  line1: "Zilpzalpgasse 77/3",
  line2: "Canary stairs 4",
  city: "Canaryville Süd",
  region: "Canarynia",
  postcode: "CANARY-1070",
  device: "Kanarienvogel Ω2000",
  group: "Canary vans 5512",
  key: "Canary integration 7714",
  passkey: "Canary laptop 3302",
  term: "canary search 9917",
  order: "Order canary 6630",
  sold: "Order canary 6631",
  reply: "Canary reply 6172",
  suspension: "Canary reason 8210 of it",
  owed: "Canary invoice 4409",
  colleague: "rohrsaenger.canary@edge.test",
  staffName: "Canary Colleague 5510",
} as const;
const DIGITS = {
  mobile: "436601234567",
  imei: IMEI,
  "imei, sold": SOLD,
  "imei of nobody": NOBODYS,
};
const NETWORK = "203.0.113.0/24";

const CANARIES: readonly Canary[] = [
  ...Object.entries(SAID).map(([name, text]) => ({ name, value: { text } })),
  ...Object.entries(DIGITS).map(([name, digits]) => ({ name, value: { digits } })),
  { name: "network", value: { text: NETWORK } },
];

let close: (() => void)[] = [];
afterEach(() => {
  for (const each of close) each();
  close = [];
});

/** An installation in which somebody has said everything. @param fields in place of those that seal */
async function installation(fields?: (sealing: Fields) => Fields): Promise<{ base: TestBase; path: string }> {
  const database = await aDatabaseFile();
  close.push(database.close);
  await database.client.execute("PRAGMA secure_delete = ON");
  const base = aBase(database.db);
  if (fields !== undefined) base.db.$fields = fields(base.db.$fields);
  await everything(base);
  await base.settled();
  return { base, path: database.path };
}

async function everything(base: TestBase): Promise<void> {
  let cookie = "";
  const call = async (method: string, path: string, body?: unknown, more: Record<string, string> = {}) => {
    const headers = { "Sec-Fetch-Site": "same-origin", "CF-Connecting-IP": "203.0.113.77", Cookie: cookie, ...more };
    const init = {
      method,
      headers,
      ...(body !== undefined && { body: body instanceof Uint8Array ? body : JSON.stringify(body) }),
    };
    const response = await app.fetch(new Request(`https://edge.test${path}`, init as RequestInit), base);
    expect([method, path, response.status, response.ok ? "" : await response.text()]).toEqual([
      method,
      path,
      response.status,
      "",
    ]);
    await base.settled();
    return response;
  };
  const admin = { Authorization: `Bearer ${base.config.adminToken}` };
  await call("POST", "/v1/signups", { email: SAID.email, name: SAID.name, mobile: `+${DIGITS.mobile}` });
  const token = /\/confirm\/([\w-]{43})/.exec(base.sent.at(-1)!.text)![1];
  const accept = (await currentDocuments(base, "en")).map(({ kind, version, sha256, language }) => ({
    kind,
    version,
    sha256,
    language,
  }));
  const agent = { "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0" };
  const joined = await call("POST", "/v1/signups/confirm", { token, password: PASSWORD, accept }, agent);
  cookie = joined.headers.getSetCookie()[0]!.split(";")[0]!;
  expect(cookie).toContain(SESSION_COOKIE);
  const { recipient, line1, line2, city, region, postcode } = SAID;
  const address = { recipient, line1, line2, city, region, postcode, country: "AT" };
  await call("PATCH", "/v1/me/account", { name: SAID.account, addresses: { shipping: address, billing: address } });
  await call("PATCH", "/v1/me", { searchHistory: true });
  await call("POST", "/v1/me/totp", {});
  await call("POST", "/v1/groups", { name: SAID.group });
  await call("POST", "/v1/searches", { term: SAID.term });
  await call("POST", "/v1/keys", { name: SAID.key, scope: "write" });
  const sold = [
    { imei: IMEI, orderReference: SAID.order },
    { imei: SOLD, orderReference: SAID.sold },
  ];
  const loaded = (await (await call("POST", "/v1/admin/activations", { devices: sold }, admin)).json()) as {
    data: { imei: string; code: string }[];
  };
  const { code } = loaded.data.find(({ imei }) => imei === IMEI)!;
  const once = { "Idempotency-Key": "the-first" };
  const made = await call("POST", "/v1/devices", { imei: IMEI, name: SAID.device, code }, once);
  const device = (await made.json()) as { id: number };
  const deliver = async (write: (batch: RequestWriter) => void) => {
    const batch = new RequestWriter();
    write(batch);
    await call("POST", "/v1/bridge/frames", batch.finish(), { Authorization: `Bearer ${base.config.bridgeToken}` });
  };
  const fix = { event: { code: 35 }, valid: true, latitude: 48.2, longitude: 16.3, fixTime: NOON - 60_000 };
  await deliver((batch) => {
    for (const imei of [IMEI, NOBODYS]) batch.frame(1, 0, NOON, encodeAaa({ identifier: "A", imei, report: fix }));
  });
  const path = `/v1/devices/${device.id}/commands`;
  const command = async (what: object) => ((await (await call("POST", path, what)).json()) as { id: number }).id;
  const asked = await command({ code: "E91", arguments: {} });
  await command({ code: "A12", arguments: { intervalS: 60 } });
  await deliver((batch) => batch.claim(asked, 1));
  const { rows } = await base.db.$client.execute({
    sql: "SELECT identifier FROM commands WHERE id = ?",
    args: [asked],
  });
  const reply = {
    direction: "up",
    identifier: String(rows[0]![0]),
    imei: IMEI,
    type: "E91",
    content: SAID.reply,
  } as const;
  await deliver((batch) => batch.frame(1, 0, NOON, encodeFrame(reply)));
  const user = (
    await base.db.select({ id: schema.users.id, accountId: schema.users.accountId }).from(schema.users)
  )[0]!;
  const credential = {
    credentialId: toBase64Url(base.random(16)),
    algorithm: -7,
    publicKey: base.random(91),
    signCount: 0,
  };
  await insertPasskey(base.db, { ...credential, userId: user.id, name: SAID.passkey, createdAt: NOON });
  await call("POST", `/v1/admin/accounts/${user.accountId}/suspend`, { reason: SAID.suspension }, admin);
  const owed = { kind: "order", basis: "tax_law", details: SAID.owed, expiresAt: new Date(NOON + 9e9).toISOString() };
  await call("POST", `/v1/admin/accounts/${user.accountId}/obligations`, owed, admin);
  const staff = await aUser(base.db, { role: "support", email: SAID.colleague, name: SAID.staffName });
  await aSession(base, staff);
  // It is all there, for whom it is.
  const held = await (await call("GET", "/v1/me/held")).text();
  const own = CANARIES.filter(({ name }) => !/nobody|sold|colleague|staff|reply/.test(name));
  expect(own.filter(({ value }) => !held.includes(Object.values(value)[0] as string)).map(({ name }) => name)).toEqual(
    [],
  );
  const commands = await (await call("GET", path)).text();
  expect(commands).toContain(SAID.reply);
}

const TABLES = schema as unknown as Readonly<Record<SealedTable, SQLiteTable>>;
const files = (path: string) => [path, `${path}-wal`];

test("no value that people gave, and no IMEI, lies open in the database or in its log", async () => {
  const { base, path } = await installation();
  const tables = Object.keys(SEALED) as SealedTable[];
  for (const table of tables) expect([table, await clearRows(base.db, table, 0, 10)]).toEqual([table, []]);
  // Nothing was left out: there is a value in each column that is sealed. Only who has several databases moves accounts.
  for (const table of tables.filter((name) => name !== "placements")) {
    const columns = getTableColumns(TABLES[table]) as Record<string, { name: string }>;
    for (const column of Object.keys(SEALED[table].columns)) {
      const sql = `SELECT count(${columns[column]!.name}) FROM ${getTableConfig(TABLES[table]).name}`;
      const { rows } = await base.db.$client.execute(sql);
      expect([table, column, Number(rows[0]![0]) > 0]).toEqual([table, column, true]);
    }
  }
  const residue = scan(files(path), CANARIES);
  expect(found(residue, CANARIES)).toEqual([]);
  expect(residue.bytes).toBeGreaterThan(100_000);
  console.log(
    `${residue.files} files, ${residue.bytes} bytes, ${needlesOf(CANARIES).length} forms of ${CANARIES.length} values: nothing`,
  );
  for (const line of base.logged)
    expect(CANARIES.filter(({ value }) => line.includes(String(Object.values(value)[0])))).toEqual([]);
});

test("where nothing is sealed the same search finds every value", async () => {
  const { path } = await installation((sealing) => ({
    ...sealing,
    // The keyed hashes stay: without them nobody could sign in.
    seal: async (table, account, row) => ({ ...(await sealing.seal(table, account, row)), ...row }),
    sealAll: async (table, account, rows) =>
      (await sealing.sealAll(table, account, rows)).map((sealed, i) => ({ ...sealed, ...rows[i]! })),
  }));
  const names = new Set(found(scan(files(path), CANARIES), CANARIES).map(({ canary }) => canary));
  expect(CANARIES.map(({ name }) => name).filter((name) => !names.has(name))).toEqual([]);
});
