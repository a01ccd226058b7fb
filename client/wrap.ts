import { Aes256Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from "@hpke/core";
import { SealError } from "./errors.ts";

// How positions are sealed to a customer's own key. The key of a segment is made of two halves:
//
//   secret  32 random bytes of one settling of an account's day; kept nowhere, but wrapped to each of the customer's keys
//   share   32 bytes that the platform derives from its own secrets of the day and of the device
//   key   = HKDF-SHA-256(ikm = secret | share, salt = 32 zero bytes, info = "pos|customer|v1"), AES-256-GCM
//
// Without the customer's private key nobody has the secret; without the platform, whose secrets of a day are destroyed
// when the day's time is over, nobody has the share: a copy of everything opens nothing then, not even for the customer.
//
//   wrapped = enc (32) | ciphertext (32) | tag (16): HPKE base mode, RFC 9180, with the suite below

const suite = new CipherSuite({ kem: new DhkemX25519HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes256Gcm() });

export const PUBLIC_KEY_BYTES = 32;
export const SECRET_BYTES = 32;
const ENC_BYTES = 32;
export const WRAPPED_BYTES: number = ENC_BYTES + SECRET_BYTES + 16;

/** What a secret belongs to: wrapped for this, it opens for nothing else. */
export interface SecretName {
  accountId: number;
  /** UTC day since 1970. */
  day: number;
  kid: number;
}

const infoOf = ({ accountId, day, kid }: SecretName) =>
  new TextEncoder().encode(`ephemeris|sealed track|v1|${accountId}|${day}|${kid}`) as Uint8Array<ArrayBuffer>;

/**
 * Whether 32 bytes are the one way of writing an X25519 key: below 2^255 - 19. Others mean the same key to a tracker of
 * keys that cannot tell.
 */
function isCanonical(key: Uint8Array): boolean {
  if (key[31] > 0x7f) return false;
  if (key[31] < 0x7f || key[0] < 0xed) return true;
  return key.subarray(1, 31).some((byte) => byte !== 0xff);
}

/**
 * Checks a public key by sealing something to it.
 * @throws {SealError} key: the length is wrong, or it is a point to which everybody could open (RFC 7748, clause 6.1)
 */
export async function requirePublicKey(publicKey: Uint8Array): Promise<void> {
  if (publicKey.length !== PUBLIC_KEY_BYTES) {
    throw new SealError("key", `Cannot seal to this key: it has ${publicKey.length} bytes, not ${PUBLIC_KEY_BYTES}`);
  }
  if (!isCanonical(publicKey)) throw new SealError("key", "Cannot seal to this key: it is no X25519 public key");
  await wrapSecret(publicKey, { accountId: 0, day: 0, kid: 0 }, new Uint8Array(SECRET_BYTES));
}

/** Wraps a secret so that only the private key of `publicKey` opens it. @throws {SealError} key */
export function wrapSecret(
  publicKey: Uint8Array,
  name: SecretName,
  secret: Uint8Array,
): Promise<Uint8Array<ArrayBuffer>> {
  return wrapFor(publicKey, infoOf(name), secret);
}

/** The same for another purpose. @param info what the secret belongs to: wrapped for this, it opens for nothing else */
export async function wrapFor(
  publicKey: Uint8Array,
  info: Uint8Array<ArrayBuffer>,
  secret: Uint8Array,
): Promise<Uint8Array<ArrayBuffer>> {
  try {
    const recipientPublicKey = await suite.kem.deserializePublicKey(publicKey.slice().buffer);
    const { enc, ct } = await suite.seal({ recipientPublicKey, info }, secret.slice().buffer);
    const wrapped = new Uint8Array(enc.byteLength + ct.byteLength);
    wrapped.set(new Uint8Array(enc));
    wrapped.set(new Uint8Array(ct), enc.byteLength);
    return wrapped;
  } catch (error) {
    throw new SealError("key", "Cannot seal to this key: it is no X25519 public key that can be sealed to", error);
  }
}

/** @throws {SealError} secret: it was wrapped to another key or for something else, or was changed */
export function unwrapSecret(
  privateKey: CryptoKey,
  name: SecretName,
  wrapped: Uint8Array,
): Promise<Uint8Array<ArrayBuffer>> {
  return unwrapFor(privateKey, infoOf(name), wrapped, `secret ${name.kid}`);
}

/** What `wrapFor()` wrapped. @param what it is called in an error @throws {SealError} secret */
export async function unwrapFor(
  privateKey: CryptoKey,
  info: Uint8Array<ArrayBuffer>,
  wrapped: Uint8Array,
  what: string,
): Promise<Uint8Array<ArrayBuffer>> {
  try {
    const bytes = wrapped.slice().buffer;
    const enc = bytes.slice(0, ENC_BYTES);
    const secret = await suite.open({ recipientKey: privateKey, enc, info }, bytes.slice(ENC_BYTES));
    return new Uint8Array(secret);
  } catch (error) {
    throw new SealError("secret", `Cannot open ${what}: it is not wrapped to this key, or damaged`, error);
  }
}

const SEGMENT_KEY = new TextEncoder().encode("pos|customer|v1");

/** The key of a segment, from its two halves. */
export async function segmentKey(secret: Uint8Array, share: Uint8Array): Promise<CryptoKey> {
  const material = new Uint8Array(secret.length + share.length);
  material.set(secret);
  material.set(share, secret.length);
  const base = await crypto.subtle.importKey("raw", material, "HKDF", false, ["deriveKey"]);
  const hkdf = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(32), info: SEGMENT_KEY };
  return crypto.subtle.deriveKey(hkdf, base, { name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
}
