import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { SealError } from "../../client/errors.ts";
import { keyFileText, newKeyFile, readKeyFile } from "../../client/key-file.ts";
import { CHUNK_BYTES, isSealedFile, openFile, sealFile } from "../../client/sealed-file.ts";
import { NOON } from "../database.ts";

const random = (length: number) => new Uint8Array(randomBytes(length));
const aKey = async () => readKeyFile(keyFileText(await newKeyFile(NOON)));

/** In pieces of a size. */
async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function whole(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return new Uint8Array(Buffer.concat(all));
}

describe("sealFile() and openFile()", () => {
  const TAG = 16;

  test.each([0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 200_000])(
    "give %i bytes back, to any of the keys",
    async (length) => {
      const keys = [await aKey(), await aKey()];
      const bytes = random(length);
      const publicKeys = keys.map(({ publicKey }) => publicKey);
      const sealed = await whole(sealFile(pieces(bytes, 7777), publicKeys, random));
      expect(isSealedFile(sealed)).toBe(true);
      for (const key of keys) {
        for (const size of [1000, CHUNK_BYTES + TAG, 1e9]) {
          expect(Buffer.compare(await whole(openFile(pieces(sealed, size), key)), bytes)).toBe(0);
        }
      }
    },
  );

  test("another key opens nothing", async () => {
    const sealed = await whole(sealFile(pieces(random(10), 10), [(await aKey()).publicKey], random));
    await expect(whole(openFile(pieces(sealed, 1e9), await aKey()))).rejects.toThrow("was not sealed to this key");
  });

  test("what was cut off, moved, left out or altered does not open to its end", async () => {
    const key = await aKey();
    const sealed = await whole(sealFile(pieces(random(3 * CHUNK_BYTES + 5), 1e9), [key.publicKey], random));
    const size = CHUNK_BYTES + TAG;
    const head = sealed.length - 3 * size - 5 - TAG;
    const [before, one, two, three, last] = [0, 1, 2, 3, 4].map((i) =>
      i === 0 ? sealed.subarray(0, head) : sealed.subarray(head + (i - 1) * size, head + i * size),
    );
    const joined = (...parts: (Uint8Array | undefined)[]) => new Uint8Array(Buffer.concat(parts as Uint8Array[]));
    const flipped = (at: number) => sealed.map((byte, i) => (i === at ? byte ^ 1 : byte));
    for (const bad of [
      ...[0, 5, 12, head, head + 1, head + size, sealed.length - 1].map((length) => sealed.subarray(0, length)),
      joined(before, one, two, three),
      joined(before, two, one, three, last),
      joined(before, one, three, last),
      joined(before, one, two, three, last, last),
      ...[3, 9, 40, head + 1, sealed.length - 1].map(flipped),
    ]) {
      await expect(whole(openFile(pieces(bad, 1e9), key))).rejects.toThrow(SealError);
    }
  });
});
