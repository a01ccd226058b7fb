import * as v from "valibot";
import { publishedHeads } from "../ledger.ts";
import { rotateLedgerKey } from "../ledger-rotate.ts";
import { LEDGER_FAULTS, verifyLedger } from "../ledger-verify.ts";
import { LIMITS } from "../limits.ts";
import { type Route, route } from "./route.ts";

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const hex = (bytes: number) => v.pipe(v.string(), v.description(`${bytes} bytes in hex`));

const KeyJson = v.object({
  keyId: v.pipe(v.string(), v.description("The first 8 bytes of the SHA-256 of the public key, in hex")),
  algorithm: v.literal("Ed25519"),
  publicKey: hex(32),
  from: v.nullable(v.pipe(count, v.description("Unix ms: signs since then. null: since the first"))),
  until: v.nullable(v.pipe(count, v.description("Nothing that it signed later counts. null: it is in use"))),
  signedBy: v.nullable(v.pipe(v.string(), v.description("Key before it, by its id"))),
  signature: v.nullable(
    v.pipe(v.string(), v.description('What that one signed: {"from", "ledgerKey"} as canonical JSON, in hex')),
  ),
});

const HeadsJson = v.object({
  keys: v.array(KeyJson),
  heads: v.array(
    v.object({
      size: v.pipe(count, v.description("Entries under it")),
      at: v.pipe(count, v.description("Unix ms")),
      root: v.pipe(
        v.string(),
        v.description("Root of the Merkle tree (RFC 9162) over the SHA-256 of each entry, in hex"),
      ),
      keyId: v.string(),
      signature: v.pipe(v.string(), v.description('Of {"at", "root", "size"} as canonical JSON (RFC 8785), in hex')),
    }),
  ),
});

const CheckJson = v.object({
  size: v.pipe(count, v.description("Entries")),
  heads: v.pipe(count, v.description("Signed heads that were compared")),
  faults: v.array(
    v.object({
      seq: v.pipe(count, v.description("The entry; of head, published and mirror how many are under it")),
      what: v.picklist(LEDGER_FAULTS),
      place: v.nullable(v.string()),
    }),
  ),
});

export const LEDGER: readonly Route[] = [
  route({
    method: "GET",
    path: "/.well-known/ledger-heads.json",
    access: "public",
    tag: "Service",
    summary: "Read the signed heads of the ledger, and the keys to check receipts with",
    description: "Newest first, one a day where something was added. `npm run -s verify-receipt` takes this file.",
    answers: { 200: { description: "The heads", schema: HeadsJson } },
    handle: async ({ c, ctx }) => c.json(await publishedHeads(ctx)),
  }),
  route({
    method: "GET",
    path: "/v1/admin/ledger/verify",
    access: "privacy",
    tag: "Administration",
    summary: "Hash the whole ledger again, and compare its chain, its heads and its mirror",
    answers: { 200: { description: "What was found", schema: CheckJson } },
    handle: async ({ c, ctx }) => c.json(await verifyLedger(ctx)),
  }),
  route({
    method: "POST",
    path: "/v1/admin/ledger/verify",
    access: "privacy",
    tag: "Administration",
    summary: "The same, and compare it with heads that were kept elsewhere",
    body: v.strictObject({
      heads: v.pipe(
        v.array(v.object({ size: v.pipe(count, v.minValue(1)), root: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)) })),
        v.maxLength(LIMITS.ledgerHeadsCompared),
      ),
    }),
    answers: { 200: { description: "What was found", schema: CheckJson } },
    handle: async ({ c, ctx, body }) => c.json(await verifyLedger(ctx, body.heads)),
  }),
  route({
    method: "POST",
    path: "/v1/admin/ledger/rotate-key",
    access: "admin",
    tag: "Administration",
    stepUp: true,
    summary: "Sign the ledger with another key from now on, and destroy the private half of the one before",
    description: "That one signs the new one first, and stays published: receipts of before are checked as ever.",
    answers: { 200: { description: "The new key", schema: KeyJson } },
    handle: async ({ c, ctx }) => c.json(await rotateLedgerKey(ctx)),
  }),
];
