import { fromBase64, toBase64, toBase64Url } from "./base64.ts";
import { SealError } from "./errors.ts";
import type { OpeningKey } from "./key-file.ts";
import { SECRET_BYTES, unwrapFor, wrapFor } from "./wrap.ts";

// A file of any length, sealed to a customer's keys while it is made:
//
//   "EPHSEAL1" | length of the head u32 | head, JSON | chunks
//
// Each chunk but the last is of CHUNK_BYTES and a tag of 16; the last may be shorter. AES-256-GCM under a key of this file
// alone; nonce = seven zero bytes | number of the chunk u32 | 1 if it is the last, else 0, so that none can be left out,
// moved or cut off; associated data = SHA-256 of everything before the first chunk. Numbers are big-endian.

const MAGIC = "EPHSEAL1";
export const CHUNK_BYTES = 65_536;
const TAG_BYTES = 16;
const HEAD_BYTES = 65_536;
const CHUNKS = 2 ** 32;

interface Head {
  version: 1;
  /** 128 random bits, base64url: what the secret is wrapped for. */
  file: string;
  /** For each key that it was wrapped to: the key as base64url, and what is wrapped as base64. */
  wrapped: { publicKey: string; wrapped: string }[];
}

const text = new TextEncoder();
const infoOf = (file: string) => text.encode(`ephemeris|sealed file|v1|${file}`) as Uint8Array<ArrayBuffer>;

const keyOf = (secret: Uint8Array<ArrayBuffer>) =>
  crypto.subtle.importKey("raw", secret, "AES-GCM", false, ["encrypt", "decrypt"]);

function algorithm(chunk: number, isLast: boolean, additionalData: Uint8Array<ArrayBuffer>) {
  if (chunk >= CHUNKS) throw new SealError("file", "Cannot seal file: it has too many chunks");
  const iv = new Uint8Array(12);
  new DataView(iv.buffer).setUint32(7, chunk);
  iv[11] = isLast ? 1 : 0;
  return { name: "AES-GCM", iv, additionalData };
}

const digest = async (bytes: Uint8Array<ArrayBuffer>) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));

/** Cuts what comes in pieces into chunks of a size; the last may be shorter, or empty. Says of each whether it is the last. */
async function* cut(
  pieces: AsyncIterable<Uint8Array>,
  size: number,
): AsyncGenerator<{ chunk: Uint8Array<ArrayBuffer>; isLast: boolean }, undefined> {
  let kept = new Uint8Array(size);
  let length = 0;
  for await (const piece of pieces) {
    for (let at = 0; at < piece.length; ) {
      // A full chunk waits until something follows it: it may be the last.
      if (length === size) {
        yield { chunk: kept, isLast: false };
        kept = new Uint8Array(size);
        length = 0;
      }
      const part = piece.subarray(at, at + size - length);
      kept.set(part, length);
      length += part.length;
      at += part.length;
    }
  }
  yield { chunk: kept.slice(0, length), isLast: true };
  return undefined;
}

/**
 * Seals a file to keys, of which any opens it.
 * @param random cryptographically random bytes
 */
export async function* sealFile(
  pieces: AsyncIterable<Uint8Array>,
  publicKeys: readonly Uint8Array[],
  random: (length: number) => Uint8Array,
): AsyncGenerator<Uint8Array<ArrayBuffer>, undefined, undefined> {
  const secret = random(SECRET_BYTES).slice();
  const file = toBase64Url(random(16));
  const head: Head = { version: 1, file, wrapped: [] };
  for (const publicKey of publicKeys) {
    const wrapped = toBase64(await wrapFor(publicKey, infoOf(file), secret));
    head.wrapped.push({ publicKey: toBase64Url(publicKey), wrapped });
  }
  const said = text.encode(JSON.stringify(head));
  const begin = new Uint8Array(MAGIC.length + 4 + said.length);
  begin.set(text.encode(MAGIC));
  new DataView(begin.buffer).setUint32(MAGIC.length, said.length);
  begin.set(said, MAGIC.length + 4);
  yield begin;
  const [key, bound] = [await keyOf(secret), await digest(begin)];
  secret.fill(0);
  let number = 0;
  for await (const { chunk, isLast } of cut(pieces, CHUNK_BYTES)) {
    yield new Uint8Array(await crypto.subtle.encrypt(algorithm(number++, isLast, bound), key, chunk));
  }
  return undefined;
}

/** Whether bytes begin as a sealed file does. */
export const isSealedFile = (begin: Uint8Array): boolean =>
  begin.length >= MAGIC.length && [...text.encode(MAGIC)].every((byte, i) => begin[i] === byte);

/**
 * Opens a sealed file. Only when this has ended was all of it there: what came before an error is true and not the whole.
 * @throws {SealError} file, secret
 */
export async function* openFile(
  pieces: AsyncIterable<Uint8Array>,
  key: OpeningKey,
): AsyncGenerator<Uint8Array<ArrayBuffer>, undefined, undefined> {
  const source = pieces[Symbol.asyncIterator]();
  let kept: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  const need = async (length: number) => {
    while (kept.length < length) {
      const { done, value } = await source.next();
      if (done) throw new SealError("file", "Cannot open file: it is cut off");
      const more = new Uint8Array(kept.length + value.length);
      more.set(kept);
      more.set(value, kept.length);
      kept = more;
    }
  };
  await need(MAGIC.length + 4);
  if (!isSealedFile(kept)) throw new SealError("file", "Cannot open file: it is no sealed file");
  const length = new DataView(kept.buffer).getUint32(MAGIC.length);
  if (length > HEAD_BYTES) throw new SealError("file", "Cannot open file: its head is too long");
  const start = MAGIC.length + 4 + length;
  await need(start);
  const begin = kept.slice(0, start);
  const rest = kept.slice(start);
  const opened = await secretOf(readHead(begin.subarray(MAGIC.length + 4)), key);
  const [fileKey, bound] = [await keyOf(opened), await digest(begin)];
  async function* after() {
    yield rest;
    for (;;) {
      const { done, value } = await source.next();
      if (done) return;
      yield value;
    }
  }
  let number = 0;
  for await (const { chunk, isLast } of cut(after(), CHUNK_BYTES + TAG_BYTES)) {
    try {
      yield new Uint8Array(await crypto.subtle.decrypt(algorithm(number++, isLast, bound), fileKey, chunk));
    } catch (error) {
      throw new SealError("file", `Cannot open file: chunk ${number} was altered, or the file is cut off`, error);
    }
  }
  return undefined;
}

function readHead(bytes: Uint8Array): Head {
  try {
    const head = JSON.parse(new TextDecoder().decode(bytes)) as Head;
    if (head.version === 1 && typeof head.file === "string" && Array.isArray(head.wrapped)) return head;
  } catch {
    // Falls through: what is no JSON is no head.
  }
  throw new SealError("file", "Cannot open file: its head cannot be read");
}

async function secretOf({ file, wrapped }: Head, key: OpeningKey): Promise<Uint8Array<ArrayBuffer>> {
  const mine = toBase64Url(key.publicKey);
  const own = wrapped.find(({ publicKey }) => publicKey === mine);
  if (own === undefined) throw new SealError("secret", "Cannot open file: it was not sealed to this key");
  return unwrapFor(key.privateKey, infoOf(file), fromBase64(own.wrapped), "file");
}
