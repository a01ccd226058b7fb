import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { crc32, createInflateRaw } from "node:zlib";

// Reads a ZIP by its directory (PKWARE APPNOTE 6.3.10, clauses 4.3.12 to 4.3.16), also one of more than 4 GiB.

export interface ZipEntry {
  name: string;
  size: number;
  crc: number;
  deflated: number;
  offset: number;
}

/** Where the bytes come from. */
interface Source {
  size: number;
  read(at: number, length: number): Buffer;
}

export class ZipError extends Error {}

const MOST = 0xffff_ffff;
const END_BYTES = 22;
const CHUNK = 64 * 1024;

export class ZipReader {
  readonly entries: ReadonlyMap<string, ZipEntry>;
  readonly #source: Source;
  readonly #close: () => void;

  /** @param from a path, or the whole of it */
  constructor(from: string | Uint8Array) {
    if (typeof from === "string") {
      const file = openSync(from, "r");
      this.#close = () => closeSync(file);
      const read = (at: number, length: number) => {
        const bytes = Buffer.alloc(length);
        if (readSync(file, bytes, 0, length, at) !== length) throw new ZipError("Cannot read ZIP: it is cut off");
        return bytes;
      };
      this.#source = { size: fstatSync(file).size, read };
    } else {
      this.#close = () => undefined;
      this.#source = { size: from.length, read: (at, length) => Buffer.from(from.subarray(at, at + length)) };
    }
    this.entries = directoryOf(this.#source);
  }

  close(): void {
    this.#close();
  }

  /** A file's bytes, piece by piece. @throws {ZipError} it is not there, or not what the directory says */
  async *read(name: string): AsyncGenerator<Buffer, undefined, undefined> {
    const entry = this.entries.get(name);
    if (entry === undefined) throw new ZipError(`Cannot read ZIP: it has no ${name}`);
    const head = this.#source.read(entry.offset, 30);
    const start = entry.offset + 30 + head.readUInt16LE(26) + head.readUInt16LE(28);
    const source = this.#source;
    const inflate = createInflateRaw();
    const feed = async () => {
      for (let at = 0; at < entry.deflated; at += CHUNK) {
        const bytes = source.read(start + at, Math.min(CHUNK, entry.deflated - at));
        if (!inflate.write(bytes)) await new Promise((resolve) => inflate.once("drain", resolve));
      }
      inflate.end();
    };
    feed().catch((error) => inflate.destroy(error));
    let [crc, size] = [0, 0];
    for await (const chunk of inflate as AsyncIterable<Buffer>) {
      crc = crc32(chunk, crc);
      size += chunk.length;
      yield chunk;
    }
    if (crc !== entry.crc || size !== entry.size) throw new ZipError(`Cannot read ZIP: ${name} is damaged`);
    return undefined;
  }

  /** A file that is small enough, whole. */
  async bytes(name: string): Promise<Buffer> {
    const chunks: Buffer[] = [];
    for await (const chunk of this.read(name)) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  async text(name: string): Promise<string> {
    return (await this.bytes(name)).toString("utf8");
  }
}

function directoryOf(source: Source): Map<string, ZipEntry> {
  if (source.size < END_BYTES) throw new ZipError("Cannot read ZIP: it is too short");
  // Ours has no comment, so that the end is where it must be.
  const end = source.read(source.size - END_BYTES, END_BYTES);
  if (end.readUInt32LE(0) !== 0x0605_4b50) throw new ZipError("Cannot read ZIP: it does not end as one");
  let count = end.readUInt16LE(10);
  let size = end.readUInt32LE(12);
  let start = end.readUInt32LE(16);
  if (count === 0xffff || size === MOST || start === MOST) {
    const locator = source.read(source.size - END_BYTES - 20, 20);
    const wide = source.read(Number(locator.readBigUInt64LE(8)), 56);
    count = Number(wide.readBigUInt64LE(32));
    size = Number(wide.readBigUInt64LE(40));
    start = Number(wide.readBigUInt64LE(48));
  }
  const directory = source.read(start, size);
  const entries = new Map<string, ZipEntry>();
  for (let i = 0, at = 0; i < count; i++) {
    if (directory.readUInt32LE(at) !== 0x0201_4b50) throw new ZipError("Cannot read ZIP: its directory is damaged");
    const [nameLength, extraLength] = [directory.readUInt16LE(at + 28), directory.readUInt16LE(at + 30)];
    const name = directory.toString("utf8", at + 46, at + 46 + nameLength);
    let offset = directory.readUInt32LE(at + 42);
    if (offset === MOST) offset = Number(directory.readBigUInt64LE(at + 46 + nameLength + 4));
    const crc = directory.readUInt32LE(at + 16);
    entries.set(name, {
      name,
      crc,
      deflated: directory.readUInt32LE(at + 20),
      size: directory.readUInt32LE(at + 24),
      offset,
    });
    at += 46 + nameLength + extraLength + directory.readUInt16LE(at + 32);
  }
  return entries;
}
