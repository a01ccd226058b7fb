import { requireProof } from "./access.ts";
import { record } from "./audit.ts";
import type { Base, Ctx } from "./context.ts";
import { AppError } from "./errors.ts";
import { readSettings, writeSetting } from "./store/settings.ts";

interface Setting {
  what: string;
  default: string;
  /** What a good value is, to complete "name must be ...". */
  must: string;
  pattern: RegExp;
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
} as const satisfies Record<string, Setting>;

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
    const { pattern, must }: Setting = SETTINGS[name];
    if (!pattern.test(value)) throw new AppError("invalid", `${name} must be ${must}`, { field: name });
  }
  const before = await settingsOf(ctx);
  for (const [name, value] of entries) {
    if (before[name] === value) continue;
    await writeSetting(ctx.db, name, value, ctx.now());
    await record(ctx, "setting.changed", { subject: `setting ${name}` });
  }
}
