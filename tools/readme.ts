import { readFileSync, writeFileSync } from "node:fs";
import { LIMITS as BRIDGE } from "../bridge/limits.ts";
import { COMMANDS, type CommandParameter, DANGERS } from "../codec/commands.ts";
import { ENVELOPE_LIMITS } from "../codec/envelope.ts";
import { FRAME_LIMITS } from "../codec/frame.ts";
import { MODELS } from "../codec/models.ts";
import { ACCESS } from "../src/access.ts";
import { ROUTES } from "../src/http/app.ts";
import type { Route } from "../src/http/route.ts";
import { JOBS } from "../src/jobs.ts";
import { LIMITS as EDGE } from "../src/limits.ts";
import { isAboutSomebody, storedAbout } from "../src/privacy.ts";
import { PURPOSE_WORDS, RETENTION_WORDS } from "../src/privacy-words.ts";
import { DATA_MAP, exportOf, type Mapped } from "../src/store/personal.ts";
import { SETTINGS } from "./settings.ts";

// Writes the parts of README.md that a table in the source already says. `node tools/readme.ts` mends them, and a test
// compares.

const code = (text: string) => `\`${text}\``;

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function argument(parameter: CommandParameter): string {
  const name = code(parameter.name) + (parameter.optional === true ? " (optional)" : "");
  if (parameter.type === "integer") return `${name} ${parameter.min} to ${parameter.max} ${parameter.unit}`;
  if (parameter.type === "text") return `${name} ${parameter.minLength} to ${parameter.maxLength} characters`;
  return `${name} ${parameter.values.map(({ value, meaning }) => `${value} ${meaning}`).join(", ")}`;
}

const whole = (value: number) => value.toLocaleString("en");

function bytes(value: number): string {
  for (const [unit, size] of [
    ["GiB", 2 ** 30],
    ["MiB", 2 ** 20],
    ["KiB", 2 ** 10],
  ] as const) {
    if (value >= size && value % size === 0) return `${value / size} ${unit}`;
  }
  return `${whole(value)} bytes`;
}

function time(ms: number): string {
  if (ms % 3_600_000 === 0) return `${ms / 3_600_000} h`;
  return ms % 60_000 === 0 ? `${ms / 60_000} min` : `${ms / 1000} s`;
}

const days = (ms: number) => `${ms / 86_400_000} days`;

/** The routes of one tag: what all of them need stands above the table. */
function apiGroup([tag, routes]: [string, Route[]]): string {
  const [first, ...others] = new Set(routes.map(({ access }) => ACCESS[access].needs));
  const rows = routes.map(({ method, path, summary, access }) => [
    code(`${method} ${path}`),
    summary,
    ACCESS[access].needs,
  ]);
  if (others.length > 0) return `**${tag}**\n\n${table(["request", "what", "needs"], rows)}`;
  return `**${tag}** needs ${first}\n\n${table(
    ["request", "what"],
    rows.map((row) => row.slice(0, 2)),
  )}`;
}

/** What is stored about somebody. @param map the data map; a test gives an altered one */
export function storedTable(map: Mapped = DATA_MAP): string {
  const alike = Map.groupBy(storedAbout(map), ({ purpose, retain, erase }) => [purpose, retain, erase].join());
  return table(
    ["what", "why", "for how long", "when the account is erased", "in an export"],
    [...alike].map(([, rows]) => [
      rows.map(({ what }) => what).join("; "),
      PURPOSE_WORDS[rows[0]!.purpose].what.toLowerCase(),
      RETENTION_WORDS[rows[0]!.retain],
      rows[0]!.erase,
      [...new Set(rows.map(exportOf).filter((file) => file !== null))].map(code).join(", "),
    ]),
  );
}

/** Tables that say nothing about anybody. */
export function nobodyTable(map: Mapped = DATA_MAP): string {
  const rows = Object.entries(map).filter(([, entry]) => !isAboutSomebody(entry));
  const alike = Map.groupBy(rows, ([, { purpose, retain, erase, exportAs }]) =>
    [purpose, retain, erase, exportAs].join(),
  );
  return table(
    ["tables", "why", "for how long"],
    [...alike.values()].map((each) => [
      each.map(([name]) => code(name)).join(", "),
      PURPOSE_WORDS[each[0]![1].purpose].what.toLowerCase(),
      RETENTION_WORDS[each[0]![1].retain],
    ]),
  );
}

/** Each generated part by the name that its markers in README.md carry. */
export const PARTS: Readonly<Record<string, () => string>> = {
  settings: () =>
    table(
      ["variable", "default", "what", "a good value is"],
      Object.values(SETTINGS).map(({ name, default: value, what, must }) => [
        code(name),
        value === null ? "" : code(value),
        what,
        must,
      ]),
    ),
  api: () =>
    [
      ...Map.groupBy(
        ROUTES.filter(({ page }) => page !== true),
        ({ tag }) => tag,
      ),
    ]
      .map(apiGroup)
      .join("\n\n"),
  commands: () =>
    table(
      ["code", "name", "arguments", "note", "source"],
      COMMANDS.map(({ code: name, name: what, parameters, danger, source }) => [
        code(name),
        what,
        parameters.map(argument).join("; ") || "none",
        danger === null ? "" : DANGERS[danger],
        source,
      ]),
    ),
  limits: () =>
    table(
      ["limit", "value"],
      [
        ["one frame", bytes(FRAME_LIMITS.frameBytes)],
        ["garbage between two frames before a tracker is cut off", bytes(BRIDGE.garbageBytes)],
        ["time for one frame; between two frames", `${time(BRIDGE.frameMs)}; ${time(BRIDGE.idleMs)}`],
        ["connections of a bridge", whole(BRIDGE.connections)],
        ["spool of a bridge; then trackers are left unread", bytes(BRIDGE.spoolBytes)],
        ["batch to the edge", `${whole(BRIDGE.batchFrames)} frames or ${bytes(BRIDGE.batchBytes)}`],
        ["request of a bridge", `${whole(ENVELOPE_LIMITS.framesPerBatch)} frames, ${bytes(ENVELOPE_LIMITS.bodyBytes)}`],
        ["JSON body", bytes(EDGE.jsonBodyBytes)],
        ["page of a list", `${EDGE.pageDefault}, at most ${EDGE.pageMax}`],
        ["requests of an API key", `${whole(EDGE.rate.key.requests)} in ${EDGE.rate.key.windowS} s`],
        ["requests of a signed-in person", `${whole(EDGE.rate.user.requests)} in ${EDGE.rate.user.windowS} s`],
        ["a session; without use", `${days(EDGE.sessionMs)}; ${days(EDGE.sessionIdleMs)}`],
        ["a session of staff; without use", `${time(EDGE.staffSessionMs)}; ${time(EDGE.staffSessionIdleMs)}`],
        [
          "wrong passwords of an address, codes of a person, activation codes of a tracker, in an hour",
          [EDGE.throttles.password, EDGE.throttles.code, EDGE.throttles.activation].map(({ free }) => free).join(", "),
        ],
        ["mails to one address that somebody asked for", `${EDGE.throttles.mail.free} in an hour`],
        ["people, API keys of an account", `${EDGE.usersPerAccount}, ${EDGE.keysPerAccount}`],
        ["commands waiting for a tracker", whole(EDGE.commandsOpenPerDevice)],
        ["answers kept for an Idempotency-Key", time(EDGE.idempotencyMs)],
      ],
    ),
  jobs: () =>
    table(
      ["job", "cron (UTC)", "what"],
      JOBS.map(({ name, cron, summary }) => [code(name), code(cron), summary]),
    ),
  stored: () => storedTable(),
  nobody: () => nobodyTable(),
  models: () => `${MODELS.map(({ name }) => code(name)).join(", ")}.`,
};

/** README text with every generated part as the tables say now. */
export function withParts(text: string): string {
  return text.replace(/(<!-- table: (\w+) -->\n)(?:[\s\S]*?\n)??(<!-- end -->)/g, (_, start, name, end) => {
    const part = PARTS[name];
    if (part === undefined) throw new Error(`README.md names a part that does not exist: ${name}`);
    return `${start}${part()}\n${end}`;
  });
}

if (import.meta.main) {
  const path = new URL("../README.md", import.meta.url);
  writeFileSync(path, withParts(readFileSync(path, "utf8")));
}
