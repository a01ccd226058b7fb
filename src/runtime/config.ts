import type { Config } from "../context.ts";
import { ConfigError } from "./config-error.ts";
import { readDatabases, type TelemetryDatabase } from "./databases.ts";

export { ConfigError } from "./config-error.ts";

export interface RuntimeConfig {
  config: Config;
  databaseUrl: string;
  databaseToken?: string;
  /** Where the database of DATABASE_URL is. */
  mainRegion: string;
  /** Others with tracks, by name. */
  databases: Record<string, TelemetryDatabase>;
  /** Ways to send mails; src/runtime/mail.ts takes one. */
  smtpUrl?: string;
  outboxUrl?: string;
  outboxToken?: string;
}

interface Binding {
  /** What a good value is, to complete "NAME must be ...". */
  must: string;
  pattern: RegExp;
  /** Used when the binding is absent; null: it may be absent; missing: it must be there. */
  default?: string | null;
}

const TOKEN = { must: "at least 32 printable characters without spaces", pattern: /^[\x21-\x7e]{32,512}$/ };

const PORT = /^([1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d\d|655[0-2]\d|6553[0-5])$/;

/** Every text binding of the Worker, and every variable of the Deno process besides its address. */
export const BINDINGS = {
  DATABASE_URL: { must: "a libsql:, https:, http: or file: URL", pattern: /^(libsql:|https?:|file:)\S+$/ },
  DATABASE_TOKEN: { must: "a token without spaces", pattern: /^\S+$/, default: null },
  MAIN_REGION: {
    must: "1 to 64 letters, digits, spaces and . _ -",
    pattern: /^[\p{L}\p{N}][\p{L}\p{N} ._-]{0,63}$/u,
    default: "default",
  },
  TELEMETRY_DATABASES: {
    must: 'a JSON object such as {"eu": {"url": "libsql://...", "region": "EU"}}',
    pattern: /^\s*\{.*\}\s*$/s,
    default: null,
  },
  ADMIN_TOKEN: TOKEN,
  BRIDGE_TOKEN: TOKEN,
  ROOT_KEY: { must: "32 bytes in hex", pattern: /^[0-9a-f]{64}$/i },
  ROOT_KEY_OLD: {
    must: "earlier root keys, each 32 bytes in hex, with commas between",
    pattern: /^[0-9a-f]{64}(,[0-9a-f]{64}){0,7}$/i,
    default: null,
  },
  PUBLIC_URL: { must: "an https: or http: URL", pattern: /^https?:\/\/[^\s/]\S*$/, default: null },
  TRACKER_PORT: { must: "a whole number from 1 to 65535", pattern: PORT, default: "5020" },
  MAIL_FROM: {
    must: "an address, or a name and an address in angle brackets",
    pattern: /^([^\s<>@,;]+@[^\s<>@,;]+|[^<>\r\n"]{1,80} <[^\s<>@,;]+@[^\s<>@,;]+>)$/,
    default: "Ephemeris <noreply@localhost>",
  },
  SMTP_URL: {
    must: "an smtps: or smtp: URL",
    pattern: /^smtps?:\/\/([^\s/@:]+(:[^\s/@]*)?@)?([\w.-]+|\[[\da-f:.]+\])(:\d{1,5})?\/?$/i,
    default: null,
  },
  MAIL_OUTBOX_URL: { must: "an http: URL", pattern: /^http:\/\/[^\s/]\S*$/, default: null },
  MAIL_OUTBOX_TOKEN: { ...TOKEN, default: null },
  RETENTION_MONTHS: { must: "a whole number from 1 to 120", pattern: /^([1-9]|[1-9]\d|1[01]\d|120)$/, default: "3" },
} as const satisfies Record<string, Binding>;

/** The URL of a database file. A path may hold what ends or changes one: spaces, `%`, `#`, `?`. */
export function fileUrl(path: string): string {
  return `file:${path.split("/").map(encodeURIComponent).join("/")}`;
}

/**
 * Checks what the platform gives before anything is served.
 * @throws {ConfigError} naming the binding
 */
export function readConfig(env: Readonly<Record<string, unknown>>): RuntimeConfig {
  const text = (name: keyof typeof BINDINGS): string | undefined => {
    const binding: Binding = BINDINGS[name];
    const given = env[name];
    const value = given === undefined || given === "" ? binding.default : given;
    if (value === null) return undefined;
    if (typeof value !== "string" || !binding.pattern.test(value)) {
      throw new ConfigError(`${name} must be ${binding.must}${value === undefined ? ", and is missing" : ""}`);
    }
    return value;
  };
  const required = (name: keyof typeof BINDINGS) => text(name) ?? "";
  const given = (values: Record<string, string | undefined>): Record<string, string> =>
    Object.fromEntries(Object.entries(values).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])));
  const publicUrl = text("PUBLIC_URL")?.replace(/\/+$/, "");
  return {
    config: {
      adminToken: required("ADMIN_TOKEN"),
      bridgeToken: required("BRIDGE_TOKEN"),
      rootKey: required("ROOT_KEY"),
      oldRootKeys: text("ROOT_KEY_OLD")?.split(",") ?? [],
      retentionMonths: Number(text("RETENTION_MONTHS")),
      mailFrom: required("MAIL_FROM"),
      trackerPort: Number(text("TRACKER_PORT")),
      ...(publicUrl !== undefined && { publicUrl }),
    },
    databaseUrl: required("DATABASE_URL"),
    mainRegion: required("MAIN_REGION"),
    databases: readDatabases(text("TELEMETRY_DATABASES")),
    ...given({
      databaseToken: text("DATABASE_TOKEN"),
      smtpUrl: text("SMTP_URL"),
      outboxUrl: text("MAIL_OUTBOX_URL"),
      outboxToken: text("MAIL_OUTBOX_TOKEN"),
    }),
  };
}
