import { parseArgs } from "node:util";
import { MODEL_NAMES } from "../codec/models.ts";
import { FLEET_DEFAULTS, type FleetOptions } from "./fleet.ts";
import { checkDigit, FIRST_IMEI } from "./imei.ts";

/** Options that cannot be used; the message is the whole sentence that a person reads. */
export class OptionError extends Error {}

/** What the command line asks for. */
export interface SimulateOptions {
  readonly fleet: Partial<FleetOptions>;
  /** Of the platform's API, when it is to be asked. */
  readonly url: string | null;
  readonly key: string | null;
  readonly register: boolean;
  readonly verify: boolean;
  readonly json: boolean;
  readonly help: boolean;
}

/** One option: its value as a person writes it, and what the fleet makes of it; undefined when it is no such value. */
interface Row {
  readonly name: string;
  /** Placeholder of the value; null for a switch. */
  readonly value: string | null;
  readonly what: string;
  readonly must?: string;
  readonly fleet?: (text: string) => Partial<FleetOptions> | undefined;
}

const SECONDS = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400 } as const;

function seconds(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text);
  return match === null ? undefined : Number(match[1]) * SECONDS[match[2] as keyof typeof SECONDS];
}

/** `1/10s` is a report every ten seconds, `10/s` ten a second. */
function perSecond(text: string): number | undefined {
  if (text === "max") return Number.POSITIVE_INFINITY;
  const match = /^(\d+(?:\.\d+)?)\/(\d.*|[a-z]+)$/.exec(text);
  const period = match === null ? undefined : seconds(/^\d/.test(match[2]) ? match[2] : `1${match[2]}`);
  const rate = period === undefined ? Number.NaN : Number(match?.[1]) / period;
  return rate > 0 && Number.isFinite(rate) ? rate : undefined;
}

function gap(text: string): FleetOptions["gap"] | undefined {
  const [lasts, every, ...more] = text.split("/");
  const lastsS = seconds(lasts);
  const everyS = every === undefined ? 10 * (lastsS ?? 0) : seconds(every);
  return lastsS && everyS && more.length === 0 ? { lastsS, everyS } : undefined;
}

const whole = (min: number, max: number) => (text: string) =>
  /^\d{1,9}$/.test(text) && Number(text) >= min && Number(text) <= max ? Number(text) : undefined;
const share = (text: string) => (/^(0(\.\d+)?|1(\.0+)?)$/.test(text) ? Number(text) : undefined);

/** A row whose value becomes one option of the fleet. */
function into<K extends keyof FleetOptions>(
  key: K,
  read: (text: string) => FleetOptions[K] | undefined,
): NonNullable<Row["fleet"]> {
  return (text) => {
    const value = read(text);
    return value === undefined ? undefined : ({ [key]: value } as Partial<FleetOptions>);
  };
}

function positive(read: (text: string) => number | undefined): (text: string) => number | undefined {
  return (text) => read(text) || undefined;
}

const A_TIME = "a time like 90s, 5m or 2h";

/** Every option of the simulator, as --help lists them. */
export const OPTIONS: readonly Row[] = [
  {
    name: "devices",
    value: "N",
    what: `trackers (${FLEET_DEFAULTS.devices})`,
    must: "a whole number from 1 to 100000",
    fleet: into("devices", whole(1, 100_000)),
  },
  {
    name: "rate",
    value: "N/TIME",
    what: "reports of each tracker, 1/10s or 5/s; max: as fast as the platform takes them (1/10s)",
    must: "a rate like 1/10s or 5/s, or max",
    fleet: into("rate", perSecond),
  },
  {
    name: "model",
    value: "NAME",
    what: `tracker model, which decides how text reports count volts (${FLEET_DEFAULTS.model})`,
    must: `one of ${MODEL_NAMES.join(", ")}`,
    fleet: into("model", (text) => MODEL_NAMES.find((name) => name.toUpperCase() === text.toUpperCase())),
  },
  {
    name: "frames",
    value: "KIND",
    what: "aaa, ccc, cce or mixed: every third tracker another (mixed)",
    must: "aaa, ccc, cce or mixed",
    fleet: into("frames", (text) => (["aaa", "ccc", "cce", "mixed"] as const).find((kind) => kind === text)),
  },
  {
    name: "host",
    value: "HOST",
    what: `of the bridge (${FLEET_DEFAULTS.host})`,
    must: "a host name or an address",
    fleet: into("host", (text) => (/^[\w.:-]+$/.test(text) ? text : undefined)),
  },
  {
    name: "port",
    value: "N",
    what: `of the bridge (${FLEET_DEFAULTS.port})`,
    must: "a whole number from 1 to 65535",
    fleet: into("port", whole(1, 65_535)),
  },
  { name: "udp", value: null, what: "a datagram for each frame, instead of TCP", fleet: () => ({ transport: "udp" }) },
  {
    name: "duration",
    value: "TIME",
    what: "ends after this long (goes on until Ctrl-C)",
    must: A_TIME,
    fleet: into("durationS", positive(seconds)),
  },
  {
    name: "count",
    value: "N",
    what: "ends after this many reports of each tracker",
    must: "a whole number from 1 to 100000000",
    fleet: into("count", whole(1, 100_000_000)),
  },
  {
    name: "seed",
    value: "N",
    what: `the same seed drives the same routes (${FLEET_DEFAULTS.seed})`,
    must: "a whole number from 0 to 999999999",
    fleet: into("seed", whole(0, 999_999_999)),
  },
  {
    name: "first-imei",
    value: "IMEI",
    what: `the others are counted on from it (${FIRST_IMEI}, a range of no genuine model)`,
    must: "15 digits of which the last is the check digit",
    fleet: into("firstImei", (text) =>
      /^\d{15}$/.test(text) && checkDigit(text.slice(0, 14)) === text[14] ? text : undefined,
    ),
  },
  {
    name: "batch",
    value: "N",
    what: "reports that a CCC or CCE frame waits for (1)",
    must: "a whole number from 1 to 18",
    fleet: into("batch", whole(1, 18)),
  },
  {
    name: "backfill",
    value: "TIME",
    what: "begins with the reports of this long ago until now in the trackers' memories",
    must: A_TIME,
    fleet: into("backfillS", positive(seconds)),
  },
  {
    name: "gap",
    value: "TIME[/TIME]",
    what: "outages of about this long, as often as the second time says (ten times as long), then cached uploads",
    must: "a time like 30s, or two like 30s/10m",
    fleet: into("gap", gap),
  },
  { name: "split", value: null, what: "cuts and joins frames on their way into TCP", fleet: () => ({ split: true }) },
  {
    name: "bad-checksums",
    value: "SHARE",
    what: "share of frames with a wrong checksum, which the platform must refuse",
    must: "a share from 0 to 1",
    fleet: into("badChecksums", share),
  },
  {
    name: "resend",
    value: null,
    what: "trackers in confirmation mode: AFF and CCC are sent again until they are acknowledged",
    fleet: () => ({ resend: true }),
  },
  {
    name: "lose-acks",
    value: "SHARE",
    what: "share of acknowledgements that trackers do not hear, so that they send again",
    must: "a share from 0 to 1",
    fleet: into("loseAcks", share),
  },
  {
    name: "ack-timeout",
    value: "TIME",
    what: "how long a tracker waits for an acknowledgement (10s)",
    must: A_TIME,
    fleet: (text) => {
      const value = positive(seconds)(text);
      return value === undefined ? undefined : { ackTimeoutMs: value * 1000 };
    },
  },
  { name: "url", value: "URL", what: "the platform's API, for --register" },
  { name: "key", value: "KEY", what: "an API key; --register needs one with scope write (or set EPHEMERIS_KEY)" },
  { name: "register", value: null, what: "creates the devices that the account does not have yet" },
  {
    name: "verify",
    value: "URL",
    what: "reads everything back through the API there and compares; exit code 1 if not",
  },
  { name: "json", value: null, what: "prints the result as one JSON line, progress goes to stderr" },
  { name: "help", value: null, what: "prints this" },
];

/** The text of --help. */
export function usage(): string {
  const rows = OPTIONS.map(({ name, value, what }) => [`--${name}${value === null ? "" : ` ${value}`}`, what]);
  return ["npm run simulate -- [options]", "", ...rows.map(([option, what]) => `  ${option.padEnd(22)} ${what}`)].join(
    "\n",
  );
}

function isUrl(text: string): boolean {
  return URL.canParse(text) && ["http:", "https:"].includes(new URL(text).protocol);
}

/**
 * Reads the command line.
 * @param environment EPHEMERIS_KEY stands in for --key, which other users of the machine could read
 * @throws {OptionError} naming the option that cannot be used
 */
export function readOptions(args: readonly string[], environment: NodeJS.ProcessEnv = {}): SimulateOptions {
  const given = parse(args);
  const fleet: Partial<FleetOptions> = {};
  for (const { name, value, must, fleet: read } of OPTIONS) {
    const text = given[name];
    if (text === undefined || read === undefined) continue;
    const part = read(value === null ? "" : String(text));
    if (part === undefined) throw new OptionError(`--${name} must be ${must}`);
    Object.assign(fleet, part);
  }
  if (fleet.split && fleet.transport === "udp") throw new OptionError("--split goes with TCP: a datagram is one frame");
  const text = (name: string) => (given[name] === undefined ? null : String(given[name]));
  const url = text("verify") ?? text("url");
  const key = text("key") ?? (environment.EPHEMERIS_KEY || null);
  const register = given.register === true;
  for (const name of ["verify", "url"]) {
    const address = text(name);
    if (address !== null && !isUrl(address))
      throw new OptionError(`--${name} must be a URL like http://127.0.0.1:8787`);
  }
  if (register && url === null) throw new OptionError("--register needs --url or --verify with the platform's URL");
  if (url !== null && key === null) throw new OptionError("--verify and --register need --key with an API key");
  const flags = { register, verify: given.verify !== undefined, json: given.json === true, help: given.help === true };
  return { fleet, url, key, ...flags };
}

function parse(args: readonly string[]): Readonly<Record<string, string | boolean | undefined>> {
  try {
    const options = Object.fromEntries(
      OPTIONS.map(({ name, value }) => [name, { type: value === null ? ("boolean" as const) : ("string" as const) }]),
    );
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: false }).values;
  } catch (error) {
    throw new OptionError(`${(error as Error).message.split(". ")[0]}; --help lists the options`);
  }
}
