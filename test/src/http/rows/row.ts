import type { Role } from "../../../../src/context.ts";
import type { Api } from "../api.ts";

/** Who a route can be tried as. The keys are of one account, the customers' roles too; staff are trained. */
export const CALLERS = [
  "nobody",
  "readKey",
  "writeKey",
  "bridge",
  "adminToken",
  "owner",
  "manager",
  "viewer",
  "admin",
  "support",
  "privacy",
  "finance",
] as const satisfies readonly (Role | "nobody" | "readKey" | "writeKey" | "bridge" | "adminToken")[];
export type Caller = (typeof CALLERS)[number];

/** Groups of callers, as rows name them. */
export const ANYONE = CALLERS;
export const CUSTOMERS = ["owner", "manager", "viewer"] as const;
export const STAFF = ["admin", "support", "privacy", "finance"] as const;
export const READERS = ["readKey", "writeKey", ...CUSTOMERS] as const;
export const WRITERS = ["writeKey", "owner", "manager"] as const;
export const PEOPLE = [...CUSTOMERS, ...STAFF] as const;
export const OPERATOR = ["adminToken", "admin"] as const;

/** What the rows name: objects of the first account, made before the walk. */
export interface Things {
  api: Api;
  device: number;
  imei: string;
  command: number;
  account: number;
  /** made for each use, as the row that uses them ends them */
  key: () => Promise<number>;
  bridge: () => Promise<number>;
  spareDevice: () => Promise<number>;
}

/** One valid request for a route, and who may make it: everybody else is refused. */
export interface Row {
  who: readonly Caller[];
  path: (things: Things) => string | Promise<string>;
  /** JSON body, bytes, or the fields of a page's form */
  body?: (things: Things) => unknown;
  status: number;
  /** who makes the request that must give `status`; absent: the first of `who` */
  as?: Caller;
  /** names an object of an account: a stranger gets 404 whatever they send */
  owned?: true;
  /** its path names something of the platform, the same for every account */
  shared?: true;
  /** it ends sessions or keys, or accepts or suspends for the account: all is put back after each request */
  ends?: true;
}
export type Rows = Readonly<Record<string, Row>>;

export const at = (path: string) => () => path;
