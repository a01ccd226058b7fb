import type { Context } from "hono";
import { HttpError } from "./errors.ts";
import type { Env } from "./route.ts";

/** A strong ETag: the hash of the JSON text itself, so nothing has to keep a version. */
async function etagOf(json: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(json)));
  return `"${[...digest.subarray(0, 12)].map((byte) => byte.toString(16).padStart(2, "0")).join("")}"`;
}

/** Whether a list of ETags (If-Match, If-None-Match) names this one; a weak one counts as its strong one. */
function lists(header: string, etag: string): boolean {
  return header.split(",").some((entry) => {
    const candidate = entry.trim().replace(/^W\//, "");
    return candidate === "*" || candidate === etag;
  });
}

/**
 * Answers with one object and its ETag: 304 to a GET that has it already, 201 when it was made.
 * @param made.location path of a new object
 */
export async function resource(c: Context<Env>, object: object, made?: { location: string }): Promise<Response> {
  const json = JSON.stringify(object);
  const etag = await etagOf(json);
  const known = c.req.header("if-none-match");
  if (/^(GET|HEAD)$/.test(c.req.raw.method) && known !== undefined && lists(known, etag)) {
    return c.body(null, 304, { ETag: etag });
  }
  const headers: Record<string, string> = { ETag: etag, "Content-Type": "application/json" };
  if (made !== undefined) headers.Location = made.location;
  return c.body(json, made === undefined ? 200 : 201, headers);
}

/**
 * Refuses a change of something that the caller has not seen as it is now. Without If-Match everything passes.
 * @throws {HttpError} precondition_failed
 */
export async function requireMatch(c: Context<Env>, object: object): Promise<void> {
  const expected = c.req.header("if-match");
  if (expected === undefined || lists(expected, await etagOf(JSON.stringify(object)))) return;
  throw new HttpError("precondition_failed", "It has changed since you read it: read it again and repeat the change");
}
