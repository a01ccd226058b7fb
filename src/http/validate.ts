import * as v from "valibot";
import { AppError } from "../errors.ts";

type Issue = v.BaseIssue<unknown>;

const many = (count: unknown) => (count === 1 ? "1 character" : `${count} characters`);

/**
 * What each kind of valibot issue says, as the end of a sentence that begins with the field. valibot's own messages
 * repeat what was received, which an answer must not. A schema's own message (of `check`, `regex`) comes before these.
 */
const SAYS: Record<string, (issue: Issue) => string> = {
  string: () => "must be text",
  number: () => "must be a number",
  boolean: () => "must be true or false",
  integer: () => "must be a whole number",
  min_value: (issue) => `must be at least ${issue.requirement}`,
  max_value: (issue) => `must be at most ${issue.requirement}`,
  multiple_of: (issue) => `must be a multiple of ${issue.requirement}`,
  min_length: (issue) => `must have at least ${many(issue.requirement)}`,
  max_length: (issue) => `must have at most ${many(issue.requirement)}`,
  length: (issue) => `must have ${many(issue.requirement)}`,
  picklist: (issue) => `must be one of ${expected(issue)}`,
  variant: (issue) => `must be one of ${expected(issue)}`,
  literal: (issue) => `must be ${expected(issue)}`,
  strict_object: objectSays,
};

function objectSays(issue: Issue): string {
  if (issue.expected === "never") return "is not a field of this request";
  return issue.expected?.startsWith('"') ? "is required" : "must be an object";
}

/** valibot writes `("a" | "b")`. */
const expected = (issue: Issue) => (issue.expected ?? "").replace(/[()"]/g, "").replaceAll(" | ", ", ");

const says = (issue: Issue) => (SAYS[issue.type] ?? (() => "is not valid"))(issue);

/** A name to show: what the request wrote, unless it is nothing that a name could be. */
function fieldOf(issue: Issue): string {
  return nameOf(v.getDotPath(issue)) ?? "a field";
}

const nameOf = (text: string | null) => (text !== null && /^[\w.-]{1,64}$/.test(text) ? text : undefined);

/** A refusal because of a query parameter. */
export function refusedParameter(name: string, why: string): AppError {
  const field = nameOf(name);
  return new AppError("invalid", `${field ?? "a query parameter"} ${why}`, field === undefined ? {} : { field });
}

/**
 * Checks input against a schema.
 * @throws {AppError} invalid, with the first field at fault and never its value
 */
export function parse<S extends v.GenericSchema>(schema: S, input: unknown): v.InferOutput<S> {
  const result = v.safeParse(schema, input, { abortEarly: true, message: says });
  if (result.success) return result.output;
  const [issue] = result.issues;
  const field = fieldOf(issue);
  throw new AppError("invalid", `${field} ${issue.message}`, field === "a field" ? {} : { field });
}

/**
 * The query as an object of texts.
 * @throws {AppError} invalid when a name occurs twice
 */
export function queryOf(url: string): Record<string, string> {
  const found: Record<string, string> = Object.create(null);
  for (const [name, value] of new URL(url).searchParams) {
    if (Object.hasOwn(found, name)) throw refusedParameter(name, "is given twice");
    found[name] = value;
  }
  return found;
}

/**
 * Refuses texts that a database may cut or alter: one with a NUL in it, or with half of a character.
 * @param input a JSON body or a form; a file is the concern of who reads it
 * @throws {AppError} invalid, with the field
 */
export function requireWholeTexts(input: unknown, path = ""): void {
  if (typeof input === "string" && (input.includes("\0") || /\p{Surrogate}/u.test(input))) {
    const field = nameOf(path);
    throw new AppError("invalid", `${field ?? "a field"} must be plain text`, field === undefined ? {} : { field });
  }
  if (typeof input !== "object" || input === null || input instanceof Uint8Array) return;
  for (const [name, value] of Object.entries(input)) requireWholeTexts(value, path === "" ? name : `${path}.${name}`);
}
