import { toHex } from "../client/hex.ts";
import type { PublishedKey } from "../client/receipt.ts";
import type { Base, Config } from "./context.ts";
import { readKeys } from "./ledger-mirror.ts";
import { type LedgerKey, ledgerKey } from "./vault-own.ts";

// The key of the ledger can be changed (src/ledger-rotate.ts). The public halves of those of before stay published with
// their times: what they signed is checked with them for ever.

const KNOWN = new WeakMap<Config, { kid: number; keys: PublishedKey[] }>();

/** A key without what came before it and after it. */
export const published = ({ keyId, publicKey }: LedgerKey): PublishedKey => ({
  ...{ keyId, algorithm: "Ed25519", publicKey: toHex(publicKey) },
  ...{ from: null, until: null, signedBy: null, signature: null },
});

/** Every public key that the ledger was signed with, the newest first. */
export async function ledgerKeys(ctx: Base): Promise<PublishedKey[]> {
  const present = await ledgerKey(ctx);
  const known = KNOWN.get(ctx.config);
  if (known?.kid === present.kid) return known.keys;
  const keys = (await readKeys(ctx)).reverse();
  // The first; or one that was made because the one before was lost, which nobody can follow to.
  if (!keys.some(({ keyId }) => keyId === present.keyId)) keys.unshift(published(present));
  KNOWN.set(ctx.config, { kid: present.kid, keys });
  return keys;
}
