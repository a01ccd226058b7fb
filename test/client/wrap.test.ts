import { Aes128Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from "@hpke/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { fromBase64, toBase64Url } from "../../client/base64.ts";
import { SealError } from "../../client/errors.ts";
import { keyFileText, newKeyFile, type OpeningKey, readKeyFile } from "../../client/key-file.ts";
import { SECRET_BYTES, segmentKey, unwrapSecret, WRAPPED_BYTES, wrapSecret } from "../../client/wrap.ts";

const bytes = (hex: string) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
const aKey = async (): Promise<OpeningKey> => readKeyFile(keyFileText(await newKeyFile(0)));
const NAME = { accountId: 7, day: 20_780, kid: 281_474_976_710_655 };

test("the library opens RFC 9180, appendix A.1.1.1: base mode, X25519, HKDF-SHA256, AES-128-GCM", async () => {
  const suite = new CipherSuite({ kem: new DhkemX25519HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes128Gcm() });
  const skRm = bytes("4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8").buffer;
  const recipientKey = await suite.kem.importKey("raw", skRm, false);
  const enc = bytes("37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431").buffer;
  const info = bytes("4f6465206f6e2061204772656369616e2055726e").buffer;
  const sealed = bytes(
    "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a",
  ).buffer;
  const opened = await suite.open({ recipientKey, enc, info }, sealed, bytes("436f756e742d30").buffer);
  expect(new TextDecoder().decode(opened)).toBe("Beauty is truth, truth beauty");
});

test("unwrapSecret() gives what wrapSecret() was given, to the holder of the private key alone", async () => {
  const [own, other] = await Promise.all([aKey(), aKey()]);
  await fc.assert(
    fc.asyncProperty(
      fc.record({ accountId: fc.nat(), day: fc.nat(60_000), kid: fc.maxSafeNat() }),
      fc.uint8Array({ minLength: SECRET_BYTES, maxLength: SECRET_BYTES }),
      async (name, secret) => {
        const wrapped = await wrapSecret(own.publicKey, name, secret);
        expect(wrapped).toHaveLength(WRAPPED_BYTES);
        expect([...(await unwrapSecret(own.privateKey, name, wrapped))]).toEqual([...secret]);
        await expect(unwrapSecret(other.privateKey, name, wrapped)).rejects.toMatchObject({ code: "secret" });
      },
    ),
    { numRuns: 25 },
  );
});

test("wrapSecret() never gives the same bytes twice", async () => {
  const { publicKey } = await aKey();
  const secret = new Uint8Array(SECRET_BYTES);
  const many = await Promise.all(Array.from({ length: 20 }, () => wrapSecret(publicKey, NAME, secret)));
  expect(new Set(many.map((each) => toBase64Url(each))).size).toBe(20);
});

test("unwrapSecret() refuses a secret under another name, and any altered bit of it", async () => {
  const { publicKey, privateKey } = await aKey();
  const wrapped = await wrapSecret(publicKey, NAME, new Uint8Array(SECRET_BYTES).fill(1));
  for (const name of [
    { ...NAME, accountId: 8 },
    { ...NAME, day: 20_781 },
    { ...NAME, kid: 1 },
  ]) {
    await expect(unwrapSecret(privateKey, name, wrapped)).rejects.toBeInstanceOf(SealError);
  }
  for (let at = 0; at < wrapped.length; at++) {
    const altered = wrapped.slice();
    altered[at] ^= 1;
    await expect(unwrapSecret(privateKey, NAME, altered), `byte ${at}`).rejects.toBeInstanceOf(SealError);
  }
  await expect(unwrapSecret(privateKey, NAME, wrapped.slice(0, 40))).rejects.toBeInstanceOf(SealError);
});

// What is stored must open as long as it is kept, whatever the library does in between.
test("unwrapSecret() and segmentKey() read what an earlier version wrote", async () => {
  const { privateKey } = await readKeyFile(FIXED.file);
  const secret = await unwrapSecret(privateKey, NAME, fromBase64(FIXED.wrapped));
  expect(toBase64Url(secret)).toBe(toBase64Url(new Uint8Array(SECRET_BYTES).fill(0x5e)));
  const key = await segmentKey(secret, new Uint8Array(32).fill(0xa5));
  const sealed = fromBase64(FIXED.sealed);
  const algorithm = { name: "AES-GCM", iv: sealed.subarray(0, 12) };
  const plain = await crypto.subtle.decrypt(algorithm, key, sealed.subarray(12));
  expect(new TextDecoder().decode(plain)).toBe("a position");
});

test("segmentKey() needs both halves", async () => {
  const half = (byte: number) => new Uint8Array(32).fill(byte);
  const iv = new Uint8Array(12);
  const seal = async (secret: Uint8Array, share: Uint8Array) =>
    toBase64Url(
      new Uint8Array(
        await crypto.subtle.encrypt({ name: "AES-GCM", iv }, await segmentKey(secret, share), new Uint8Array(16)),
      ),
    );
  const right = await seal(half(1), half(2));
  expect(await seal(half(1), half(2))).toBe(right);
  for (const [secret, share] of [
    [2, 1],
    [1, 1],
    [2, 2],
  ] as const) {
    expect(await seal(half(secret), half(share))).not.toBe(right);
  }
});

const FIXED = {
  file: JSON.stringify({
    version: 1,
    publicKey: "em5xCvoHv7H9-vY5j2GuQdLAOHeNQZxnS6MvmreShEE",
    privateKey: "WMfcKJnv-gfMO-FjF6T0ZZuLPjWJT3pNerw1Fn_xu3w",
    check: "4109-efdf",
  }),
  wrapped:
    "dCEFHX7piyyKy-f5dTMVLZIjQpODKU0Nl2jc27prhGGuAtup6xq_KELgiFkx24CrKDnfoplfjoWfaSEFjrElR5CoLpoFF_R-BUWA1_UXKgc",
  sealed: "K-en2YL3hHShfrbszi4gWqCnbBNHOU3Lq0TBUnbzb6ZAVhBpL5A",
};
