import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { JOBS } from "../src/jobs.ts";
import { LANGUAGES } from "../src/text/index.ts";
import { readRunning } from "./data-dir.ts";
import { readSecrets } from "./secrets.ts";
import { readSettings, SettingError } from "./settings.ts";

/** A command line that makes no sense. */
class UsageError extends Error {}

type Row = Record<string, unknown>;

interface Command {
  words: string;
  /** Options that it takes: `name!` it needs, `name?` is a flag, `file` and `...-file` name a file. */
  options: readonly string[];
  method: "GET" | "POST" | "PATCH" | "DELETE";
  /** `:name` is an option's value. */
  path: string;
  /** Options that go into the body as they are, or what makes it; text is sent as CSV. */
  body?: readonly string[] | ((options: Row) => Row | string);
  /** Columns of the table a person reads. */
  columns?: readonly string[];
  /** The answer as --json prints it. */
  json?(answer: Row, options: Row): Row;
  /** The answer as a person reads it. */
  text?(answer: Row, options: Row): string;
}

const OTHER_LANGUAGES = Object.keys(LANGUAGES).filter((language) => language !== "en");

/** Every command. A list is read to its end, or to its `limit`. */
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
    columns: ["id", "name", "state", "users", "devices", "createdAt"],
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
  {
    words: "account show",
    options: ["id!"],
    method: "GET",
    path: "/v1/admin/accounts/:id",
    text: accountText,
  },
  {
    words: "account unmask",
    options: ["id!", "reason!"],
    method: "POST",
    path: "/v1/admin/accounts/:id/unmask",
    body: ["reason"],
    text: accountText,
  },
  {
    words: "account positions",
    options: ["id!"],
    method: "GET",
    path: "/v1/admin/accounts/:id/positions/latest",
    columns: ["deviceId", "fixTime", "valid", "latitude", "longitude", "speedKmh"],
  },
  {
    words: "account track",
    options: ["id!", "device!", "limit"],
    method: "GET",
    path: "/v1/admin/accounts/:id/devices/:device/positions",
    columns: ["fixTime", "valid", "latitude", "longitude", "speedKmh"],
  },
  {
    words: "account reset-factors",
    options: ["id!", "user!", "reason!"],
    method: "POST",
    path: "/v1/admin/accounts/:id/users/:user/reset-factors",
    body: ["reason"],
    json: (_, { id, user }) => ({ accountId: Number(id), userId: Number(user), reset: true }),
    text: (_, { user }) => `User ${user} signs in with the password alone and is told by mail.`,
  },
  {
    words: "account suspend",
    options: ["id!", "reason!"],
    method: "POST",
    path: "/v1/admin/accounts/:id/suspend",
    body: ["reason"],
    text: ({ id, state }) => `Account ${id} is ${state}.`,
  },
  {
    words: "account resume",
    options: ["id!"],
    method: "POST",
    path: "/v1/admin/accounts/:id/resume",
    text: ({ id, state }) => `Account ${id} is ${state}.`,
  },
  {
    words: "staff list",
    options: [],
    method: "GET",
    path: "/v1/admin/staff",
    columns: ["id", "email", "role", "joined", "trainingValidUntil", "lastSignInAt", "disabledAt"],
  },
  {
    words: "staff invite",
    options: ["email!", "role!", "language"],
    method: "POST",
    path: "/v1/admin/staff",
    body: ["email", "role", "language"],
    json: ({ id, link }) => ({ userId: id, link }),
    text: ({ id, role, link }) =>
      `Invited as ${role} (${id}).${link === null ? "" : `\nNo mail can be sent; hand over this link, shown this once:\n${link}`}\nNext, once they are trained: npm run -s admin -- training attest --id ${id} --until <date>`,
  },
  {
    words: "staff change",
    options: ["id!", "role!"],
    method: "PATCH",
    path: "/v1/admin/staff/:id",
    body: ["role"],
    text: ({ id, role }) => `${id} is ${role} now.`,
  },
  {
    words: "staff disable",
    options: ["id!"],
    method: "PATCH",
    path: "/v1/admin/staff/:id",
    body: () => ({ disabled: true }),
    text: ({ id }) => `${id} is signed out and cannot sign in.`,
  },
  {
    words: "staff enable",
    options: ["id!"],
    method: "PATCH",
    path: "/v1/admin/staff/:id",
    body: () => ({ disabled: false }),
    text: ({ id }) => `${id} can sign in again.`,
  },
  {
    words: "staff remove",
    options: ["id!"],
    method: "DELETE",
    path: "/v1/admin/staff/:id",
    json: (_, { id }) => ({ userId: Number(id), removed: true }),
    text: (_, { id }) => `${id} is no longer on the staff.`,
  },
  {
    words: "training attest",
    options: ["id!", "until!"],
    method: "POST",
    path: "/v1/admin/staff/:id/training",
    body: ({ until }) => ({ validUntil: until }),
    text: ({ id, trainingValidUntil }) => `${id} is trained until ${trainingValidUntil}.`,
  },
  {
    words: "setup link",
    options: [],
    method: "POST",
    path: "/v1/admin/setup-links",
    text: ({ link, expiresAt }) => `Opens once, until ${expiresAt}, and makes the first administrator:\n${link}`,
  },
  {
    words: "setting list",
    options: [],
    method: "GET",
    path: "/v1/admin/settings",
    columns: ["name", "value", "what"],
  },
  {
    words: "setting set",
    options: ["name!", "value!"],
    method: "PATCH",
    path: "/v1/admin/settings",
    body: ({ name, value }) => ({ [String(name)]: value }),
    text: (_, { name }) => `${name} is set.`,
  },
  {
    words: "audit list",
    options: ["limit"],
    method: "GET",
    path: "/v1/admin/audit",
    columns: ["id", "at", "actor", "actorId", "action", "accountId", "subject", "reason"],
  },
  { words: "overview", options: [], method: "GET", path: "/v1/admin/overview", text: overviewText },
  {
    words: "activation load",
    options: ["file!"],
    method: "POST",
    path: "/v1/admin/activations/csv",
    body: ({ file }) => fileOf(file).toString("utf8"),
    text: ({ data }) => `${table(data as Row[], ["imei", "code"])}\nThe codes are shown this once.`,
  },
  {
    words: "activation list",
    options: [],
    method: "GET",
    path: "/v1/admin/activations",
    columns: ["imei", "model", "firmware", "orderReference", "loadedAt", "activatedAt", "accountId"],
  },
  {
    words: "activation remove",
    options: ["imei!"],
    method: "POST",
    path: "/v1/admin/activations/remove",
    body: ["imei"],
    json: () => ({ removed: true }),
    text: () => "Its code no longer works.",
  },
  {
    words: "activation label",
    options: ["imei!", "code!"],
    method: "POST",
    path: "/v1/admin/activations/label",
    body: ["imei", "code"],
    json: ({ text }) => ({ svg: text }),
    text: ({ text }) => String(text),
  },
  {
    words: "brand list",
    options: [],
    method: "GET",
    path: "/v1/admin/brands",
    columns: ["id", "hostname", "name", "accent"],
  },
  { words: "brand show", options: ["id!"], method: "GET", path: "/v1/admin/brands/:id", text: brandText },
  {
    words: "brand create",
    options: ["hostname!", "name!", "accent", "logo-file"],
    method: "POST",
    path: "/v1/admin/brands",
    body: ({ hostname, name, ...rest }) => ({ hostname, name, ...lookOf(rest) }),
    json: ({ id }) => ({ brandId: id }),
    text: ({ id, hostname }) => `Brand ${id} (${hostname}).`,
  },
  {
    words: "brand set",
    options: ["id!", "name", "accent", "logo-file", "no-logo?"],
    method: "PATCH",
    path: "/v1/admin/brands/:id",
    body: ({ name, ...rest }) => ({ ...(name !== undefined && { name }), ...lookOf(rest) }),
    text: brandText,
  },
  {
    words: "brand set-text",
    options: ["id!", "kind!", "language!", "link", "body-file"],
    method: "PATCH",
    path: "/v1/admin/brands/:id/texts",
    body: ({ kind, language, link, "body-file": file }) => ({
      kind,
      language,
      ...(link !== undefined && { url: link }),
      ...(file !== undefined && { body: fileOf(file).toString("utf8") }),
    }),
    text: brandText,
  },
  {
    words: "brand remove",
    options: ["id!"],
    method: "DELETE",
    path: "/v1/admin/brands/:id",
    json: (_, { id }) => ({ brandId: Number(id), removed: true }),
    text: (_, { id }) => `Brand ${id} is gone; its host name shows the platform's own.`,
  },
  {
    words: "statement list",
    options: [],
    method: "GET",
    path: "/v1/statements",
    columns: ["kind", "version", "language", "title", "publishedAt", "effectiveAt", "material", "template"],
  },
  {
    words: "statement publish",
    options: [
      "kind!",
      "title!",
      "body-file!",
      ...OTHER_LANGUAGES.flatMap((language) => [`title-${language}`, `body-file-${language}`]),
      ...["product", "region", "effective", "material?"],
    ],
    method: "POST",
    path: "/v1/admin/documents",
    body: publication,
    text: ({ data }) => table(data as Row[], ["kind", "version", "language", "effectiveAt", "sha256"]),
  },
  {
    words: "statement verify",
    options: [],
    method: "GET",
    path: "/v1/admin/documents/verify",
    text: ({ checked, altered }) => {
      const rows = altered as Row[];
      const which = rows.length === 0 ? "" : `\n${table(rows, ["kind", "product", "region", "version", "language"])}`;
      return `${checked} texts checked, ${rows.length} altered.${which}`;
    },
  },
];

/** Routes of the operator without a command of their own, and why. */
export const WITHOUT_COMMAND: Readonly<Record<string, string>> = {
  "POST /v1/admin/activations": "activation load sends the list as CSV, which may be longer",
};

/** A file that an option names. */
function fileOf(path: unknown): Buffer {
  try {
    return readFileSync(String(path));
  } catch (error) {
    throw new UsageError(`${path} cannot be read (${(error as { code?: string }).code}).`);
  }
}

/** Colour and logo of a brand; without a colour, or with `--no-logo`, nothing is left of it. */
function lookOf({ accent, "logo-file": file, "no-logo": none }: Row): Row {
  return {
    ...(accent !== undefined && { accent: accent === "" ? null : accent }),
    ...(file !== undefined ? { logo: fileOf(file).toString("base64") } : none === true && { logo: null }),
  };
}

function publication(options: Row): Row {
  const { kind, product, region, effective, material = false } = options;
  const text = (language: string, suffix: string) => ({
    language,
    title: options[`title${suffix}`],
    body: fileOf(options[`body-file${suffix}`]).toString("utf8"),
  });
  const others = OTHER_LANGUAGES.filter((language) => options[`body-file-${language}`] !== undefined);
  return {
    kind,
    material,
    texts: [text("en", ""), ...others.map((language) => text(language, `-${language}`))],
    ...(product !== undefined && { product }),
    ...(region !== undefined && { region }),
    ...(effective !== undefined && { effectiveAt: new Date(String(effective)).toISOString() }),
  };
}

function accountText(answer: Row): string {
  const { people, addresses, ...facts } = answer;
  const parts = [factsText(facts)];
  if (people !== null) parts.push(table(people as Row[], ["id", "email", "name", "mobile", "role", "lastSignInAt"]));
  if (addresses !== null) {
    parts.push(
      table(addresses as Row[], ["kind", "recipient", "line1", "line2", "city", "region", "postcode", "country"]),
    );
  }
  return parts.join("\n\n");
}

function brandText({ texts, ...facts }: Row): string {
  return `${factsText(facts)}\n\n${table(texts as Row[], ["kind", "language", "url", "sha256", "updatedAt"])}`;
}

function overviewText({ bridges, jobs, training, mails, ...facts }: Row): string {
  const { count, oldest } = mails as Row;
  const sections = [
    factsText({ ...facts, mailsWaiting: count, oldestMail: oldest }),
    table(bridges as Row[], ["id", "name", "lastSeenAt"]),
    table(jobs as Row[], ["name", "cron", "lateMs", "lastRun"]),
  ];
  if ((training as Row[]).length > 0) sections.push(table(training as Row[], ["userId", "validUntil"]));
  return sections.join("\n\n");
}

function factsText(facts: Row): string {
  const width = Math.max(...Object.keys(facts).map((name) => name.length));
  return Object.entries(facts)
    .map(([name, value]) => `${name.padEnd(width)}  ${cell(value)}`)
    .join("\n");
}

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

async function ask(
  at: { url: string; token: string },
  method: string,
  path: string,
  body?: Row | string,
): Promise<Row> {
  let response: Response;
  try {
    response = await fetch(at.url + path, {
      method,
      headers: {
        authorization: `Bearer ${at.token}`,
        "content-type": typeof body === "string" ? "text/csv" : "application/json",
      },
      ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
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
  if (limit !== undefined) return (await ask(at, "GET", `${path}?limit=${limit}`)).data as Row[];
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
  const options: Row = { ...values };
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
  for (const name of ["until", "effective"]) {
    if (options[name] !== undefined && Number.isNaN(Date.parse(String(options[name])))) {
      throw new UsageError(`--${name} must be a date, such as 2027-03-01.`);
    }
  }
  const jobs = JOBS.map(({ name }) => name);
  if (options.job !== undefined && !jobs.some((name) => name === options.job)) {
    throw new UsageError(`No such job. There are ${jobs.join(", ")}.`);
  }
  const path = command.path.replace(/:(\w+)/g, (_, name) => encodeURIComponent(String(options[name])));
  const at = target(values.url as string | undefined);
  if (command.columns !== undefined) {
    const data = await askAll(at, path, options.limit);
    return values.json === true ? JSON.stringify({ data, nextCursor: null }) : table(data, command.columns);
  }
  const answer = await ask(at, command.method, path, bodyOf(command, options));
  return values.json === true
    ? JSON.stringify(command.json?.(answer, options) ?? answer)
    : (command.text?.(answer, options) ?? "Done.");
}

if (import.meta.main) {
  try {
    console.log(await run(process.argv.slice(2)));
  } catch (error) {
    const usage = error instanceof UsageError;
    console.error(usage ? `${error.message}\n\n${usageFor(process.argv.slice(2))}` : (error as Error).message);
    process.exitCode = usage ? 2 : 1;
  }
}
