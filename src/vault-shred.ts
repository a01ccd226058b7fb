import type { Base } from "./context.ts";
import { LIMITS } from "./limits.ts";
import { cacheOf } from "./vault-cache.ts";
import { bring, bringAll, changeObject, changeObjects, placesOf, readObject, SHREDS } from "./vault-copies.ts";
import type { KeyObject, Secret, Shred } from "./vault-object.ts";

// A destruction is done when both copies and the escrow have it and the list tells every isolate. It may stop after any
// step: whoever asks for it again finds what was left to do in the object itself.

/** What a destruction leaves of an object: what is taken away is told from what was there. Null: nothing to destroy. */
export type Destruction = (object: KeyObject) => KeyObject | null;

/**
 * Destroys secrets of several objects and says so in the list once. One that fails does not keep the others from it.
 * @returns kids for each that went now, or in an earlier try that did not come to its end
 * @throws {AppError} unavailable: then some of it may have happened, and must be asked for again
 */
export async function destroy(ctx: Base, wanted: readonly { name: string; apply: Destruction }[]): Promise<number[][]> {
  const cache = await cacheOf(ctx);
  const list = await readObject(ctx, SHREDS, true);
  const entries: Omit<Shred, "number">[] = [];
  const gone: number[][] = wanted.map(() => []);
  const failures: unknown[] = [];
  const changes = wanted.map(({ name, apply }) => ({
    name,
    apply: (before: KeyObject) => shredded(ctx, before, apply(before), list, name),
  }));
  const unlisted: { i: number; name: string; object: KeyObject; least: number }[] = [];
  for (const [i, outcome] of (await changeObjects(ctx, changes)).entries()) {
    const { name } = wanted[i];
    cache.evict(name);
    if (outcome.status === "rejected") failures.push(outcome.reason);
    else if (outcome.value !== null && !isListed(ctx, list, name, outcome.value)) {
      unlisted.push({ i, name, object: outcome.value, least: outcome.value.shred.serial });
    }
  }
  for (const [n, outcome] of (await bringAll(ctx, placesOf(ctx).escrow, unlisted)).entries()) {
    const { i, name, object } = unlisted[n];
    const { serial, at, kids } = object.shred;
    if (outcome.status === "rejected") {
      failures.push(outcome.reason);
      continue;
    }
    entries.push({ name, serial, at, kids });
    gone[i] = [...kids];
  }
  if (entries.length > 0) await publish(ctx, entries);
  // An earlier try may have stopped between the list's live copies and its third.
  else if (list !== null) await bring(ctx, placesOf(ctx).escrow, SHREDS, list);
  if (failures.length > 0) throw failures[0];
  return gone;
}

/** The changed object with the kids that went, those of an earlier try among them. */
function shredded(
  ctx: Base,
  before: KeyObject,
  after: KeyObject | null,
  list: KeyObject | null,
  name: string,
): KeyObject | null {
  if (after === null) return null;
  const left = new Set(after.secrets.map((secret) => secret.kid));
  const kids = isListed(ctx, list, name, before) ? [] : [...before.shred.kids];
  for (const { kid } of before.secrets) if (!left.has(kid)) kids.push(kid);
  return { ...after, shred: { serial: before.serial + 1, at: ctx.now(), kids } };
}

/** Whether the list has told of an object's last destruction, or had done so before it was shortened. */
function isListed(ctx: Base, list: KeyObject | null, name: string, { shred }: KeyObject): boolean {
  if (shred.serial === 0) return true;
  const listed = list?.shreds?.list ?? [];
  if (listed.some((entry) => entry.name === name && entry.serial >= shred.serial)) return true;
  if (list?.shreds === undefined || list.shreds.before === 0) return false;
  return shred.at < (listed[0]?.at ?? ctx.now() - LIMITS.shredsMs);
}

/** Adds to the list of destructions. An entry without kids only makes isolates read the object anew. */
export async function publish(ctx: Base, entries: readonly Omit<Shred, "number">[]): Promise<void> {
  const since = ctx.now() - LIMITS.shredsMs;
  const object = await changeObject(ctx, SHREDS, (before) => {
    const list = [...(before.shreds?.list ?? [])];
    for (const entry of entries) list.push({ ...entry, number: before.serial + 1 });
    let from = Math.max(0, list.length - LIMITS.shreds);
    while (from < list.length && list[from].at < since && list[from].number <= before.serial) from++;
    const cut = from === 0 ? (before.shreds?.before ?? 0) : list[from - 1].number;
    return { ...before, shreds: { list: list.slice(from), before: cut } };
  });
  if (object !== null) await bring(ctx, placesOf(ctx).escrow, SHREDS, object);
}

/** An object without these secrets; null when it has none of them. */
export function without(object: KeyObject, goes: (secret: Secret) => boolean): KeyObject | null {
  const secrets = object.secrets.filter((secret) => !goes(secret));
  return secrets.length === object.secrets.length ? null : { ...object, secrets };
}
