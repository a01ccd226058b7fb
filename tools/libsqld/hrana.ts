import type { Statement } from "libsql";

/** What the `libsql` engine may be given. Anything else aborts the whole process (a Rust panic, no exception). */
export type Bound = null | bigint | number | string | Buffer;

/** An error that goes to the client as `{message, code}`; the code is SQLite's or Hrana's name. */
export class HranaError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** What the first look at a statement tells: its verb, and the parameters in SQLite's numbering. */
export interface Sql {
  /** First word in capitals, "" when there is no statement. */
  verb: string;
  /** Number of parameters; the engine keeps the previous values of those that are not bound, so all must be. */
  parameters: number;
  /** Index from 0 of each named parameter, with its prefix. */
  names: ReadonlyMap<string, number>;
}

const TOKEN =
  /'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|(?<comment>--[^\n]*|\/\*[\s\S]*?(?:\*\/|$))|\?(?<number>\d*)|(?<name>[:@$][\w$\u0080-\uffff]+)|(?<word>[\w\u0080-\uffff][\w$\u0080-\uffff]*)|(?<end>;)|\S/g;

/**
 * Finds the verb and the parameters of one statement.
 * @throws {HranaError} for no statement and for more than one: the engine would run the first and drop the rest in silence
 */
export function readSql(text: string): Sql {
  const names = new Map<string, number>();
  let verb = "";
  let parameters = 0;
  let ended = false;
  for (const { groups: token } of text.matchAll(TOKEN)) {
    if (token?.comment !== undefined) continue;
    if (token?.end !== undefined) {
      ended = verb !== "";
      continue;
    }
    if (ended && !/^\s*CREATE\s+(TEMP\w*\s+)?TRIGGER/i.test(text)) {
      throw new HranaError("SQL_MANY_STATEMENTS", "SQL string contains more than one statement");
    }
    if (verb === "") verb = token?.word?.toUpperCase() ?? "?";
    if (token?.number !== undefined) {
      parameters = token.number === "" ? parameters + 1 : Math.max(parameters, Number(token.number));
    } else if (token?.name !== undefined && !names.has(token.name)) {
      names.set(token.name, parameters++);
    }
  }
  if (verb === "") throw new HranaError("SQL_NO_STATEMENT", "SQL string does not contain any statement");
  return { verb, parameters, names };
}

/** One Hrana value as the engine may bind it. Integers travel as text, so that all 64 bits survive. */
export function readValue(json: unknown): Bound {
  const { type, value, base64 } = (json ?? {}) as { type?: unknown; value?: unknown; base64?: unknown };
  if (type === "null") return null;
  if (type === "integer" && typeof value === "string" && /^-?\d{1,19}$/.test(value)) {
    const integer = BigInt(value);
    if (BigInt.asIntN(64, integer) === integer) return integer;
  }
  if (type === "float" && typeof value === "number") return value;
  // The engine reads text as a C string: what follows a NUL would be stored but never come back.
  if (type === "text" && typeof value === "string" && !value.includes("\0")) return value;
  if (type === "blob" && typeof base64 === "string") {
    const bytes = Buffer.from(base64, "base64");
    const digits = base64.length - (base64.endsWith("==") ? 2 : base64.endsWith("=") ? 1 : 0);
    if (bytes.length === Math.floor((digits * 3) / 4)) return bytes;
  }
  throw new HranaError("ARGS_INVALID", `Cannot bind a value of type ${JSON.stringify(type)}: it is malformed`);
}

/** The arguments of a statement, always one for each parameter: an absent one is NULL, as in libsql-server. */
export function readArguments(stmt: { args?: unknown; named_args?: unknown }, sql: Sql): Bound[] {
  const positional = Array.isArray(stmt.args) ? stmt.args : [];
  const named = Array.isArray(stmt.named_args) ? (stmt.named_args as { name?: unknown; value?: unknown }[]) : [];
  if (positional.length > sql.parameters) {
    throw new HranaError("ARGS_INVALID", `${positional.length} arguments for ${sql.parameters} parameters`);
  }
  const bound: Bound[] = new Array<Bound>(sql.parameters).fill(null);
  for (let i = 0; i < positional.length; i++) bound[i] = readValue(positional[i]);
  for (const { name, value } of named) {
    const index = ["", ":", "@", "$"].map((prefix) => sql.names.get(`${prefix}${name}`)).find((at) => at !== undefined);
    if (index === undefined) throw new HranaError("ARGS_INVALID", `No parameter is called ${JSON.stringify(name)}`);
    bound[index] = readValue(value);
  }
  return bound;
}

function writeValue(value: unknown): string {
  if (value === null || value === undefined) return '{"type":"null"}';
  if (typeof value === "bigint") return `{"type":"integer","value":"${value}"}`;
  if (typeof value === "string") return `{"type":"text","value":${JSON.stringify(value)}}`;
  if (typeof value === "number") {
    // JSON has no infinity, but 1e999 is read as one.
    const number = Number.isFinite(value) ? String(value) : value > 0 ? "1e999" : "-1e999";
    return `{"type":"float","value":${Object.is(value, -0) ? "-0.0" : number}}`;
  }
  return `{"type":"blob","base64":"${(value as Buffer).toString("base64")}"}`;
}

/** The `cols` of a result. */
export function writeColumns(columns: ReturnType<Statement["columns"]>): string {
  return JSON.stringify(columns.map(({ name, type }) => ({ name, decltype: type })));
}

/**
 * A whole statement result, as JSON text: building it by hand is faster than objects and `JSON.stringify`.
 * All rows are read even beyond the limit, because an unfinished statement would hold its read lock.
 * @throws {HranaError} RESPONSE_TOO_LARGE
 */
export function writeResult(
  columns: string,
  rows: Iterable<readonly unknown[]>,
  changed: () => { changes: number | bigint; rowid: number | bigint | null },
  maxChars: number,
): string {
  let out = "";
  let tooLarge = false;
  for (const row of rows) {
    if (tooLarge) continue;
    let line = out === "" ? "[" : ",[";
    for (let i = 0; i < row.length; i++) line += i === 0 ? writeValue(row[i]) : `,${writeValue(row[i])}`;
    out += `${line}]`;
    tooLarge = out.length > maxChars;
  }
  if (tooLarge) throw new HranaError("RESPONSE_TOO_LARGE", `The result is larger than ${maxChars} characters`);
  const { changes, rowid } = changed();
  const last = rowid === null ? "null" : `"${rowid}"`;
  return `{"cols":${columns},"rows":[${out}],"affected_row_count":${changes},"last_insert_rowid":${last}}`;
}

/** SQLite's primary result codes, by number. Source: sqlite.org/rescode.html */
const PRIMARY_CODES =
  "OK ERROR INTERNAL PERM ABORT BUSY LOCKED NOMEM READONLY INTERRUPT IOERR CORRUPT NOTFOUND FULL CANTOPEN PROTOCOL EMPTY SCHEMA TOOBIG CONSTRAINT MISMATCH MISUSE NOLFS AUTH FORMAT RANGE NOTADB NOTICE WARNING".split(
    " ",
  );

/** `error` as the protocol carries it. SQLite's extended codes are cut to the primary one, as libsql-server does. */
export function errorOf(error: unknown): { message: string; code: string } {
  if (error instanceof HranaError) return { message: error.message, code: error.code };
  const { message, rawCode } = error as { message?: unknown; rawCode?: unknown };
  if (typeof rawCode === "number") {
    return { message: `SQLite error: ${message}`, code: `SQLITE_${PRIMARY_CODES[rawCode & 0xff] ?? "UNKNOWN"}` };
  }
  console.error("libsqld:", error);
  return { message: "Internal error", code: "INTERNAL_ERROR" };
}

/** A batch step's condition. `outcome` holds for each earlier step: true ok, false failed, null not run. */
export function holds(condition: unknown, outcome: readonly (boolean | null)[], isAutocommit: () => boolean): boolean {
  if (condition === null || condition === undefined) return true;
  const { type, step, cond, conds } = condition as { type?: string; step?: number; cond?: unknown; conds?: unknown };
  if (type === "ok") return outcome[Number(step)] === true;
  if (type === "error") return outcome[Number(step)] === false;
  if (type === "not") return !holds(cond ?? null, outcome, isAutocommit);
  if (type === "and") return Array.isArray(conds) && conds.every((each) => holds(each, outcome, isAutocommit));
  if (type === "or") return Array.isArray(conds) && conds.some((each) => holds(each, outcome, isAutocommit));
  if (type === "is_autocommit") return isAutocommit();
  throw new HranaError("PROTO_ERROR", `Unknown condition ${JSON.stringify(type)}`);
}
