import type { Base } from "./context.ts";
import { cacheOf, deriveKey, heldWith } from "./vault-cache.ts";
import { bring, changeObject, placesOf } from "./vault-copies.ts";
import { type KeyObject, kidsOf, newSecret } from "./vault-object.ts";
import { destroy, without } from "./vault-shred.ts";

// Secrets of copies that must be kept (src/held-parts.ts): each has one of its own, that is destroyed with what it is kept
// for. They are not the account's, whose secrets go while these stay.

const heldName = (accountId: number) => `held/${accountId}`;

/** Makes the secret of a part, or finds the one that it has. @returns its kid */
export async function newHeldKey(ctx: Base, accountId: number, partId: number): Promise<number> {
  const name = heldName(accountId);
  const cache = await cacheOf(ctx);
  let kid = 0;
  const object = await changeObject(ctx, name, (before) => {
    const known = before.secrets.find(({ of }) => of === partId);
    kid = known?.kid ?? 0;
    if (known !== undefined) return null;
    const made = newSecret(ctx, kidsOf(before), { kind: "held", of: partId });
    kid = made.kid;
    return { ...before, secrets: [...before.secrets, made] };
  });
  cache.evict(name);
  // What it was copied from goes at once: it does not wait a day for its third copy.
  if (object !== null) await bring(ctx, placesOf(ctx).escrow, name, object);
  return kid;
}

/** The key of a part; null when it was destroyed. */
export async function heldKey(ctx: Base, accountId: number, kid: number): Promise<CryptoKey | null> {
  const secret = (await heldWith(ctx, heldName(accountId), [kid]))?.byKid.get(kid);
  return secret === undefined ? null : deriveKey([secret], "held|v1", "seal");
}

/** Destroys the secrets of some parts. @returns their kids */
export async function destroyHeldKeys(ctx: Base, accountId: number, partIds: readonly number[]): Promise<number[]> {
  const gone = new Set(partIds);
  const apply = (object: KeyObject) => without(object, ({ of }) => gone.has(of));
  return (await destroy(ctx, [{ name: heldName(accountId), apply }]))[0];
}
