import type { Base } from "./context.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { fromBase64Url, sameText, toBase64Url } from "./seal.ts";

/** Passwords that come first in every list of guesses, beside those that are too short anyway. */
const COMMON = new Set(
  "1234567890 0987654321 1q2w3e4r5t qwertyuiop password12 password123 iloveyou123 123456789a 1111111111 0000000000 qwerty12345 abc1234567 a123456789 letmein123 welcome123 changeme123 passw0rd123 1234554321 qwerty123456 1qaz2wsx3edc asdfghjkl1".split(
    " ",
  ),
);

/**
 * Refuses a password that is soon guessed.
 * @param email which it must not be
 * @throws {AppError} invalid, field `password`
 */
export function requireGoodPassword(password: string, email: string): void {
  const refuse = (why: string) => new AppError("invalid", `password ${why}`, { field: "password" });
  const length = [...password].length;
  if (length < LIMITS.passwordMinCharacters) {
    throw refuse(`must have at least ${LIMITS.passwordMinCharacters} characters`);
  }
  if (length > LIMITS.passwordMaxCharacters) {
    throw refuse(`must have at most ${LIMITS.passwordMaxCharacters} characters`);
  }
  const lower = password.toLowerCase();
  if (lower === email || lower === email.split("@")[0]) throw refuse("must not be your e-mail address");
  if (COMMON.has(lower) || new Set(lower).size < 4) throw refuse("is one of the first that anybody would guess");
}

const bytesOf = (password: string) => new TextEncoder().encode(password.normalize("NFKC"));

/** What is stored of a password: scrypt with its cost and salt, "scrypt$N$r$p$salt$key". */
export async function hashPassword(base: Base, password: string): Promise<string> {
  const { N, r, p } = LIMITS.scrypt;
  const salt = base.random(16);
  const key = await base.scrypt(bytesOf(password), salt, { N, r, p });
  return ["scrypt", N, r, p, toBase64Url(salt), toBase64Url(key)].join("$");
}

/**
 * Whether a password is the one that was hashed. Without a hash it takes the same time and is false: who asks must not
 * learn whether an address is known.
 */
export async function isPassword(base: Base, password: string, hash: string | null): Promise<boolean> {
  const parts = hash?.split("$") ?? [];
  const known = parts.length === 6 && parts[0] === "scrypt";
  const cost = known ? { N: Number(parts[1]), r: Number(parts[2]), p: Number(parts[3]) } : LIMITS.scrypt;
  const salt = known ? fromBase64Url(parts[4]!) : new Uint8Array(16);
  const short = [...password].slice(0, LIMITS.passwordMaxCharacters + 1).join("");
  const key = toBase64Url(await base.scrypt(bytesOf(short), salt, cost));
  return sameText(key, known ? parts[5]! : "") && known;
}
