import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@libsql/client";
import { expect, test } from "vitest";
import { JOBS } from "../../src/jobs.ts";
import { BINDINGS, ConfigError, fileUrl, readConfig } from "../../src/runtime/config.ts";
import { consoleLog, describeError } from "../../src/runtime/log.ts";

const GOOD = {
  DATABASE_URL: "libsql://name.example",
  ADMIN_TOKEN: "a".repeat(43),
  BRIDGE_TOKEN: "b".repeat(43),
  ROOT_KEY: "0f".repeat(32),
};

test("readConfig() takes what is needed and has defaults for the rest", () => {
  const { config, ...database } = readConfig(GOOD);
  expect(database).toEqual({ databaseUrl: "libsql://name.example", mainRegion: "default", databases: {} });
  const { ADMIN_TOKEN: adminToken, BRIDGE_TOKEN: bridgeToken, ROOT_KEY: rootKey } = GOOD;
  const mailFrom = "Ephemeris <noreply@localhost>";
  expect(config).toEqual({
    adminToken,
    bridgeToken,
    rootKey,
    oldRootKeys: [],
    retentionMonths: 3,
    mailFrom,
    trackerPort: 5020,
  });
  const more = { DATABASE_TOKEN: "t", PUBLIC_URL: "https://track.example/", RETENTION_MONTHS: "12", OTHER: {} };
  expect(readConfig({ ...GOOD, ...more })).toMatchObject({
    databaseToken: "t",
    config: { publicUrl: "https://track.example", retentionMonths: 12 },
  });
  const keys = { ROOT_KEY_OLD: `${"1a".repeat(32)},${"2B".repeat(32)}` };
  expect(readConfig({ ...GOOD, ...keys }).config.oldRootKeys).toEqual(["1a".repeat(32), "2B".repeat(32)]);
  const mail = {
    MAIL_FROM: "noreply@track.example",
    SMTP_URL: "smtps://user%40track.example:p%40ss@mail.example:465",
    MAIL_OUTBOX_URL: "http://127.0.0.1:1/mails",
    MAIL_OUTBOX_TOKEN: "c".repeat(43),
  };
  expect(readConfig({ ...GOOD, ...mail })).toMatchObject({
    config: { mailFrom: mail.MAIL_FROM },
    smtpUrl: mail.SMTP_URL,
    outboxUrl: mail.MAIL_OUTBOX_URL,
    outboxToken: mail.MAIL_OUTBOX_TOKEN,
  });
});

test.each([
  ["DATABASE_URL", undefined],
  ["DATABASE_URL", "main.db"],
  ["ADMIN_TOKEN", undefined],
  ["ADMIN_TOKEN", ""],
  ["ADMIN_TOKEN", "short"],
  ["BRIDGE_TOKEN", "with spaces in it, which no header can carry"],
  ["ROOT_KEY", "0f".repeat(31)],
  ["ROOT_KEY_OLD", `${"0f".repeat(32)}, ${"0f".repeat(32)}`],
  ["ROOT_KEY_OLD", `${"0f".repeat(32)},`],
  ["DATABASE_TOKEN", "two words"],
  ["PUBLIC_URL", "track.example"],
  ["RETENTION_MONTHS", "0"],
  ["RETENTION_MONTHS", "121"],
  ["RETENTION_MONTHS", 3],
  ["MAIL_FROM", "Ephemeris"],
  ["MAIL_FROM", "Ephemeris\r\nBcc: x@y.test <noreply@track.example>"],
  ["MAIL_FROM", "a@track.example, b@track.example"],
  ["SMTP_URL", "mail.example"],
  ["SMTP_URL", "https://mail.example"],
  ["SMTP_URL", "smtp://user:secret with spaces@mail.example"],
  ["SMTP_URL", "smtp://mail.example/?tls.rejectUnauthorized=false"],
  ["MAIL_OUTBOX_URL", "ftp://127.0.0.1/"],
  ["MAIL_OUTBOX_TOKEN", "short"],
])("readConfig() names %s when it is %j, and does not show it", (name, value) => {
  const read = () => readConfig({ ...GOOD, [name]: value });
  expect(read).toThrow(ConfigError);
  expect(read).toThrow(new RegExp(`^${name} must be `));
  if (typeof value === "string" && value.length > 3) expect(read).not.toThrow(value);
});

test("readConfig() reads the databases for tracks", () => {
  const databases = {
    eu: { url: "libsql://eu.example", token: "t", region: "EU" },
    cn: { url: "https://cn", region: "中国" },
  };
  const read = readConfig({ ...GOOD, MAIN_REGION: "US east", TELEMETRY_DATABASES: JSON.stringify(databases) });
  expect(read).toMatchObject({ mainRegion: "US east", databases });
});

const eu = { url: "libsql://eu.example", token: "credential", region: "EU" };
test.each([
  ["must be a JSON object", '{"eu": {"token": "credential}'],
  ["must have names", JSON.stringify({ main: eu })],
  ["must have names", JSON.stringify({ credential_: eu })],
  ["must have an object as eu", JSON.stringify({ eu: "credential" })],
  [
    "must have a libsql:, https:, http: or file: URL as eu.url, which is missing",
    JSON.stringify({ eu: { region: "EU" } }),
  ],
  [
    "must have a libsql:, https:, http: or file: URL as eu.url",
    JSON.stringify({ eu: { ...eu, url: "ftp://credential" } }),
  ],
  ["must have a token without spaces as eu.token", JSON.stringify({ eu: { ...eu, token: "a credential" } })],
  ["must have 1 to 64 letters, digits, spaces and . _ - as eu.region", JSON.stringify({ eu: { ...eu, region: "" } })],
  ["must have no field in eu but url, token, region", JSON.stringify({ eu: { ...eu, tokn: "credential" } })],
  ["must have another url as us.url than that of a database before it", JSON.stringify({ eu, us: eu })],
])("readConfig() says of TELEMETRY_DATABASES that it %s", (what, value) => {
  const read = () => readConfig({ ...GOOD, TELEMETRY_DATABASES: value });
  expect(read).toThrow(ConfigError);
  expect(read).toThrow(`TELEMETRY_DATABASES ${what}`);
  expect(read).not.toThrow("credential");
});

test("fileUrl() is a setting that opens the file, whatever its folder is called", async () => {
  const folder = mkdtempSync(join(tmpdir(), "ephemeris-"));
  for (const name of ["a b", "100%20 #1?x=y", "\u00fcml\u00e4ut & 'quote'"]) {
    const path = join(folder, name, "main.db");
    mkdirSync(join(folder, name));
    const { databaseUrl } = readConfig({ ...GOOD, DATABASE_URL: fileUrl(path) });
    const client = createClient({ url: databaseUrl });
    await client.execute("CREATE TABLE t (x)");
    client.close();
    expect(existsSync(path)).toBe(true);
  }
  rmSync(folder, { recursive: true });
});

test("wrangler.toml has the crons of the jobs, no secret and no other trigger", () => {
  const toml = readFileSync("wrangler.toml", "utf8");
  const crons = JSON.parse(toml.match(/^crons = (\[.*\])$/m)?.[1] ?? "null");
  expect(new Set(crons)).toEqual(new Set(JOBS.map((job) => job.cron)));
  expect(crons).toHaveLength(new Set(crons).size);
  for (const name of Object.keys(BINDINGS)) expect(toml).not.toMatch(new RegExp(`^\\s*${name}\\s*=`, "m"));
});

test("the local platform runs the Worker with the date of wrangler.toml", () => {
  const date = readFileSync("wrangler.toml", "utf8").match(/^compatibility_date = "(.*)"$/m)?.[1];
  expect(readFileSync("tools/worker-host.ts", "utf8")).toContain(`compatibilityDate: "${date}"`);
});

test("describeError() keeps what is safe and drops what may quote data", () => {
  const query = new Error("Failed query: insert ... params: 353358017784062,48.2");
  query.cause = Object.assign(new Error("SQLite error: database is locked"), {
    name: "LibsqlError",
    code: "SQLITE_BUSY",
  });
  expect(describeError(query)).toMatchObject({
    error: "LibsqlError",
    code: "SQLITE_BUSY",
    message: "SQLite error: database is locked",
  });
  let parsing: unknown;
  try {
    JSON.parse('{"imei": 353358017784062, }');
  } catch (error) {
    parsing = error;
  }
  for (const error of [parsing, new Error("353358017784062 at 48.2"), "353358017784062", { imei: "353358017784062" }]) {
    expect(JSON.stringify(describeError(error))).not.toMatch(/3533|48\.2/);
  }
  expect(describeError(new TypeError("x is not a function"))).toMatchObject({ message: "x is not a function" });
});

test("consoleLog() writes one JSON line for each event", () => {
  const lines: string[] = [];
  const original = console.log;
  console.log = (line: string) => void lines.push(line);
  try {
    consoleLog(() => 0).info("job.done", { job: "retention", changed: 2 });
  } finally {
    console.log = original;
  }
  expect(lines).toEqual([
    '{"time":"1970-01-01T00:00:00.000Z","level":"info","event":"job.done","job":"retention","changed":2}',
  ]);
});
