import { accountOf } from "./access.ts";
import { record } from "./audit.ts";
import { requireNoCardNumbers } from "./card-numbers.ts";
import type { Ctx } from "./context.ts";
import { modelNamed, requireImei } from "./devices.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { linkTo, queueMail } from "./mail.ts";
import { keyedHash } from "./seal.ts";
import { settingsOf } from "./settings.ts";
import { unsilence } from "./silenced.ts";
import type { ActivationRow } from "./store/activations.ts";
import * as store from "./store/activations.ts";
import { type DeviceRow, type DeviceSettings, insertDevice } from "./store/devices.ts";
import { emptyLog } from "./store/scrub.ts";
import { forgetFailures, requireUnblocked, takeTry } from "./throttle.ts";

export type { ActivationRow as Activation } from "./store/activations.ts";

export interface NewDevice extends DeviceSettings {
  imei: string;
  /** The activation code that came with the tracker, as it was typed. */
  code?: string | undefined;
}

/** A tracker that the operator has sold. */
export interface SoldTracker {
  imei: string;
  model?: string | null | undefined;
  firmware?: string | null | undefined;
  orderReference?: string | null | undefined;
  /** Absent: one is made. */
  code?: string | null | undefined;
}

// Crockford's alphabet: no I, L, O, U. Ten characters are 50 bits.
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const CODE_CHARACTERS = 10;

function newCode(ctx: Ctx): string {
  const code = [...ctx.random(CODE_CHARACTERS)].map((byte) => ALPHABET[byte % ALPHABET.length]).join("");
  return `${code.slice(0, 5)}-${code.slice(5)}`;
}

/** A code as it is compared: however it was grouped, and whichever of the characters that look alike was read. */
const normalCode = (code: string) =>
  code.toUpperCase().replaceAll(/[\s-]/g, "").replaceAll("O", "0").replaceAll(/[IL]/g, "1");

// A code is bound to its tracker: the same one on two boxes is stored as two hashes.
const codeHash = (ctx: Ctx, imei: string, code: string) => keyedHash(ctx, "activation", `${imei} ${normalCode(code)}`);

/**
 * Whether the caller adds a tracker with the code that came with it. Accounts that signed up themselves do, unless the
 * platform is run open; those that the operator opened may register any IMEI that is free.
 */
export async function needsCode(ctx: Ctx): Promise<boolean> {
  return (await store.signedUp(ctx.db, accountOf(ctx))) && (await settingsOf(ctx)).activation === "codes";
}

/**
 * Adds a tracker to the caller's account.
 * @throws {AppError} invalid; forbidden for who is limited to some devices; conflict when the account has it already,
 *   or without a code, when any account has; not_found, in the same words, when the code is wrong, the tracker is
 *   another account's, or there is none; rate_limited after too many wrong codes
 */
export async function createDevice(ctx: Ctx, device: NewDevice): Promise<DeviceRow> {
  const { principal } = ctx;
  // What is suspended of the account takes nothing from what a key may do beside it.
  if ("devices" in principal && principal.devices !== null) {
    throw new AppError("forbidden", "Who is limited to some devices cannot add one; ask the account's owner");
  }
  const { code, ...given } = device;
  requireImei(given.imei);
  const settings = { ...given, model: modelNamed(given.model), createdAt: ctx.now() };
  const accountId = accountOf(ctx);
  let made: DeviceRow | null;
  if (code !== undefined) made = await activated(ctx, code, settings);
  else {
    if (await needsCode(ctx)) {
      throw new AppError("invalid", "code is required: it is on the tracker's box", { field: "code" });
    }
    made = await insertDevice(ctx.db, accountId, settings);
    if (made === null) {
      throw new AppError("conflict", "A device with this IMEI is registered already", { field: "imei" });
    }
  }
  await unsilence(ctx, made.imei);
  await record(ctx, "device.created", { accountId, subject: `device ${made.id}` });
  return made;
}

async function activated(
  ctx: Ctx,
  code: string,
  device: DeviceSettings & Pick<DeviceRow, "imei" | "createdAt">,
): Promise<DeviceRow> {
  const { imei } = device;
  const accountId = accountOf(ctx);
  await requireUnblocked(ctx, "activationAccount", String(accountId));
  const { first } = await takeTry(ctx, "activation", imei);
  const hash = await codeHash(ctx, imei, code);
  const made = await store.activate(ctx.db, accountId, hash, device);
  if (made !== null) {
    await forgetFailures(ctx, "activation", imei);
    await record(ctx, "activation.used", { accountId, subject: `device ${made.id}` });
    return made;
  }
  if (await store.isOwn(ctx.db, accountId, imei, hash)) {
    await forgetFailures(ctx, "activation", imei);
    throw new AppError("conflict", "You have activated this tracker already", { field: "imei" });
  }
  // Also by account: one that goes through many trackers would find some code, and close them to whoever bought them.
  // After the look, as many right ones may come at once.
  await takeTry(ctx, "activationAccount", String(accountId));
  // Behind the answer, which must not take longer for a tracker that somebody has.
  if (first) ctx.defer(tellOwners(ctx, imei));
  throw new AppError("not_found", "No such tracker, or the code is wrong", { field: "code" });
}

async function tellOwners(ctx: Ctx, imei: string): Promise<void> {
  for (const { deviceId, ...owner } of await store.ownersOf(ctx.db, imei)) {
    const data = { device: imei.slice(-4), link: await linkTo(ctx, `/devices/${deviceId}`) };
    await queueMail(ctx, "activationTries", { ...owner, data });
  }
}

/**
 * Loads trackers that were sold. One that is loaded already gets a new code and can be activated once more, by whoever
 * has it now; until the account that has it removes it, nobody can.
 * @returns the codes that were made, which nobody can be shown again; null where the code was given
 * @throws {AppError} invalid, naming the row's field as `devices.3.imei`
 */
export async function loadActivations(
  ctx: Ctx,
  trackers: readonly SoldTracker[],
): Promise<{ imei: string; code: string | null }[]> {
  const seen = new Set<string>();
  const made: { imei: string; code: string | null }[] = [];
  const rows: store.NewActivation[] = [];
  for (const [i, tracker] of trackers.entries()) {
    const { imei, firmware = null, orderReference = null } = tracker;
    const given = tracker.code ?? null;
    const model = at(i, () => checked(tracker));
    if (seen.has(imei)) throw refused(i, "imei", "is in this list twice");
    seen.add(imei);
    const code = given ?? newCode(ctx);
    rows.push({ imei, model, firmware, orderReference, codeHash: await codeHash(ctx, imei, code) });
    made.push({ imei, code: given === null ? code : null });
  }
  if (rows.length > 0) {
    await store.loadActivations(ctx.db, rows, ctx.now());
    await record(ctx, "activation.loaded", { subject: rows.length === 1 ? "1 tracker" : `${rows.length} trackers` });
  }
  return made;
}

/** @returns the model as its table writes it */
function checked({ imei, model = null, firmware, orderReference, code }: SoldTracker): string | null {
  requireImei(imei);
  // The list as a whole is exempt from this check, for its IMEIs.
  requireNoCardNumbers({ firmware, orderReference });
  for (const [field, text] of Object.entries({ firmware, orderReference })) {
    if (text == null || (text.length <= LIMITS.nameCharacters && !/\p{Cc}/u.test(text))) continue;
    throw new AppError("invalid", `${field} must be at most ${LIMITS.nameCharacters} characters of plain text`, {
      field,
    });
  }
  if (code != null && !/^[0-9A-Z]{6,32}$/.test(normalCode(code))) {
    throw new AppError("invalid", "code must be 6 to 32 letters and digits", { field: "code" });
  }
  return modelNamed(model);
}

const refused = (row: number, column: string, why: string, code: AppError["code"] = "invalid") =>
  new AppError(code, `devices.${row}.${column} ${why}`, { field: `devices.${row}.${column}` });

/** Says of what is wrong with one tracker which one it is. */
function at<T>(row: number, check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof AppError) || error.field === undefined) throw error;
    throw refused(row, error.field, error.message.replace(/^\w+ /, ""), error.code);
  }
}

/** Columns of a list in CSV, and what each is called in a tracker. */
const CSV_COLUMNS = {
  imei: "imei",
  model: "model",
  firmware: "firmware",
  order: "orderReference",
  code: "code",
} as const;

/**
 * Loads trackers from CSV (RFC 4180) with a header row; only the column imei must be there.
 * @returns as loadActivations()
 * @throws {AppError} invalid, with line and column
 */
export async function loadActivationsCsv(ctx: Ctx, text: string): Promise<{ imei: string; code: string | null }[]> {
  const [head, ...rows] = csvRows(text.replace(/^\ufeff/, ""));
  const columns = (head?.cells ?? []).map((cell) => cell.trim().toLowerCase());
  const known = Object.keys(CSV_COLUMNS);
  const unknown = columns.findIndex((name, i) => !known.includes(name) || columns.indexOf(name) !== i);
  if (unknown >= 0 || !columns.includes("imei")) {
    const where = unknown >= 0 ? `column ${unknown + 1}` : "the column imei is missing";
    throw new AppError(
      "invalid",
      `Line 1, ${where}: the first line names the columns imei, model, firmware, order, code`,
    );
  }
  if (rows.length > LIMITS.activationsPerRequest) {
    throw new AppError("invalid", `The list has more than ${LIMITS.activationsPerRequest} trackers`);
  }
  const trackers = rows.map(({ line, cells }) => {
    if (cells.length !== columns.length) {
      throw new AppError("invalid", `Line ${line} has ${cells.length} columns, the first line has ${columns.length}`);
    }
    const named = columns.map((name, i) => [CSV_COLUMNS[name as keyof typeof CSV_COLUMNS], cells[i]?.trim() || null]);
    const tracker = Object.fromEntries(named) as SoldTracker;
    return { ...tracker, imei: tracker.imei ?? "" };
  });
  try {
    return await loadActivations(ctx, trackers);
  } catch (error) {
    const [, row, field] = /^devices\.(\d+)\.(\w+)$/.exec((error as AppError).field ?? "") ?? [];
    if (row === undefined) throw error;
    const column = Object.entries(CSV_COLUMNS).find(([, name]) => name === field)?.[0];
    const why = (error as AppError).message.replace(/^\S+ /, "");
    throw new AppError((error as AppError).code, `Line ${rows[Number(row)]?.line}, column ${column}: ${why}`);
  }
}

/** Rows of CSV with the line that each begins in; blank lines are none. */
function csvRows(text: string): { line: number; cells: string[] }[] {
  const rows: { line: number; cells: string[] }[] = [];
  let cells = [""];
  let quoted = false;
  let line = 1;
  let start = 1;
  const end = () => {
    if (cells.some((cell) => cell.trim() !== "")) rows.push({ line: start, cells });
    cells = [""];
    start = line;
  };
  for (let i = 0; i < text.length; i++) {
    const character = text[i]!;
    if (character === "\n") line++;
    if (quoted) {
      if (character !== '"') cells[cells.length - 1] += character;
      else if (text[i + 1] === '"') cells[cells.length - 1] += text[i++];
      else quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === ",") cells.push("");
    else if (character === "\n") end();
    else if (character !== "\r") cells[cells.length - 1] += character;
  }
  end();
  return rows;
}

/** One page of the trackers that were sold. @param after the last id of the page before, 0 for the first page */
export function listActivations(ctx: Ctx, after: number, limit: number): Promise<ActivationRow[]> {
  return store.listActivations(ctx.db, after, limit);
}

/** Takes a tracker from the list: its code no longer works. A device that was made with it stays. @throws {AppError} not_found */
export async function removeActivation(ctx: Ctx, imei: string): Promise<void> {
  if (!(await store.removeActivation(ctx.db, imei))) throw new AppError("not_found", "No such tracker in the list");
  await record(ctx, "activation.removed");
  ctx.defer(emptyLog(ctx.db));
}

/** What the code on a tracker's box says when it is read: plain text, so that no server ever hears of it. */
export function labelText(imei: string, code: string): string {
  requireImei(imei);
  return `IMEI:${imei}\nCODE:${code}`;
}
