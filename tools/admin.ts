import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { JOBS } from "../src/jobs.ts";
import { readRunning } from "./data-dir.ts";
import { readSecrets } from "./secrets.ts";
import { readSettings, SettingError } from "./settings.ts";

/** A command line that makes no sense. */
class UsageError extends Error {}

type Row = Record<string, unknown>;

interface Command {
  words: string;
  /** Options that it takes; those with `!` it needs. */
  options: readonly string[];
  method: "GET" | "POST" | "DELETE";
  /** `:name` is an option's value. */
  path: string;
  /** Options that go into the body. */
  body?: readonly string[];
  /** Columns of the table a person reads. */
  columns?: readonly string[];
  /** The answer as --json prints it. */
  json?(answer: Row, options: Row): Row;
  /** The answer as a person reads it. */
  text?(answer: Row, options: Row): string;
}

/** Every command. A list is read to its end. */
export const COMMANDS: readonly Command[] = [
  {
    words: "account create",
    options: ["name!"],
    method: "POST",
    path: "/v1/admin/accounts",
    body: ["name"],
    json: ({ id }) => ({ accountId: id }),
    text: ({ id, name }) =>
      `Account ${id} (${name}).\nNext: npm run -s admin -- key create --account ${id} --scope write`,
  },
  {
    words: "account list",
    options: [],
    method: "GET",
    path: "/v1/admin/accounts",
    columns: ["id", "name", "createdAt"],
  },
  {
    words: "key create",
    options: ["account!", "scope!", "name"],
    method: "POST",
    path: "/v1/admin/accounts/:account/keys",
    body: ["scope", "name"],
    json: ({ id, key }) => ({ keyId: id, key }),
    text: ({ id, key, scope }) => `Key ${id} (${scope}), shown this once:\n${key}`,
  },
  {
    words: "key list",
    options: ["account!"],
    method: "GET",
    path: "/v1/admin/accounts/:account/keys",
    columns: ["id", "name", "scope", "createdAt", "lastUsedAt", "revokedAt"],
  },
  {
    words: "key revoke",
    options: ["id!"],
    method: "DELETE",
    path: "/v1/admin/keys/:id",
    json: (_, { id }) => ({ keyId: Number(id), revoked: true }),
    text: (_, { id }) => `Key ${id} no longer works.`,
  },
  {
    words: "bridge create",
    options: ["name!"],
    method: "POST",
    path: "/v1/admin/bridges",
    body: ["name"],
    json: ({ id, token }) => ({ bridgeId: id, token }),
    text: ({ id, name, token }) => `Bridge ${id} (${name}). Its BRIDGE_TOKEN, shown this once:\n${token}`,
  },
  {
    words: "bridge list",
    options: [],
    method: "GET",
    path: "/v1/admin/bridges",
    columns: ["id", "name", "createdAt", "revokedAt"],
  },
  {
    words: "bridge revoke",
    options: ["id!"],
    method: "DELETE",
    path: "/v1/admin/bridges/:id",
    json: (_, { id }) => ({ bridgeId: Number(id), revoked: true }),
    text: (_, { id }) => `Bridge ${id} is no longer let in.`,
  },
  {
    words: "device list",
    options: [],
    method: "GET",
    path: "/v1/admin/devices",
    columns: ["id", "accountId", "imei", "name", "model", "createdAt"],
  },
  {
    words: "unclaimed list",
    options: [],
    method: "GET",
    path: "/v1/admin/unclaimed",
    columns: ["imei", "firstSeen", "lastSeen", "frames"],
  },
  {
    words: "jobs list",
    options: [],
    method: "GET",
    path: "/v1/admin/jobs",
    columns: ["name", "cron", "lastRun", "summary"],
  },
  {
    words: "jobs run",
    options: ["job!"],
    method: "POST",
    path: "/v1/admin/jobs/:job/run",
    json: (answer) => answer,
    text: ({ name, changed }) => `${name} changed ${changed} rows.`,
  },
];

const shape = ({ words, options }: Command) =>
  `  ${words}${options
    .map((option) => option.replace("!", ""))
    .map((name, i) =>
      name === "job" ? " <name>" : options[i].endsWith("!") ? ` --${name} <${name}>` : ` [--${name} <${name}>]`,
    )
    .join("")}`;

const USAGE = `Usage: npm run -s admin -- <command> [--json] [--url <url>]

${COMMANDS.map(shape).join("\n")}

Talks to the platform that runs with the same DATA_DIR, or to --url with the token in ADMIN_TOKEN.`;

/** Where to ask, and with which token. */
function target(url: string | undefined): { url: string; token: string } {
  if (url !== undefined) {
    const token = process.env.ADMIN_TOKEN ?? "";
    if (token === "") throw new SettingError("ADMIN_TOKEN must hold the admin token of the platform at --url.");
    if (!URL.canParse(url)) throw new UsageError(`--url must be a URL, not ${JSON.stringify(url)}.`);
    return { url: url.replace(/\/+$/, ""), token };
  }
  const { dataDir } = readSettings(process.env);
  const secrets = readSecrets(dataDir);
  const running = readRunning(dataDir);
  if (secrets === null || running === null || !isAlive(running.pid)) {
    const which = dataDir === resolve(".data") ? "npm start" : `DATA_DIR=${dataDir} npm start`;
    throw new SettingError(`No platform runs with DATA_DIR ${dataDir}; start it with: ${which}`);
  }
  return { url: running.url, token: secrets.adminToken };
}

/** What a killed platform left behind must not send the admin token to whoever listens on its port now. */
function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as { code?: string }).code === "EPERM";
  }
}

async function ask(at: { url: string; token: string }, method: string, path: string, body?: Row): Promise<Row> {
  let response: Response;
  try {
    response = await fetch(at.url + path, {
      method,
      headers: { authorization: `Bearer ${at.token}`, "content-type": "application/json" },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(60_000),
    });
  } catch {
    throw new Error(`The platform at ${at.url} does not answer; is it running? Start it with: npm start`);
  }
  const text = await response.text();
  const answer: Row = text.startsWith("{") ? JSON.parse(text) : {};
  if (response.ok) return answer;
  const { detail, title, field } = answer;
  throw new Error(`${detail ?? title ?? `HTTP ${response.status}`}${field === undefined ? "" : ` (${field})`}`);
}

/** A list, page after page. */
async function askAll(at: { url: string; token: string }, path: string): Promise<Row[]> {
  const rows: Row[] = [];
  let cursor: unknown = null;
  do {
    const answer = await ask(
      at,
      "GET",
      cursor === null ? path : `${path}?cursor=${encodeURIComponent(String(cursor))}`,
    );
    rows.push(...(answer.data as Row[]));
    cursor = answer.nextCursor;
  } while (cursor !== null && cursor !== undefined);
  return rows;
}

function cell(value: unknown): string {
  if (value === null || value === undefined) return "-";
  if (typeof value !== "object") return String(value);
  const { state, startedAt, error } = value as Row;
  return `${state} ${startedAt}${error === null || error === undefined ? "" : ` (${error})`}`;
}

function table(rows: readonly Row[], columns: readonly string[]): string {
  if (rows.length === 0) return "None.";
  const lines = [columns, ...rows.map((row) => columns.map((column) => cell(row[column])))];
  const widths = columns.map((_, i) => Math.max(...lines.map((line) => line[i].length)));
  return lines
    .map((line) =>
      line
        .map((text, i) => text.padEnd(widths[i]))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** The text to print for a command line. */
async function run(args: string[]): Promise<string> {
  const names = [...new Set(COMMANDS.flatMap(({ options }) => options.map((option) => option.replace("!", ""))))];
  const text = Object.fromEntries([...names, "url"].map((name) => [name, { type: "string" as const }]));
  let parsed: { values: Row; positionals: string[] };
  try {
    const flags = { json: { type: "boolean" as const }, help: { type: "boolean" as const } };
    parsed = parseArgs({ args, options: { ...text, ...flags }, allowPositionals: true });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const { values, positionals } = parsed;
  if (values.help === true) return USAGE;
  const command = COMMANDS.find(({ words }) => words === positionals.slice(0, 2).join(" "));
  if (command === undefined) throw new UsageError(`Unknown command ${JSON.stringify(positionals.join(" "))}.`);
  const options: Row = { ...values };
  if (command.options.includes("job!")) options.job ??= positionals[2];
  for (const name of command.options.filter((option) => option.endsWith("!")).map((option) => option.slice(0, -1))) {
    if (options[name] === undefined) {
      throw new UsageError(`${command.words} needs ${name === "job" ? "the name of a job" : `--${name}`}.`);
    }
  }
  for (const name of names) {
    if (values[name] !== undefined && !command.options.some((option) => option.replace("!", "") === name)) {
      throw new UsageError(`${command.words} takes no --${name}.`);
    }
  }
  for (const name of ["account", "id"]) {
    if (options[name] !== undefined && !/^[1-9]\d*$/.test(String(options[name]))) {
      throw new UsageError(`--${name} must be an id, a whole number.`);
    }
  }
  const jobs = JOBS.map(({ name }) => name);
  if (options.job !== undefined && !jobs.some((name) => name === options.job)) {
    throw new UsageError(`No such job. There are ${jobs.join(", ")}.`);
  }
  const path = command.path.replace(/:(\w+)/g, (_, name) => encodeURIComponent(String(options[name])));
  const at = target(values.url as string | undefined);
  if (command.columns !== undefined) {
    const data = await askAll(at, path);
    return values.json === true ? JSON.stringify({ data, nextCursor: null }) : table(data, command.columns);
  }
  const body = command.body?.filter((name) => options[name] !== undefined).map((name) => [name, options[name]]);
  const answer = await ask(at, command.method, path, body && Object.fromEntries(body));
  return values.json === true
    ? JSON.stringify(command.json?.(answer, options) ?? answer)
    : (command.text?.(answer, options) ?? "Done.");
}

try {
  console.log(await run(process.argv.slice(2)));
} catch (error) {
  const usage = error instanceof UsageError;
  console.error(usage ? `${error.message}\n\n${USAGE}` : (error as Error).message);
  process.exitCode = usage ? 2 : 1;
}
