/** Check digit of fourteen digits (Luhn, 3GPP TS 23.003 annex B). */
export function checkDigit(body: string): string {
  let sum = 0;
  for (let i = 0; i < body.length; i++) {
    const digit = Number(body[body.length - 1 - i]) * (i % 2 === 0 ? 2 : 1);
    sum += digit > 9 ? digit - 9 : digit;
  }
  return String((10 - (sum % 10)) % 10);
}

/** First IMEI of simulated trackers: TAC 35 999999 with serial numbers from 1, no range of a genuine model. */
export const FIRST_IMEI = `35999999000001${checkDigit("35999999000001")}`;

/** The IMEI n places after another one: fourteen digits counted on, and their check digit. */
export function imeiAfter(first: string, n: number): string {
  const body = String(BigInt(first.slice(0, 14)) + BigInt(n)).padStart(14, "0");
  return body + checkDigit(body);
}
