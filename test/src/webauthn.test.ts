import { generateKeyPairSync, randomBytes } from "node:crypto";
import { verifyAuthenticationResponse, verifyRegistrationResponse } from "@simplewebauthn/server";
import { describe, expect, test } from "vitest";
import { challengeOf, PASSKEY_ALGORITHMS, verifyAssertion, verifyRegistration } from "../../src/webauthn.ts";
import { aSoftKey, type SoftKey, type Whims } from "./authenticator.ts";

const ORIGIN = "https://edge.test";
const CHALLENGE = randomBytes(32).toString("base64url");
const url = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64url");

/** The other implementation's opinion. */
async function otherRegistration(key: SoftKey, whims: Whims = {}): Promise<boolean> {
  const { clientDataJSON, attestationObject } = key.register(CHALLENGE, whims);
  const response = { clientDataJSON, attestationObject };
  const common = { expectedChallenge: CHALLENGE, expectedOrigin: ORIGIN, expectedRPID: "edge.test" };
  return verifyRegistrationResponse({
    response: { id: key.id, rawId: key.id, type: "public-key", clientExtensionResults: {}, response },
    ...common,
  }).then(
    ({ verified }) => verified,
    () => false,
  );
}
async function otherAssertion(key: SoftKey, whims: Whims = {}): Promise<boolean> {
  const { clientDataJSON, authenticatorData, signature } = key.assert(CHALLENGE, whims);
  const response = { clientDataJSON, authenticatorData, signature };
  return verifyAuthenticationResponse({
    response: { id: key.id, rawId: key.id, type: "public-key", clientExtensionResults: {}, response },
    expectedChallenge: CHALLENGE,
    expectedOrigin: ORIGIN,
    expectedRPID: "edge.test",
    credential: { id: key.id, publicKey: new Uint8Array(key.cose), counter: 0 },
  }).then(
    ({ verified }) => verified,
    () => false,
  );
}

async function registered(key: SoftKey, whims: Whims = {}) {
  const response = key.register(CHALLENGE, whims);
  if (challengeOf(response.clientDataJSON, "webauthn.create", ORIGIN) !== CHALLENGE) throw new Error("challenge");
  return verifyRegistration(response, ORIGIN);
}
async function asserted(key: SoftKey, whims: Whims = {}) {
  const response = key.assert(CHALLENGE, whims);
  if (challengeOf(response.clientDataJSON, "webauthn.get", ORIGIN) !== CHALLENGE) throw new Error("challenge");
  const publicKey = key.keys.publicKey.export({ format: "der", type: "spki" });
  return verifyAssertion(response, ORIGIN, { algorithm: key.algorithm, publicKey });
}

describe.each(PASSKEY_ALGORITHMS.map((algorithm) => [algorithm] as const))("with algorithm %i", (algorithm) => {
  const key = aSoftKey(algorithm);

  test("a registration and an assertion are taken here and by another implementation", async () => {
    expect(await registered(key, { signCount: 7 })).toMatchObject({ credentialId: key.id, algorithm, signCount: 7 });
    expect(await otherRegistration(key)).toBe(true);
    expect(await asserted(key, { signCount: 8 })).toEqual({ signCount: 8 });
    expect(await otherAssertion(key)).toBe(true);
  });

  test("signatures of every length are taken: r and s are often shorter", async () => {
    if (algorithm === -257) return;
    for (let i = 0; i < 300; i++) await asserted(key, { signCount: i });
  });

  test.each<[string, Whims]>([
    ["another type", { type: "webauthn.other" }],
    ["another challenge", { challenge: randomBytes(32).toString("base64url") }],
    ["another origin", { origin: "https://evil.test" }],
    ["another port", { origin: "https://edge.test:8443" }],
    ["plain http", { origin: "http://edge.test" }],
    ["another site", { rpId: "evil.test" }],
    ["nobody present", { flags: 0x44 }],
    ["nobody verified", { flags: 0x41 }],
    ["a backup that cannot be", { flags: 0x55 }],
  ])("%s is refused here and by another implementation", async (_, whims) => {
    await expect(registered(key, whims)).rejects.toThrow();
    await expect(asserted(key, whims)).rejects.toThrow();
    expect(await otherRegistration(key, whims)).toBe(false);
    expect(await otherAssertion(key, whims)).toBe(false);
  });

  test("a frame of another site is refused", async () => {
    await expect(registered(key, { crossOrigin: true })).rejects.toMatchObject({ code: "invalid" });
    await expect(asserted(key, { crossOrigin: true })).rejects.toMatchObject({ code: "invalid" });
  });

  test("a spoilt byte anywhere is refused and never an error of ours", async () => {
    const response = key.assert(CHALLENGE);
    const publicKey = key.keys.publicKey.export({ format: "der", type: "spki" });
    for (const part of ["authenticatorData", "clientDataJSON", "signature"] as const) {
      const good = Buffer.from(response[part], "base64url");
      for (let i = 0; i < good.length; i++) {
        const bad = Buffer.from(good);
        bad[i] = bad[i]! ^ (1 << (i % 8));
        const spoilt = { ...response, [part]: url(bad) };
        await expect(verifyAssertion(spoilt, ORIGIN, { algorithm, publicKey })).rejects.toMatchObject({
          code: "invalid",
        });
        const cut = { ...response, [part]: url(good.subarray(0, i)) };
        await expect(verifyAssertion(cut, ORIGIN, { algorithm, publicKey })).rejects.toMatchObject({ code: "invalid" });
      }
    }
  });

  test("a key of another algorithm or of noise is refused at registration", async () => {
    for (const other of [-7, -8, -257, -65535, 0, Number.NaN].filter((each) => each !== algorithm)) {
      const response = { ...key.register(CHALLENGE), algorithm: other };
      await expect(verifyRegistration(response, ORIGIN)).rejects.toMatchObject({ code: "invalid" });
    }
    for (const noise of ["", "AAAA", url(randomBytes(91)), "not base64url!", "A"]) {
      const response = { ...key.register(CHALLENGE), publicKey: noise };
      await expect(verifyRegistration(response, ORIGIN)).rejects.toMatchObject({ code: "invalid" });
    }
  });
});

test("verifyRegistration() refuses cut authenticator data, and a short RSA key", async () => {
  const key = aSoftKey();
  const whole = Buffer.from(key.register(CHALLENGE).authenticatorData, "base64url");
  for (let length = 0; length <= 55 + 32; length++) {
    const response = { ...key.register(CHALLENGE), authenticatorData: url(whole.subarray(0, length)) };
    await expect(verifyRegistration(response, ORIGIN)).rejects.toMatchObject({ code: "invalid" });
  }
  const { publicKey } = generateKeyPairSync("rsa", { modulusLength: 1024 });
  const weak = {
    ...key.register(CHALLENGE),
    algorithm: -257,
    publicKey: url(publicKey.export({ format: "der", type: "spki" })),
  };
  await expect(verifyRegistration(weak, ORIGIN)).rejects.toMatchObject({ code: "invalid" });
});

test("challengeOf() refuses what is not the browser's JSON", () => {
  const bad = ["", "e", "!!!!", url(Buffer.from("{")), url(Buffer.from("null")), url(Buffer.from("[]"))];
  bad.push(url(Buffer.from([0xff, 0xfe])), url(Buffer.from('"text"')));
  bad.push(url(Buffer.from(JSON.stringify({ type: "webauthn.get", origin: ORIGIN, challenge: 5 }))));
  for (const text of bad) {
    expect(() => challengeOf(text, "webauthn.get", ORIGIN)).toThrow(expect.objectContaining({ code: "invalid" }));
  }
});
