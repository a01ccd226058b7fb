import type { Base, SecretCopy } from "./context.ts";
import { LIMITS } from "./limits.ts";
import { type CopyLabel, EMPTY, type KeyObject, type Unwrapped, unavailable, unwrap, wrap } from "./vault-object.ts";

// Copy A is where changes begin: by compare-and-swap, so that two at once lose nothing. Each is then brought to copy B,
// and one that destroys to the escrow too. A change is done, and its secrets may be used, when both copies have it.

export const SHREDS = "shreds";

export interface Place {
  label: CopyLabel;
  store: SecretCopy;
}

export type Found = (Unwrapped | { state: "none" }) & { version: string | null };
export type GoodFound = Extract<Found, { state: "good" }>;

export const placesOf = ({ secrets }: Base): { a: Place; b: Place; escrow: Place } => ({
  a: { label: "a", store: secrets.copies[0] },
  b: { label: "b", store: secrets.copies[1] },
  escrow: { label: "escrow", store: secrets.escrow },
});

export async function readCopy(ctx: Base, { label, store }: Place, name: string): Promise<Found> {
  const stored = await store.get(name);
  if (stored === null) return { state: "none", version: null };
  const opened = await unwrap(ctx, label, name, stored.bytes);
  return { ...opened, version: stored.version };
}

/**
 * Writes `object` where a place has less than it, and never over what is newer or cannot be judged.
 * @param least a place that has this serial need not be written
 * @param known what the place held a moment ago
 */
export async function bring(
  ctx: Base,
  place: Place,
  name: string,
  object: KeyObject,
  least = object.serial,
  known?: Found,
): Promise<void> {
  let found = known;
  for (let attempt = 0; attempt < LIMITS.vaultTries; attempt++) {
    found ??= await readCopy(ctx, place, name);
    if (found.state === "foreign") throw foreign(found.rootKeyId);
    if (found.state === "good" && found.object.serial >= least) return;
    if (await place.store.put(name, await wrap(ctx, place.label, name, object), found.version)) return;
    found = undefined;
  }
  throw unavailable("Too many changes of the same keys at once; try again");
}

function foreign(rootKeyId: string) {
  return unavailable(`Keys are wrapped under root key ${rootKeyId}, which this installation does not have`);
}

/** The truth of two copies: the one with the higher serial. Null: there is no such object. */
async function newest(ctx: Base, name: string, a: Found, b: Found): Promise<GoodFound | null> {
  if (a.state === "good" && b.state === "good") return b.object.serial > a.object.serial ? b : a;
  if (a.state === "good") return a;
  if (b.state === "good") return b;
  for (const found of [a, b]) if (found.state === "foreign") throw foreign(found.rootKeyId);
  // What was never made and what was lost look the same here; only the escrow knows. A loss must not pass for a
  // destruction, nor be covered up by a new object.
  const kept = await readCopy(ctx, placesOf(ctx).escrow, name);
  if (a.state === "none" && b.state === "none" && kept.state === "none") return null;
  throw unavailable("Both copies of a key object are lost; restore them from the escrow");
}

/**
 * Reads an object from copy A, or from both when `both` asks for it or A cannot give it; what one lacks is then healed.
 * @returns null when there is none
 */
export async function readObject(ctx: Base, name: string, both = false): Promise<KeyObject | null> {
  const places = placesOf(ctx);
  const a = await readCopy(ctx, places.a, name);
  if (a.state === "good" && !both) return a.object;
  const b = await readCopy(ctx, places.b, name);
  const found = await newest(ctx, name, a, b);
  if (found === null) return null;
  await heal(ctx, name, found.object, a, b);
  return found.object;
}

async function heal(ctx: Base, name: string, object: KeyObject, a: Found, b: Found): Promise<void> {
  const places = placesOf(ctx);
  for (const [place, found] of [
    [places.a, a],
    [places.b, b],
  ] as const) {
    // An isolate with an older configuration goes on reading, and leaves what it cannot open as it is.
    if (found.state === "foreign") continue;
    if (found.state === "good" && found.object.serial >= object.serial) continue;
    // One that is merely behind may belong to somebody who is about to write it.
    if (found.state !== "good") ctx.log.warn("vault.healed", { copy: place.label, state: found.state });
    await bring(ctx, place, name, object, object.serial, found);
  }
}

/**
 * Changes an object in both copies.
 * @param apply gives the changed object, without its serial, or null when there is nothing to change; called again when
 *   somebody else was faster
 * @returns as it is afterwards; null when there is none and nothing was to change
 */
export async function changeObject(
  ctx: Base,
  name: string,
  apply: (object: KeyObject) => KeyObject | null,
): Promise<KeyObject | null> {
  const places = placesOf(ctx);
  for (let attempt = 0; attempt < LIMITS.vaultTries; attempt++) {
    const [a, b] = [await readCopy(ctx, places.a, name), await readCopy(ctx, places.b, name)];
    const found = await newest(ctx, name, a, b);
    const changed = apply(found?.object ?? EMPTY);
    if (changed === null) {
      if (found !== null) await heal(ctx, name, found.object, a, b);
      return found?.object ?? null;
    }
    for (const copy of [a, b]) if (copy.state === "foreign") throw foreign(copy.rootKeyId);
    const object = { ...changed, serial: (found?.object.serial ?? 0) + 1 };
    if (!(await places.a.store.put(name, await wrap(ctx, "a", name, object), a.version))) continue;
    await bring(ctx, places.b, name, object, object.serial, b);
    return object;
  }
  throw unavailable("Too many changes of the same keys at once; try again");
}

/** Objects that are worked on at a time: a Worker may hold six connections. */
const ABREAST = 6;

/** Does something for each of a list, some at a time. */
export async function inTurns<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values();
  const turn = async () => {
    for (const item of rest) await work(item);
  };
  await Promise.all(Array.from({ length: ABREAST }, turn));
}
