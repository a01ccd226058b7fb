import { mkdtempSync, rmSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { passed, type Report, tableOf } from "./faults/report.ts";
import { LONG, type Plan, SCENARIOS, SHORT, scenariosOf, sizeOf } from "./faults/rows.ts";
import { runScenario, type Scenario } from "./faults/trial.ts";
import { openWorld } from "./faults/world.ts";

const USAGE = `Usage: npm run faults -- [options]
Breaks the platform in every way of the fault matrix while trackers send, then proves that what was acknowledged is
stored once, unaltered and in order. Ends with 1 when it is not.
  --rows 1,6,9     only these rows (${SCENARIOS.map(({ row }) => row).join(" ")})
  --seed N         repeat the schedule and the data of an earlier run
  --positions N    positions in all (default ${LONG.positions})
  --kills N        ends of processes in all (default ${LONG.kills})
  --faults N       other faults, for the rows that have most of them (default ${LONG.faults})
  --short          the short run that belongs to npm test
  --json           the result as one JSON object
  --keep FOLDER    keep ledger, schedule, logs and database there`;

export interface FaultOptions {
  seed: number;
  scenarios: readonly Scenario[];
  plan: Plan;
  /** Where ledger, logs and data go. */
  folder: string;
  /** What happens, line by line. */
  tell: (line: string) => void;
}

/** Runs the rows one after the other on one platform and reads everything back. */
export async function runFaults(options: FaultOptions): Promise<Report> {
  const startedAt = performance.now();
  const chosen = options.scenarios;
  const world = await openWorld(options.seed, options.folder);
  const report: Report = { seed: options.seed, seconds: 0, rows: [], problems: [] };
  try {
    for (const scenario of chosen) {
      options.tell(`row ${scenario.row}, ${scenario.title}: ${scenario.injection}`);
      const result = await runScenario(world, scenario, sizeOf(scenario, chosen, options.plan));
      report.rows.push(result);
      const { sent, lost, duplicated, altered, order, seconds } = result;
      options.tell(
        `  ${sent} positions in ${seconds.toFixed(0)} s; lost ${lost}, duplicated ${duplicated}, altered ${altered}, order ${order}; ${result.injected}`,
      );
      for (const words of [...result.examples, ...result.problems]) options.tell(`  WRONG ${words}`);
    }
    report.problems.push(...(await world.checkDatabase(report.rows)));
  } finally {
    await world.close();
  }
  report.seconds = (performance.now() - startedAt) / 1000;
  return report;
}

function numberOf(text: string | undefined, name: string, otherwise: number): number {
  if (text === undefined) return otherwise;
  if (!/^\d{1,9}$/.test(text)) throw new RangeError(`--${name} must be a whole number, not ${JSON.stringify(text)}`);
  return Number(text);
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      rows: { type: "string" },
      seed: { type: "string" },
      positions: { type: "string" },
      kills: { type: "string" },
      faults: { type: "string" },
      short: { type: "boolean" },
      json: { type: "boolean" },
      keep: { type: "string" },
      help: { type: "boolean" },
    },
  });
  if (values.help === true) {
    console.log(USAGE);
    return 0;
  }
  const base = values.short === true ? SHORT : LONG;
  const plan: Plan = {
    positions: numberOf(values.positions, "positions", base.positions),
    kills: numberOf(values.kills, "kills", base.kills),
    faults: numberOf(values.faults, "faults", base.faults),
    short: base.short,
  };
  const rows = (values.rows ?? "")
    .split(",")
    .filter((text) => text !== "")
    .map((text) => numberOf(text, "rows", 0));
  for (const row of rows) {
    if (!SCENARIOS.some((scenario) => scenario.row === row)) throw new RangeError(`--rows: there is no row ${row}`);
  }
  const seed = numberOf(values.seed, "seed", Math.floor(Math.random() * 1e6));
  const folder = values.keep === undefined ? mkdtempSync(join(tmpdir(), "ephemeris-faults-")) : resolve(values.keep);
  await mkdir(folder, { recursive: true });
  const tell = values.json === true ? (text: string) => console.error(text) : (text: string) => console.log(text);
  tell(`seed ${seed}, ledger and logs in ${folder}`);
  const report = await runFaults({ seed, scenarios: scenariosOf(rows, plan), plan, folder, tell });
  console.log(values.json === true ? JSON.stringify({ ...report, passed: passed(report) }) : `\n${tableOf(report)}`);
  if (passed(report) && values.keep === undefined) rmSync(folder, { recursive: true });
  return passed(report) ? 0 : 1;
}

if (import.meta.main) {
  try {
    process.exitCode = await main();
  } catch (error) {
    console.error(error instanceof RangeError ? error.message : error);
    process.exitCode = 1;
  }
}
