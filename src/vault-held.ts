import type { Base } from "./context.ts";
import type { KeptPart } from "./store/held-parts.ts";
import type { KeptHold } from "./store/legal-holds.ts";
import { cacheOf, deriveKey, heldWith } from "./vault-cache.ts";
import { bring, changeObject, inTurns, placesOf, readObject } from "./vault-copies.ts";
import { COPIES, type KeyObject, kidsOf, newSecret, unavailable } from "./vault-object.ts";
import { destroy, without } from "./vault-shred.ts";

// Copies that must be kept (src/held-parts.ts). Each has a secret of its own: they are not the account's, whose secrets go
// while these stay. What is copied is gone from everywhere else, so that a database that is restored from before does not
// have it: the copies lie beside the keys, in all three places, with what of the database's rows they mean nothing without.
//
//   held/<account>      secrets; the account's holds that count or did lately; the copies that are whole
//   copy/<kid>-<piece>  a piece of a copy, sealed

const HELD = "held/";
const heldName = (accountId: number) => HELD + accountId;
const pieceName = (kid: number, seq: number) => `${COPIES}${kid}-${seq}`;
const kidIn = (piece: string) => Number(piece.slice(COPIES.length).split("-")[0]);

const NOTHING: NonNullable<KeyObject["held"]> = { holds: [], parts: [] };

/** Changes one account's object in all three places: what it is about goes at once, it does not wait a day for the third. */
async function change(ctx: Base, accountId: number, apply: (before: KeyObject) => KeyObject | null): Promise<void> {
  const name = heldName(accountId);
  const cache = await cacheOf(ctx);
  const object = await changeObject(ctx, name, apply);
  cache.evict(name);
  if (object !== null) await bring(ctx, placesOf(ctx).escrow, name, object);
}

/**
 * Makes the secret of a part that is about to be copied. Who else is at it has none any more, and cannot end it.
 * @returns its kid; or the part itself, where it is whole already
 */
export async function newHeldKey(ctx: Base, accountId: number, partId: number): Promise<number | KeptPart> {
  let answer: number | KeptPart = 0;
  let earlier: number[] = [];
  await change(ctx, accountId, (before) => {
    const whole = before.held?.parts.find(({ id }) => id === partId);
    if (whole !== undefined) {
      answer = whole;
      return null;
    }
    const made = newSecret(ctx, kidsOf(before), { kind: "held", of: partId });
    answer = made.kid;
    earlier = before.secrets.flatMap(({ of, kid }) => (of === partId ? [kid] : []));
    return { ...before, secrets: [...before.secrets.filter(({ of }) => of !== partId), made] };
  });
  await deletePieces(ctx, earlier);
  return answer;
}

/** The key of a part; null when it was destroyed. */
export async function heldKey(ctx: Base, accountId: number, kid: number): Promise<CryptoKey | null> {
  const secret = (await heldWith(ctx, heldName(accountId), [kid]))?.byKid.get(kid);
  return secret === undefined ? null : deriveKey([secret], "held|v1", "seal");
}

/** Writes a piece in every place. */
export async function putPiece(ctx: Base, kid: number, seq: number, sealed: Uint8Array): Promise<void> {
  await Promise.all(Object.values(placesOf(ctx)).map(({ store }) => store.put(pieceName(kid, seq), sealed, null)));
}

/** A piece from whichever place has it; null when none does. */
export async function pieceOf(ctx: Base, kid: number, seq: number): Promise<Uint8Array<ArrayBuffer> | null> {
  let failure: unknown = null;
  for (const { store } of Object.values(placesOf(ctx))) {
    try {
      const found = await store.get(pieceName(kid, seq));
      if (found !== null) return new Uint8Array(found.bytes);
    } catch (error) {
      failure = error;
    }
  }
  if (failure !== null) throw failure;
  return null;
}

/** Deletes the pieces of copies, whole or not. */
export async function deletePieces(ctx: Base, kids: readonly number[]): Promise<void> {
  for (const kid of kids) {
    for (const { store } of Object.values(placesOf(ctx))) {
      await inTurns(await store.list(`${COPIES}${kid}-`), (name) => store.delete(name));
    }
  }
}

/** Keeps that a copy is whole. @throws {AppError} unavailable when somebody else has begun it anew */
export const keepPart = (ctx: Base, accountId: number, part: KeptPart): Promise<void> =>
  change(ctx, accountId, (before) => {
    if (!before.secrets.some(({ kid }) => kid === part.kid)) throw unavailable("Somebody else is copying this, too");
    const { holds, parts } = before.held ?? NOTHING;
    return { ...before, held: { holds, parts: [...parts.filter(({ id }) => id !== part.id), part] } };
  });

/** Keeps a hold as it is from now on: one that was never confirmed is not kept. Drops what ended long ago. */
export const keepHold = (ctx: Base, accountId: number, hold: KeptHold): Promise<void> =>
  change(ctx, accountId, (before) => {
    const { holds, parts } = before.held ?? NOTHING;
    const others = holds.filter(({ name }) => name !== hold.name);
    if (hold.confirmedAt === null && others.length === holds.length) return null;
    return { ...before, held: { holds: hold.confirmedAt === null ? others : [...others, hold], parts } };
  });

/** Forgets holds of an account. */
export const forgetHolds = (ctx: Base, accountId: number, ids: ReadonlySet<number>): Promise<void> =>
  change(ctx, accountId, (before) => {
    const { holds, parts } = before.held ?? NOTHING;
    const left = holds.filter(({ id }) => !ids.has(id));
    return left.length === holds.length ? null : { ...before, held: { holds: left, parts } };
  });

/** Destroys the secrets of some parts. @returns their kids */
export async function destroyHeldKeys(ctx: Base, accountId: number, partIds: readonly number[]): Promise<number[]> {
  const gone = new Set(partIds);
  const apply = (object: KeyObject) => {
    const left = without(object, ({ of }) => gone.has(of));
    if (left?.held === undefined) return left;
    const { holds, parts } = left.held;
    return { ...left, held: { holds, parts: parts.filter(({ id }) => !gone.has(id)) } };
  };
  return (await destroy(ctx, [{ name: heldName(accountId), apply }]))[0];
}

/** What is kept of every account. */
export async function* allHeld(
  ctx: Base,
): AsyncGenerator<{ accountId: number; kids: number[] } & NonNullable<KeyObject["held"]>> {
  for (const name of await namesUnder(ctx, HELD)) {
    const object = await readObject(ctx, name, true);
    if (object === null) continue;
    const kids = object.secrets.map(({ kid }) => kid);
    yield { accountId: Number(name.slice(HELD.length)), kids, ...(object.held ?? NOTHING) };
  }
}

/** Deletes pieces that nobody has the secret of, as where their deletion was stopped. @returns copies that they were of */
export async function deleteLostPieces(ctx: Base): Promise<number> {
  // In this order: of what is begun meanwhile there is no piece yet.
  const lost = new Set((await namesUnder(ctx, COPIES)).map(kidIn));
  if (lost.size === 0) return 0;
  for await (const { kids } of allHeld(ctx)) for (const kid of kids) lost.delete(kid);
  await deletePieces(ctx, [...lost]);
  return lost.size;
}

async function namesUnder(ctx: Base, prefix: string): Promise<string[]> {
  const lists = await Promise.all(Object.values(placesOf(ctx)).map(({ store }) => store.list(prefix)));
  return [...new Set(lists.flat())].sort();
}
