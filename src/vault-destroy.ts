import type { Base } from "./context.ts";
import { cacheOf } from "./vault-cache.ts";
import { changeObject, placesOf, readCopy, readObject } from "./vault-copies.ts";
import { accountName, isOfDevice, type KeyObject, kidsOf, newSecret, type Secret } from "./vault-object.ts";
import { keptShares } from "./vault-segments.ts";
import { destroy, publish, without } from "./vault-shred.ts";

/**
 * Destroys the day secrets of a scope before a day.
 * @param beforeDay UTC days since 1970; the secret of this day stays
 * @returns their kids
 */
export async function destroyDays(ctx: Base, accountId: number, scope: string, beforeDay: number): Promise<number[]> {
  return (await destroyDaysOf(ctx, [{ accountId, scopes: [{ scope, beforeDay }] }]))[0];
}

/** In place of a scope: every one of the account that is not named. */
export const OTHER_SCOPES = "*";

/** The same for many accounts, told of once. @returns kids for each */
export function destroyDaysOf(
  ctx: Base,
  accounts: readonly { accountId: number; scopes: readonly { scope: string; beforeDay: number }[] }[],
): Promise<number[][]> {
  return destroy(
    ctx,
    accounts.map(({ accountId, scopes }) => {
      const before = new Map<string, number>();
      for (const { scope, beforeDay } of scopes) before.set(scope, Math.max(beforeDay, before.get(scope) ?? beforeDay));
      const others = before.get(OTHER_SCOPES);
      const isOver = ({ kind, scope, of }: Secret) => kind === "day" && of < (before.get(scope) ?? others ?? of);
      return { name: accountName(accountId), apply: (object: KeyObject) => withoutDays(object, isOver) };
    }),
  );
}

/** An object without some secrets, and without what stayed of others for days that are among them. */
function withoutDays(object: KeyObject, goes: (secret: Secret) => boolean): KeyObject | null {
  const days = new Set(object.secrets.flatMap((secret) => (secret.kind === "day" && goes(secret) ? [secret.kid] : [])));
  return without(object, (secret) => goes(secret) || (secret.kind === "share" && days.has(secret.of)));
}

/** Destroys everything of a device, for ever: sealingKeys() gives null for it from now on. Returns the kids. */
export async function destroyDevice(ctx: Base, accountId: number, deviceId: number): Promise<number[]> {
  const apply = (object: KeyObject) => {
    if (object.gone) return null;
    const left = withoutDays(object, (secret) => isOfDevice(secret, deviceId));
    if (object.erased.includes(deviceId)) return left;
    return { ...(left ?? object), erased: [...object.erased, deviceId] };
  };
  return (await destroy(ctx, [{ name: accountName(accountId), apply }]))[0];
}

/**
 * Gives a device a new secret for new rows. The old ones stay, for rows to be sealed anew, until each is destroyed by
 * destroyDeviceSecret(). Other isolates go on sealing with the old one for up to LIMITS.shredEveryMs: whoever seals anew
 * must begin after that, or what arrives meanwhile is lost with the old secret.
 * @returns null for a device or an account that was erased
 */
export async function rotateDevice(
  ctx: Base,
  accountId: number,
  deviceId: number,
): Promise<{ kid: number; oldKids: number[] } | null> {
  const name = accountName(accountId);
  const cache = await cacheOf(ctx);
  let kid = 0;
  const object = await changeObject(ctx, name, (before) => {
    kid = 0;
    if (before.gone || before.erased.includes(deviceId)) return null;
    const made = newSecret(ctx, kidsOf(before), { kind: "device", of: deviceId });
    kid = made.kid;
    return { ...before, secrets: [...before.secrets, made] };
  });
  cache.evict(name);
  if (object === null || kid === 0) return null;
  await publish(ctx, [{ name, serial: 0, at: ctx.now(), kids: [] }]);
  const oldKids = object.secrets.flatMap((secret) =>
    secret.kind === "device" && secret.of === deviceId && secret.kid !== kid ? [secret.kid] : [],
  );
  return { kid, oldKids };
}

/**
 * Destroys one secret of a device, an old one. What only the customer can open goes on opening for them.
 * @param keep the days of rows under it that are sealed to a key of the customer, by kid
 * @returns its kid, if it was there
 */
export async function destroyDeviceSecret(
  ctx: Base,
  accountId: number,
  kid: number,
  keep: readonly number[] = [],
): Promise<number[]> {
  const name = accountName(accountId);
  const present = keep.length === 0 ? null : await readObject(ctx, name, true);
  const device = present?.secrets.find((secret) => secret.kid === kid && secret.kind === "device");
  const pairs = keep.map((dayKid) => ({ dayKid, deviceKid: kid }));
  const shares = device === undefined ? [] : await keptShares(present!, device.of, pairs);
  const apply = (object: KeyObject) => {
    const left = without(object, (secret) => secret.kind === "device" && secret.kid === kid);
    if (left === null) return null;
    const taken = kidsOf(object);
    // A day that went meanwhile took with it what would stay of it.
    const days = shares.filter(({ of }) => object.secrets.some((secret) => secret.kind === "day" && secret.kid === of));
    return {
      ...left,
      secrets: [...left.secrets, ...days.map((share) => ({ ...newSecret(ctx, taken, share), bytes: share.bytes }))],
    };
  };
  return (await destroy(ctx, [{ name, apply }]))[0];
}

/**
 * Gives an account another secret of its own, to seal with from now on; what is sealed under the old ones opens as long
 * as they are there. Other isolates go on sealing with an old one for up to LIMITS.shredEveryMs.
 * @returns false for an account that has none, or was erased
 */
export async function rotateOwnSecret(ctx: Base, accountId: number): Promise<boolean> {
  const name = accountName(accountId);
  const cache = await cacheOf(ctx);
  let made = false;
  await changeObject(ctx, name, (before) => {
    made = !before.gone && before.secrets.some(({ kind }) => kind === "own");
    return made ? { ...before, secrets: [...before.secrets, newSecret(ctx, kidsOf(before), { kind: "own" })] } : null;
  });
  cache.evict(name);
  if (made) await publish(ctx, [{ name, serial: 0, at: ctx.now(), kids: [] }]);
  return made;
}

/** Destroys the secrets of an account's own but the newest. Returns their kids. */
export async function destroyOldOwnSecrets(ctx: Base, accountId: number): Promise<number[]> {
  const apply = (object: KeyObject) => {
    const newest = object.secrets.findLast(({ kind }) => kind === "own");
    return without(object, (secret) => secret.kind === "own" && secret !== newest);
  };
  return (await destroy(ctx, [{ name: accountName(accountId), apply }]))[0];
}

/** How many secrets of its own an account has in the copy that has the most. */
export async function ownSecretsOf(ctx: Base, accountId: number): Promise<number> {
  const copies = await Promise.all(
    Object.values(placesOf(ctx)).map((place) => readCopy(ctx, place, accountName(accountId))),
  );
  const counts = copies.map((found) =>
    found.state === "good" ? found.object.secrets.filter(({ kind }) => kind === "own").length : 0,
  );
  return Math.max(...counts);
}

/** Destroys everything of an account, for ever. Returns the kids. */
export async function destroyAccount(ctx: Base, accountId: number): Promise<number[]> {
  const apply = (object: KeyObject) => (object.gone ? null : { ...object, gone: true, erased: [], secrets: [] });
  return (await destroy(ctx, [{ name: accountName(accountId), apply }]))[0];
}

/**
 * Counts the secrets of an account that are in any copy, the escrow too; of some devices only those that are theirs. A
 * copy that this installation cannot open counts as one: nobody can say that it holds nothing.
 */
export async function secretsLeft(ctx: Base, accountId: number, devices: readonly number[] | null): Promise<number> {
  const name = accountName(accountId);
  const isTheirs = (secret: Secret) => devices === null || devices.some((id) => isOfDevice(secret, id));
  let left = 0;
  for (const place of Object.values(placesOf(ctx))) {
    const found = await readCopy(ctx, place, name);
    if (found.state === "foreign") left += 1;
    if (found.state === "good") left += found.object.secrets.filter(isTheirs).length;
  }
  return left;
}

/**
 * The kids of a device's secrets, the newest last; how many secrets of it the copies of the key store still have beside
 * them: destroyed in one, and not yet in another; and of how many days the customer's rows need what stays of old ones.
 */
export async function deviceKids(
  ctx: Base,
  accountId: number,
  deviceId: number,
): Promise<{ live: number[]; elsewhere: number; halves: number }> {
  const name = accountName(accountId);
  const kidsIn = ({ secrets }: KeyObject) =>
    secrets.flatMap(({ kind, of, kid }) => (kind === "device" && of === deviceId ? [kid] : []));
  const object = await readObject(ctx, name, true);
  const live = object === null ? [] : kidsIn(object);
  let elsewhere = 0;
  for (const place of Object.values(placesOf(ctx))) {
    const found = await readCopy(ctx, place, name);
    if (found.state === "foreign") elsewhere += 1;
    if (found.state === "good") elsewhere += kidsIn(found.object).filter((kid) => !live.includes(kid)).length;
  }
  const isHalf = (secret: Secret) => secret.kind === "share" && isOfDevice(secret, deviceId);
  return { live, elsewhere, halves: object?.secrets.filter(isHalf).length ?? 0 };
}
