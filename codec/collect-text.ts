import { AAA_FIELDS } from "./aaa-fields.ts";
import { bytesOf, latin1 } from "./bytes.ts";
import { DROP, ROUND } from "./profile-bits.ts";

// Texts of AAA reports in a collection profile, see collect.ts.

const NUMBER = /^[+-]?\d{1,10}(\.\d{0,12})?([eE][+-]?\d{1,2})?$/;
const HEX_8 = /^[0-9A-Fa-f]{8}$/;

/** Fields 1 to 16 whose text is understood though its column is not exact, and the bits that drop it. */
const TEXTS: { readonly [field in (typeof AAA_FIELDS)[number]["name"]]?: { form: RegExp; bits: number } } = {
  event: { form: NUMBER, bits: 0 },
  latitude: { form: NUMBER, bits: ROUND },
  longitude: { form: NUMBER, bits: ROUND },
  satellites: { form: NUMBER, bits: 0 },
  gsmSignal: { form: NUMBER, bits: 0 },
  speedKmh: { form: NUMBER, bits: DROP.speed },
  courseDeg: { form: NUMBER, bits: 0 },
  hdop: { form: NUMBER, bits: 0 },
  altitudeM: { form: NUMBER, bits: 0 },
  odometerM: { form: NUMBER, bits: 0 },
  runtimeS: { form: NUMBER, bits: 0 },
  cell: { form: /^\d{1,3}\|\d{1,3}\|[0-9A-Fa-f]{0,8}\|[0-9A-Fa-f.+]{0,10}$/, bits: DROP.cell },
  ports: { form: /^[0-9A-Fa-f]{1,8}$/, bits: 0 },
  analog: { form: /^([0-9A-Fa-f]{0,4}|\d{1,2}\.\d{0,3})(\|([0-9A-Fa-f]{0,4}|\d{1,2}\.\d{0,3})){0,7}$/, bits: 0 },
};

/** Field 17 by event: its form, and the bits that drop it. For other events it is not understood. */
const ASSISTS: Readonly<Record<number, { form: RegExp; bits: number }>> = {
  20: { form: HEX_8, bits: 0 },
  21: { form: HEX_8, bits: 0 },
  35: { form: HEX_8, bits: 0 },
  37: { form: /^/, bits: DROP.driver },
  39: { form: /^[\w.-]+$/, bits: DROP.driver },
  50: { form: /^[0-9A-Fa-f]{2}$/, bits: 0 },
  51: { form: /^[0-9A-Fa-f]{2}$/, bits: 0 },
  58: { form: HEX_8, bits: 0 },
  145: { form: /^([0-9A-Fa-f]{8}\|?){4}$/, bits: DROP.speed },
};

/** Fields 19 to 21: protocol version, fuel, temperatures. Field 18 and those from 22 on are anything. */
const AFTER_CUSTOM = [/^\d{1,4}$/, /^[0-9A-Fa-f]{4}$/, /^[0-9A-Fa-f]{6}(\|[0-9A-Fa-f]{6}){0,15}$/];
/** Fields 17 to 23 of firmware whose last two are the extremes of acceleration. */
const WITH_EXTREMES = /^[^,]*,[^,]*,[0-4]?\d?,[^,]*,[^,]*,-?\d{1,5},-?\d{1,5}$/;

/** Whether the text of an AAA field up to 16 stays. */
export function keptAaaText(field: number, bytes: Uint8Array, profile: number): boolean {
  const name = AAA_FIELDS[field - 1]?.name;
  const text = name === undefined ? undefined : TEXTS[name];
  return text !== undefined && (text.bits & profile) === 0 && text.form.test(latin1(bytes));
}

/** What stays of AAA fields 17 and on: each keeps its place. Nothing when no field has anything left. */
export function keptAaaRest(bytes: Uint8Array, event: number, profile: number): Uint8Array {
  const all = latin1(bytes);
  const extremes = WITH_EXTREMES.test(all);
  const kept = all.split(",").map((text, n) => {
    if (n === 0) {
      const assist = ASSISTS[event];
      return assist !== undefined && (assist.bits & profile) === 0 && assist.form.test(text) ? text : "";
    }
    return (n > 4 && extremes) || AFTER_CUSTOM[n - 2]?.test(text) ? text : "";
  });
  const text = kept.join(",");
  return /[^,]/.test(text) ? bytesOf(text) : new Uint8Array(0);
}
