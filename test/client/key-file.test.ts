import { expect, test } from "vitest";
import { fromBase64, toBase64, toBase64Url } from "../../client/base64.ts";
import { checkOf, keyFileText, newKeyFile, readKeyFile } from "../../client/key-file.ts";

test("readKeyFile() reads what newKeyFile() made", async () => {
  const file = await newKeyFile(Date.UTC(2026, 10, 23));
  expect(file.madeAt).toBe("2026-11-23T00:00:00.000Z");
  expect(file.check).toMatch(/^[0-9a-f]{4}-[0-9a-f]{4}$/);
  const { publicKey, privateKey } = await readKeyFile(keyFileText(file));
  expect(toBase64Url(publicKey)).toBe(file.publicKey);
  expect(privateKey.type).toBe("private");
  expect(await checkOf(publicKey)).toBe(file.check);
});

test("newKeyFile() makes another key each time", async () => {
  const files = await Promise.all([newKeyFile(0), newKeyFile(0)]);
  expect(files[0]?.privateKey).not.toBe(files[1]?.privateKey);
  expect(files[0]?.publicKey).not.toBe(files[1]?.publicKey);
});

test("readKeyFile() refuses what is no key file, and halves that do not belong together", async () => {
  const [file, other] = await Promise.all([newKeyFile(0), newKeyFile(0)]);
  const bad: [string, string][] = [
    ["", "it is not JSON"],
    ["[]", "no version 1 key pair"],
    ["null", "no version 1 key pair"],
    [JSON.stringify({ ...file, version: 2 }), "no version 1 key pair"],
    [JSON.stringify({ ...file, privateKey: "short" }), "no version 1 key pair"],
    [JSON.stringify({ ...file, publicKey: other.publicKey }), "its public key was changed"],
    [JSON.stringify({ ...file, check: "0000-0000" }), "its public key was changed"],
    [
      JSON.stringify({ ...file, publicKey: other.publicKey, check: other.check }),
      "its two keys do not belong together",
    ],
    [JSON.stringify({ ...file, privateKey: other.privateKey }), "its two keys do not belong together"],
  ];
  for (const [text, why] of bad) {
    const refused = expect(readKeyFile(text), why).rejects;
    await refused.toMatchObject({ code: "key", message: expect.stringContaining(why) });
    await expect(readKeyFile(text)).rejects.not.toThrow(file.privateKey);
  }
});

test("base64 reads both alphabets", () => {
  const all = Uint8Array.from({ length: 256 }, (_, n) => n);
  expect(fromBase64(toBase64(all))).toEqual(all);
  expect(fromBase64(toBase64Url(all))).toEqual(all);
  expect(toBase64Url(all)).toMatch(/^[\w-]+$/);
});
