import { readFileSync } from "node:fs";
import { deadline, statutoryDeadline } from "../src/business-time.ts";
import { calendarFrom } from "../src/calendars.ts";
import { isTime } from "../src/http/fields.ts";
import { type Controller, privacyProblems, recordOfProcessing } from "../src/privacy.ts";
import { SETTINGS } from "../src/settings.ts";
import { LANGUAGES } from "../src/text/index.ts";
import { type Ask, importArchive } from "./import.ts";
import { appendHeads, headsIn, verifyWith } from "./ledger-heads.ts";

/** A command line that makes no sense. */
export class UsageError extends Error {}

export type Row = Record<string, unknown>;

export interface Command {
  words: string;
  /** Options that it takes: `name!` it needs, `name?` is a flag, `file` and `...-file` name a file. */
  options: readonly string[];
  method: "GET" | "POST" | "PATCH" | "DELETE";
  /** `:name` is an option's value. */
  path: string;
  /** Options that it does not ask for. */
  fixed?: Row;
  /** Options that go into the query. */
  query?: readonly string[];
  /** Options that go into the body as they are, or what makes it; text is sent as CSV. */
  body?: readonly string[] | ((options: Row) => Row | string);
  /** It does a part each time: called again with `after` until it is through, and the numbers of its answers added. */
  inParts?: true;
  /** What needs no platform for these options; null: this does. */
  local?(options: Row): Promise<Row> | null;
  /** Columns of the table a person reads. */
  columns?: readonly string[];
  /** Does it with as many requests as it takes. */
  act?(options: Row, ask: Ask): Promise<Row>;
  /** The answer as --json prints it. */
  json?(answer: Row, options: Row): Row;
  /** The answer as a person reads it. */
  text?(answer: Row, options: Row): string;
  /** Whether the answer is bad news: the exit code is 1 then. */
  failed?(answer: Row): boolean;
}

const OTHER_LANGUAGES = Object.keys(LANGUAGES).filter((language) => language !== "en");

const FAULTS: Readonly<Record<string, string>> = {
  entry: "was altered",
  chain: "does not follow the one before",
  missing: "is missing",
  head: "is where a signed head ends that does not fit",
  published: "is where a head ends that was kept elsewhere, and that is another one here or beyond the end",
  mirror: "is another one in the key store, or not there",
};

function ledgerText({ size, heads, faults }: Row): string {
  const lines = (faults as { seq: number; what: string; place: string | null }[]).map(
    ({ seq, what, place }) => `Entry ${seq} ${FAULTS[what]}${place === null ? "" : ` (copy ${place})`}`,
  );
  return [...lines, `${size} entries, ${heads} signed heads: ${lines.length === 0 ? "all fit" : "NOT all fit"}.`].join(
    "\n",
  );
}

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
    words: "account find",
    options: ["term!"],
    method: "POST",
    path: "/v1/admin/accounts/find",
    body: ["term"],
    columns: ["id", "name", "state", "users", "devices", "createdAt"],
  },
  {
    words: "import",
    options: ["file!", "account!"],
    method: "POST",
    path: "/v1/admin/accounts/:account/imports",
    act: ({ file, account }, ask) => importArchive(String(file), Number(account), ask),
    text: ({ notImported, ...facts }) =>
      `${factsText(facts)}\n\nNot imported:\n${(notImported as string[]).map((what) => `  ${what}`).join("\n")}`,
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
    words: "keys status",
    options: [],
    method: "GET",
    path: "/v1/admin/key-store",
    inParts: true,
    text: keysText,
  },
  {
    words: "keys rewrap",
    options: [],
    method: "POST",
    path: "/v1/admin/key-store/rewrap",
    inParts: true,
    text: keysText,
  },
  {
    words: "keys restore-escrow",
    options: [],
    method: "POST",
    path: "/v1/admin/key-store/restore",
    inParts: true,
    text: ({ restored }) => `${restored} key objects restored.`,
  },
  {
    words: "ledger verify",
    options: ["heads"],
    method: "GET",
    path: "/v1/admin/ledger/verify",
    act: ({ heads }, ask) =>
      heads === undefined ? ask("GET", "/v1/admin/ledger/verify") : verifyWith(headsIn(String(heads)), ask),
    text: ledgerText,
    failed: ({ faults }) => (faults as unknown[]).length > 0,
  },
  {
    words: "ledger heads",
    options: ["append!"],
    method: "POST",
    path: "/v1/admin/ledger/verify",
    act: ({ append }, ask) => appendHeads(String(append), ask),
    text: (answer, { append }) =>
      (answer.faults as unknown[]).length > 0 ? ledgerText(answer) : `${answer.added} heads added to ${append}.`,
    failed: ({ faults }) => (faults as unknown[]).length > 0,
  },
  {
    words: "ledger rotate-key",
    options: [],
    method: "POST",
    path: "/v1/admin/ledger/rotate-key",
    text: ({ keyId, publicKey, signedBy }) =>
      `Key ${keyId}, public key ${publicKey}; ${signedBy} signed it and is destroyed.`,
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
    words: "account place",
    options: ["id!", "database!", "reason"],
    method: "POST",
    path: "/v1/admin/accounts/:id/placement",
    body: ["database", "reason"],
    text: ({ fromRegion, toDatabase, toRegion, state }, { id }) =>
      state === "copying"
        ? `The tracks of account ${id} are being copied to ${toDatabase} (${toRegion}); a job goes on. See account placement.`
        : `The tracks of account ${id} are in ${toDatabase} (${toRegion}); what is left in ${fromRegion} is being erased.`,
  },
  {
    words: "account placement",
    options: ["id!"],
    method: "GET",
    path: "/v1/admin/accounts/:id/placement",
    text: ({ databases, moves, ...facts }) =>
      `${factsText(facts)}\n\n${table(databases as Row[], ["name", "region"])}\n\n${table(moves as Row[], ["at", "fromDatabase", "toDatabase", "state", "switchedAt", "finishedAt", "reason"])}`,
  },
  {
    words: "account suspensions",
    options: ["id!"],
    method: "GET",
    path: "/v1/admin/accounts/:id/suspensions",
    columns: ["id", "deviceId", "kind", "request", "since"],
  },
  {
    words: "account resume",
    options: ["id!"],
    method: "POST",
    path: "/v1/admin/accounts/:id/resume",
    text: ({ id, state }) => `Account ${id} is ${state}.`,
  },
  {
    words: "privacy record",
    options: [],
    method: "GET",
    path: "/.well-known/privacy.json",
    json: (answer) => ({ ...recordOfProcessing(controllerOf(answer)) }),
    text: (answer) => recordText(controllerOf(answer)),
  },
  {
    words: "privacy check",
    options: [],
    method: "GET",
    path: "/.well-known/privacy.json",
    json: (answer) => ({ complete: checked(answer) }),
    text: (answer) => checked(answer) && "Everything that must be said about personal data is said.",
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
    words: "legal grant",
    options: ["id!", "until!", "reason!"],
    method: "POST",
    path: "/v1/admin/staff/:id/legal",
    body: ["until", "reason"],
    text: ({ id, legalUntil }) => `${id} may handle what is kept for a legal reason until ${legalUntil}.`,
  },
  {
    words: "legal withdraw",
    options: ["id!", "reason!"],
    method: "POST",
    path: "/v1/admin/staff/:id/legal",
    body: ({ reason }) => ({ until: null, reason }),
    text: ({ id }) => `${id} may not handle what is kept for a legal reason any more.`,
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
  { words: "calendar show", options: [], method: "GET", path: "/v1/admin/calendar", text: calendarText },
  {
    words: "calendar set",
    options: ["date!", "kind!"],
    method: "PATCH",
    path: "/v1/admin/calendar",
    body: ({ date, kind }) => ({ days: [{ date, kind }] }),
    text: calendarText,
  },
  {
    words: "calendar unset",
    options: ["date!"],
    method: "PATCH",
    path: "/v1/admin/calendar",
    body: ({ date }) => ({ days: [{ date, kind: null }] }),
    text: calendarText,
  },
  {
    words: "calendar load",
    options: ["file!", "years"],
    method: "PATCH",
    path: "/v1/admin/calendar",
    body: ({ file, years }) => ({ days: daysOf(fileOf(file).toString("utf8")), ...(years !== undefined && { years }) }),
    text: calendarText,
  },
  {
    words: "sla explain",
    options: ["verified!", "zone", "country", "weekend"],
    method: "GET",
    path: "/v1/admin/calendar/deadline",
    query: ["verified"],
    local: explainHere,
    json: ({ deadline: due, rule, calendarVersion, uncertain }) => ({
      deadline: due,
      rule,
      calendarVersion,
      uncertain,
    }),
    text: factsText,
  },
  {
    words: "audit list",
    options: ["limit"],
    method: "GET",
    path: "/v1/admin/audit",
    columns: ["id", "at", "actor", "actorId", "action", "accountId", "subject", "reason"],
  },
  {
    words: "retention dry-run",
    options: [],
    method: "GET",
    path: "/v1/admin/retention/due",
    columns: ["accountId", "positions", "oldest", "since"],
  },
  {
    words: "retention run",
    options: [],
    method: "POST",
    path: "/v1/admin/jobs/:job/run",
    fixed: { job: "retention" },
    json: (answer) => answer,
    text: ({ changed }) => `Deleted ${changed} positions and commands.`,
  },
  {
    words: "retention explain",
    options: ["account!", "device", "at"],
    method: "GET",
    path: "/v1/admin/accounts/:account/retention",
    query: ["device", "at"],
    columns: ["deviceId", "scope", "period", "timeZone", "floor", "cutoff", "oldest", "endsAt", "at"],
  },
  {
    words: "requests list",
    options: ["open?", "limit"],
    method: "GET",
    path: "/v1/admin/requests",
    query: ["open"],
    columns: ["name", "type", "state", "level", "accountId", "receivedAt", "deadline", "alarmed"],
  },
  {
    words: "requests show",
    options: ["name!"],
    method: "GET",
    path: "/v1/admin/requests/:name",
    text: ({ scope, confirmations, suspensions, ...facts }) =>
      [
        factsText({ ...facts, scope: JSON.stringify(scope) }),
        table(confirmations as Row[], ["staffId", "at"]),
        table(suspensions as Row[], ["deviceId", "kind", "since", "liftedAt"]),
      ].join("\n\n"),
  },
  {
    words: "requests deny",
    options: ["name!", "reason!"],
    method: "POST",
    path: "/v1/admin/requests/:name/deny",
    body: ["reason"],
    text: ({ name, state }) => `Request ${name} is ${state}; who asked is told why.`,
  },
  {
    words: "requests resolve",
    options: ["name!", "reason!"],
    method: "POST",
    path: "/v1/admin/requests/:name/resolve",
    body: ["reason"],
    text: ({ name, state }) => `Request ${name} is ${state}; who asked is told.`,
  },
  {
    words: "subject-requests list",
    options: ["limit"],
    method: "GET",
    path: "/v1/admin/subject-requests",
    columns: ["name", "accountId", "deviceId", "type", "state", "staffBy"],
  },
  {
    words: "holds list",
    options: ["open?", "limit"],
    method: "GET",
    path: "/v1/admin/holds",
    query: ["open"],
    columns: ["name", "reference", "accountId", "basis", "state", "reviewAt", "reviewDue", "expiresAt"],
  },
  {
    words: "holds show",
    options: ["name!"],
    method: "GET",
    path: "/v1/admin/holds/:name",
    text: ({ scope, ...facts }) => factsText({ ...facts, scope: JSON.stringify(scope) }),
  },
  {
    words: "obligations list",
    options: ["account!", "limit"],
    method: "GET",
    path: "/v1/admin/accounts/:account/obligations",
    columns: ["id", "kind", "basis", "createdAt", "expiresAt", "needsAgreement", "inForce", "details"],
  },
  {
    words: "obligations add",
    options: ["account!", "kind!", "basis!", "until!", "details!"],
    method: "POST",
    path: "/v1/admin/accounts/:account/obligations",
    body: ({ kind, basis, until, details }) => ({ kind, basis, details, expiresAt: until }),
    text: ({ id, needsAgreement }) =>
      `Obligation ${id}.${needsAgreement === true ? " It keeps nothing before an owner has agreed to it." : ""}`,
  },
  {
    words: "obligations end",
    options: ["account!", "id!", "reason!"],
    method: "POST",
    path: "/v1/admin/accounts/:account/obligations/:id/end",
    body: ["reason"],
    json: (_, { id }) => ({ obligationId: Number(id), ended: true }),
    text: (_, { id }) => `Obligation ${id} is over.`,
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
  "POST /v1/admin/requests": "staff answer for it in person: on the page, signed in",
  "POST /v1/admin/requests/*/confirm": "two of the staff answer for it in person: on the page, signed in",
  "POST /v1/admin/requests/*/proof": "staff answer for it in person: on the page, signed in",
  "POST /v1/admin/subject-requests/*/accept": "staff answer for it in person: on the page, signed in",
  "POST /v1/admin/subject-requests/*/refuse": "staff answer for it in person: on the page, signed in",
  "POST /v1/admin/holds": "two of the staff answer for it in person: on the page, signed in",
  "POST /v1/admin/holds/*/confirm": "two of the staff answer for it in person: on the page, signed in",
  "POST /v1/admin/holds/*/review": "one of the legal staff answers for it in person: on the page, signed in",
  "POST /v1/admin/holds/*/release": "one of the legal staff answers for it in person: on the page, signed in",
  "GET /v1/admin/held": "for the legal staff alone, in person: on the page, signed in",
  "POST /v1/admin/held/*/archive": "for the legal staff alone, in person: on the page, signed in",
  "POST /v1/admin/accounts/*/imports/*": "import brings the positions after the devices",
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

/** Days of a file: a line each, "2027-01-01,holiday" or "2027-02-07,work", and what follows # is for people. */
function daysOf(text: string): Row[] {
  const lines = text.split("\n").map((line) => line.replace(/#.*/, "").trim());
  return lines.flatMap((line, i) => {
    if (line === "") return [];
    const [, date, kind] = /^(\d{4}-\d\d-\d\d)\s*,\s*(holiday|work)$/.exec(line) ?? [];
    if (date === undefined) throw new UsageError(`Line ${i + 1} must be a day and what it is: 2027-01-01,holiday.`);
    return [{ date, kind }];
  });
}

/** The PRC's days where its clocks are, of other zones weekends alone unless a country is named. */
const PRC_ZONES = ["Asia/Shanghai", "Asia/Chongqing", "Asia/Harbin", "Asia/Urumqi", "PRC"];

function explainHere({ verified, zone, country, weekend }: Row): Promise<Row> | null {
  if (!isTime(String(verified))) throw new UsageError("--verified must be a time such as 2026-02-13T16:00:00+08:00.");
  if (zone === undefined) {
    if (country !== undefined || weekend !== undefined) {
      throw new UsageError("--country and --weekend need --zone: without it the platform's own calendar counts.");
    }
    return null;
  }
  const settings = {
    calendarZone: String(zone),
    calendarCountry: String(country ?? (PRC_ZONES.includes(String(zone)) ? "CN" : "none")),
    calendarWeekend: String(weekend ?? SETTINGS.calendarWeekend.default),
    calendarYears: "",
  };
  for (const name of ["calendarZone", "calendarCountry", "calendarWeekend"] as const) {
    const { pattern, must, ...rest } = SETTINGS[name];
    const good = "good" in rest ? rest.good : () => true;
    if (pattern.test(settings[name]) && good(settings[name])) continue;
    throw new UsageError(`--${name.slice("calendar".length).toLowerCase()} must be ${must}.`);
  }
  return calendarFrom(settings, []).then((calendar) => {
    const at = Date.parse(String(verified));
    const found = deadline(at, calendar);
    const statutory = statutoryDeadline(at, calendar);
    const iso = (time: number) => new Date(time).toISOString();
    return { ...found, deadline: iso(found.deadline), statutoryDeadline: iso(statutory) };
  });
}

function calendarText({ days, weekend, years, ...facts }: Row): string {
  const list = (values: unknown) => (values as unknown[]).join(", ") || "none";
  return `${factsText({ ...facts, weekend: list(weekend), years: list(years) })}\n\n${table(days as Row[], ["date", "kind"])}`;
}

function keysText({ next: _, ...facts }: Row): string {
  return factsText(facts);
}

function brandText({ texts, ...facts }: Row): string {
  return `${factsText(facts)}\n\n${table(texts as Row[], ["kind", "language", "url", "sha256", "updatedAt"])}`;
}

function overviewText({ bridges, jobs, training, mails, retention, calendar, ...facts }: Row): string {
  const { count, oldest } = mails as Row;
  const { lastGoodAt, lagMs, late } = retention as Row;
  const sections = [
    factsText({
      ...facts,
      mailsWaiting: count,
      oldestMail: oldest,
      retentionRan: lastGoodAt,
      retentionLagMs: lagMs,
      retentionLate: late,
      calendarTo: (calendar as Row).coveredTo,
      calendarShort: (calendar as Row).short,
    }),
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

function cell(value: unknown): string {
  if (value === null || value === undefined) return "-";
  if (typeof value !== "object") return String(value);
  const { state, startedAt, error, months, days, endsAt, isPast, secretUntil } = value as Row;
  if (months !== undefined) return months === 1 ? "1 month" : `${months} months`;
  if (days !== undefined) return days === 1 ? "1 day" : `${days} days`;
  if (endsAt !== undefined)
    return `${isPast ? "past since" : "until"} ${endsAt}, its day's secret until ${secretUntil}`;
  return `${state} ${startedAt}${error === null || error === undefined ? "" : ` (${error})`}`;
}

export function table(rows: readonly Row[], columns: readonly string[]): string {
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

function controllerOf({ operator, contact }: Row): Controller {
  return { operator: String(operator), contact: contact === null ? null : String(contact) };
}

/** @throws {Error} with what is missing, so that a script sees it */
function checked(answer: Row): true {
  const problems = privacyProblems(controllerOf(answer));
  if (problems.length > 0) throw new Error(problems.join("\n"));
  return true;
}

function recordText(controller: Controller): string {
  const { activities, measures } = recordOfProcessing(controller);
  const head = `${controller.operator}, ${controller.contact ?? "no contact set"}`;
  const parts = activities.map(({ purpose, dataSubjects, personalData, recipients, records }) =>
    [
      `${purpose}\n  of ${dataSubjects.join(", ")}: ${personalData.join("; ")}\n  seen by ${recipients.join("; ")}`,
      ...records.map(({ what, timeLimit, onErasure }) => `  - ${what}: ${timeLimit}. On erasure: ${onErasure}`),
    ].join("\n"),
  );
  return [head, ...parts, `Measures\n${measures.map((measure) => `  - ${measure}`).join("\n")}`].join("\n\n");
}
