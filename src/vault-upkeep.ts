import type { Base } from "./context.ts";
import { LIMITS } from "./limits.ts";
import { cacheOf } from "./vault-cache.ts";
import { bring, type Found, inTurns, placesOf, readCopy, readObject, SHREDS } from "./vault-copies.ts";
import {
  accountIn,
  COPIES,
  EMPTY,
  type KeyObject,
  LEDGER,
  rootKeyId,
  type Secret,
  type Shred,
  unavailable,
  wrap,
} from "./vault-object.ts";
import { LASTING_KEYS, lastingKey } from "./vault-own.ts";
import { publish } from "./vault-shred.ts";

/** In the escrow alone: when it was last brought up to date, and how far the present pass has come. */
const REFRESHED = "refreshed";
/** The next objects of any copy after a name, in order; `next` is the name to go on after, null at the end. */
async function someNames(ctx: Base, after: string, limit: number): Promise<{ names: string[]; next: string | null }> {
  const lists = await Promise.all(Object.values(placesOf(ctx)).map(({ store }) => store.list("")));
  const isObject = (name: string) => name !== REFRESHED && !name.startsWith(LEDGER) && !name.startsWith(COPIES);
  const all = [...new Set(lists.flat())].filter((name) => isObject(name) && name > after).sort();
  const names = all.slice(0, limit);
  return { names, next: all.length > limit ? names[limit - 1] : null };
}

/** The objects of all accounts that ever had one, some at a time. */
export async function* accountObjects(ctx: Base): AsyncGenerator<{ accountId: number; object: KeyObject }> {
  for (let after: string | null = ""; after !== null; ) {
    const page: Awaited<ReturnType<typeof someNames>> = await someNames(ctx, after, LIMITS.keyObjects);
    const found: { accountId: number; object: KeyObject }[] = [];
    await inTurns(page.names, async (name) => {
      const accountId = accountIn(name);
      const object = accountId === null ? null : await readObject(ctx, name, true);
      if (object !== null) found.push({ accountId: accountId!, object });
    });
    yield* found;
    after = page.next;
  }
}

/** Brings the escrow up to date when it is older than LIMITS.escrowMs. Heals what a live copy lacks on the way. */
export async function refreshEscrow(ctx: Base): Promise<number> {
  const { escrow } = placesOf(ctx);
  const found = await readCopy(ctx, escrow, REFRESHED);
  const marker = found.state === "good" ? found.object : EMPTY;
  const last = marker.refreshed ?? { at: 0, began: 0, next: "" };
  if (last.next === "" && ctx.now() - last.at < LIMITS.escrowMs) return 0;
  const began = last.next === "" ? ctx.now() : last.began;
  const { names, next } = await someNames(ctx, last.next, LIMITS.escrowObjects);
  let changed = 0;
  await inTurns(names, async (name) => {
    const object = await readObject(ctx, name, true);
    if (object === null) return;
    const kept = await readCopy(ctx, escrow, name);
    if (kept.state === "good" && kept.object.serial >= object.serial) return;
    await bring(ctx, escrow, name, object, object.serial, kept);
    changed++;
  });
  const refreshed = next === null ? { at: began, began, next: "" } : { at: last.at, began, next };
  await bring(ctx, escrow, REFRESHED, { ...EMPTY, serial: marker.serial + 1, refreshed });
  return changed;
}

/** What was found of some objects; `next` is where to go on, null at the end. */
export interface KeyCheck {
  rootKeyId: string;
  /** When the escrow was last wholly up to date, Unix ms; null: never. */
  escrowAt: number | null;
  objects: number;
  /** Of each object three copies are counted: live ones that are not there, damaged, older than the other, */
  missing: number;
  damaged: number;
  behind: number;
  /** wrapped under an earlier root key, or one that this installation does not have. */
  oldRootKey: number;
  foreign: number;
  /** Copies that were written. */
  changed: number;
  next: string | null;
}

/** Looks at every copy of some objects, without changing any. */
export function checkKeys(ctx: Base, after = ""): Promise<KeyCheck> {
  return walk(ctx, after, async () => 0);
}

/** Wraps copies of some objects anew that are not under the present root key. */
export async function rewrapSome(ctx: Base, after = ""): Promise<KeyCheck> {
  // What is made from a root key is, before that key goes.
  if (after === "" && ctx.config.oldRootKeys.length > 0) for (const what of LASTING_KEYS) await lastingKey(ctx, what);
  return walk(ctx, after, async (name) => {
    let changed = 0;
    for (const place of Object.values(placesOf(ctx))) {
      for (let attempt = 0; attempt < LIMITS.vaultTries; attempt++) {
        const found = await readCopy(ctx, place, name);
        if (found.state !== "good" || found.rootKeyId === (await rootKeyId(ctx))) break;
        if (!(await place.store.put(name, await wrap(ctx, place.label, name, found.object), found.version))) continue;
        changed++;
        break;
      }
    }
    return changed;
  });
}

/**
 * Wraps every copy of every object anew that is not under the present root key. Returns copies changed. Afterwards
 * ROOT_KEY_OLD is needed no more, if checkKeys() finds none under another.
 */
export async function rewrap(ctx: Base): Promise<number> {
  let changed = 0;
  for (let after: string | null = ""; after !== null; ) {
    const page = await rewrapSome(ctx, after);
    changed += page.changed;
    after = page.next;
  }
  return changed;
}

async function walk(ctx: Base, after: string, change: (name: string) => Promise<number>): Promise<KeyCheck> {
  const places = placesOf(ctx);
  const id = await rootKeyId(ctx);
  const marker = await readCopy(ctx, places.escrow, REFRESHED);
  const escrowAt = (marker.state === "good" && marker.object.refreshed?.at) || null;
  const { names, next } = await someNames(ctx, after, LIMITS.keyObjects);
  const sum = { objects: names.length, missing: 0, damaged: 0, behind: 0, oldRootKey: 0, foreign: 0, changed: 0 };
  const count = (found: Found, serial: number, live: boolean) => {
    if (found.state === "none") sum.missing += live ? 1 : 0;
    else if (found.state === "good") {
      if (live && found.object.serial < serial) sum.behind++;
      if (found.rootKeyId !== id) sum.oldRootKey++;
    } else sum[found.state]++;
  };
  if (after === "") sum.changed += await change(REFRESHED);
  await inTurns(names, async (name) => {
    const changed = await change(name);
    sum.changed += changed;
    const [a, b] = [await readCopy(ctx, places.a, name), await readCopy(ctx, places.b, name)];
    const serial = Math.max(...[a, b].map((found) => (found.state === "good" ? found.object.serial : 0)));
    count(a, serial, true);
    count(b, serial, true);
    count(await readCopy(ctx, places.escrow, name), serial, false);
  });
  return { rootKeyId: id, escrowAt, ...sum, next };
}

/** A restored object is newer than whatever copy of it may still turn up. */
const RESTORED = 1_000_000;

/**
 * Restores some objects that neither live copy has from the escrow, without what the list of destructions names. Those
 * that are there are left as they are. Every isolate then forgets what it keeps in memory.
 * @returns objects restored, and where to go on
 * @throws {AppError} unavailable when a copy cannot be judged, as with a root key that is not configured
 */
export async function restoreSome(ctx: Base, after = ""): Promise<{ restored: number; next: string | null }> {
  const { names, next } = await someNames(ctx, after, LIMITS.keyObjects);
  let restored = 0;
  // The list first: nothing may come back that it says is gone.
  if (after === "" && (await restoreObject(ctx, SHREDS, []))) restored++;
  const list = (await readObject(ctx, SHREDS, true))?.shreds?.list ?? [];
  await inTurns(
    names.filter((name) => name !== SHREDS),
    async (name) => {
      const shreds = list.filter((shred) => shred.name === name);
      if (await restoreObject(ctx, name, shreds)) restored++;
    },
  );
  if (restored > 0) {
    await publish(
      ctx,
      names.map((name) => ({ name, serial: 0, at: ctx.now(), kids: [] })),
    );
    const cache = await cacheOf(ctx);
    for (const name of names) cache.evict(name);
  }
  return { restored, next };
}

/** Everything that restoreSome() can restore. Returns objects restored. */
export async function restoreFromEscrow(ctx: Base): Promise<number> {
  let restored = 0;
  for (let after: string | null = ""; after !== null; ) {
    const page = await restoreSome(ctx, after);
    restored += page.restored;
    after = page.next;
  }
  return restored;
}

async function restoreObject(ctx: Base, name: string, shreds: readonly Shred[]): Promise<boolean> {
  const places = placesOf(ctx);
  const live = [await readCopy(ctx, places.a, name), await readCopy(ctx, places.b, name)];
  if (live.some(({ state }) => state === "good")) return false;
  const kept = await readCopy(ctx, places.escrow, name);
  for (const { state } of [...live, kept]) {
    if (state === "foreign")
      throw unavailable("A copy is wrapped under a root key that this installation does not have");
  }
  if (kept.state !== "good") return false;
  const object = { ...applied(kept.object, shreds), serial: kept.object.serial + RESTORED };
  await bring(ctx, places.a, name, object, object.serial, live[0]);
  await bring(ctx, places.b, name, object, object.serial, live[1]);
  await bring(ctx, places.escrow, name, object);
  return true;
}

/** An object without what was destroyed after it was kept. */
function applied(object: KeyObject, shreds: readonly Shred[]): KeyObject {
  const kids = new Set(shreds.flatMap((shred) => shred.kids));
  const gone = object.secrets.filter(({ kid }) => kids.has(kid));
  if (gone.length === 0) return object;
  const isDay = ({ kind, of: dayKid }: Secret) => kind !== "share" || !kids.has(dayKid);
  const left = object.secrets.filter((secret) => !kids.has(secret.kid) && isDay(secret));
  // An account's own secret goes with the whole account; or alone, when it got another, which this copy may lack.
  const lives = left.some(({ kind }) => kind === "own" || kind === "device");
  if (!lives && gone.some(({ kind }) => kind === "own")) return { ...object, gone: true, erased: [], secrets: [] };
  const has = new Set(left.flatMap(({ kind, of }) => (kind === "device" ? [of] : [])));
  // A device that has no secret left was erased; one with another had its secret rotated.
  const erased = gone.flatMap(({ kind, of }) => (kind === "device" && !has.has(of) ? [of] : []));
  return { ...object, secrets: left, erased: [...new Set([...object.erased, ...erased])] };
}
