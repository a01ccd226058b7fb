import { FINDINGS, type Finding } from "./oracle.ts";
import type { RowResult } from "./trial.ts";

/** What the whole run found. */
export interface Report {
  seed: number;
  seconds: number;
  rows: RowResult[];
  /** What concerns no single row: the database's own check, positions that belong to no row. */
  problems: string[];
}

const found = (row: RowResult): number =>
  (Object.keys(FINDINGS) as Finding[]).reduce((sum, finding) => sum + row[finding], 0);

/** A row holds when nothing was found and its own criterion is met. */
export function holds(row: RowResult): boolean {
  return found(row) === 0 && row.problems.length === 0;
}

export function passed(report: Report): boolean {
  return report.problems.length === 0 && report.rows.every(holds);
}

const COLUMNS: readonly { head: string; of: (row: RowResult) => number; width: number }[] = [
  { head: "positions", of: (row) => row.sent, width: 10 },
  { head: "acked", of: (row) => row.acked, width: 9 },
  { head: "stored", of: (row) => row.stored, width: 9 },
  { head: "kills", of: (row) => row.kills, width: 6 },
  { head: "lost", of: (row) => row.lost, width: 5 },
  { head: "dupl", of: (row) => row.duplicated, width: 5 },
  { head: "altered", of: (row) => row.altered, width: 8 },
  { head: "invented", of: (row) => row.invented, width: 9 },
  { head: "order", of: (row) => row.order, width: 6 },
  { head: "s", of: (row) => Math.round(row.seconds), width: 5 },
];

const line = (row: string, title: string, cells: readonly string[], verdict: string): string =>
  `${row.padStart(4)}  ${title.padEnd(36)}${cells.map((cell, i) => cell.padStart(COLUMNS[i]!.width)).join("")}  ${verdict}`;

/** The final table, then what was injected in each row, then everything that is wrong. */
export function tableOf(report: Report): string {
  const lines = [
    line(
      "row",
      "fault",
      COLUMNS.map(({ head }) => head),
      "verdict",
    ),
  ];
  for (const row of report.rows) {
    const cells = COLUMNS.map(({ of }) => String(of(row)));
    lines.push(line(String(row.row), row.title, cells, holds(row) ? "holds" : "VIOLATED"));
  }
  const sums = COLUMNS.map(({ of }) => String(report.rows.reduce((sum, row) => sum + of(row), 0)));
  lines.push(line("all", `seed ${report.seed}`, sums, passed(report) ? "holds" : "VIOLATED"), "", "injected");
  for (const row of report.rows) lines.push(`${String(row.row).padStart(4)}  ${row.injected}`);
  const wrong = report.rows.flatMap((row) => [...row.examples, ...row.problems].map((words) => `${row.row}: ${words}`));
  wrong.push(...report.problems);
  if (wrong.length > 0) lines.push("", "wrong", ...wrong.map((words) => `  ${words}`));
  return lines.join("\n");
}
