import { DAMAGE } from "./rows/damage.ts";
import { BUSY } from "./rows/database.ts";
import { BURSTS, CONCURRENT, EDGE_KILLS, LOST_REPLIES, POISON, QUOTA, SLOW } from "./rows/edge.ts";
import { KILLS } from "./rows/kills.ts";
import { IDENTITIES, REPLAYS } from "./rows/links.ts";
import { GREED, NOISE, VANISH } from "./rows/peers.ts";
import { SETTLING } from "./rows/settling.ts";
import type { Scenario, Size } from "./trial.ts";

/** The rows of the fault matrix that this harness runs, in the matrix' order. One more fault is one more row here. */
export const SCENARIOS: readonly Scenario[] = [
  KILLS,
  DAMAGE,
  BURSTS,
  QUOTA,
  POISON,
  LOST_REPLIES,
  SLOW,
  CONCURRENT,
  REPLAYS,
  VANISH,
  NOISE,
  GREED,
  IDENTITIES,
  BUSY,
  EDGE_KILLS,
  SETTLING,
];

/** The size of a whole run. */
export interface Plan {
  positions: number;
  kills: number;
  /** Faults that are not kills, for a row with share 1. */
  faults: number;
  /** A short run takes each row's own small number of faults and few trackers. */
  short: boolean;
}

export const LONG: Plan = { positions: 1_000_000, kills: 160, faults: 100, short: false };
export const SHORT: Plan = { positions: 12_000, kills: 5, faults: 0, short: true };

/** The rows of a run: those asked for, or all that belong to it. */
export function scenariosOf(rows: readonly number[], plan: Plan): Scenario[] {
  if (rows.length > 0) return SCENARIOS.filter(({ row }) => rows.includes(row));
  return SCENARIOS.filter(({ longOnly }) => !(plan.short && longOnly === true));
}

/** What a row gets of a plan. The shares of the rows that run are scaled to one. */
export function sizeOf(scenario: Scenario, chosen: readonly Scenario[], plan: Plan): Size {
  const total = (of: (share: Scenario["share"]) => number): number =>
    chosen.reduce((sum, { share }) => sum + of(share), 0) || 1;
  const { share } = scenario;
  return {
    positions: Math.ceil((plan.positions * share.positions) / total((each) => each.positions)),
    kills:
      share.kills === undefined
        ? 0
        : Math.max(1, Math.round((plan.kills * share.kills) / total((each) => each.kills ?? 0))),
    faults: plan.short ? share.shortFaults : Math.max(share.shortFaults, Math.round(plan.faults * share.faults)),
    longestMs: plan.short ? 1_000 : 12_000,
    trackers: plan.short ? { CCC: 8, AFF: 3, CCE: 2, AAA: 2 } : { CCC: 60, AFF: 12, CCE: 10, AAA: 10 },
  };
}
