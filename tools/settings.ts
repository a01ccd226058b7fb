import { accessSync, constants, existsSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { BINDINGS } from "../src/runtime/config.ts";
import { readDatabases } from "../src/runtime/databases.ts";

/** A setting that cannot be used. The message is the whole sentence that a person reads. */
export class SettingError extends Error {}

/** What the environment says about this installation. Paths are absolute, absent optional ones are missing. */
export interface Settings {
  host: string;
  port: number;
  bridgeHost: string;
  bridgePort: number;
  dataDir: string;
  databaseUrl?: string;
  databaseToken?: string;
  mainRegion: string;
  telemetryDatabases?: string;
  publicUrl?: string;
  retentionMonths: number;
  smtpUrl?: string;
  mailFrom?: string;
}

interface Setting {
  name: string;
  /** What it is for, as the README says it. */
  what: string;
  /** Used when the variable is absent or empty; null: the setting is then absent. */
  default: string | null;
  /** What a good value is, to complete "NAME must be ...". */
  must: string;
  /** The value, or undefined when it is bad. */
  read(text: string): string | number | undefined;
}

const wholeNumber = (min: number, max: number) => (text: string) =>
  /^\d{1,6}$/.test(text) && Number(text) >= min && Number(text) <= max ? Number(text) : undefined;
const address = (text: string) => (/^[\w.:-]+$/.test(text) ? text : undefined);
const url =
  (...schemes: string[]) =>
  (text: string) =>
    URL.canParse(text) && schemes.includes(new URL(text).protocol) && new URL(text).host !== "" ? text : undefined;

/** Every setting, as the README lists them. */
export const SETTINGS = {
  port: {
    name: "PORT",
    what: "Port of the HTTP API",
    default: "8787",
    must: "a whole number from 0 (any free port) to 65535",
    read: wholeNumber(0, 65535),
  },
  host: {
    name: "HOST",
    what: "Address that the HTTP API listens on; the default is this machine only",
    default: "127.0.0.1",
    must: "an address of this machine",
    read: address,
  },
  bridgePort: {
    name: "BRIDGE_PORT",
    what: "Port of the bridge for trackers, TCP and UDP",
    default: "5020",
    must: "a whole number from 0 (any free port) to 65535",
    read: wholeNumber(0, 65535),
  },
  bridgeHost: {
    name: "BRIDGE_HOST",
    what: "Address that the bridge listens on",
    default: "0.0.0.0",
    must: "an address of this machine",
    read: address,
  },
  dataDir: {
    name: "DATA_DIR",
    what: "Folder with the database, the spool, the secrets and the logs",
    default: ".data",
    must: "a folder that can be written",
    read: (text) => (isWritableFolder(resolve(text)) ? resolve(text) : undefined),
  },
  databaseUrl: {
    name: "DATABASE_URL",
    what: "A libSQL server or Turso database to use instead of the embedded one",
    default: null,
    must: "a libsql:, https: or http: URL",
    read: url("libsql:", "https:", "http:"),
  },
  databaseToken: {
    name: "DATABASE_TOKEN",
    what: "Its token",
    default: null,
    must: "a token without spaces",
    read: (text) => (/^\S+$/.test(text) ? text : undefined),
  },
  mainRegion: {
    name: "MAIN_REGION",
    what: "Where that database is, as customers read it",
    default: BINDINGS.MAIN_REGION.default,
    must: BINDINGS.MAIN_REGION.must,
    read: (text) => (BINDINGS.MAIN_REGION.pattern.test(text) ? text : undefined),
  },
  telemetryDatabases: {
    name: "TELEMETRY_DATABASES",
    what: "Databases elsewhere for the tracks of accounts that are placed there, as JSON: see [Regions](#regions)",
    default: null,
    must: BINDINGS.TELEMETRY_DATABASES.must,
    read: (text) => (isDatabases(text) ? text : undefined),
  },
  publicUrl: {
    name: "PUBLIC_URL",
    what: "Where customers reach the API, when that is not the request's own origin",
    default: null,
    must: "an https: or http: URL",
    read: (text) => url("https:", "http:")(text)?.replace(/\/+$/, ""),
  },
  retentionMonths: {
    name: "RETENTION_MONTHS",
    what: "Calendar months that a position is kept",
    default: "3",
    must: "a whole number from 1 to 120",
    read: wholeNumber(1, 120),
  },
  smtpUrl: {
    name: "SMTP_URL",
    what: "Mail server, with its login: `smtps://user:password@host`. Without it mails are kept in the local outbox",
    default: null,
    must: BINDINGS.SMTP_URL.must,
    read: (text) => (BINDINGS.SMTP_URL.pattern.test(text) ? text : undefined),
  },
  mailFrom: {
    name: "MAIL_FROM",
    what: "Sender of mails, such as `Ephemeris <noreply@track.example>`; needed with `SMTP_URL`",
    default: null,
    must: BINDINGS.MAIL_FROM.must,
    read: (text) => (BINDINGS.MAIL_FROM.pattern.test(text) ? text : undefined),
  },
} as const satisfies Record<keyof Settings, Setting>;

/** Settings that are never shown, not even when they are wrong. */
const SECRET: ReadonlySet<keyof Settings> = new Set(["databaseToken", "telemetryDatabases", "smtpUrl"]);

/** @throws {SettingError} naming the field at fault */
function isDatabases(text: string): boolean {
  try {
    readDatabases(text);
    return true;
  } catch (error) {
    throw new SettingError(`${(error as Error).message}.`);
  }
}

/** The folder itself, or the nearest one above it that exists, can be written. */
function isWritableFolder(path: string): boolean {
  if (!existsSync(path)) return dirname(path) !== path && isWritableFolder(dirname(path));
  try {
    accessSync(path, constants.W_OK | constants.X_OK);
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

/**
 * Reads the settings and creates nothing.
 * @throws {SettingError} with a sentence that names the setting
 */
export function readSettings(env: Readonly<Record<string, string | undefined>>): Settings {
  const values: Record<string, string | number> = {};
  for (const [key, setting] of Object.entries(SETTINGS) as [keyof Settings, Setting][]) {
    const text = env[setting.name]?.trim() || setting.default;
    if (text === null) continue;
    const value = setting.read(text);
    if (value === undefined) {
      const shown = SECRET.has(key) ? "what it is now" : JSON.stringify(text);
      throw new SettingError(`${setting.name} must be ${setting.must}, not ${shown}.`);
    }
    values[key] = value;
  }
  const settings = values as unknown as Settings;
  if (settings.port !== 0 && settings.port === settings.bridgePort) {
    throw new SettingError(`PORT and BRIDGE_PORT must be different, both are ${settings.port}.`);
  }
  if (settings.databaseToken !== undefined && settings.databaseUrl === undefined) {
    throw new SettingError("DATABASE_TOKEN is set but DATABASE_URL is not; set both or neither.");
  }
  if (settings.smtpUrl !== undefined && settings.mailFrom === undefined) {
    throw new SettingError("SMTP_URL is set but MAIL_FROM is not; set both or neither.");
  }
  return settings;
}
