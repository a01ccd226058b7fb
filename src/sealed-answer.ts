import { toBase64, toBase64Url } from "../client/base64.ts";
import type { SealedAnswer, SealedFix, SealedSegment, WrappedSecret } from "../client/track.ts";
import { accountOf } from "./access.ts";
import type { Ctx } from "./context.ts";
import { positionsJson } from "./position-json.ts";
import { asJson, type Writer } from "./positions.ts";
import { listCustomerKeys } from "./store/customer-keys.ts";
import { readWrapped } from "./store/wrapped.ts";
import { telemetryFor } from "./telemetry.ts";
import type { Closed } from "./track.ts";
import { keyShares } from "./vault.ts";

// What a customer is given of rows that only they can open: the rows as they are, our half of each one's key, and the
// other half wrapped to their keys. client/track.ts opens it. Nobody else is given any of it.

export const MEDIA_TYPES = { open: "application/json", sealed: "application/vnd.ephemeris.sealed+json" } as const;

export interface Answer {
  mediaType: (typeof MEDIA_TYPES)[keyof typeof MEDIA_TYPES];
  /** UTF-8. */
  json: Uint8Array<ArrayBuffer>;
}

/** A page as JSON, together with what lies there and is sealed to the caller's own keys. */
export const asAnswer =
  (ctx: Ctx): Writer<Answer> =>
  async (found, nextCursor) => {
    const { stored, rows, closed } = found;
    if (closed === undefined) return { mediaType: MEDIA_TYPES.open, json: await asJson(found, nextCursor) };
    const rest = JSON.stringify({ ...(await partsOf(ctx, closed)), nextCursor });
    return {
      mediaType: MEDIA_TYPES.sealed,
      json: positionsJson(stored, rows, 0, rows.length, '{"sealed":true,"data":', `,${rest.slice(1)}`),
    };
  };

async function partsOf(ctx: Ctx, closed: Closed): Promise<Omit<SealedAnswer, "sealed" | "data" | "nextCursor">> {
  const accountId = accountOf(ctx);
  const [segments, fixes] = await Promise.all([
    withShares(ctx, accountId, closed.segments),
    withShares(ctx, accountId, closed.fixes),
  ]);
  const kids = new Set([...segments, ...fixes].map(({ customerKid }) => customerKid));
  return {
    accountId,
    wanted: closed.wanted,
    segments: segments.map(
      ({ accountId: _, ...row }): SealedSegment => ({ ...row, keptFrom: closed.cutoffs.get(row.deviceId) ?? 0 }),
    ),
    fixes: fixes satisfies SealedFix[],
    secrets: await secretsOf(ctx, accountId, [...kids]),
  };
}

/** Rows with our half of their keys; without those of which it is destroyed, which nobody can open. */
async function withShares<
  R extends { deviceId: number; dayKid: number; deviceKid: number; customerKid: number | null; sealed: Uint8Array },
>(ctx: Ctx, accountId: number, rows: readonly R[]) {
  const shares = await keyShares(ctx, accountId, rows);
  return rows.flatMap((row, i) => {
    const share = shares[i] ?? null;
    if (share === null || row.customerKid === null) return [];
    return [{ ...row, customerKid: row.customerKid, share: toBase64(share), sealed: toBase64(row.sealed) }];
  });
}

async function secretsOf(ctx: Ctx, accountId: number, kids: readonly number[]): Promise<WrappedSecret[]> {
  if (kids.length === 0) return [];
  const keys = new Map((await listCustomerKeys(ctx.db, accountId)).map(({ id, publicKey }) => [id, publicKey]));
  const secrets = new Map<number, WrappedSecret>();
  const telemetry = await telemetryFor(ctx, accountId);
  for (const { kid, keyId, day, wrapped } of await readWrapped(telemetry.db, accountId, kids)) {
    const publicKey = keys.get(keyId);
    if (publicKey === undefined) continue;
    const secret = secrets.get(kid) ?? { kid, day, wrapped: [] };
    secret.wrapped.push({ publicKey: toBase64Url(publicKey), wrapped: toBase64(wrapped) });
    secrets.set(kid, secret);
  }
  return [...secrets.values()];
}
