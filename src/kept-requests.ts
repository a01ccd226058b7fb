import type { Base } from "./context.ts";
import { emptyPart } from "./erasers/part.ts";
import { buryStretches } from "./erasers/range.ts";
import type { ErasureScope } from "./erasure-scope.ts";
import { isBehind } from "./ledger-mirror.ts";
import { LIMITS } from "./limits.ts";
import { expectRequest, type RequestRow, requestsNamed, type Verification } from "./store/requests.ts";
import * as store from "./store/restore.ts";
import { requestsInForce } from "./store/suspensions.ts";
import { bring, changeObject, placesOf, readObject } from "./vault-copies.ts";
import type { KeptRequest } from "./vault-object.ts";

// Requests of which it is known who asks are kept beside the keys, too, until they are over: a database that is restored
// from before one was made then has it again, with its deadline. What was erased of an account that lives on is kept as
// long as copies of the database may be: such a copy has it, in part not sealed or waiting to be settled, and no key is
// gone that would say so. What is suspended for somebody stays so until they let it go on.

const NAME = "requests";

const scopeOf = ({ scope }: { scope: string }) => JSON.parse(scope) as ErasureScope;
/** Of these no key says that they were done. */
const isErasedPart = (kept: KeptRequest) =>
  kept.type === "erase" && !["account", "devices"].includes(scopeOf(kept).kind);

/** Keeps a request. When this returns, no restore makes it forgotten, once the ledger says that it is verified. */
export async function keepRequest(
  ctx: Base,
  { name, type, accountId, userId, scope, receivedAt }: KeptOf,
  { level, verifiedAt, deadline, calendar, uncertain }: Verification,
): Promise<void> {
  const kept: KeptRequest = {
    ...{ name, type, accountId, userId, scope, receivedAt },
    ...{ level, verifiedAt, deadline, calendar, uncertain, overAt: null },
  };
  await change(ctx, (list) => [...list.filter((one) => one.name !== name), kept]);
}
type KeptOf = Pick<RequestRow, "name" | "type" | "accountId" | "userId" | "scope" | "receivedAt">;

/** Takes back what keepRequest() kept and did not come to count. */
export const dropKept = (ctx: Base, name: string): Promise<void> =>
  change(ctx, (list) => list.filter((one) => one.name !== name));

async function change(ctx: Base, to: (list: readonly KeptRequest[]) => KeptRequest[]): Promise<void> {
  const object = await changeObject(ctx, NAME, (before) => {
    const requests = to(before.requests ?? []);
    const same = JSON.stringify(requests) === JSON.stringify(before.requests ?? []);
    return same ? null : { ...before, requests };
  });
  if (object !== null) await bring(ctx, placesOf(ctx).escrow, NAME, object);
}

/** Drops what is over. @returns requests that were dropped, or are over since */
export async function tidyKept(ctx: Base): Promise<number> {
  const list = (await readObject(ctx, NAME))?.requests ?? [];
  if (list.length === 0) return 0;
  const rows = await requestsNamed(
    ctx.db,
    list.map(({ name }) => name),
  );
  const now = ctx.now();
  // One that the database does not know: nobody was told that it counts, or the database was restored a moment ago.
  const current = list.every(({ name }) => rows.has(name)) || !(await isBehind(ctx));
  const goneAccounts = new Set(
    list.flatMap(({ name, accountId, scope }) =>
      scopeOf({ scope }).kind === "account" && rows.get(name)?.state === "cleared" ? [accountId] : [],
    ),
  );
  const suspending = await requestsInForce(
    ctx.db,
    list.map(({ name }) => name),
  );
  const next = new Map<string, number | null>();
  for (const kept of list) {
    const row = rows.get(kept.name);
    const overAt = kept.overAt ?? row?.closedAt ?? null;
    const isCleared = kept.overAt !== null || row?.state === "cleared";
    const stays = isCleared && isErasedPart(kept) && !goneAccounts.has(kept.accountId);
    if (suspending.has(kept.name)) next.set(kept.name, null);
    else if (overAt !== null) {
      if (stays && now - overAt < LIMITS.tombstonesMs) next.set(kept.name, overAt);
    } else if (row !== undefined || !current || now - kept.verifiedAt < LIMITS.keptUnknownMs) next.set(kept.name, null);
  }
  const changed = list.filter(({ name, overAt }) => next.get(name) !== overAt);
  if (changed.length === 0) return 0;
  const names = new Set(changed.map(({ name }) => name));
  await change(ctx, (all) =>
    all.flatMap((one) => {
      if (!names.has(one.name)) return [one];
      const overAt = next.get(one.name);
      return overAt === undefined ? [] : [{ ...one, overAt }];
    }),
  );
  return changed.length;
}

interface End {
  state: RequestRow["state"];
  at: number;
  /** A restored database does not have that entry. */
  isNew: boolean;
}

/** What the ledger says of requests, by their names. */
export interface Told {
  verified: Set<string>;
  /** How and when it ended; what was restricted or objected to then goes on being suspended. */
  over: Map<string, End>;
  /** How often something was let go on of what it suspended. */
  resumed: Map<string, number>;
  /** When its last erasing began. */
  begunAt: Map<string, number>;
  /** Of what was erased since a restored database was copied. */
  erased: Set<string>;
}

const ENDS: Readonly<Record<string, RequestRow["state"]>> = {
  cleared: "cleared",
  exported: "cleared",
  corrected: "cleared",
  restricted: "cleared",
  revoked: "revoked",
  denied: "denied",
  expired: "expired",
};

export const toldBy = (): Told => ({
  ...{ verified: new Set(), over: new Map(), resumed: new Map(), begunAt: new Map(), erased: new Set() },
});

/** Adds what one entry says. */
export function hear({ verified, over, resumed, begunAt, erased }: Told, entry: string, isNew: boolean): void {
  const { request, type, at } = JSON.parse(entry) as { request: string | null; type: string; at: number };
  if (request === null) return;
  if (type === "verified") verified.add(request);
  if (type === "resumed") resumed.set(request, (resumed.get(request) ?? 0) + 1);
  if (type === "frozen") begunAt.set(request, at);
  if (isNew && (type === "frozen" || type === "cleared")) erased.add(request);
  const state = ENDS[type];
  if (state !== undefined) over.set(request, { state, at, isNew });
}

/** Whether nothing of a request is to be done or kept up any more. */
function endOf({ over, resumed }: Told, kept: KeptRequest): End | null {
  const end = over.get(kept.name) ?? null;
  if (kept.type === "erase" || end?.state !== "cleared") return end;
  const { kind, ...scope } = scopeOf(kept);
  const suspended = kind === "devices" ? (scope as { devices: number[] }).devices.length : 1;
  return (resumed.get(kept.name) ?? 0) >= suspended ? end : null;
}

/**
 * Brings a restored database's requests up to the ledger, before anything else of it is looked at: what ended is over,
 * what counted counts again, and what was erased of an account that lives on goes, and does not come back from the inbox.
 * May be stopped anywhere and run again.
 * @returns requests that count again
 */
export async function repeatRequests(ctx: Base, told: Told): Promise<number> {
  const { verified, over, begunAt, erased } = told;
  for (const [name, { state, at, isNew }] of over) if (isNew) await store.endRequest(ctx.db, name, state, at);
  const list = (await readObject(ctx, NAME, true))?.requests ?? [];
  if (list.length === 0) return 0;
  // The database may never have known of some that are over: they are not dropped for that.
  await change(ctx, (all) =>
    all.flatMap((kept) => {
      const end = endOf(told, kept);
      if (end === null || kept.overAt !== null) return [kept];
      return end.state === "cleared" && isErasedPart(kept) ? [{ ...kept, overAt: end.at }] : [];
    }),
  );
  // Nobody gets the numbers that they name.
  await store.raiseSequences(ctx.db, {
    accounts: Math.max(...list.map(({ accountId }) => accountId)),
    devices: Math.max(0, ...list.flatMap((kept) => devicesIn(scopeOf(kept)))),
    users: Math.max(0, ...list.map(({ userId }) => userId ?? 0)),
  });
  let again = 0;
  for (const kept of list) {
    const { name, overAt } = kept;
    if (overAt === null && verified.has(name) && endOf(told, kept) === null) {
      again += await expectRequest(ctx.db, kept);
      const end = over.get(name);
      if (end !== undefined) await store.endRequest(ctx.db, name, end.state, end.at);
    }
    const at = begunAt.get(name);
    if (at !== undefined && erased.has(name) && isErasedPart(kept)) await repeatPart(ctx, kept, at);
  }
  return again;
}

function devicesIn(scope: ErasureScope): number[] {
  return scope.kind === "devices" ? scope.devices : scope.kind === "range" ? [scope.device] : [];
}

async function repeatPart(ctx: Base, { name, accountId, userId, scope: text }: KeptRequest, frozenAt: number) {
  const scope = scopeOf({ scope: text });
  const job = { id: 0, name, accountId, userId, scope, frozenAt };
  if (scope.kind === "range" || scope.kind === "tracks") return buryStretches(ctx, job);
  await emptyPart(ctx, job, { left: Number.POSITIVE_INFINITY });
}
