import { AppError } from "./errors.ts";
import { fromBase64Url, toBase64Url } from "./seal.ts";

// What of Web Authentication (W3C Level 3) a passkey needs: user verification always, attestation never, three
// algorithms, all through WebCrypto. Why this is written here: see src/totp.ts.

/** COSE numbers of the algorithms, as WebCrypto names them. */
const ALGORITHMS = {
  "-7": { key: { name: "ECDSA", namedCurve: "P-256" }, signature: { name: "ECDSA", hash: "SHA-256" } },
  "-8": { key: { name: "Ed25519" }, signature: { name: "Ed25519" } },
  "-257": { key: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" }, signature: { name: "RSASSA-PKCS1-v1_5" } },
} as const;
export const PASSKEY_ALGORITHMS = [-7, -8, -257] as const;
export type PasskeyAlgorithm = (typeof PASSKEY_ALGORITHMS)[number];

const FLAGS = { userPresent: 1, userVerified: 4, backupEligible: 8, backedUp: 16, credential: 64 };
const RSA_BITS = 2048;

/** What the browser says when it has made a passkey; everything base64url. */
export interface RegistrationResponse {
  clientDataJSON: string;
  /** response.getAuthenticatorData() */
  authenticatorData: string;
  /** response.getPublicKey(): SubjectPublicKeyInfo, DER */
  publicKey: string;
  /** response.getPublicKeyAlgorithm() */
  algorithm: number;
}

/** What the browser says when a passkey has signed; everything base64url. */
export interface AssertionResponse {
  /** the credential's */
  id: string;
  clientDataJSON: string;
  authenticatorData: string;
  signature: string;
  userHandle?: string | null | undefined;
}

export interface NewCredential {
  credentialId: string;
  algorithm: PasskeyAlgorithm;
  publicKey: Uint8Array;
  signCount: number;
}

const refusal = (why: string) => new AppError("invalid", `This passkey cannot be used: ${why}`, { field: "passkey" });

/** @throws {AppError} invalid when it is not base64url */
function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  if (!/^[\w-]*$/.test(text) || text.length % 4 === 1) throw refusal("the answer is not base64url");
  return fromBase64Url(text);
}

/**
 * Reads what the browser says it did, and refuses another ceremony or another site.
 * @returns the challenge that it answers: whether that is one of ours is the caller's to find out
 * @throws {AppError} invalid
 */
export function challengeOf(clientDataJSON: string, type: "webauthn.create" | "webauthn.get", origin: string): string {
  let data: unknown;
  try {
    data = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytesOf(clientDataJSON)));
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    throw refusal("the browser's part cannot be read");
  }
  if (typeof data !== "object" || data === null) throw refusal("the browser's part cannot be read");
  const said = data as Record<string, unknown>;
  if (said.type !== type) throw refusal("it answers another question");
  if (said.origin !== origin || said.crossOrigin === true) throw refusal("it was asked for by another site");
  if (typeof said.challenge !== "string") throw refusal("it answers no question");
  return said.challenge;
}

/** Reads and checks the authenticator's part. @throws {AppError} invalid */
async function authenticatorPart(encoded: string, origin: string) {
  const bytes = bytesOf(encoded);
  if (bytes.length < 37) throw refusal("the authenticator's part is too short");
  const site = new TextEncoder().encode(new URL(origin).hostname);
  const expected = new Uint8Array(await crypto.subtle.digest("SHA-256", site));
  if (expected.some((byte, i) => byte !== bytes[i])) throw refusal("it belongs to another site");
  const flags = bytes[32]!;
  const has = (flag: number) => (flags & flag) !== 0;
  if (!has(FLAGS.userPresent)) throw refusal("nobody was present");
  if (!has(FLAGS.userVerified)) throw refusal("the device did not check who you are (screen lock, fingerprint or PIN)");
  if (has(FLAGS.backedUp) && !has(FLAGS.backupEligible)) throw refusal("the authenticator's part contradicts itself");
  return { bytes, isNew: has(FLAGS.credential), signCount: new DataView(bytes.buffer).getUint32(33) };
}

/** @throws {AppError} invalid when it is not a good key of this algorithm */
async function keyOf(algorithm: number, publicKey: Uint8Array): Promise<CryptoKey> {
  const row = ALGORITHMS[String(algorithm) as keyof typeof ALGORITHMS];
  if (row === undefined) throw refusal("its algorithm is not one of ES256, EdDSA and RS256");
  let key: CryptoKey;
  try {
    key = await crypto.subtle.importKey("spki", publicKey as Uint8Array<ArrayBuffer>, row.key, false, ["verify"]);
  } catch {
    throw refusal("its public key is not one of its algorithm");
  }
  const { modulusLength = RSA_BITS } = key.algorithm as { modulusLength?: number };
  if (modulusLength < RSA_BITS) throw refusal(`its RSA key has fewer than ${RSA_BITS} bits`);
  return key;
}

/**
 * Checks a new passkey, whose challenge is known to be ours.
 * @param origin of the page that asked: https://example.com
 * @throws {AppError} invalid
 */
export async function verifyRegistration(response: RegistrationResponse, origin: string): Promise<NewCredential> {
  const { bytes, isNew, signCount } = await authenticatorPart(response.authenticatorData, origin);
  // Attested credential data: AAGUID (16 bytes), length of the id (2), the id, the key as COSE.
  const idLength = bytes.length < 55 ? 0 : new DataView(bytes.buffer).getUint16(53);
  if (!isNew || idLength < 1 || idLength > 1023 || bytes.length <= 55 + idLength) {
    throw refusal("the authenticator's part holds no passkey");
  }
  const publicKey = bytesOf(response.publicKey);
  await keyOf(response.algorithm, publicKey);
  const credentialId = toBase64Url(bytes.subarray(55, 55 + idLength));
  return { credentialId, algorithm: response.algorithm as PasskeyAlgorithm, publicKey, signCount };
}

/**
 * Checks that a passkey signed, with a challenge that is known to be ours.
 * @returns the sign counter: comparing it with the last one is the caller's
 * @throws {AppError} invalid
 */
export async function verifyAssertion(
  response: AssertionResponse,
  origin: string,
  { algorithm, publicKey }: { algorithm: number; publicKey: Uint8Array },
): Promise<{ signCount: number }> {
  const { bytes, signCount } = await authenticatorPart(response.authenticatorData, origin);
  const client = new Uint8Array(await crypto.subtle.digest("SHA-256", bytesOf(response.clientDataJSON)));
  const signed = new Uint8Array(bytes.length + client.length);
  signed.set(bytes);
  signed.set(client, bytes.length);
  const key = await keyOf(algorithm, publicKey);
  const given = bytesOf(response.signature);
  const signature = algorithm === -7 ? rawSignature(given) : given;
  const row = ALGORITHMS[String(algorithm) as keyof typeof ALGORITHMS];
  if (!(await crypto.subtle.verify(row.signature, key, signature, signed))) throw refusal("its signature is wrong");
  return { signCount };
}

/** ECDSA on P-256: DER, as authenticators send it, to r and s of 32 bytes each, as WebCrypto wants it. */
function rawSignature(der: Uint8Array): Uint8Array<ArrayBuffer> {
  const raw = new Uint8Array(64);
  let at = 2;
  for (const end of [32, 64]) {
    const length = der[at + 1] ?? 0;
    const padded = length === 33 ? 1 : 0;
    const integer = der.subarray(at + 2 + padded, at + 2 + length);
    if (der[at] !== 2 || integer.length !== length - padded || length < 1 || length > 33)
      throw refusal("its signature is cut");
    if (padded === 1 && der[at + 2] !== 0) throw refusal("its signature is cut");
    raw.set(integer, end - integer.length);
    at += 2 + length;
  }
  if (der[0] !== 0x30 || der[1] !== at - 2 || at !== der.length) throw refusal("its signature is cut");
  return raw;
}
