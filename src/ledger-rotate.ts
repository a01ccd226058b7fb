import { toHex } from "../client/hex.ts";
import { keyText, type PublishedKey } from "../client/receipt.ts";
import { record } from "./audit.ts";
import type { Ctx } from "./context.ts";
import { appendLedger, sign, signHead } from "./ledger.ts";
import { ledgerKeys, published } from "./ledger-keys.ts";
import { writeKeys } from "./ledger-mirror.ts";
import { LIMITS } from "./limits.ts";
import { changeLedgerKey, ledgerKey, nextLedgerKey } from "./vault-own.ts";

/**
 * Changes the key of the ledger. The one before signs the public half of the one that follows, so that who wrote that one
 * down can follow, and then its private half is destroyed. May be stopped anywhere and asked for again. Other isolates sign with the one before for up to
 * LIMITS.shredEveryMs, and so long it counts.
 * @returns the key that signs from now on
 */
export async function rotateLedgerKey(ctx: Ctx): Promise<PublishedKey> {
  await record(ctx, "ledger.rotated", {});
  const [present, next] = [await ledgerKey(ctx), await nextLedgerKey(ctx)];
  const keys = [...(await ledgerKeys(ctx))].reverse();
  if (!keys.some(({ keyId }) => keyId === next.keyId)) {
    const from = ctx.now();
    const last = keys.find(({ keyId }) => keyId === present.keyId)!;
    keys[keys.indexOf(last)] = { ...last, until: from + LIMITS.shredEveryMs };
    const made = published(next);
    const signature = toHex(await sign(present.privateKey, keyText({ publicKey: made.publicKey, from })));
    keys.push({ ...made, from, signedBy: present.keyId, signature });
  }
  await writeKeys(ctx, keys);
  const kids = await changeLedgerKey(ctx);
  await appendLedger(ctx, "key_rotated", { kids, scopeClass: "installation", result: "done" });
  await signHead(ctx);
  return (await ledgerKeys(ctx))[0]!;
}
