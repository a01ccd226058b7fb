import type { Base } from "./context.ts";
import { AppError } from "./errors.ts";
import { accountKey, accountKeys, LASTING_KEYS, lastingKey } from "./vault-own.ts";

// What must be read again later but never lie open in the database (a mail's text, what a link stands for) is sealed with
// AES-256-GCM under a key of its purpose: derived from the secret of the account that it is about, which goes with the
// account, or where there is none from the root key with HKDF-SHA-256.

/** In front of what is sealed under an account's secret; base64url has no such character. */
const OF_ACCOUNT = ".";

const text = new TextEncoder();
const keys = new Map<string, CryptoKey>();

/** The key to seal or hash with: of the present root key, or one that outlives it. */
function presentKey(base: Base, purpose: string, use: "seal" | "hash"): Promise<CryptoKey> {
  const lasting = LASTING_KEYS.find((what) => what === `${use} ${purpose}`);
  return lasting === undefined ? keyFor(base.config.rootKey, purpose, use) : lastingKey(base, lasting);
}

/** The raw key is remembered, never a promise of it: in workerd a promise dies with the request that made it. */
async function keyFor(rootKey: string, purpose: string, use: "seal" | "hash"): Promise<CryptoKey> {
  const name = `${use}\0${purpose}\0${rootKey}`;
  const known = keys.get(name);
  if (known !== undefined) return known;
  const bytes = Uint8Array.from(rootKey.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  const root = await crypto.subtle.importKey("raw", bytes, "HKDF", false, ["deriveKey"]);
  const info = text.encode(`ephemeris ${use} ${purpose}`);
  const derived = await crypto.subtle.deriveKey(
    { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(32), info },
    root,
    use === "seal" ? { name: "AES-GCM", length: 256 } : { name: "HMAC", hash: "SHA-256", length: 256 },
    false,
    use === "seal" ? ["encrypt", "decrypt"] : ["sign"],
  );
  keys.set(name, derived);
  return derived;
}

/**
 * Seals a text. @param purpose what it is and for whom ("totp", "mail"): opening under another purpose fails
 * @param bound what it belongs to, such as a user's id: opening it elsewhere fails
 * @param account under whose secret; 0: the operator's own; null: the installation's root key
 * @throws {AppError} not_found when the account was erased
 */
export async function seal(
  base: Base,
  purpose: string,
  bound: string | number,
  plain: string,
  account: number | null = null,
): Promise<string> {
  const iv = base.random(12) as Uint8Array<ArrayBuffer>;
  const additionalData = text.encode(String(bound));
  const key =
    account === null
      ? await presentKey(base, purpose, "seal")
      : await accountKey(base, account, purpose, { make: true });
  if (key === null) throw new AppError("not_found", "This account was erased");
  const sealed = new Uint8Array(
    await crypto.subtle.encrypt({ name: "AES-GCM", iv, additionalData }, key, text.encode(plain)),
  );
  const whole = new Uint8Array(iv.length + sealed.length);
  whole.set(iv);
  whole.set(sealed, iv.length);
  return (account === null ? "" : OF_ACCOUNT) + toBase64Url(whole);
}

/**
 * Opens what this or an earlier root key sealed, as long as that is configured.
 * @param account as it was sealed; what was sealed under the root key needs none
 * @throws when it was sealed for another purpose, for something else, or altered, or when the account was erased
 */
export async function open(
  base: Base,
  purpose: string,
  bound: string | number,
  sealed: string,
  account: number | null = null,
): Promise<string> {
  const ofAccount = sealed.startsWith(OF_ACCOUNT);
  const whole = fromBase64Url(ofAccount ? sealed.slice(OF_ACCOUNT.length) : sealed);
  const additionalData = text.encode(String(bound));
  const algorithm = { name: "AES-GCM", iv: whole.subarray(0, 12), additionalData };
  let failure: unknown;
  const own = ofAccount && account !== null ? await accountKeys(base, account, purpose) : [];
  const keysInTurn: (() => Promise<CryptoKey | null>)[] = ofAccount
    ? (own.length === 0 ? [null] : own).map((key) => () => Promise.resolve(key))
    : [
        () => presentKey(base, purpose, "seal"),
        ...base.config.oldRootKeys.map((rootKey) => () => keyFor(rootKey, purpose, "seal")),
      ];
  for (const keyInTurn of keysInTurn) {
    const key = await keyInTurn();
    try {
      if (key === null) throw new Error("Cannot open: the secret of its account was destroyed");
      return new TextDecoder().decode(await crypto.subtle.decrypt(algorithm, key, whole.subarray(12)));
    } catch (error) {
      failure ??= error;
    }
  }
  throw failure;
}

/**
 * A keyed hash, hex, for what is short enough to be guessed from a plain one: an address, an IMEI, a six-digit code.
 * The same text under another purpose gives another hash. Some stay the same when the root key changes: those of
 * LASTING_KEYS.
 */
export async function keyedHash(base: Base, purpose: string, plain: string): Promise<string> {
  const key = await presentKey(base, purpose, "hash");
  return toHex(new Uint8Array(await crypto.subtle.sign("HMAC", key, text.encode(plain))));
}

export function toHex(bytes: Uint8Array): string {
  let hex = "";
  for (const byte of bytes) hex += byte.toString(16).padStart(2, "0");
  return hex;
}

export function toBase64Url(bytes: Uint8Array): string {
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** @throws when it is not base64url */
export function fromBase64Url(encoded: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(encoded.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
}

/** Compares two texts in the same time wherever they differ. */
export function sameText(a: string, b: string): boolean {
  let difference = a.length ^ b.length;
  for (let i = 0; i < a.length; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i % b.length);
  return difference === 0;
}
