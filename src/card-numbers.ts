import { AppError } from "./errors.ts";

// A customer may tell how they pay, never with what. Whoever types a card number somewhere is refused before a byte of
// it is stored (statement, clause 4a), also where nobody asked for one: a name, an address, a reason.

/**
 * Fields that may hold such digits, each for a reason: they are IMEIs, they are looked for (an IMEI, mostly), they
 * are numbers or ids by a check of their own, or they are hashes, secrets and the keys of a browser, which are stored as hashes or not at all.
 */
export const EXEMPT: ReadonlySet<string> = new Set([
  ...["imei", "imeis", "term", "mobile", "devices", "editable"],
  ...["password", "current", "proof", "code", "totp", "recoveryCode", "token", "challenge"],
  ...[
    "sha256",
    "credential",
    "response",
    "clientDataJSON",
    "authenticatorData",
    "attestationObject",
    "signature",
    "userHandle",
  ],
]);

/** Digits in groups, as people write long numbers. */
const RUN = /\d(?:[ \u2010-\u2015-]{0,3}\d){12,}/g;

/** Whether a text holds 13 to 19 digits, alone or in groups, whose last is the check digit of the Luhn rule. */
export function holdsCardNumber(text: string): boolean {
  // Full-width digits are digits.
  for (const [run] of text.normalize("NFKC").matchAll(RUN)) {
    const groups = run.split(/\D+/);
    for (let first = 0; first < groups.length; first++) {
      let digits = "";
      for (let last = first; last < groups.length && digits.length < 19; last++) {
        digits += groups[last];
        if (digits.length >= 13 && digits.length <= 19 && passesLuhn(digits)) return true;
      }
    }
  }
  return false;
}

function passesLuhn(digits: string): boolean {
  let sum = 0;
  for (let i = 0; i < digits.length; i++) {
    const doubled = Number(digits[digits.length - 1 - i]) * (i % 2 === 1 ? 2 : 1);
    sum += doubled > 9 ? doubled - 9 : doubled;
  }
  // Thirteen zeros pass and are nothing.
  return sum > 0 && sum % 10 === 0;
}

/** @throws {AppError} pan_not_accepted */
export function requireNoCardNumber(field: string, text: string): void {
  if (!holdsCardNumber(text)) return;
  throw new AppError("pan_not_accepted", `${field} looks like a card number; card numbers are never stored`, { field });
}

/**
 * Looks through every text of a JSON body or a form, however deep, beside the exempt fields.
 * @param input what was sent; a file of a form is looked through by the rule that reads it
 * @throws {AppError} pan_not_accepted, with the field as the client wrote it
 */
export function requireNoCardNumbers(input: unknown, path = ""): void {
  if (typeof input === "string") requireNoCardNumber(path, input);
  if (typeof input !== "object" || input === null || input instanceof Uint8Array) return;
  for (const [name, value] of Object.entries(input)) {
    if (!EXEMPT.has(name)) requireNoCardNumbers(value, path === "" ? name : `${path}.${name}`);
  }
}
