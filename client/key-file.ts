import { fromBase64, toBase64Url } from "./base64.ts";
import { SealError } from "./errors.ts";
import { PUBLIC_KEY_BYTES } from "./wrap.ts";

/** A key file: JSON, readable by people, to be kept where nobody else reads it. */
export interface KeyFile {
  what: string;
  version: 1;
  /** base64url of 32 bytes; this is what is registered */
  publicKey: string;
  /** base64url of 32 bytes; this never leaves its owner */
  privateKey: string;
  /** Proves, when the key is registered, that the file was kept: see checkOf(). */
  check: string;
  madeAt: string;
}

const WHAT =
  "Sealing key of a tracking account. Whoever has this file can read what is sealed to it. Without it nobody can, for ever.";

/** A private key, ready to open with, and the public key that belongs to it. */
export interface OpeningKey {
  privateKey: CryptoKey;
  publicKey: Uint8Array<ArrayBuffer>;
}

/** Eight hex digits of the SHA-256 of a public key: what a person types to show that they have its file. */
export async function checkOf(publicKey: Uint8Array): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", publicKey.slice()));
  const hex = [...hash.subarray(0, 4)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${hex.slice(0, 4)}-${hex.slice(4)}`;
}

/** Makes a key pair. @param now Unix ms */
export async function newKeyFile(now: number): Promise<KeyFile> {
  const pair = (await crypto.subtle.generateKey({ name: "X25519" }, true, ["deriveBits"])) as CryptoKeyPair;
  const { x = "", d = "" } = (await crypto.subtle.exportKey("jwk", pair.privateKey)) as JsonWebKey;
  return {
    what: WHAT,
    version: 1,
    publicKey: x,
    privateKey: d,
    check: await checkOf(fromBase64(x)),
    madeAt: new Date(now).toISOString(),
  };
}

export const keyFileText = (file: KeyFile): string => `${JSON.stringify(file, null, 2)}\n`;

/** Reads a key file. @throws {SealError} key, when it is none or its halves do not belong together */
export async function readKeyFile(text: string): Promise<OpeningKey> {
  let file: Partial<KeyFile>;
  try {
    file = JSON.parse(text) as Partial<KeyFile>;
  } catch {
    throw new SealError("key", "Cannot read key file: it is not JSON");
  }
  const { publicKey: x, privateKey: d } = file ?? {};
  const isKey = (text: unknown) => typeof text === "string" && /^[\w-]{43}$/.test(text);
  if (file?.version !== 1 || !isKey(x) || !isKey(d)) {
    throw new SealError("key", "Cannot read key file: it has no version 1 key pair");
  }
  const publicKey = fromBase64(x!);
  if (publicKey.length !== PUBLIC_KEY_BYTES || file.check !== (await checkOf(publicKey))) {
    throw new SealError("key", "Cannot read key file: its public key was changed");
  }
  try {
    const jwk = { kty: "OKP", crv: "X25519", x: x!, d: d! };
    const privateKey = await crypto.subtle.importKey("jwk", jwk, { name: "X25519" }, true, ["deriveBits"]);
    await requirePair(privateKey, publicKey);
    return { privateKey, publicKey };
  } catch (error) {
    throw new SealError("key", "Cannot read key file: its two keys do not belong together", error);
  }
}

/** Not every platform compares the halves of a pair that it is given: the base point says what the public key is. */
async function requirePair(privateKey: CryptoKey, publicKey: Uint8Array): Promise<void> {
  const base = new Uint8Array(PUBLIC_KEY_BYTES);
  base[0] = 9;
  const point = await crypto.subtle.importKey("raw", base, { name: "X25519" }, true, []);
  const x25519 = { name: "X25519", public: point };
  const bits = await crypto.subtle.deriveBits(x25519, privateKey, PUBLIC_KEY_BYTES * 8);
  if (toBase64Url(new Uint8Array(bits)) !== toBase64Url(publicKey)) throw new Error("they are not a pair");
}
