import type { Base, Config } from "./context.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { open } from "./seal.ts";
import { emptyLog } from "./store/scrub.ts";
import * as store from "./store/seal-clear.ts";
import { SEALED, type SealedTable } from "./store/sealed.ts";

// Seals what an installation stored before its personal fields were sealed. First what is looked up: until all of it is
// sealed nobody is served, so that one address or IMEI is never there once clear and once sealed, and every look-up asks
// for the blind index alone. The rest is sealed while requests are served; readers understand both.

const TABLES = Object.keys(SEALED) as SealedTable[];
const LOOKED_UP = TABLES.filter((table) => Object.values(SEALED[table].columns).some((column) => "index" in column));

/** Rows that one call may still seal. */
interface Budget {
  left: number;
}

/** @returns rows sealed; the budget is used up when some are left */
async function sealTables(base: Base, tables: readonly SealedTable[], budget: Budget): Promise<number> {
  let changed = 0;
  for (const table of tables) {
    for (let after = 0; budget.left > 0; ) {
      const rows = await store.clearRows(base.db, table, after, LIMITS.sealRows);
      if (rows.length === 0) break;
      changed += await sealRows(base, table, rows);
      budget.left -= rows.length;
      after = rows.at(-1)!.rowid;
    }
  }
  return changed;
}

/** How values that open something themselves were sealed before: by the name of the table and the column. */
const BEFORE: Readonly<Record<string, (base: Base, id: number, value: string) => Promise<string>>> = {
  "users.totpSecret": (base, id, value) => open(base, "totp", id, value),
};

async function sealRow(base: Base, table: SealedTable, { account, rowid, values }: store.ClearRow) {
  const { $fields } = base.db;
  const sealed: Record<string, unknown> = await $fields.seal(table, account, values);
  for (const [name, value] of Object.entries(values)) {
    const opened = await BEFORE[`${table}.${name}`]?.(base, rowid, String(value));
    if (opened === undefined) continue;
    sealed[name] = await $fields.sealOwn(table, name as never, { account, id: rowid }, opened);
  }
  return sealed;
}

async function sealRows(base: Base, table: SealedTable, rows: readonly store.ClearRow[]): Promise<number> {
  // Secrets that an account does not have yet are made one after the other, not all at once.
  for (const account of new Set(rows.map((row) => row.account))) await base.db.$fields.seal(table, account, {});
  const sealed = await Promise.all(rows.map(async (row) => ({ row, sealed: await sealRow(base, table, row) })));
  const changed = await store.replaceClear(base.db, table, sealed);
  // Changed by somebody meanwhile, or made by a program of before while this one ran already, of an address that is taken.
  if (changed < rows.length) base.log.warn("field.left_clear", { table, rows: rows.length - changed });
  return changed;
}

/**
 * One step, and the next state when it came to the end.
 * @returns rows sealed
 */
async function step(base: Base, state: store.ClearState, budget: Budget): Promise<number> {
  if (typeof state === "number" && base.now() < state) return 0;
  const changed = await sealTables(base, state === "lookups" ? LOOKED_UP : TABLES, budget);
  if (changed > 0) await emptyLog(base.db);
  if (budget.left <= 0) return changed;
  if (state === "lookups") await store.goOn(base.db, state, "rest");
  // A program of before may still have written while this one began: one more look, a day later.
  else await store.goOn(base.db, state, state === "rest" ? base.now() + LIMITS.sealAgainMs : null);
  return changed;
}

/** Seals a share of what lies open. @returns rows sealed */
export async function sealClearFields(base: Base): Promise<number> {
  const state = await store.clearState(base.db);
  return state === null ? 0 : step(base, state, { left: LIMITS.sealRowsPerRun });
}

// What an isolate knows, by its configuration.
const SERVES = new WeakSet<Config>();
const BUSY = new WeakSet<Config>();

/**
 * Lets nobody in before everything that is looked up is sealed; each request that waits does a part of the work.
 * @throws {AppError} unavailable
 */
export async function requireLookups(base: Base): Promise<void> {
  const { config } = base;
  if (SERVES.has(config)) return;
  let state = await store.clearState(base.db);
  if (state === "lookups" && !BUSY.has(config)) {
    BUSY.add(config);
    try {
      await step(base, state, { left: LIMITS.sealRowsPerRequest });
    } finally {
      BUSY.delete(config);
    }
    state = await store.clearState(base.db);
  }
  if (state !== "lookups") {
    SERVES.add(config);
    return;
  }
  throw new AppError("unavailable", "What is stored is being sealed: try again in a moment", { retryAfterS: 1 });
}
