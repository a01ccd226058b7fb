import { ConfigError } from "./config-error.ts";

/** A database with tracks beside the one of DATABASE_URL. */
export interface TelemetryDatabase {
  url: string;
  token?: string;
  /** Where it is, as customers read it. */
  region: string;
}

const NAME = /^(?!main$)[a-z0-9][a-z0-9-]{0,31}$/;
const FIELDS: Readonly<Record<string, { must: string; pattern: RegExp; optional?: true }>> = {
  url: { must: "a libsql:, https:, http: or file: URL", pattern: /^(libsql:|https?:|file:)\S+$/ },
  token: { must: "a token without spaces", pattern: /^\S+$/, optional: true },
  region: { must: "1 to 64 letters, digits, spaces and . _ -", pattern: /^[\p{L}\p{N}][\p{L}\p{N} ._-]{0,63}$/u },
};

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * Reads the value of TELEMETRY_DATABASES, {name: {url, token?, region}}.
 * @throws {ConfigError} naming the field at fault; no value is shown
 */
export function readDatabases(text: string | undefined): Record<string, TelemetryDatabase> {
  if (text === undefined || text === "") return {};
  const wrong = (what: string) => new ConfigError(`TELEMETRY_DATABASES ${what}`);
  let given: unknown;
  try {
    given = JSON.parse(text);
  } catch {
    given = undefined;
  }
  if (!isObject(given)) throw wrong('must be a JSON object such as {"eu": {"url": "libsql://...", "region": "EU"}}');
  const urls = new Set<unknown>();
  for (const [name, database] of Object.entries(given)) {
    // What is no name may be a token that went astray.
    if (!NAME.test(name)) throw wrong('must have names of 1 to 32 small letters, digits and "-", and none "main"');
    if (!isObject(database)) throw wrong(`must have an object as ${name}`);
    for (const [field, { must, pattern, optional }] of Object.entries(FIELDS)) {
      const value = database[field];
      if (value === undefined && optional) continue;
      if (typeof value !== "string" || !pattern.test(value)) {
        throw wrong(`must have ${must} as ${name}.${field}${value === undefined ? ", which is missing" : ""}`);
      }
    }
    if (Object.keys(database).some((field) => !(field in FIELDS))) {
      throw wrong(`must have no field in ${name} but ${Object.keys(FIELDS).join(", ")}`);
    }
    if (urls.has(database.url)) throw wrong(`must have another url as ${name}.url than that of a database before it`);
    urls.add(database.url);
  }
  return given as unknown as Record<string, TelemetryDatabase>;
}
