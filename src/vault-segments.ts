import type { Base } from "./context.ts";
import {
  cacheOf,
  dayKey,
  deriveBits,
  deriveKey,
  deviceKey,
  type Held,
  held,
  heldWith,
  shareKey,
  type VaultCache,
} from "./vault-cache.ts";
import { changeObject } from "./vault-copies.ts";
import { accountName, type KeyObject, kidsOf, newSecret, type Secret, shareScope } from "./vault-object.ts";

// A segment is sealed under a key of two secrets, the one of its day and the one of its device, so that a day and a device
// can each be made unreadable by destroying one.

export interface SealingKey {
  dayKid: number;
  deviceKid: number;
  key: CryptoKey;
}

export interface SealingWish {
  deviceId: number;
  /** Whose retention period decides: "account", "group:<id>" or "device:<id>". */
  scope: string;
  /** UTC days since 1970 of the retention time. */
  day: number;
}

export interface OpeningWish {
  deviceId: number;
  dayKid: number;
  deviceKid: number;
}

/**
 * The key of a day and a device, from memory if it is there. Within one request alone: it keeps no promise.
 * @param epoch of the cache before the secrets were read
 */
async function segmentKey(
  cache: VaultCache,
  name: string,
  day: Secret,
  device: Secret,
  epoch: number,
): Promise<CryptoKey> {
  const id = segmentKeyId(name, device.of, day.kid, device.kid);
  const known = cache.key(id);
  if (known !== undefined) return known;
  const key = await deriveKey([day, device], "pos|v1", "seal");
  cache.holdKey(id, key, epoch);
  return key;
}

const segmentKeyId = (name: string, deviceId: number, dayKid: number, deviceKid: number) =>
  `${name}\n${deviceId} ${dayKid} ${deviceKid}`;

/**
 * Keys to seal segments with, in the order of `wanted`; what is missing is made, in one write for all. When this returns,
 * both copies of the key store have the secrets.
 * @returns null for a device that was erased, and for everything of an account that was
 * @throws {AppError} unavailable
 */
export async function sealingKeys(
  ctx: Base,
  accountId: number,
  wanted: readonly SealingWish[],
): Promise<(SealingKey | null)[]> {
  const name = accountName(accountId);
  const cache = await cacheOf(ctx);
  const { epoch } = cache;
  // What is not in memory is read by the change, which finds at times that there is nothing to change.
  const known = cache.get(name, ctx.now());
  let account = known?.both ? known : null;
  if (account === null || lacksAny(account, wanted)) {
    const object = await changeObject(ctx, name, (before) => {
      const living = cache.living(name, before);
      return living.gone ? null : withSecrets(ctx, living, wanted);
    });
    if (object === null) return wanted.map(() => null);
    account = cache.hold(name, object, true, ctx.now(), epoch);
  }
  const { current, erased, object } = account;
  const keys = new Map<string, Promise<SealingKey>>();
  return Promise.all(
    wanted.map(({ deviceId, scope, day }) => {
      if (object.gone || erased.has(deviceId)) return null;
      const [daySecret, deviceSecret] = [current.get(dayKey(scope, day)), current.get(deviceKey(deviceId))];
      if (daySecret === undefined || deviceSecret === undefined) return null;
      const id = `${daySecret.kid} ${deviceSecret.kid}`;
      const known = keys.get(id);
      if (known !== undefined) return known;
      const made = segmentKey(cache, name, daySecret, deviceSecret, epoch).then((key) => ({
        dayKid: daySecret.kid,
        deviceKid: deviceSecret.kid,
        key,
      }));
      keys.set(id, made);
      return made;
    }),
  );
}

function lacksAny({ object, current, erased }: Held, wanted: readonly SealingWish[]): boolean {
  if (object.gone) return false;
  return wanted.some(
    ({ deviceId, scope, day }) =>
      !erased.has(deviceId) && !(current.has(dayKey(scope, day)) && current.has(deviceKey(deviceId))),
  );
}

/** An object with the secrets that are wanted of it; null when it has them all. */
function withSecrets(ctx: Base, object: KeyObject, wanted: readonly SealingWish[]): KeyObject | null {
  const secrets = [...object.secrets];
  const erased = new Set(object.erased);
  const taken = kidsOf(object);
  const has = new Set(secrets.map(({ kind, of, scope }) => (kind === "day" ? dayKey(scope, of) : `${kind} ${of}`)));
  for (const { deviceId, scope, day } of wanted) {
    if (erased.has(deviceId)) continue;
    for (const [id, what] of [
      [dayKey(scope, day), { kind: "day", of: day, scope }],
      [deviceKey(deviceId), { kind: "device", of: deviceId }],
    ] as const) {
      if (has.has(id)) continue;
      has.add(id);
      secrets.push(newSecret(ctx, taken, what));
    }
  }
  return secrets.length === object.secrets.length ? null : { ...object, secrets };
}

/**
 * The keys of rows that carry these kids, in the order of `wanted`. One read of the key store at most for secrets that
 * this isolate knows, or that are gone; two more for those that it has not seen.
 * @returns null where a secret was destroyed, or is not that device's
 * @throws {AppError} unavailable: it is not known then whether there is a key
 */
export async function openingKeys(
  ctx: Base,
  accountId: number,
  wanted: readonly OpeningWish[],
): Promise<(CryptoKey | null)[]> {
  const name = accountName(accountId);
  const cache = await cacheOf(ctx);
  const { epoch } = cache;
  const found = wanted.map((wish) => cache.key(segmentKeyId(name, wish.deviceId, wish.dayKid, wish.deviceKid)));
  if (found.every((key) => key !== undefined)) return found;
  const kids = wanted.flatMap(({ dayKid, deviceKid }, i) => (found[i] === undefined ? [dayKid, deviceKid] : []));
  const account = await heldWith(ctx, name, kids);
  const keys = new Map<string, Promise<CryptoKey>>();
  return Promise.all(
    wanted.map(({ deviceId, dayKid, deviceKid }, i) => {
      const known = found[i] ?? keys.get(`${dayKid} ${deviceKid}`);
      const [day, device] = [account?.byKid.get(dayKid), account?.byKid.get(deviceKid)];
      if (day?.kind !== "day" || device?.kind !== "device" || device.of !== deviceId) return found[i] ?? null;
      if (known !== undefined) return known;
      const made = segmentKey(cache, name, day, device, epoch);
      keys.set(`${dayKid} ${deviceKid}`, made);
      return made;
    }),
  );
}

/**
 * Our halves of the keys of rows that are sealed to a key of the customer as well (src/customer-sealed.ts), for rows that
 * carry these kids. A half opens nothing by itself, so that it may leave the key store; it is gone with either secret,
 * unless it was kept when the device's was destroyed (keptShares()).
 * @returns 32 bytes each; null where a secret was destroyed, or is not that device's
 * @throws {AppError} unavailable
 */
export async function keyShares(
  ctx: Base,
  accountId: number,
  wanted: readonly OpeningWish[],
): Promise<(Uint8Array<ArrayBuffer> | null)[]> {
  if (wanted.length === 0) return [];
  const name = accountName(accountId);
  const keptIn = (account: Held | null, { deviceId, dayKid, deviceKid }: OpeningWish) =>
    account?.current.get(shareKey(dayKid, shareScope(deviceId, deviceKid)));
  const known = await held(ctx, name);
  const kids = wanted.flatMap((wish) => (keptIn(known, wish) === undefined ? [wish.dayKid, wish.deviceKid] : []));
  const account = kids.length === 0 ? known : await heldWith(ctx, name, kids);
  const shares = new Map<string, Promise<Uint8Array<ArrayBuffer>>>();
  return Promise.all(
    wanted.map((wish) => {
      const { deviceId, dayKid, deviceKid } = wish;
      const [day, device] = [account?.byKid.get(dayKid), account?.byKid.get(deviceKid)];
      if (day?.kind !== "day") return null;
      if (device?.kind !== "device" || device.of !== deviceId) return keptIn(account, wish)?.bytes.slice() ?? null;
      const id = `${dayKid} ${deviceKid}`;
      const share = shares.get(id) ?? shareOf(day, device);
      shares.set(id, share);
      return share;
    }),
  );
}

const shareOf = (day: Secret, device: Secret) => deriveBits([day, device], "pos|share|v1");

/**
 * What must stay of a device's secret when that is destroyed, for rows that only the customer can open: our halves of their
 * days. Nothing that is sealed to us alone opens with them.
 * @param pairs kids of the days and of the device's secret, as the rows carry them
 */
export async function keptShares(
  object: KeyObject,
  deviceId: number,
  pairs: readonly { dayKid: number; deviceKid: number }[],
): Promise<Pick<Secret, "kind" | "of" | "scope" | "bytes">[]> {
  const found = (kid: number, kind: Secret["kind"]) =>
    object.secrets.find((secret) => secret.kid === kid && secret.kind === kind);
  const shares = pairs.map(async ({ dayKid, deviceKid }) => {
    const [day, device] = [found(dayKid, "day"), found(deviceKid, "device")];
    if (day === undefined || device?.of !== deviceId) return [];
    const bytes = await shareOf(day, device);
    return [{ kind: "share" as const, of: dayKid, scope: shareScope(deviceId, deviceKid), bytes }];
  });
  return (await Promise.all(shares)).flat();
}
