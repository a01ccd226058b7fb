import { requireProof } from "./access.ts";
import { record } from "./audit.ts";
import type { Base, Ctx } from "./context.ts";
import { AppError } from "./errors.ts";
import { readSettings, writeSetting } from "./store/settings.ts";
import { isTimeZone } from "./time-zones.ts";

interface Setting {
  what: string;
  default: string;
  /** What a good value is, to complete "name must be ...". */
  must: string;
  pattern: RegExp;
  /** What a pattern cannot tell. */
  good?: (value: string) => boolean;
}

/** What the operator sets at run time, from the panel or the CLI; a row in the database overrides the default. */
export const SETTINGS = {
  activation: {
    what: "How customers add a tracker: with the code that came with it, or any IMEI that nobody has",
    default: "codes",
    must: "codes or open",
    pattern: /^(codes|open)$/,
  },
  operatorName: {
    what: "Who runs this installation, as the statement names them",
    default: "The operator of this installation",
    must: "1 to 100 characters",
    pattern: /^.{1,100}$/u,
  },
  contactEmail: {
    what: "Where people ask about their data",
    default: "",
    must: "an e-mail address, or nothing",
    pattern: /^([^\s@<>]+@[^\s@<>]+)?$/,
  },
  governingLaw: {
    what: "The law that governs the statement and the terms",
    default: "the People's Republic of China",
    must: "1 to 100 characters",
    pattern: /^.{1,100}$/u,
  },
  bridgeHost: {
    what: "Host name or address that trackers connect to, for their configuration",
    default: "",
    must: "a host name or an address, or nothing",
    pattern: /^[\w.:-]{0,253}$/,
  },
  bridgePort: {
    what: "Port that trackers connect to",
    default: "5020",
    must: "a whole number from 1 to 65535",
    pattern: /^([1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d\d|655[0-2]\d|6553[0-5])$/,
  },
  // The law that governs unless the operator says otherwise counts its days there.
  calendarZone: {
    what: "Time zone of the operator's working days",
    default: "Asia/Shanghai",
    must: "a time zone such as Asia/Shanghai",
    pattern: /^[A-Za-z][A-Za-z0-9_+/-]{0,63}$/,
    good: isTimeZone,
  },
  calendarCountry: {
    what: "Whose published holidays and make-up working days count: CN, or none but the days under Calendar",
    default: "CN",
    must: "CN or none",
    pattern: /^(CN|none)$/,
  },
  calendarWeekend: {
    what: "Days of the week that are off, from 1 for Monday to 7 for Sunday",
    default: "6,7",
    must: "days of the week such as 6,7 or 5,6, not all of them, or nothing",
    pattern: /^(?!.*([1-7]).*\1)([1-7](,[1-7]){0,5})?$/,
  },
  calendarYears: {
    what: "Years of which every day off is under Calendar, beside those that are published with the product",
    default: "",
    must: "a year or the first and the last of at most ten, such as 2027-2028, or nothing",
    pattern: /^(20\d\d(-20\d\d)?)?$/,
    good: (value) => value === "" || yearsOf(value).length > 0,
  },
} as const satisfies Record<string, Setting>;

/** The years of "2027" or "2027-2028"; none when it makes no sense. */
export function yearsOf(text: string): number[] {
  const [from = 0, to = from] = text.split("-").map(Number);
  const count = from === 0 ? 0 : to - from + 1;
  return count > 10 ? [] : Array.from({ length: Math.max(0, count) }, (_, i) => from + i);
}

export type SettingName = keyof typeof SETTINGS;
export type Settings = Record<SettingName, string>;

/** Every setting as it is now. */
export async function settingsOf(base: Base): Promise<Settings> {
  const defaults: Record<string, string> = { bridgePort: String(base.config.trackerPort) };
  for (const [name, row] of Object.entries(SETTINGS)) defaults[name] ??= row.default;
  const stored = (await readSettings(base.db)).filter(({ name }) => Object.hasOwn(SETTINGS, name));
  return { ...defaults, ...Object.fromEntries(stored.map(({ name, value }) => [name, value])) } as Settings;
}

/** Changes some settings, all or none. @throws {AppError} invalid, naming the setting; step_up_required */
export async function changeSettings(ctx: Ctx, changes: Partial<Record<SettingName, string>>): Promise<void> {
  requireProof(ctx);
  const entries = Object.entries(changes) as [SettingName, string][];
  for (const [name, value] of entries) {
    const { pattern, must, good = () => true }: Setting = SETTINGS[name];
    if (!pattern.test(value) || !good(value)) throw new AppError("invalid", `${name} must be ${must}`, { field: name });
  }
  const before = await settingsOf(ctx);
  for (const [name, value] of entries) {
    if (before[name] === value) continue;
    await writeSetting(ctx.db, name, value, ctx.now());
    await record(ctx, "setting.changed", { subject: `setting ${name}` });
  }
}
