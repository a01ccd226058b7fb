import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { JOBS } from "../src/jobs.ts";
import { COMMANDS, type Command, type Row, table, UsageError } from "./admin-commands.ts";
import { readRunning } from "./data-dir.ts";
import { readSecrets } from "./secrets.ts";
import { readSettings, SettingError } from "./settings.ts";

const bare = (option: string) => option.replace(/[!?]$/, "");

const shape = ({ words, options }: Command) =>
  `  ${words}${options
    .map((option) => {
      const name = bare(option);
      if (name === "job") return " <name>";
      if (option.endsWith("?")) return ` [--${name}]`;
      return option.endsWith("!") ? ` --${name} <${name}>` : ` [--${name} <${name}>]`;
    })
    .join("")}`;

const usageOf = (commands: readonly Command[]) => `Usage: npm run -s admin -- <command> [--json] [--url <url>]

${commands.map(shape).join("\n")}

${
  commands.length === COMMANDS.length
    ? "Talks to the platform that runs with the same DATA_DIR, or to --url with the token in ADMIN_TOKEN."
    : "--help lists all commands."
}`;

const beginsWith = (args: readonly string[], words: string) =>
  args.slice(0, words.split(" ").length).join(" ") === words;

/** How to type the command that was meant; of its noun, when the verb is wrong; else everything. */
function usageFor(args: readonly string[]): string {
  const meant = COMMANDS.filter(({ words }) => beginsWith(args, words));
  const near = COMMANDS.filter(({ words }) => words.split(" ")[0] === args[0]);
  return usageOf([meant, near, COMMANDS].find(({ length }) => length > 0) ?? COMMANDS);
}

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

const isPlain = (body: unknown) => typeof body === "object" && !(body instanceof Uint8Array);

function typeOf(body: unknown): string {
  if (typeof body === "string") return "text/csv";
  return body instanceof Uint8Array ? "application/vnd.ephemeris.positions" : "application/json";
}

async function ask(
  at: { url: string; token: string },
  method: string,
  path: string,
  body?: Row | string | Uint8Array,
): Promise<Row> {
  let response: Response;
  try {
    response = await fetch(at.url + path, {
      method,
      headers: {
        authorization: `Bearer ${at.token}`,
        "content-type": typeOf(body),
      },
      ...(body !== undefined && { body: isPlain(body) ? JSON.stringify(body) : (body as BodyInit) }),
      signal: AbortSignal.timeout(60_000),
    });
  } catch {
    throw new Error(`The platform at ${at.url} does not answer; is it running? Start it with: npm start`);
  }
  const text = await response.text();
  const answer: Row = text.startsWith("{") ? JSON.parse(text) : { text };
  if (response.ok) return answer;
  const { detail, title, field } = answer;
  throw new Error(`${detail ?? title ?? `HTTP ${response.status}`}${field === undefined ? "" : ` (${field})`}`);
}

/** A list, page after page. */
async function askAll(at: { url: string; token: string }, path: string, limit: unknown): Promise<Row[]> {
  const more = path.includes("?") ? "&" : "?";
  if (limit !== undefined) return (await ask(at, "GET", `${path}${more}limit=${limit}`)).data as Row[];
  const rows: Row[] = [];
  let cursor: unknown = null;
  do {
    const answer = await ask(
      at,
      "GET",
      cursor === null ? path : `${path}${more}cursor=${encodeURIComponent(String(cursor))}`,
    );
    rows.push(...(answer.data as Row[]));
    cursor = answer.nextCursor;
  } while (cursor !== null && cursor !== undefined);
  return rows;
}

/** A command that does a part at a time: the last answer, with the numbers of all. */
async function askInParts(at: { url: string; token: string }, method: string, path: string): Promise<Row> {
  const sum: Row = {};
  for (let after: unknown = undefined; ; ) {
    const query = after === undefined || method !== "GET" ? "" : `?after=${encodeURIComponent(String(after))}`;
    const answer = await ask(at, method, path + query, method === "GET" ? undefined : { after });
    for (const [name, value] of Object.entries(answer)) {
      sum[name] = typeof value === "number" ? value + Number(sum[name] ?? 0) : value;
    }
    if (answer.next === null) return sum;
    after = answer.next;
  }
}

function bodyOf({ body }: Command, options: Row): Row | string | undefined {
  if (typeof body === "function") return body(options);
  return (
    body && Object.fromEntries(body.filter((name) => options[name] !== undefined).map((name) => [name, options[name]]))
  );
}

/** The text to print for a command line. @throws {Error} with a sentence that says what is wrong */
export async function run(args: string[]): Promise<string> {
  const all = COMMANDS.flatMap(({ options }) => options);
  const names = [...new Set(all.map(bare))];
  const typeOf = (name: string) => (all.includes(`${name}?`) ? ("boolean" as const) : ("string" as const));
  const text = Object.fromEntries([...names, "url"].map((name) => [name, { type: typeOf(name) }]));
  let parsed: { values: Row; positionals: string[] };
  try {
    const flags = { json: { type: "boolean" as const }, help: { type: "boolean" as const } };
    parsed = parseArgs({ args, options: { ...text, ...flags }, allowPositionals: true });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const { values, positionals } = parsed;
  if (values.help === true) return usageOf(COMMANDS);
  const command = COMMANDS.find(({ words }) => beginsWith(positionals, words));
  if (command === undefined) throw new UsageError(`Unknown command ${JSON.stringify(positionals.join(" "))}.`);
  const options: Row = { ...values, ...command.fixed };
  if (command.options.includes("job!")) options.job ??= positionals[2];
  for (const name of command.options.filter((option) => option.endsWith("!")).map((option) => option.slice(0, -1))) {
    if (options[name] === undefined) {
      throw new UsageError(`${command.words} needs ${name === "job" ? "the name of a job" : `--${name}`}.`);
    }
  }
  for (const name of names) {
    if (values[name] !== undefined && !command.options.some((option) => bare(option) === name)) {
      throw new UsageError(`${command.words} takes no --${name}.`);
    }
  }
  for (const name of ["account", "device", "id", "user", "limit"]) {
    if (options[name] !== undefined && !/^[1-9]\d*$/.test(String(options[name]))) {
      throw new UsageError(`--${name} must be ${name === "limit" ? "" : "an id, "}a whole number.`);
    }
  }
  for (const name of ["until", "effective", "at"]) {
    if (options[name] !== undefined && Number.isNaN(Date.parse(String(options[name])))) {
      throw new UsageError(`--${name} must be a date, such as 2027-03-01.`);
    }
  }
  const jobs = JOBS.map(({ name }) => name);
  if (options.job !== undefined && !jobs.some((name) => name === options.job)) {
    throw new UsageError(`No such job. There are ${jobs.join(", ")}.`);
  }
  const local = command.local?.(options) ?? null;
  if (local !== null) return shown(command, await local, options);
  const asked = (command.query ?? []).filter((name) => options[name] !== undefined);
  const query = new URLSearchParams(asked.map((name) => [name, String(options[name])])).toString();
  const named = command.path.replace(/:(\w+)/g, (_, name) => encodeURIComponent(String(options[name])));
  const path = query === "" ? named : `${named}?${query}`;
  const at = target(values.url as string | undefined);
  if (command.columns !== undefined) {
    const data = await askAll(at, path, options.limit);
    return values.json === true ? JSON.stringify({ data, nextCursor: null }) : table(data, command.columns);
  }
  const answer = command.act
    ? await command.act(options, (method, path, body) => ask(at, method, path, body))
    : command.inParts
      ? await askInParts(at, command.method, path)
      : await ask(at, command.method, path, bodyOf(command, options));
  if (command.failed?.(answer)) process.exitCode = 1;
  return shown(command, answer, options);
}

const shown = (command: Command, answer: Row, options: Row) =>
  options.json === true
    ? JSON.stringify(command.json?.(answer, options) ?? answer)
    : (command.text?.(answer, options) ?? "Done.");

if (import.meta.main) {
  try {
    console.log(await run(process.argv.slice(2)));
  } catch (error) {
    const usage = error instanceof UsageError;
    console.error(usage ? `${error.message}\n\n${usageFor(process.argv.slice(2))}` : (error as Error).message);
    process.exitCode = usage ? 2 : 1;
  }
}
