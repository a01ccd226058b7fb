import type { Base, Config, SecretCopy } from "./context.ts";
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
  return opened(ctx, label, name, await store.get(name));
}

async function opened(
  ctx: Base,
  label: CopyLabel,
  name: string,
  stored: Awaited<ReturnType<SecretCopy["get"]>>,
): Promise<Found> {
  if (stored === null) return { state: "none", version: null };
  return { ...(await unwrap(ctx, label, name, stored.bytes)), version: stored.version };
}

/** One object for a place. */
interface Bringing {
  name: string;
  object: KeyObject;
  /** A place that has this serial need not be written; the object's own if not given. */
  least?: number;
  /** What the place held a moment ago. */
  known?: Found | undefined;
}

/** Writes `object` where a place has less than it, and never over what is newer or cannot be judged. */
export async function bring(
  ctx: Base,
  place: Place,
  name: string,
  object: KeyObject,
  least = object.serial,
  known?: Found,
): Promise<void> {
  valueIn((await bringAll(ctx, place, [{ name, object, least, known }]))[0]);
}

/** The same for several objects. One that fails does not keep the others from it. */
export async function bringAll(
  ctx: Base,
  place: Place,
  wanted: readonly Bringing[],
): Promise<PromiseSettledResult<unknown>[]> {
  const done: PromiseSettledResult<unknown>[] = wanted.map(() => DONE);
  const known: (Found | undefined)[] = wanted.map((one) => one.known);
  let open = [...wanted.keys()];
  for (let attempt = 0; open.length > 0; attempt++) {
    if (attempt === LIMITS.vaultTries) {
      for (const i of open) done[i] = failed(tooMany());
      break;
    }
    const asked = open.filter((i) => known[i] === undefined);
    const read = await readCopies(
      ctx,
      place,
      asked.map((i) => wanted[i].name),
    );
    for (const [n, i] of asked.entries()) {
      const found = read[n];
      if (found.status === "fulfilled") known[i] = found.value;
      else done[i] = found;
    }
    const behind = open.filter((i) => {
      const found = known[i];
      if (found === undefined) return false;
      if (found.state === "foreign") done[i] = failed(foreign(found.rootKeyId));
      const { object, least = object.serial } = wanted[i];
      return found.state !== "foreign" && !(found.state === "good" && found.object.serial >= least);
    });
    const put = await writeCopies(
      ctx,
      place,
      behind.map((i) => ({ name: wanted[i].name, object: wanted[i].object, version: known[i]!.version })),
    );
    open = [];
    for (const [n, i] of behind.entries()) {
      const written = put[n];
      known[i] = undefined;
      if (written.status === "rejected") done[i] = written;
      else if (!written.value) open.push(i);
    }
  }
  return done;
}

const DONE: PromiseSettledResult<unknown> = { status: "fulfilled", value: undefined };
const failed = (reason: unknown): PromiseRejectedResult => ({ status: "rejected", reason });
const tooMany = () => unavailable("Too many changes of the same keys at once; try again");

/** @throws what it failed with */
function valueIn<T>(outcome: PromiseSettledResult<T>): T {
  if (outcome.status === "rejected") throw outcome.reason;
  return outcome.value;
}

/** What a place holds of several objects: in one read where it can. */
async function readCopies(ctx: Base, place: Place, names: readonly string[]): Promise<PromiseSettledResult<Found>[]> {
  const { label, store } = place;
  if (store.getAll === undefined) return eachInTurns(names, (name) => readCopy(ctx, place, name));
  if (names.length === 0) return [];
  try {
    const stored = await store.getAll(names);
    return await Promise.allSettled(stored.map((one, i) => opened(ctx, label, names[i], one)));
  } catch (error) {
    return names.map(() => failed(error));
  }
}

/** Writes several objects where each is still at its version: in one write where the place can. */
async function writeCopies(
  ctx: Base,
  { label, store }: Place,
  writes: readonly { name: string; object: KeyObject; version: string | null }[],
): Promise<PromiseSettledResult<boolean>[]> {
  if (store.putAll === undefined) {
    return eachInTurns(writes, async ({ name, object, version }) =>
      store.put(name, await wrap(ctx, label, name, object), version),
    );
  }
  if (writes.length === 0) return [];
  try {
    const wrapped = await Promise.all(
      writes.map(async ({ name, object, version }) => ({
        name,
        bytes: await wrap(ctx, label, name, object),
        expected: version,
      })),
    );
    return (await store.putAll(wrapped)).map((value) => ({ status: "fulfilled", value }));
  } catch (error) {
    return writes.map(() => failed(error));
  }
}

function foreign(rootKeyId: string) {
  return unavailable(`Keys are wrapped under root key ${rootKeyId}, which this installation does not have`);
}

/**
 * The truth of two copies: the one with the higher serial. Null: there is no such object.
 * @param escrow what that holds, if it was asked
 */
async function newest(ctx: Base, name: string, a: Found, b: Found, escrow?: Found): Promise<GoodFound | null> {
  if (a.state === "good" && b.state === "good") return b.object.serial > a.object.serial ? b : a;
  if (a.state === "good") return a;
  if (b.state === "good") return b;
  for (const found of [a, b]) if (found.state === "foreign") throw foreign(found.rootKeyId);
  // What was never made and what was lost look the same here; only the escrow knows. A loss must not pass for a
  // destruction, nor be covered up by a new object.
  const kept = escrow ?? (await readCopy(ctx, placesOf(ctx).escrow, name));
  if (a.state === "none" && b.state === "none" && kept.state === "none") return null;
  throw unavailable("Both copies of a key object are lost; restore them from the escrow");
}

/**
 * Reads an object from copy A, or from both when `both` asks for it or A cannot give it; what one lacks is then healed.
 * @returns null when there is none
 */
export async function readObject(ctx: Base, name: string, both = false): Promise<KeyObject | null> {
  const places = placesOf(ctx);
  const fromB = both ? readCopy(ctx, places.b, name) : null;
  // It is awaited below, or A has failed already.
  fromB?.catch(() => undefined);
  const a = await readCopy(ctx, places.a, name);
  if (a.state === "good" && !both) return a.object;
  const b = await (fromB ?? readCopy(ctx, places.b, name));
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

/** A change of an object. */
export interface Change {
  name: string;
  /**
   * Gives the changed object, without its serial, or null when there is nothing to change; called again when somebody
   * else was faster.
   */
  apply(object: KeyObject): KeyObject | null;
}

/** An object as it is after a change; null when there is none and nothing was to change. */
type Changed = PromiseSettledResult<KeyObject | null>;

/**
 * Changes objects in both copies, each by itself: one that fails does not keep the others from it, and none is written
 * to copy B before copy A has it.
 */
export async function changeObjects(ctx: Base, changes: readonly Change[]): Promise<Changed[]> {
  const done: Changed[] = changes.map(() => failed(tooMany()));
  for (let from = 0; from < changes.length; from += TOGETHER) {
    let open = [...changes.keys()].slice(from, from + TOGETHER);
    for (let attempt = 0; attempt < LIMITS.vaultTries && open.length > 0; attempt++) {
      open = await changeOnce(ctx, changes, open, done);
    }
  }
  return done;
}

/** @returns those that somebody else has changed meanwhile */
async function changeOnce(
  ctx: Base,
  changes: readonly Change[],
  open: readonly number[],
  done: Changed[],
): Promise<number[]> {
  const places = placesOf(ctx);
  const names = open.map((i) => changes[i].name);
  const [as, bs] = await Promise.all([readCopies(ctx, places.a, names), readCopies(ctx, places.b, names)]);
  const isNone = (found: PromiseSettledResult<Found>) => found.status === "fulfilled" && found.value.state === "none";
  const absent = names.filter((_, n) => isNone(as[n]) && isNone(bs[n]));
  const kept = new Map((await readCopies(ctx, places.escrow, absent)).map((found, n) => [absent[n], found]));
  const writes: { i: number; name: string; object: KeyObject; version: string | null; known: Found }[] = [];
  await Promise.all(
    open.map(async (i, n) => {
      const { name, apply } = changes[i];
      try {
        const [a, b] = [valueIn(as[n]), valueIn(bs[n])];
        const escrow = kept.get(name);
        const found = await newest(ctx, name, a, b, escrow && valueIn(escrow));
        const changed = apply(found?.object ?? EMPTY);
        if (changed === null) {
          if (found !== null) await heal(ctx, name, found.object, a, b);
          done[i] = { status: "fulfilled", value: found?.object ?? null };
          return;
        }
        for (const copy of [a, b]) if (copy.state === "foreign") throw foreign(copy.rootKeyId);
        const object = { ...changed, serial: (found?.object.serial ?? 0) + 1 };
        writes.push({ i, name, object, version: a.version, known: b });
      } catch (error) {
        done[i] = failed(error);
      }
    }),
  );
  const put = await writeCopies(ctx, places.a, writes);
  const written = writes.filter(({ i }, n) => {
    const outcome = put[n];
    if (outcome.status === "rejected") done[i] = outcome;
    return outcome.status === "fulfilled" && outcome.value;
  });
  const brought = await bringAll(ctx, places.b, written);
  for (const [n, { i, object }] of written.entries()) {
    const outcome = brought[n];
    done[i] = outcome.status === "rejected" ? outcome : { status: "fulfilled", value: object };
  }
  return writes.flatMap(({ i }, n) => {
    const outcome = put[n];
    return outcome.status === "fulfilled" && !outcome.value ? [i] : [];
  });
}

interface Waiting extends Change {
  ctx: Base;
  settle(outcome: Changed): void;
}

/** Changes that wait for those that are being written, of each isolate. */
const WAITING = new WeakMap<Config, Waiting[]>();

/**
 * Changes an object in both copies. Where a place can write several at once, changes that are asked for together, and
 * while others are written, are written together.
 * @returns as it is afterwards; null when there is none and nothing was to change
 */
export async function changeObject(ctx: Base, name: string, apply: Change["apply"]): Promise<KeyObject | null> {
  // Elsewhere each keeps to its request: in workerd nothing may wait for what another began.
  if (placesOf(ctx).a.store.putAll === undefined) return valueIn((await changeObjects(ctx, [{ name, apply }]))[0]);
  const outcome = await new Promise<Changed>((settle) => {
    const one = { ctx, name, apply, settle };
    const waiting = WAITING.get(ctx.config);
    if (waiting !== undefined) return void waiting.push(one);
    WAITING.set(ctx.config, [one]);
    void changeWaiting(ctx.config);
  });
  return valueIn(outcome);
}

async function changeWaiting(config: Config): Promise<void> {
  // What is asked for in the same turn has come by then.
  await null;
  for (let waiting = WAITING.get(config)!; waiting.length > 0; ) {
    // Of one object one change: the next would only find that it was slower.
    const byName = new Map<string, Waiting>();
    for (const one of waiting) if (byName.size < TOGETHER && !byName.has(one.name)) byName.set(one.name, one);
    waiting.splice(0, waiting.length, ...waiting.filter((one) => byName.get(one.name) !== one));
    const some = [...byName.values()];
    const outcomes = await changeObjects(some[0].ctx, some).catch((error) => some.map(() => failed(error)));
    for (const [i, { settle }] of some.entries()) settle(outcomes[i]);
  }
  WAITING.delete(config);
}

/** Objects that are changed in one write at most: large accounts fit into memory so many times. */
const TOGETHER = 64;

/** Objects that are worked on at a time: a Worker may hold six connections. */
const ABREAST = 6;

async function eachInTurns<T, R>(
  items: readonly T[],
  work: (item: T) => Promise<R>,
): Promise<PromiseSettledResult<R>[]> {
  const done: PromiseSettledResult<R>[] = [];
  await inTurns([...items.entries()], async ([i, item]) => {
    [done[i]] = await Promise.allSettled([work(item)]);
  });
  return done;
}

/** Does something for each of a list, some at a time. */
export async function inTurns<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values();
  const turn = async () => {
    for (const item of rest) await work(item);
  };
  await Promise.all(Array.from({ length: ABREAST }, turn));
}
