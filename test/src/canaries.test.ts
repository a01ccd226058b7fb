import { getTableColumns } from "drizzle-orm";
import type { SQLiteTable } from "drizzle-orm/sqlite-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { encodeAaa } from "../../codec/encode.ts";
import { RequestWriter } from "../../codec/envelope.ts";
import { ROUTES } from "../../src/http/app.ts";
import type { Route } from "../../src/http/route.ts";
import { DATA_MAP } from "../../src/store/personal.ts";
import * as schema from "../../src/store/schema.ts";
import { SEALED, type SealedTable } from "../../src/store/sealed.ts";
import { listUsers } from "../../src/store/users.ts";
import { aDevice, anAccount, anImei, aSession, aUser, NOON } from "../database.ts";
import { type Api, aKeyRow, anApi, type CallOptions } from "./http/api.ts";
import { ROWS } from "./http/rows/index.ts";
import { CALLERS, type Caller, STAFF, type Things } from "./http/rows/row.ts";

// An account has something that can be found again in every column that says something about somebody. Then everybody
// else makes every request that there is, about their own things and about that account's.

type Row = Record<string, unknown>;
const TABLES = schema as unknown as Readonly<Record<string, SQLiteTable>>;
const MAP: Readonly<Record<string, { columns: Readonly<Record<string, string>> }>> = DATA_MAP;

interface Canary {
  /** table.column */
  at: string;
  secret: boolean;
  /** As it could be written in an answer. */
  texts: string[];
}

/** Nobody's, or not about anybody who has an account; and the tables that a real frame fills below. */
const NOT_PLANTED = [
  ...["documents", "brands", "brandTexts", "settings", "bridgeSeen", "bridges", "registry", "jobRuns", "migrations"],
  ...["throttles", "positions", "latest", "inbox", "runs", "parts", "settlement", "segments", "newest"],
  ...["purges", "wrappedSecrets", "placements", "ledger", "ledgerHeads", "requestSteps", "receipts", "calendarDays"],
];

/**
 * What the operator's people may be told, and why. Everything else about a customer stays with the customer; what is
 * masked is not found by this test at all.
 */
const DECLARED: readonly { who: readonly Caller[]; route: RegExp; columns: RegExp; why: string }[] = [
  {
    who: ["adminToken", ...STAFF],
    route: /\/admin(\/accounts(\/\{id\}|\/find)?|\/overview)?$/,
    columns: /^(accounts|mails)\.createdAt$/,
    why: "when an account was opened, and since when a mail waits: numbers of the installation",
  },
  {
    who: ["adminToken", "admin", "support", "privacy"],
    route: /\/admin\/accounts\/\{id\}$/,
    columns: /^(accounts\.stateReason|users\.(createdAt|lastSignInAt))$/,
    why: "the operator's own sentence; whether somebody still comes. Names, addresses and numbers are masked",
  },
  {
    who: ["adminToken", "admin", "privacy"],
    route: /\/admin\/accounts\/\{id\}\/retention$/,
    columns: /^accounts\.timeZone$/,
    why: "on whose calendar the periods are counted: without it no end of a period can be explained",
  },
  {
    who: ["finance"],
    route: /\/admin\/accounts\/\{id\}$/,
    columns: /^addresses\./,
    why: "where bills and parcels go",
  },
  {
    who: ["adminToken", "admin", "support"],
    route: /^POST .*\/admin\/accounts\/\{id\}(\/unmask)?$/,
    columns:
      /^(accounts\.(name|createdAt|stateReason)|users\.(email|name|mobile|createdAt|lastSignInAt)|addresses\..*)$/,
    why: "unmask: once, with a reason that the customer reads",
  },
  {
    who: ["adminToken", "admin"],
    route: /\/admin\/accounts\/\{id\}\/keys$/,
    columns: /^apiKeys\.(createdAt|lastUsedAt|expiresAt)$/,
    why: "to end a key that does harm; the names that customers gave are masked",
  },
  {
    who: ["adminToken", "admin"],
    route: /\/admin\/(devices|unclaimed)$/,
    columns: /^(devices\.(imei|model|createdAt)|unclaimed\.imei)$/,
    why: "which tracker sends to whom; names are masked, and where it is is not said",
  },
  {
    who: ["adminToken", "admin", "support"],
    route: /\/admin\/activations$/,
    columns: /^activations\.(imei|model|firmware|orderReference|loadedAt|activatedAt)$/,
    why: "the operator's own list of what it sold",
  },
  {
    who: ["adminToken", "admin", "privacy"],
    route: /\/admin\/requests$/,
    columns:
      /^requests\.(name|scope|receivedAt|verifiedAt|frozenAt|closedAt|evidenceAt|countsAt|proofAskedAt|proofSeenAt)$/,
    why: "what must be done until when, by numbers of accounts; nothing says who they are",
  },
  {
    who: ["adminToken", "admin", "privacy"],
    route: /\/admin\/subject-requests$/,
    columns: /^subjectRequests\.(name|askedAt|escalatedAt|answeredAt|reason)$/,
    why: "what a customer did not answer, by numbers of accounts and devices, and what was answered",
  },
  {
    who: ["adminToken", "admin", "privacy"],
    route: /\/admin\/holds$/,
    columns: /^legalHolds\.(name|basis|reference|scope|placedAt|confirmedAt|reviewAt|expiresAt|releasedAt)$/,
    why: "what must not go, by numbers of accounts and the operator's own file numbers",
  },
  {
    who: ["admin", "privacy"],
    route: /\/admin\/(held|accounts\/\{id\})$/,
    columns: /^(heldParts\.(basis|cause|madeAt)|legalHolds\.name)$/,
    why: "what is kept of what was erased, for the legal staff: fixed words and numbers",
  },
  {
    who: ["adminToken", "admin", "finance"],
    route: /\/admin\/accounts\/\{id\}(\/obligations)?$/,
    columns: /^obligations\.(kind|basis|details|createdAt|expiresAt|acknowledgedAt)$/,
    why: "what is owed, which finance wrote down itself",
  },
  {
    who: ["adminToken", "admin", "privacy"],
    route: /\/admin\/audit$/,
    columns: /^audit\.(at|action|subject|reason)$/,
    why: "ids and fixed words; the reason is the operator's own sentence",
  },
];

let api: Api;
let planted: Canary[];
let own: { cookie: string; things: Things };
let things: Things;

const nameOf = (route: Route) => `${route.method} ${route.path}`;
const sql = (statement: string) => api.base.db.$client.execute(statement);
const KEPT = ["sessions", "api_keys"];

let number = 0;
/** One word, in small letters as addresses are stored, that is nowhere else. */
const aWord = () => `zq${(++number).toString(36)}canary`;

async function plant(name: string, ids: Record<string, number>, given: Row = {}): Promise<void> {
  const columns = getTableColumns(TABLES[name]!) as unknown as Record<
    string,
    { name: string; getSQLType(): string; enumValues?: readonly string[] }
  >;
  const row: Row = {};
  const found: Canary[] = [];
  for (const [key, column] of Object.entries(columns)) {
    const cls = MAP[name]!.columns[key]!.split(" ")[0]!;
    const add = (...texts: string[]) => found.push({ at: `${name}.${key}`, secret: cls === "secret", texts });
    if (key in given) {
      row[key] = given[key];
      if (typeof given[key] === "string" && /canary|\d{9}/.test(given[key])) add(given[key]);
    } else if (key.endsWith("Index")) continue;
    else if (column.name in ids) row[key] = ids[column.name];
    else if (key === "id" || column.enumValues !== undefined) {
      if (key !== "id") row[key] = column.enumValues![0];
    } else if (column.getSQLType() === "blob") {
      const bytes = Buffer.from(aWord().padEnd(32, "."));
      row[key] = new Uint8Array(bytes);
      add(bytes.toString(), bytes.toString("hex"), bytes.toString("base64"), bytes.toString("base64url"));
    } else if (column.getSQLType() === "integer") {
      const time = Date.UTC(2025, 0, 1) + ++number * 61_000;
      const isTime = /(At|Since|Until)$|^at$/.test(key);
      row[key] = isTime ? time : 1;
      if (isTime && cls === "personal") add(new Date(time).toISOString(), String(time));
    } else {
      const word = aWord();
      row[key] = word;
      if (cls !== "none") add(word);
    }
  }
  planted.push(...found);
  const { $client, $fields } = api.base.db;
  const account = name === "unclaimed" ? null : ids.account_id!;
  const stored: Row = name in SEALED ? await $fields.seal(name as SealedTable, account, row) : row;
  if (typeof row.id === "number") {
    const sets = Object.entries(stored).map(([key]) => `"${columns[key]!.name}" = ?`);
    await $client.execute({
      sql: `UPDATE ${nameIn(name)} SET ${sets.join(", ")} WHERE id = ?`,
      args: [...(Object.values(stored) as never[]), row.id],
    });
  } else await api.base.db.insert(TABLES[name]!).values(stored as never);
}
const nameIn = (name: string) => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

beforeAll(async () => {
  api = await anApi();
  planted = [];
  const { base } = api;
  const { db } = base;
  const make = async (path: string, body: object, key: string) =>
    ((await (await api.call("POST", path, { key, body: { name: "Thing", ...body } })).json()) as { id: number }).id;
  const deliver = async (imei: string, latitude: number, longitude: number) => {
    const batch = new RequestWriter();
    const report = { event: { code: 35 }, valid: true, latitude, longitude, fixTime: NOON - 60_000 };
    batch.frame(1, 0, NOON, encodeAaa({ identifier: "A", imei, report }));
    await api.call("POST", "/v1/bridge/frames", { key: api.bridge, body: batch.finish() });
  };
  const imei = anImei();
  const device = await make("/v1/devices", { imei }, api.write);
  await deliver(imei, 48.2, 16.3);
  const command = await make(`/v1/devices/${device}/commands`, { code: "A10" }, api.write);
  things = {
    api,
    imei,
    device,
    command,
    account: api.accountId,
    key: () => aKeyRow(base, api.accountId),
    bridge: () => make("/v1/admin/bridges", {}, api.admin),
    spareDevice: () => make("/v1/devices", { imei: anImei() }, api.write),
  };

  const account = await anAccount(db);
  const user = await aUser(db, { role: "owner", accountId: account });
  const theirs = await aDevice(db, { accountId: account });
  const key = await aKeyRow(base, account);
  const document = Number((await sql("SELECT max(id) FROM documents")).rows[0]![0]);
  const ids = {
    ...{ account_id: account, user_id: user.id, device_id: theirs.id, key_id: key, made_by: user.id },
    ...{ opened_by: user.id, actor_id: user.id, staff_id: 1, window_id: 1, document_id: document, bridge_id: 0 },
  };
  await plant("accounts", ids, { id: account, state: "active", privacyAccepted: 1, termsAccepted: 1, telemetry: null });
  const email = `${aWord()}@${aWord()}.test`;
  const person = { email, mobile: "+499876543210", language: "en", timeZone: "UTC", disabledAt: null };
  await plant("users", ids, { id: user.id, role: "owner", accountId: account, deviceLimited: 0, ...person });
  await plant("apiKeys", ids, { id: key, revokedAt: null, deviceLimited: 0 });
  const settings = { imei: theirs.imei, clockOffsetMinutes: 0, confirmCce: 0, deletingAt: null, groupId: null };
  await plant("devices", ids, { id: theirs.id, accountId: account, ...settings });
  await plant("addresses", ids, { country: "AT" });
  await plant("addresses", ids, { country: "AT", kind: "billing" });
  await plant("sessions", ids, { expiresAt: NOON + 1e9 });
  await plant("passkeys", ids, { algorithm: -7 });
  await plant("tokens", ids, { kind: "reset", expiresAt: NOON + 1e9 });
  await plant("acceptances", ids, { language: "en" });
  const sold = anImei();
  await plant("activations", ids, { imei: sold });
  await plant("audit", ids, { actor: "user" });
  await plant("mails", ids, { dueAt: NOON + 1e9 });
  const others = [...Object.keys(MAP)].filter((name) => !planted.some(({ at }) => at.startsWith(`${name}.`)));
  for (const name of others.filter((each) => !NOT_PLANTED.includes(each))) {
    const given: Record<string, Row> = {
      unclaimed: { imei: anImei(), lastSeen: NOON },
      commands: { arguments: JSON.stringify({ text: aWord() }) },
      legalHolds: { placedBy: 1, confirmedBy: 2, scope: JSON.stringify({ kind: "fields", fields: [aWord()] }) },
      suspensions: { requestId: null, liftedAt: NOON, since: NOON },
      requests: { scope: JSON.stringify({ kind: "fields", fields: [aWord()] }) },
      // The first there is.
      subjectRequests: { linkId: 1 },
    };
    await plant(name, ids, given[name]);
  }
  await deliver(theirs.imei, 33.123457, 44.765432);
  planted.push({ at: "positions.record", secret: false, texts: ["33.123457"] });
  planted.push({ at: "latest.record", secret: false, texts: ["44.765432"] });
  const shown = (await sql(`SELECT max(id) FROM commands WHERE device_id = ${theirs.id}`)).rows[0]![0];
  own = {
    cookie: await aSession(base, { id: user.id, accountId: account }),
    things: { ...things, imei: theirs.imei, device: theirs.id, account, command: Number(shown) },
  };
  for (const table of KEPT) await sql(`CREATE TEMP TABLE kept_${table} AS SELECT * FROM ${table}`);
});
afterAll(async () => {
  await api.base.settled();
  api.close();
});

/** The credentials of a caller. */
function as(caller: Caller): CallOptions {
  const tokens = { readKey: api.read, writeKey: api.write, bridge: api.bridge, adminToken: api.admin };
  if (caller === "nobody") return {};
  return caller in tokens
    ? { key: tokens[caller as keyof typeof tokens] }
    : { cookie: api.sessions[caller as keyof typeof api.sessions] };
}

let calls = 0;
/** Makes a row's request. @returns headers and body as one text, and the headers alone */
async function ask(route: Route, about: Things, options: CallOptions): Promise<{ all: string; headers: string }> {
  const row = ROWS[nameOf(route)]!;
  api.base.advance(100);
  await sql(`UPDATE sessions SET proved_at = ${api.base.now()}`);
  const path = await row.path(about);
  const body = await row.body?.(about);
  const sent = route.form === true && body !== undefined ? new URLSearchParams(body as Record<string, string>) : body;
  const headers = {
    "CF-Connecting-IP": `2001:db8::${(++calls).toString(16)}`,
    ...(options.key === undefined && { "Sec-Fetch-Site": "same-origin" }),
  };
  const response = await api.call(route.method, path, {
    ...options,
    headers,
    ...(sent === undefined ? {} : { body: sent }),
  });
  expect(response.status, `${nameOf(route)} ${path}`).toBeLessThan(500);
  const head = JSON.stringify([...response.headers]);
  if (row.ends === true) {
    for (const table of KEPT) await sql(`INSERT OR REPLACE INTO ${table} SELECT * FROM kept_${table}`);
    await sql("DELETE FROM suspensions WHERE kind = 'legislation'");
    await sql(
      `UPDATE accounts SET privacy_accepted = NULL, terms_accepted = NULL, state = 'active' WHERE id = ${api.accountId}`,
    );
  }
  return { all: head + (await response.text()), headers: head };
}

const foundIn = (text: string, which: readonly Canary[] = planted) =>
  which.filter(({ texts }) => texts.some((each) => text.includes(each))).map(({ at }) => at);

/** What has no free text and no time of its own: a word of a list, a count, a switch, a hash, or what the frame has. */
const FIXED =
  /^(\w+\.(\w+Index|retentionDays|collection)|(placements|purges|inbox|runs|segments|newest|wrappedSecrets)\.\w+|customerKeys\.kind|accounts\.telemetry|accounts\.(state|paymentMode|(privacy|terms)Accepted)|users\.(role|language|units|timeZone|personalisation|searchHistory|deviceLimited|disabledAt)|userDevices\.mayEdit|apiKeys\.(scope|revokedAt|deviceLimited)|addresses\.(kind|country)|sessions\.(expiresAt|secondFactor)|tokens\.(kind|expiresAt)|acceptances\.(kind|version|language)|(audit|looks)\.actor|devices\.(clockOffsetMinutes|confirmCce)|(positions|latest)\.(fixTime|receivedAt|clock|event|valid)|commands\.state|requests\.(type|state|level|deadline|viaSubject)|subject(Links|Requests)\.(fromTime|toTime|showsTrack|type|state|answerBy|staffBy|answeredBy)|tombstones\.(fromTime|toTime|beforeTime)|suspensions\.(kind|since|liftedAt)|heldParts\.(reason|until)|unclaimed\.(firstSeen|lastSeen|frames)|bridges\.hash)$/;

test("every column that says something about somebody holds a canary, or words of a list only", () => {
  const there = new Set(planted.map(({ at }) => at));
  const without = Object.entries(MAP).flatMap(([table, { columns }]) =>
    Object.entries(columns)
      .filter(([column, cls]) => /^(personal|sensitive|secret)/.test(cls) && !there.has(`${table}.${column}`))
      .map(([column]) => `${table}.${column}`),
  );
  expect(without.filter((name) => !FIXED.test(name))).toEqual([]);
  expect(planted.length).toBeGreaterThan(80);
});

test("the account's own people see no secret, and no canary in a header or a redirect", async () => {
  for (const route of ROUTES.filter(({ method }) => method === "GET")) {
    const { all, headers } = await ask(route, own.things, { cookie: own.cookie });
    expect({ route: nameOf(route), found: foundIn(headers) }).toMatchObject({ found: [] });
    const secrets = planted.filter(({ secret }) => secret);
    expect({ route: nameOf(route), found: foundIn(all, secrets) }).toMatchObject({ found: [] });
  }
});

test("nobody learns anything by naming what is somebody else's", async () => {
  const email = (await listUsers(api.base.db, own.things.account, 0, 1))[0]!.email;
  expect(email).toContain("canary");
  const cookie = api.sessions.owner;
  const tries: [string, string, object, CallOptions?][] = [
    ["POST", "/v1/signups", { email }, {}],
    ["POST", "/v1/password-resets", { email }, {}],
    ["POST", "/v1/security-reports", { email }, {}],
    ["POST", "/v1/sessions", { email, password: "four words make one" }, {}],
    ["POST", "/v1/users", { email, role: "owner" }],
    ["POST", "/v1/me/email", { email }],
    ["POST", "/v1/devices", { imei: own.things.imei, name: "Mine" }],
    ["POST", "/v1/searches", { term: own.things.imei.slice(0, 8) }],
    ["POST", "/v1/admin/staff", { email, role: "support" }, { key: api.admin }],
  ];
  for (const [method, path, body, options = { cookie }] of tries) {
    await sql(`UPDATE sessions SET proved_at = ${api.base.now()}`);
    const response = await api.call(method, path, { headers: { "Sec-Fetch-Site": "same-origin" }, ...options, body });
    expect(response.status, path).toBeLessThan(500);
    const text = JSON.stringify([...response.headers]) + (await response.text());
    expect({ path, found: foundIn(text) }).toEqual({ path, found: [] });
  }
});

/** What fills lists comes last, and the record of acts is read before it is long. */
const order = (route: Route) => (route.path.includes("audit") ? 0 : route.method === "GET" ? 1 : 2);

test("nothing of an account is in an answer to anybody else, and to the operator only what is declared", async () => {
  const used = new Set<string>();
  for (const route of ROUTES.toSorted((a, b) => order(a) - order(b))) {
    for (const about of [things, own.things]) {
      for (const caller of CALLERS) {
        const { all, headers } = await ask(route, about, as(caller));
        const declared = DECLARED.filter(({ who, route: which }) => who.includes(caller) && which.test(nameOf(route)));
        const found = foundIn(all).filter((column) => {
          const row = declared.find(({ columns }) => columns.test(column));
          if (row !== undefined) used.add(row.why);
          return row === undefined;
        });
        const where = { route: nameOf(route), caller };
        expect({ ...where, found, inHeaders: foundIn(headers) }).toEqual({ ...where, found: [], inHeaders: [] });
      }
    }
  }
  expect([...used].toSorted()).toEqual(DECLARED.map(({ why }) => why).toSorted());
  expect(DECLARED.some(({ columns }) => planted.some(({ at, secret }) => secret && columns.test(at)))).toBe(false);
}, 120_000);

test("after all of this no canary is in a log line, in somebody else's mail, or in a row that was not there before", async () => {
  await api.base.settled();
  expect(api.base.logged.length).toBeGreaterThan(1000);
  expect(foundIn(api.base.logged.join("\n"))).toEqual([]);
  const addresses = (await listUsers(api.base.db, own.things.account, 0, 100)).map(({ email }) => email);
  const others = api.base.sent.filter(({ to }) => !addresses.includes(to));
  expect(others.length).toBeGreaterThan(10);
  expect(foundIn(JSON.stringify(others))).toEqual([]);
  for (const [table, where] of [
    ["idempotency_keys", `account_id <> ${own.things.account}`],
    ["audit", `account_id IS NOT ${own.things.account}`],
    ["looks", `account_id <> ${own.things.account}`],
    ["settings", "true"],
    ["throttles", "true"],
    ["job_runs", "true"],
    ["documents", "true"],
  ]) {
    const { rows: kept } = await sql(`SELECT * FROM ${table} WHERE ${where}`);
    expect({ table, found: foundIn(JSON.stringify(kept)) }).toEqual({ table, found: [] });
  }
  const acts = await sql(
    `SELECT actor, action, subject FROM audit WHERE account_id = ${own.things.account} AND actor <> 'user'`,
  );
  expect(acts.rows.length).toBeGreaterThan(0);
  expect(foundIn(JSON.stringify(acts.rows))).toEqual([]);
});
