// JSON as bytes: ASCII that is known beforehand is written four bytes at a time, numbers three digits at a time.

/** Text that is ready to be written: its bytes as little-endian words, the last one filled up. */
export interface Piece {
  words: Int32Array;
  length: number;
}

const encoder = new TextEncoder();

export function pieceOf(text: string): Piece {
  const bytes = encoder.encode(text);
  const whole = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
  whole.set(bytes);
  const view = new DataView(whole.buffer);
  return {
    words: Int32Array.from({ length: whole.length / 4 }, (_, n) => view.getInt32(n * 4, true)),
    length: bytes.length,
  };
}

const wordOf = (text: string) => pieceOf(text).words[0] ?? 0;
const thousand = (text: (n: number) => string) => Array.from({ length: 1000 }, (_, n) => text(n));
const padded = (n: number, digits: number) => String(n).padStart(digits, "0");
const wordsOf = (texts: readonly string[]) => Int32Array.from(texts, wordOf);
const lengthsOf = (texts: readonly string[]) => Uint8Array.from(texts, (text) => text.length);

const SMALL = wordsOf(thousand(String));
const DIGITS_3 = wordsOf(thousand((n) => padded(n, 3)));
/** `.5` of 500, nothing of 0. */
const FRACTION_TEXTS = thousand((n) => `.${padded(n, 3)}`.replace(/\.?0+$/, ""));
const FRACTIONS = wordsOf(FRACTION_TEXTS);
const FRACTION_LENGTHS = lengthsOf(FRACTION_TEXTS);
const POINT_DIGITS_3 = wordsOf(thousand((n) => `.${padded(n, 3)}`));
const TRIMMED_TEXTS = thousand((n) => padded(n, 3).replace(/0+$/, ""));
const TRIMMED = wordsOf(TRIMMED_TEXTS);
const TRIMMED_LENGTHS = lengthsOf(TRIMMED_TEXTS);
const HOURS = wordsOf(Array.from({ length: 24 }, (_, n) => `T${padded(n, 2)}:`));
const MINUTES = wordsOf(Array.from({ length: 60 }, (_, n) => `${padded(n, 2)}:`));
const SECONDS = wordsOf(Array.from({ length: 60 }, (_, n) => `${padded(n, 2)}.`));
const [MINUS, Z] = [0x2d, 0x5a];
const DAY_MS = 86_400_000;

/** The date of the time before, of times of one kind: those of a page are of one day, or nearly. */
export class DayText {
  start: number = Number.NaN;
  date: Piece = pieceOf("");

  /** @returns ms since the day began */
  within(ms: number): number {
    const since = ms - this.start;
    if (since >= 0 && since < DAY_MS) return since;
    this.date = pieceOf(new Date(ms).toISOString().slice(0, -"T12:00:00.000Z".length));
    this.start = Math.floor(ms / DAY_MS) * DAY_MS;
    return ms - this.start;
  }
}

/** Grows. What a method writes may lie four bytes beyond `at`: reserve() leaves room for these. */
export class JsonBytes {
  at = 0;
  #bytes = new Uint8Array(65_536);
  #view = new DataView(this.#bytes.buffer);

  /** Makes room for `n` more bytes. */
  reserve(n: number): void {
    const needed = this.at + n + 4;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, needed));
    grown.set(this.#bytes.subarray(0, this.at));
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }

  /** What was written, a copy; begins anew. @param most bytes of memory that are kept for the next time */
  take(most: number): Uint8Array<ArrayBuffer> {
    const bytes = this.#bytes.slice(0, this.at);
    this.at = 0;
    if (this.#bytes.length > most) {
      this.#bytes = new Uint8Array(most);
      this.#view = new DataView(this.#bytes.buffer);
    }
    return bytes;
  }

  /** Of any length. */
  text(text: string): void {
    this.reserve(text.length * 3);
    this.at += encoder.encodeInto(text, this.#bytes.subarray(this.at)).written;
  }

  piece({ words, length }: Piece): void {
    const { at } = this;
    for (let n = 0; n < words.length; n++) this.#view.setInt32(at + n * 4, words[n], true);
    this.at = at + length;
  }

  /** Writes bytes again that are written. */
  again(from: number, to: number): void {
    this.#bytes.copyWithin(this.at, from, to);
    this.at += to - from;
  }

  #word(word: number, length: number): void {
    this.#view.setInt32(this.at, word, true);
    this.at += length;
  }

  #sign(): void {
    this.#word(MINUS, 1);
  }

  /** A whole number, as String() writes it. */
  whole(value: number): void {
    if (value < 1000) {
      if (value < 0) {
        this.#sign();
        this.whole(-value);
        return;
      }
      this.#word(SMALL[value], value < 10 ? 1 : value < 100 ? 2 : 3);
      return;
    }
    const thousands = Math.floor(value / 1000);
    this.whole(thousands);
    this.#word(DIGITS_3[value - thousands * 1000], 3);
  }

  /** value / 1000. As the quotient is written: it is the double nearest to these digits, and they are few enough to be its shortest. */
  thousandths(value: number): void {
    if (value < 0) {
      this.#sign();
      this.thousandths(-value);
      return;
    }
    const units = Math.floor(value / 1000);
    const rest = value - units * 1000;
    this.whole(units);
    this.#word(FRACTIONS[rest], FRACTION_LENGTHS[rest]);
  }

  /** value / 1000000. */
  millionths(value: number): void {
    if (value < 0) {
      this.#sign();
      this.millionths(-value);
      return;
    }
    const units = Math.floor(value / 1e6);
    const rest = value - units * 1e6;
    const high = Math.floor(rest / 1000);
    const low = rest - high * 1000;
    this.whole(units);
    if (low === 0) {
      this.#word(FRACTIONS[high], FRACTION_LENGTHS[high]);
      return;
    }
    this.#word(POINT_DIGITS_3[high], 4);
    this.#word(TRIMMED[low], TRIMMED_LENGTHS[low]);
  }

  /** Unix ms, as toISOString() writes it. */
  time(ms: number, day: DayText): void {
    const inDay = day.within(ms);
    this.piece(day.date);
    const seconds = Math.floor(inDay / 1000);
    const minutes = Math.floor(seconds / 60);
    const hours = Math.floor(minutes / 60);
    this.#word(HOURS[hours], 4);
    this.#word(MINUTES[minutes - hours * 60], 3);
    this.#word(SECONDS[seconds - minutes * 60], 3);
    this.#word(DIGITS_3[inDay - seconds * 1000], 3);
    this.#word(Z, 1);
  }
}
