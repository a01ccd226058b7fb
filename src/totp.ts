import { sameText } from "./seal.ts";

// Time-based one-time codes as every authenticator app makes them: RFC 6238 over RFC 4226, HMAC-SHA-1, six digits, 30 s.
// This and src/webauthn.ts are written here and not imported: the usual libraries are 9 and 88 KiB gzipped of the 150
// that the whole Worker may have. The tests compare both with those libraries.

const STEP_MS = 30_000;
const DIGITS = 6;
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/** RFC 4648 base32 without padding; as apps want the secret. */
export function toBase32(bytes: Uint8Array): string {
  let text = "";
  let value = 0;
  let bits = 0;
  for (const byte of bytes) {
    value = (value << 8) | byte;
    for (bits += 8; bits >= 5; bits -= 5) text += ALPHABET[(value >>> (bits - 5)) & 31];
    value &= 0xff;
  }
  return bits === 0 ? text : text + ALPHABET[(value << (5 - bits)) & 31];
}

function fromBase32(text: string): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [];
  let value = 0;
  let bits = 0;
  for (const letter of text) {
    value = ((value & 0xff) << 5) | ALPHABET.indexOf(letter);
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes.push((value >>> bits) & 0xff);
    }
  }
  return new Uint8Array(bytes);
}

/** The code of a time step. @param secret base32 */
export async function totpCode(secret: string, step: number): Promise<string> {
  const key = await crypto.subtle.importKey("raw", fromBase32(secret), { name: "HMAC", hash: "SHA-1" }, false, [
    "sign",
  ]);
  const counter = new DataView(new ArrayBuffer(8));
  counter.setBigUint64(0, BigInt(step));
  const mac = new DataView(await crypto.subtle.sign("HMAC", key, counter.buffer));
  const truncated = mac.getUint32(mac.getUint8(19) & 15) & 0x7fff_ffff;
  return String(truncated % 10 ** DIGITS).padStart(DIGITS, "0");
}

/**
 * The time step that a code belongs to: this one, the one before or the one after, as clocks differ.
 * @param now Unix ms
 * @returns null when it is none of them
 */
export async function totpStep(secret: string, code: string, now: number): Promise<number | null> {
  const present = Math.floor(now / STEP_MS);
  let found: number | null = null;
  // All three, always: the time taken says nothing.
  for (const step of [present - 1, present, present + 1])
    if (sameText(await totpCode(secret, step), code)) found = step;
  return found;
}

/** What the QR code of an authenticator app says. @param label whose it is, beside the issuer's name */
export function totpUri(secret: string, issuer: string, label: string): string {
  const name = `${encodeURIComponent(issuer)}:${encodeURIComponent(label)}`;
  return `otpauth://totp/${name}?secret=${secret}&issuer=${encodeURIComponent(issuer)}&algorithm=SHA1&digits=${DIGITS}&period=${STEP_MS / 1000}`;
}
