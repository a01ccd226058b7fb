import * as v from "valibot";
import { expect } from "vitest";
import { newToken } from "../../../src/access.ts";
import type { Role, Scope } from "../../../src/context.ts";
import { app } from "../../../src/http/app.ts";
import { insertKey } from "../../../src/store/keys.ts";
import { CUSTOMER_ROLES, STAFF_ROLES } from "../../../src/store/schema.ts";
import { aBase, aDatabase, anAccount, aSession, aUser, NOON, type TestBase } from "../../database.ts";

export interface CallOptions {
  /** bearer token; absent: no credentials */
  key?: string;
  /** cookies of a browser, which says that it asks from our own page */
  cookie?: string;
  /** sent as JSON, or as it is when it is text or bytes */
  body?: unknown;
  headers?: Record<string, string>;
}

export interface Api {
  base: TestBase;
  /** keys of one account, and of another one */
  read: string;
  write: string;
  stranger: string;
  accountId: number;
  strangerId: number;
  admin: string;
  bridge: string;
  /** Cookies of a user of the account, of one of the other account's owner, and of trained staff. */
  sessions: Record<Role | "strangerOwner", string>;
  call(method: string, path: string, options?: CallOptions): Promise<Response>;
  close(): void;
}

/** The id of a new key that nobody holds. */
export async function aKeyRow(base: TestBase, accountId: number): Promise<number> {
  const { hash } = await newToken(base, "key");
  return (await insertKey(base.db, accountId, { scope: "read", hash, createdAt: NOON })).id;
}

/** A key of an account, as the platform would have made it. */
export async function aKey(base: TestBase, accountId: number, scope: Scope): Promise<string> {
  const { token, hash } = await newToken(base, "key");
  await insertKey(base.db, accountId, { scope, hash, createdAt: NOON });
  return token;
}

const isCustomer = (role: Role) => (CUSTOMER_ROLES as readonly Role[]).includes(role);

/** The whole API on a database in memory, with two accounts. Its secrets are its own, so rate limits are too. */
export async function anApi(): Promise<Api> {
  const { db, close } = await aDatabase();
  const base = aBase(db);
  const secret = () => Buffer.from(base.random(16)).toString("hex");
  base.config = { ...base.config, adminToken: secret(), bridgeToken: secret() };
  const accountId = await anAccount(db);
  const strangerId = await anAccount(db, { name: "Stranger" });
  const sessions = {} as Api["sessions"];
  for (const role of [...CUSTOMER_ROLES, ...STAFF_ROLES]) {
    sessions[role] = await aSession(base, await aUser(db, { role, ...(isCustomer(role) && { accountId }) }));
  }
  sessions.strangerOwner = await aSession(base, await aUser(db, { role: "owner", accountId: strangerId }));
  return {
    base,
    sessions,
    accountId,
    strangerId,
    read: await aKey(base, accountId, "read"),
    write: await aKey(base, accountId, "write"),
    stranger: await aKey(base, strangerId, "write"),
    admin: base.config.adminToken,
    bridge: base.config.bridgeToken,
    call: async (method, path, { key, cookie, body, headers = {} } = {}) => {
      const init: RequestInit & { headers: Record<string, string> } = { method, headers: { ...headers } };
      if (key !== undefined) init.headers.Authorization = `Bearer ${key}`;
      if (cookie !== undefined) init.headers = { Cookie: cookie, "Sec-Fetch-Site": "same-origin", ...headers };
      if (body !== undefined) {
        init.body =
          typeof body === "string" || body instanceof Uint8Array || body instanceof URLSearchParams
            ? (body as BodyInit)
            : JSON.stringify(body);
      }
      return app.fetch(new Request(`https://edge.test${path}`, init), base);
    },
    close: () => close(),
  };
}

export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: string;
  requestId: string;
  field?: string;
}

const ProblemShape = v.strictObject({
  type: v.pipe(v.string(), v.url()),
  title: v.string(),
  status: v.number(),
  detail: v.string(),
  code: v.string(),
  requestId: v.string(),
  field: v.optional(v.string()),
});

/** Checks that a response is the problem it should be, in the one shape there is, and returns it. */
export async function expectProblem(response: Response, status: number, code: string): Promise<Problem> {
  const problem = (await response.json()) as Problem;
  expect({ status: response.status, code: problem.code }).toEqual({ status, code });
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  expect(response.headers.get("x-request-id")).toBe(problem.requestId);
  expect(problem.status).toBe(status);
  v.parse(ProblemShape, problem);
  return problem;
}
