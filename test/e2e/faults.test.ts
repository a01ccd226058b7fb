import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { encodeResponse, OUTCOMES, readRequest } from "../../codec/envelope.ts";
import { encodeFrame, parseFrame } from "../../codec/frame.ts";
import { holds, tableOf } from "../../tools/faults/report.ts";
import { SHORT, scenariosOf } from "../../tools/faults/rows.ts";
import type { Scenario } from "../../tools/faults/trial.ts";
import { runFaults } from "../../tools/faults.ts";

/** Another seed each day: the short run looks at more over time and can still be repeated. */
const SEED = Math.floor(Date.now() / 86_400_000);

/** The answer of an edge that claims to have stored a batch. */
function lie(body: Uint8Array): Uint8Array {
  const frames = readRequest(body).flatMap((entry) => {
    if (entry.kind !== "frame") return [];
    const { identifier, imei, type, content } = parseFrame(entry.bytes);
    const count = { CCC: (content.length - 8) / 52, AFF: 1 }[type];
    const answer = { direction: "down", identifier, imei, type, content: String(count) } as const;
    return [{ outcome: OUTCOMES.stored, reply: count === undefined ? null : encodeFrame(answer) }];
  });
  return encodeResponse({ frames, downlinks: [], offers: [] });
}

/** Proof that the harness sees a loss when there is one. */
const LIAR: Scenario = {
  row: 0,
  title: "edge that lies",
  injection: "one batch is acknowledged and thrown away",
  pass: "must be found",
  share: { positions: 0.03, faults: 0, shortFaults: 0 },
  async run(trial) {
    let lies = 0;
    trial.world.edge.fault = async (exchange) => {
      const worthIt = readRequest(exchange.body).some((entry) => entry.kind === "frame");
      if (!worthIt || lies > 0) return trial.world.pass(exchange);
      lies++;
      exchange.answer({ status: 200, headers: {}, body: lie(exchange.body) });
    };
    await trial.fleet.send();
    await trial.fleet.volume();
    return `${lies} batch thrown away`;
  },
};

test(`a short run of the fault matrix loses nothing, and finds an edge that does (seed ${SEED})`, {
  timeout: 180_000,
  // Processes and their open files are looked up there.
  skip: !existsSync("/proc/self/fd"),
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), "ephemeris-faults-"));
  const scenarios = [...scenariosOf([], SHORT), LIAR];
  const report = await runFaults({ seed: SEED, scenarios, plan: SHORT, folder, tell: () => {} });
  expect(report.rows.map(({ row }) => row)).toEqual(scenarios.map(({ row }) => row));
  const [liar] = report.rows.splice(-1);
  if (!report.rows.every(holds) || report.problems.length > 0) {
    expect.fail(`${tableOf(report)}\nledger and logs are in ${folder}`);
  }
  expect(report.rows.reduce((sum, { kills }) => sum + kills, 0)).toBeGreaterThanOrEqual(SHORT.kills);
  expect(liar!.lost).toBeGreaterThan(0);
  expect(liar!.problems.join()).toContain("acknowledged before stored");
  rmSync(folder, { recursive: true });
});
