import { AppError } from "./errors.ts";

// A customer may tell how they pay, never with what. Whoever types a card number somewhere is refused before a byte of
// it is stored (statement, clause 4a), also where nobody asked for one: a name, an address, a reason.

/**
 * Fields that may hold such digits, each for a reason: they are IMEIs, they are looked for (an IMEI, mostly), they
 * are numbers, ids or days by a check of their own (two days, one after the other, are 16 digits), or they are hashes,
 * secrets and the keys of a browser, which are stored as hashes or not at all.
 */
export const EXEMPT: ReadonlySet<string> = new Set([
  ...["imei", "imeis", "term", "mobile", "devices", "editable", "bridgePort"],
  ...["reviewAt", "expiresAt", "scope.device", "scope.devices"],
  ...["password", "current", "code", "totp", "recoveryCode", "token", "challenge"],
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
const RUN = /\d(?:[\s\p{Pd}\u2212._/\u00b7\u2022]{0,3}\d){12,}/gu;
/** What nobody sees: joiners, marks of direction, soft hyphens, and what stands on a digit. */
const UNSEEN = /[\p{Cf}\p{DI}\p{M}]/gu;

/** Any script's digits as 0 to 9: they come in rows of ten. */
function plain(text: string): string {
  // Full-width digits are digits.
  const seen = text.normalize("NFKC").replace(UNSEEN, "");
  return seen.replace(/[^\P{Nd}0-9]/gu, (digit) => {
    let value = 0;
    for (let at = digit.codePointAt(0)!; /\p{Nd}/u.test(String.fromCodePoint(--at)); ) value++;
    return String(value % 10);
  });
}

/** Whether a text holds 13 to 19 digits, alone or in groups, whose last is the check digit of the Luhn rule. */
export function holdsCardNumber(text: string): boolean {
  for (const [run] of plain(text).matchAll(RUN)) {
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
  if (holdsCardNumber(text)) throw refused(field, "looks like a card number");
}

const refused = (field: string, why: string) =>
  new AppError(
    "pan_not_accepted",
    `${field} ${why}: 13 to 19 digits that pass its check. Card numbers are never stored; if it is something else, ` +
      "put a letter between the digits",
    { field },
  );

/**
 * Looks through every text of a JSON body or a form, however deep, beside the exempt fields; the texts of one object
 * together, too, as a number may be spread over two fields.
 * @param input what was sent; a file of a form is looked through by the rule that reads it
 * @throws {AppError} pan_not_accepted, with the field as the client wrote it
 */
export function requireNoCardNumbers(input: unknown, path = ""): void {
  if (typeof input === "string") requireNoCardNumber(path, input);
  if (typeof input !== "object" || input === null || input instanceof Uint8Array) return;
  const texts: [field: string, text: string][] = [];
  for (const [name, value] of Object.entries(input)) {
    if (EXEMPT.has(name)) continue;
    const field = path === "" ? name : `${path}.${name}`;
    requireNoCardNumbers(value, field);
    if (typeof value === "string") texts.push([field, value]);
  }
  const together = texts.map(([, text]) => text).join(" ");
  if (!holdsCardNumber(together)) return;
  const [field] = texts.find(([, text]) => /\d\s*$/.test(plain(text))) ?? [path];
  throw refused(field, "and the field after it look like a card number");
}
