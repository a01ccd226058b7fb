import { canonical, type Json, readCanonical } from "./canonical.ts";
import { fromHex, toHex } from "./hex.ts";
import { type Hash, leafHash, rootOfPath, sha256 } from "./merkle.ts";

// A receipt is canonical JSON: what was done, the entries of the ledger that say so, a proof for each that it is under a
// signed head, and a signature over all of it. Whoever has it needs nothing else to check it, and no network.
//
//   {version, ..., ledger: {entries: [{entry, proof: {index, path, size}}], head: {at, keyId, root, signature, size},
//    publicKey}, signature}
//
// Hashes, keys and signatures are written in hex. The leaf of an entry is the SHA-256 of its canonical JSON, which is also
// what the next entry has as `prev`. The head's signature is over {at, root, size}, the receipt's over all but itself.

export interface Head {
  /** Entries under it. */
  size: number;
  /** Unix ms */
  at: number;
  root: string;
  keyId: string;
  signature: string;
}

/** A key that the ledger is signed with, or was. */
export interface PublishedKey {
  keyId: string;
  algorithm: string;
  publicKey: string;
  /** Unix ms: what it signed was signed between these. null, or not there: it is not known since when, or still signs. */
  from?: number | null;
  until?: number | null;
  /** The key before it, and what that signed: keyText(). Who knows that one can follow. null: it is the first. */
  signedBy?: string | null;
  signature?: string | null;
}

/** What `/.well-known/ledger-heads.json` says. */
export interface PublishedHeads {
  /** Newest first. */
  keys: PublishedKey[];
  /** Newest first. */
  heads: Head[];
}

export const CHECKS = ["form", "key", "signature", "head", "entries", "published"] as const;
export type Check = (typeof CHECKS)[number];

export interface Verification {
  ok: boolean;
  /**
   * What was checked, in the order of CHECKS. null: there was nothing to check it with. form: it is whole and canonical;
   * key: its key is one of those that were given; published: no head that was given says otherwise.
   */
  checks: Record<Check, boolean | null>;
  /** Key that signed it, as it names itself; null where it cannot be read. */
  keyId: string | null;
  publicKey: string | null;
  /** What it says; null where that cannot be read. */
  receipt: Readonly<Record<string, Json>> | null;
}

/** The first eight bytes of SHA-256 of a public key, in hex. */
export async function keyIdOf(publicKey: Uint8Array): Promise<string> {
  return toHex((await sha256(publicKey)).subarray(0, 8));
}

const utf8 = (text: string) => new TextEncoder().encode(text);

/** The hash of an entry: its place in the chain, and its leaf. */
export const entryHash = (text: string): Promise<Hash> => sha256(utf8(text));

export const headText = ({ at, root, size }: Pick<Head, "at" | "root" | "size">): string =>
  canonical({ at, root, size });

/** What a key signs of the one that comes after it. */
export const keyText = ({ publicKey, from }: { publicKey: string; from: number }): string =>
  canonical({ from, ledgerKey: publicKey });

/**
 * Of published keys those that can be trusted by who trusts some: these, and each that one of them has signed.
 * @param known public keys in hex
 */
export async function followed(known: readonly string[], keys: readonly PublishedKey[]): Promise<string[]> {
  const trusted = new Set(known);
  for (let before = -1; before < trusted.size; ) {
    before = trusted.size;
    for (const { publicKey, from, signedBy, signature } of keys) {
      const signer = keys.find(({ keyId }) => keyId === signedBy);
      if (trusted.has(publicKey) || signer === undefined || !trusted.has(signer.publicKey)) continue;
      const bytes = fromHex(signer.publicKey, 32);
      const isTrue = bytes !== null && typeof from === "number" && (await keyIdOf(bytes)) === signedBy;
      if (isTrue && (await isSigned(bytes, signature, keyText({ publicKey, from })))) trusted.add(publicKey);
    }
  }
  return [...trusted];
}

/** Whether something that was signed at a time is of a key's time. */
export const isOfTime = ({ from, until }: Pick<PublishedKey, "from" | "until">, at: number): boolean =>
  (from == null || at >= from) && (until == null || at <= until);

/** Whether a key signed a text. */
export async function isSigned(publicKey: Uint8Array, signature: unknown, text: string): Promise<boolean> {
  const bytes = fromHex(signature, 64);
  if (bytes === null || publicKey.length !== 32) return false;
  try {
    const key = await crypto.subtle.importKey("raw", publicKey.slice(), "Ed25519", false, ["verify"]);
    return await crypto.subtle.verify("Ed25519", key, bytes, utf8(text));
  } catch {
    return false;
  }
}

type Fields = Readonly<Record<string, Json | undefined>>;
const fieldsOf = (value: unknown): Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : {};
const listOf = (value: unknown): readonly Json[] => (Array.isArray(value) ? value : []);
const hasOnly = (value: Fields, names: string) => Object.keys(value).sort().join(" ") === names;

/**
 * Checks a receipt.
 * @param trusted public keys in hex, or what the platform published: without it the receipt is only known to be as whoever
 *   has its key made it
 * @param published what it published, beside keys that were written down: of its keys, those count to which these lead
 */
export async function verifyReceipt(
  text: string,
  trusted?: readonly string[] | PublishedHeads,
  published?: PublishedHeads,
): Promise<Verification> {
  const checks: Record<Check, boolean | null> = {
    form: false,
    key: null,
    signature: false,
    head: false,
    entries: false,
    published: null,
  };
  const result: Verification = { ok: false, checks, keyId: null, publicKey: null, receipt: null };
  let receipt: Fields;
  try {
    receipt = fieldsOf(readCanonical(text.replace(/\r?\n$/, "")));
  } catch {
    return result;
  }
  const ledger = fieldsOf(receipt.ledger);
  const head = fieldsOf(ledger.head);
  const publicKey = fromHex(ledger.publicKey, 32);
  const entries = listOf(ledger.entries);
  result.receipt = receipt as Record<string, Json>;
  if (publicKey === null || !hasOnly(ledger, "entries head publicKey")) return result;
  result.publicKey = toHex(publicKey);
  result.keyId = await keyIdOf(publicKey);
  checks.form = receipt.version === 1 && hasOnly(head, "at keyId root signature size") && head.keyId === result.keyId;
  if (!checks.form) return result;

  const { signature, ...content } = receipt as Record<string, Json>;
  checks.signature = await isSigned(publicKey, signature, canonical(content));
  checks.head = await isSigned(publicKey, head.signature, headText(head as unknown as Head));
  checks.entries = entries.length > 0;
  for (const one of entries) if (!(await isUnder(head, fieldsOf(one)))) checks.entries = false;
  if (trusted !== undefined) await compare(checks, head as unknown as Head, result.publicKey, trusted, published);
  result.ok = CHECKS.every((check) => checks[check] !== false);
  return result;
}

async function isUnder(head: Fields, { entry, proof: given, ...rest }: Fields): Promise<boolean> {
  const proof = fieldsOf(given);
  const path = listOf(proof.path).map((step) => fromHex(step, 32));
  if (entry === undefined || Object.keys(rest).length > 0 || !hasOnly(proof, "index path size")) return false;
  if (path.includes(null) || proof.size !== head.size || fieldsOf(entry).seq !== (proof.index as number) + 1)
    return false;
  const leaf = await leafHash(await entryHash(canonical(entry)));
  const root = await rootOfPath(leaf, proof.index as number, proof.size as number, path as Hash[]);
  return root !== null && toHex(root) === head.root;
}

/** With what the platform published, or with keys that somebody wrote down, or with both. */
async function compare(
  checks: Record<Check, boolean | null>,
  head: Head,
  publicKey: string,
  trusted: readonly string[] | PublishedHeads,
  beside: PublishedHeads | undefined,
): Promise<void> {
  const isPublished = "heads" in trusted;
  const published = isPublished ? trusted : beside;
  const all = published?.keys ?? [];
  const keys = isPublished ? all.map((key) => key.publicKey) : await followed(trusted, all);
  const times = all.filter((key) => key.publicKey === publicKey);
  checks.key = keys.includes(publicKey) && times.every((key) => isOfTime(key, head.at));
  const same = published?.heads.find(({ size }) => size === head.size);
  if (same !== undefined) checks.published = same.root === head.root;
}

/** Reads what `/.well-known/ledger-heads.json` says. @throws {SyntaxError} */
export function readHeads(text: string): PublishedHeads {
  const { keys, heads } = fieldsOf(JSON.parse(text));
  if (!Array.isArray(keys) || !Array.isArray(heads)) throw new SyntaxError("Cannot read heads: there are none");
  return { keys, heads } as unknown as PublishedHeads;
}
