// ZIP as it is written without knowing what comes: each file is deflated by the platform, and its sizes follow it (PKWARE
// APPNOTE 6.3.10, clauses 4.3.7 to 4.3.16). The libraries of this size either do not compress or hold files in memory.

export interface ZipFile {
  name: string;
  /** At most 4 GiB of them. */
  bytes: AsyncIterable<Uint8Array>;
}

interface Written {
  name: Uint8Array;
  crc: number;
  size: number;
  deflated: number;
  offset: number;
}

const MOST = 0xffff_ffff;
/** Sizes follow (bit 3), names are UTF-8 (bit 11). */
const FLAGS = 0x0808;
const DEFLATED = 8;
/** 4.5: there may be more than 4 GiB in all. */
const VERSION = 45;
const GZIP_HEAD = 10;
const GZIP_TAIL = 8;

const text = new TextEncoder();

/**
 * Writes files one after the other; of each a chunk is in memory.
 * @param modifiedAt of all of them, Unix ms
 */
export async function* zip(
  files: AsyncIterable<ZipFile>,
  modifiedAt: number,
): AsyncGenerator<Uint8Array<ArrayBuffer>, undefined, undefined> {
  const written: Written[] = [];
  const when = dosTime(modifiedAt);
  let offset = 0;
  for await (const file of files) {
    const name = text.encode(file.name);
    const head = fields([4, 0x0403_4b50], [2, VERSION], [2, FLAGS], [2, DEFLATED], ...when, [4, 0], [4, 0], [4, 0]);
    yield joined(head, fields([2, name.length], [2, 0]), name);
    const entry: Written = { name, crc: 0, size: 0, deflated: 0, offset };
    for await (const chunk of deflated(file.bytes, entry)) yield chunk;
    if (Math.max(entry.size, entry.deflated) >= MOST) throw new RangeError("Cannot write ZIP: a file has over 4 GiB");
    yield fields([4, 0x0807_4b50], [4, entry.crc], [4, entry.deflated], [4, entry.size]);
    offset += 30 + name.length + entry.deflated + 16;
    written.push(entry);
  }
  const start = offset;
  for (const { name, crc, size, deflated, offset: at } of written) {
    const extra = at < MOST ? fields() : fields([2, 1], [2, 8], [8, at]);
    const head = fields([4, 0x0201_4b50], [2, VERSION], [2, VERSION], [2, FLAGS], [2, DEFLATED], ...when);
    const sizes = fields([4, crc], [4, deflated], [4, size], [2, name.length], [2, extra.length], [2, 0]);
    const entry = joined(head, sizes, fields([2, 0], [2, 0], [4, 0], [4, Math.min(at, MOST)]), name, extra);
    offset += entry.length;
    yield entry;
  }
  yield ending(written.length, start, offset - start);
  return undefined;
}

/** The end of the directory; the wider one before it where the numbers need it. */
function ending(count: number, start: number, size: number): Uint8Array<ArrayBuffer> {
  const narrow = fields([4, 0x0605_4b50], [2, 0], [2, 0], [2, Math.min(count, 0xffff)], [2, Math.min(count, 0xffff)]);
  const end = joined(narrow, fields([4, Math.min(size, MOST)], [4, Math.min(start, MOST)], [2, 0]));
  if (count < 0xffff && start < MOST && size < MOST) return end;
  const wide = fields([4, 0x0606_4b50], [8, 44], [2, VERSION], [2, VERSION], [4, 0], [4, 0], [8, count], [8, count]);
  const locator = fields([4, 0x0706_4b50], [4, 0], [8, start + size], [4, 1]);
  return joined(wide, fields([8, size], [8, start]), locator, end);
}

/** The platform's gzip has what a ZIP needs: the deflated bytes, then their CRC-32 and length. */
async function* deflated(bytes: AsyncIterable<Uint8Array>, entry: Written): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const source = bytes[Symbol.asyncIterator]();
  const counted = new ReadableStream<BufferSource>(
    {
      async pull(controller) {
        const { done, value } = await source.next();
        if (done) return controller.close();
        entry.size += value.length;
        controller.enqueue(value as Uint8Array<ArrayBuffer>);
      },
      async cancel() {
        await source.return?.();
      },
    },
    { highWaterMark: 0 },
  );
  const reader = counted.pipeThrough(new CompressionStream("gzip")).getReader();
  let skip = GZIP_HEAD;
  let kept = new Uint8Array(0);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const all = joined(kept, value);
      const begin = Math.min(skip, all.length);
      skip -= begin;
      const end = Math.max(begin, all.length - GZIP_TAIL);
      kept = all.slice(end);
      if (end === begin) continue;
      entry.deflated += end - begin;
      yield all.subarray(begin, end);
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
  entry.crc = new DataView(kept.buffer, kept.byteOffset).getUint32(0, true);
}

/** Whole numbers of so many bytes, little-endian. */
function fields(...values: [bytes: number, value: number][]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(values.reduce((sum, [bytes]) => sum + bytes, 0));
  const view = new DataView(whole.buffer);
  let at = 0;
  for (const [bytes, value] of values) {
    if (bytes === 2) view.setUint16(at, value, true);
    else if (bytes === 4) view.setUint32(at, value, true);
    else view.setBigUint64(at, BigInt(value), true);
    at += bytes;
  }
  return whole;
}

function joined(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** In UTC, as a ZIP has no zone. */
function dosTime(at: number): [number, number][] {
  const d = new Date(at);
  const time = (d.getUTCHours() << 11) | (d.getUTCMinutes() << 5) | (d.getUTCSeconds() >> 1);
  const date = (Math.max(0, d.getUTCFullYear() - 1980) << 9) | ((d.getUTCMonth() + 1) << 5) | d.getUTCDate();
  return [
    [2, time],
    [2, date],
  ];
}
