// The ways in which a value could lie in a file: as the engines, runtimes and protocols that are used here would write it.

/** A value to look for. */
export interface Canary {
  /** Names it in a report, which must not repeat the value. */
  name: string;
  value: { coordinate: number } | { number: number } | { digits: string } | { text: string } | { hex: string };
}

export interface Needle {
  canary: string;
  form: string;
  bytes: Uint8Array;
}

const text = new TextEncoder();

function utf16(value: string, littleEndian: boolean): Uint8Array {
  const view = new DataView(new ArrayBuffer(value.length * 2));
  for (let i = 0; i < value.length; i++) view.setUint16(i * 2, value.charCodeAt(i), littleEndian);
  return new Uint8Array(view.buffer);
}

/** What of a text's base64 does not depend on what stands before and behind it, when `shift` bytes of a group of three do. */
function base64Of(bytes: Uint8Array, shift: number): string {
  const padded = new Uint8Array(shift + bytes.length);
  padded.set(bytes, shift);
  const whole = btoa(String.fromCharCode(...padded));
  return whole.slice(Math.ceil((shift * 8) / 6), Math.floor((padded.length * 8) / 6));
}

const hexOf = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

function* textForms(name: string, value: string): Generator<[form: string, bytes: Uint8Array]> {
  const bytes = text.encode(value);
  yield [`${name} utf-8`, bytes];
  yield [`${name} utf-16le`, utf16(value, true)];
  yield [`${name} utf-16be`, utf16(value, false)];
  yield* writtenForms(name, bytes);
}

/** Bytes as texts carry them. */
function* writtenForms(name: string, bytes: Uint8Array): Generator<[form: string, bytes: Uint8Array]> {
  for (const shift of [0, 1, 2]) {
    const base64 = base64Of(bytes, shift);
    yield [`${name} base64+${shift}`, text.encode(base64)];
    const url = base64.replaceAll("+", "-").replaceAll("/", "_");
    if (url !== base64) yield [`${name} base64url+${shift}`, text.encode(url)];
  }
  yield [`${name} hex`, text.encode(hexOf(bytes))];
  const upper = hexOf(bytes).toUpperCase();
  if (upper !== hexOf(bytes)) yield [`${name} HEX`, text.encode(upper)];
}

function* floats(value: number): Generator<[form: string, bytes: Uint8Array]> {
  for (const littleEndian of [true, false]) {
    const order = littleEndian ? "le" : "be";
    const f64 = new DataView(new ArrayBuffer(8));
    f64.setFloat64(0, value, littleEndian);
    yield [`f64${order}`, new Uint8Array(f64.buffer)];
    const f32 = new DataView(new ArrayBuffer(4));
    f32.setFloat32(0, value, littleEndian);
    yield [`f32${order}`, new Uint8Array(f32.buffer)];
  }
}

function* integers(name: string, value: number): Generator<[form: string, bytes: Uint8Array]> {
  for (const littleEndian of [true, false]) {
    const order = littleEndian ? "le" : "be";
    if (Math.abs(value) < 2 ** 31) {
      const i32 = new DataView(new ArrayBuffer(4));
      i32.setInt32(0, value, littleEndian);
      yield [`${name} i32${order}`, new Uint8Array(i32.buffer)];
    }
    const i64 = new DataView(new ArrayBuffer(8));
    i64.setBigInt64(0, BigInt(value), littleEndian);
    yield [`${name} i64${order}`, new Uint8Array(i64.buffer)];
    // As the record format of SQLite has it, in as few bytes as will do.
    if (!littleEndian && Math.abs(value) >= 2 ** 31 && Math.abs(value) < 2 ** 47) {
      yield [`${name} i48be`, new Uint8Array(i64.buffer.slice(2))];
    }
  }
}

function* formsOf({ value }: Canary): Generator<[form: string, bytes: Uint8Array]> {
  if ("text" in value) yield* textForms("text", value.text);
  else if ("hex" in value) {
    const bytes = Uint8Array.from(value.hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
    yield ["bytes", bytes];
    yield* writtenForms("bytes", bytes);
  } else if ("digits" in value) {
    yield* textForms("digits", value.digits);
    yield* integers("digits", Number(value.digits));
    for (const [form, bytes] of floats(Number(value.digits))) if (bytes.length === 8) yield [`digits ${form}`, bytes];
    // Two digits a byte, as trackers and telephone networks pack them.
    const even = value.digits.length % 2 === 0 ? value.digits : `0${value.digits}`;
    yield ["digits bcd", Uint8Array.from(even.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))];
  } else if ("coordinate" in value) {
    const micro = Math.round(value.coordinate * 1e6);
    yield* floats(value.coordinate);
    yield* integers("micro", micro);
    yield* textForms("micro text", String(Math.abs(micro)));
    yield* textForms("decimal text", Math.abs(value.coordinate).toFixed(6));
  } else {
    yield* floats(value.number);
    if (Number.isInteger(value.number)) yield* integers("number", value.number);
    yield* textForms("number text", String(value.number));
  }
}

/** Bytes below which a form is found by chance: it is left out. */
const LEAST_BYTES = 4;

/** Every form of some values, each once. */
export function needlesOf(canaries: readonly Canary[]): Needle[] {
  return canaries.flatMap((canary) => {
    const seen = new Set<string>();
    return [...formsOf(canary)].flatMap(([form, bytes]) => {
      const key = hexOf(bytes);
      if (bytes.length < LEAST_BYTES || seen.has(key)) return [];
      seen.add(key);
      return { canary: canary.name, form, bytes };
    });
  });
}
