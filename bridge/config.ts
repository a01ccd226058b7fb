import { readFileSync } from "node:fs";
import { killAt, type ReachPoint } from "./failpoint.ts";
import { LIMITS, type Limits } from "./limits.ts";

export interface TlsConfig {
  port: number;
  /** PEM */
  cert: Buffer;
  key: Buffer;
}

export interface Config {
  edgeUrl: URL;
  token: string;
  host: string;
  /** TCP and UDP. 0: any free one. */
  port: number;
  /** Loopback only. 0: any free one. */
  metricsPort: number;
  spoolFolder: string;
  tls: TlsConfig | null;
  /** As set, with `connections` lowered to what the system's limit on open files allows. */
  limits: Limits;
  connectionsWanted: number;
  reach: ReachPoint | null;
}

/** A setting that cannot be used. The message names it and says what is expected. */
export class ConfigError extends Error {}

export const DEFAULTS = { BRIDGE_HOST: "0.0.0.0", BRIDGE_PORT: 5020, METRICS_PORT: 9520, SPOOL_DIR: ".data/spool" };

/** Files that are not connections: segments of a spool at its limit, listeners, the edge, standard streams. */
const OTHER_FILES = 200;

const MIB = 1024 * 1024;

type Env = Readonly<Record<string, string | undefined>>;

function text(env: Env, name: string, fallback?: string): string {
  const value = env[name]?.trim() || fallback;
  if (value === undefined) throw new ConfigError(`${name} is not set`);
  return value;
}

function integer(env: Env, name: string, least: number, most: number, fallback?: number): number {
  const value = text(env, name, fallback?.toString());
  const number = Number(value);
  if (!/^\d+$/.test(value) || number < least || number > most) {
    throw new ConfigError(`${name} must be a whole number from ${least} to ${most}, not "${value}"`);
  }
  return number;
}

function edgeUrl(env: Env): URL {
  const value = text(env, "EDGE_URL");
  const url = URL.canParse(value) ? new URL(value) : null;
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== "" || url.search !== "") {
    throw new ConfigError(`EDGE_URL must be an http or https address such as https://edge.example, not "${value}"`);
  }
  return url;
}

function token(env: Env): string {
  const value = text(env, "BRIDGE_TOKEN");
  // Not echoed: it is a secret.
  if (!/^[\x21-\x7e]+$/.test(value)) throw new ConfigError("BRIDGE_TOKEN must be printable ASCII without spaces");
  return value;
}

function pemFile(env: Env, name: string): Buffer {
  const path = text(env, name);
  try {
    return readFileSync(path);
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code;
    throw new ConfigError(`${name} must be a PEM file that can be read: "${path}" gives ${why}`);
  }
}

function tls(env: Env): TlsConfig | null {
  const set = ["TLS_PORT", "TLS_CERT", "TLS_KEY"].filter((name) => env[name]?.trim());
  if (set.length === 0) return null;
  if (set.length < 3)
    throw new ConfigError(`TLS_PORT, TLS_CERT and TLS_KEY go together, but only ${set.join(" and ")} is set`);
  return { port: integer(env, "TLS_PORT", 0, 65_535), cert: pemFile(env, "TLS_CERT"), key: pemFile(env, "TLS_KEY") };
}

function failPoint(env: Env): ReachPoint | null {
  const spec = env.BRIDGE_FAILPOINT?.trim();
  if (!spec) return null;
  const reach = killAt(spec);
  if (reach === null)
    throw new ConfigError(`BRIDGE_FAILPOINT must be a station A to J and a count such as "D:100", not "${spec}"`);
  return reach;
}

/** @returns how many files and sockets the system lets this process open; Infinity where it does not say */
function openFiles(): number {
  try {
    const line = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"));
    return line === null ? Number.POSITIVE_INFINITY : Number(line[1]);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/**
 * Reads the settings from the environment.
 * @throws {ConfigError} naming the first setting that cannot be used
 */
export function readConfig(env: Env): Config {
  const segmentBytes = integer(env, "SPOOL_SEGMENT_BYTES", MIB, 1024 * MIB, LIMITS.segmentBytes);
  const spoolBytes = integer(env, "SPOOL_BYTES", 2 * segmentBytes, 2 ** 43, LIMITS.spoolBytes);
  const segmentAgeMs = 1000 * integer(env, "SPOOL_AGE_S", 1, 86_400, LIMITS.segmentAgeMs / 1000);
  const wanted = integer(env, "MAX_CONNECTIONS", 1, 1_000_000, LIMITS.connections);
  const connections = Math.max(1, Math.min(wanted, openFiles() - OTHER_FILES));
  return {
    edgeUrl: edgeUrl(env),
    token: token(env),
    host: text(env, "BRIDGE_HOST", DEFAULTS.BRIDGE_HOST),
    port: integer(env, "BRIDGE_PORT", 0, 65_535, DEFAULTS.BRIDGE_PORT),
    metricsPort: integer(env, "METRICS_PORT", 0, 65_535, DEFAULTS.METRICS_PORT),
    spoolFolder: text(env, "SPOOL_DIR", DEFAULTS.SPOOL_DIR),
    tls: tls(env),
    limits: { ...LIMITS, connections, segmentBytes, segmentAgeMs, spoolBytes },
    connectionsWanted: wanted,
    reach: failPoint(env),
  };
}
