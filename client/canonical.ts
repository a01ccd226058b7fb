// Canonical JSON (RFC 8785) of what ledger and receipts are made of: one way of writing a value, so that it can be hashed
// and signed. Numbers are whole, so that nothing hangs on how a runtime writes fractions.

export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };

/** @throws {TypeError} for what has no canonical form here: fractions, undefined, halves of surrogate pairs */
export function canonical(value: Json): string {
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "string") {
    if (!value.isWellFormed()) throw new TypeError("Cannot write text: it holds half of a surrogate pair");
    return JSON.stringify(value);
  }
  if (typeof value === "number") {
    if (!Number.isSafeInteger(value)) throw new TypeError("Cannot write number: it is no safe integer");
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) return `[${(value as readonly Json[]).map(canonical).join(",")}]`;
  if (typeof value !== "object") throw new TypeError(`Cannot write ${typeof value}: JSON has none`);
  // By UTF-16 code units, as sort() compares.
  const names = Object.keys(value).sort();
  return `{${names.map((name) => `${canonical(name)}:${canonical((value as Record<string, Json>)[name] as Json)}`).join(",")}}`;
}

/**
 * Reads canonical JSON.
 * @throws {SyntaxError} when the text is not exactly what canonical() writes
 */
export function readCanonical(text: string): Json {
  const value = JSON.parse(text) as Json;
  let written: string | null = null;
  try {
    written = canonical(value);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
  if (written !== text) throw new SyntaxError("Cannot read JSON: it is not in canonical form");
  return value;
}
