import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, expect, test } from "vitest";
import { makePrivateFolder, openSecrets, readSecrets } from "../../tools/secrets.ts";
import { readSettings, SETTINGS, SettingError } from "../../tools/settings.ts";

const folder = mkdtempSync(join(tmpdir(), "settings-"));
const aFile = join(folder, "file");
writeFileSync(aFile, "");
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("readSettings() has a default for each setting, also when the variable is empty", () => {
  const defaults = {
    host: "127.0.0.1",
    port: 8787,
    bridgeHost: "0.0.0.0",
    bridgePort: 5020,
    dataDir: resolve(".data"),
    retentionMonths: 3,
    mainRegion: "default",
  };
  expect(readSettings({})).toEqual(defaults);
  expect(readSettings({ PORT: "", DATA_DIR: " ", DATABASE_URL: "" })).toEqual(defaults);
});

test("readSettings() takes what is set", () => {
  const env = {
    PORT: "0",
    BRIDGE_PORT: "5021",
    DATA_DIR: join(folder, "not", "yet"),
    DATABASE_URL: "libsql://name.example",
    DATABASE_TOKEN: "secret",
    PUBLIC_URL: "https://track.example/",
    SMTP_URL: "smtp://user:secret@mail.example",
    MAIL_FROM: "Track <noreply@track.example>",
  };
  expect(readSettings(env)).toMatchObject({
    port: 0,
    bridgePort: 5021,
    dataDir: join(folder, "not", "yet"),
    databaseUrl: "libsql://name.example",
    databaseToken: "secret",
    publicUrl: "https://track.example",
    smtpUrl: "smtp://user:secret@mail.example",
    mailFrom: "Track <noreply@track.example>",
  });
  expect(existsSync(join(folder, "not"))).toBe(false);
});

test("readSettings() names the field of TELEMETRY_DATABASES that is wrong, and shows no value", () => {
  const read = (eu: object) => () => readSettings({ TELEMETRY_DATABASES: JSON.stringify({ eu }) });
  expect(read({ url: "libsql://eu.example", token: "secret", region: "EU" })()).toHaveProperty("telemetryDatabases");
  expect(read({ url: "libsql://eu.example", token: "secret token", region: "EU" })).toThrow(
    /^TELEMETRY_DATABASES must have a token without spaces as eu\.token\.$/,
  );
  expect(() => readSettings({ TELEMETRY_DATABASES: "secret" })).toThrow(/^TELEMETRY_DATABASES must be (?!.*secret)/);
});

test.each([
  ["PORT", "abc"],
  ["PORT", "65536"],
  ["PORT", "-1"],
  ["PORT", "1e3"],
  ["BRIDGE_PORT", "5020.5"],
  ["HOST", "not a host"],
  ["DATA_DIR", aFile],
  ["DATA_DIR", join(aFile, "below")],
  ["DATABASE_URL", "main.db"],
  ["DATABASE_URL", "ftp://host"],
  ["DATABASE_TOKEN", "two words"],
  ["PUBLIC_URL", "track.example"],
  ["RETENTION_MONTHS", "0"],
  ["SMTP_URL", "https://mail.example"],
  ["MAIL_FROM", "nobody"],
])("readSettings() refuses %s=%s with one sentence that names it", (name, value) => {
  const env = { DATABASE_URL: "http://127.0.0.1:1", [name]: value };
  expect(() => readSettings(env)).toThrow(SettingError);
  expect(() => readSettings(env)).toThrow(new RegExp(`^${name} must be [^\\n]+\\.$`));
});

test("readSettings() never shows a token, and refuses combinations that cannot work", () => {
  const env = { DATABASE_URL: "http://127.0.0.1:1", DATABASE_TOKEN: "two words" };
  expect(() => readSettings(env)).not.toThrow(/two words/);
  expect(() => readSettings({ SMTP_URL: "smtp://user:se cret@mail.example" })).toThrow(/^SMTP_URL must be (?!.*cret)/);
  expect(() => readSettings({ SMTP_URL: "smtp://mail.example" })).toThrow("MAIL_FROM");
  expect(() => readSettings({ DATABASE_TOKEN: "x" })).toThrow("DATABASE_URL");
  expect(() => readSettings({ PORT: "5020" })).toThrow("PORT and BRIDGE_PORT");
});

test("the README has a line for each setting", () => {
  const readme = readFileSync("README.md", "utf8");
  const names = Object.values(SETTINGS).map(({ name }) => `\`${name}\``);
  expect(names.filter((name) => !readme.includes(name))).toEqual([]);
});

test("openSecrets() makes secrets once, for the owner only, and keeps them", () => {
  const dataDir = join(folder, "data");
  makePrivateFolder(dataDir);
  expect(readSecrets(dataDir)).toBeNull();
  const made = openSecrets(dataDir);
  expect(Object.keys(made).sort()).toEqual(["adminToken", "bridgeToken", "databaseToken", "rootKey"]);
  expect(new Set(Object.values(made)).size).toBe(4);
  expect(made.rootKey).toMatch(/^[0-9a-f]{64}$/);
  const path = join(dataDir, "secrets.json");
  expect(statSync(dataDir).mode & 0o777).toBe(0o700);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  chmodSync(path, 0o644);
  expect(openSecrets(dataDir)).toEqual(made);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test("openSecrets() makes none for a database that others have sealed", () => {
  const dataDir = join(folder, "sealed");
  makePrivateFolder(dataDir);
  writeFileSync(join(dataDir, "main.db"), "");
  expect(() => openSecrets(dataDir)).toThrow(/secrets\.json is missing.* restore it from a backup/);
  expect(readSecrets(dataDir)).toBe(null);
});

test("openSecrets() never replaces secrets that it cannot read", () => {
  const dataDir = join(folder, "damaged");
  makePrivateFolder(dataDir);
  for (const text of ["{", "null", '{"adminToken":"short"}']) {
    writeFileSync(join(dataDir, "secrets.json"), text);
    expect(() => openSecrets(dataDir)).toThrow(/secrets\.json .* restore it from a backup/);
    expect(readFileSync(join(dataDir, "secrets.json"), "utf8")).toBe(text);
  }
});

test.skipIf(!existsSync("/proc/self"))("makePrivateFolder() says so where no folder can be made (needs /proc)", () => {
  expect(() => makePrivateFolder("/proc/nowhere/data")).toThrow(
    'DATA_DIR must be a folder that can be written, not "/proc/nowhere/data" (ENOENT).',
  );
});
