import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { passed, tableOf } from "../../tools/faults/report.ts";
import { SHORT, scenariosOf } from "../../tools/faults/rows.ts";
import { runFaults } from "../../tools/faults.ts";

/** Another seed each day: the short run looks at more over time and can still be repeated. */
const SEED = Math.floor(Date.now() / 86_400_000);

test(`every row of the fault matrix keeps what was acknowledged (short run, seed ${SEED})`, {
  timeout: 180_000,
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), "ephemeris-faults-"));
  const told: string[] = [];
  const report = await runFaults({ seed: SEED, rows: [], plan: SHORT, folder, tell: (line) => told.push(line) });
  expect(report.rows.map(({ row }) => row)).toEqual(scenariosOf([], SHORT).map(({ row }) => row));
  if (!passed(report)) expect.fail(`${tableOf(report)}\nledger and logs are in ${folder}`);
  expect(report.rows.reduce((sum, { kills }) => sum + kills, 0)).toBeGreaterThanOrEqual(SHORT.kills);
  rmSync(folder, { recursive: true });
});
