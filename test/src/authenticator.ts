import {
  createHash,
  generateKeyPairSync,
  type KeyObject,
  type KeyPairKeyObjectResult,
  randomBytes,
  sign,
} from "node:crypto";
import type { AssertionResponse, RegistrationResponse } from "../../src/webauthn.ts";

// A passkey in software: what a browser and its authenticator would answer, with every part open to be spoilt.

const url = (bytes: Uint8Array | string) => Buffer.from(bytes as Uint8Array).toString("base64url");
const sha256 = (data: Uint8Array | string) => createHash("sha256").update(data).digest();

/** CBOR, as much of it as COSE keys and attestation objects need. */
function cbor(value: unknown): Buffer {
  const head = (major: number, n: number) =>
    n < 24
      ? Buffer.from([(major << 5) | n])
      : n < 256
        ? Buffer.from([(major << 5) | 24, n])
        : Buffer.from([(major << 5) | 25, n >> 8, n & 255]);
  if (typeof value === "number") return value >= 0 ? head(0, value) : head(1, -1 - value);
  if (typeof value === "string") return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)]);
  if (value instanceof Uint8Array) return Buffer.concat([head(2, value.length), value]);
  const entries = [...(value as Map<unknown, unknown>)];
  return Buffer.concat([head(5, entries.length), ...entries.flatMap(([key, item]) => [cbor(key), cbor(item)])]);
}

const KINDS = {
  "-7": {
    make: () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
    cose: ({ x, y }: JsonWebKey) => [
      [1, 2],
      [3, -7],
      [-1, 1],
      [-2, Buffer.from(x!, "base64url")],
      [-3, Buffer.from(y!, "base64url")],
    ],
    sign: (data: Buffer, key: KeyObject) => sign("sha256", data, key),
  },
  "-8": {
    make: () => generateKeyPairSync("ed25519"),
    cose: ({ x }: JsonWebKey) => [
      [1, 1],
      [3, -8],
      [-1, 6],
      [-2, Buffer.from(x!, "base64url")],
    ],
    sign: (data: Buffer, key: KeyObject) => sign(null, data, key),
  },
  "-257": {
    make: () => generateKeyPairSync("rsa", { modulusLength: 2048 }),
    cose: ({ n, e }: JsonWebKey) => [
      [1, 3],
      [3, -257],
      [-1, Buffer.from(n!, "base64url")],
      [-2, Buffer.from(e!, "base64url")],
    ],
    sign: (data: Buffer, key: KeyObject) => sign("sha256", data, key),
  },
} as const;

/** What a test may spoil or choose. */
export interface Whims {
  type?: string;
  challenge?: string;
  origin?: string;
  crossOrigin?: boolean;
  rpId?: string;
  flags?: number;
  signCount?: number;
  userHandle?: string;
}

export interface SoftKey {
  algorithm: -7 | -8 | -257;
  id: string;
  keys: KeyPairKeyObjectResult;
  cose: Buffer;
  /** The answer to a registration, and its attestation object for the other implementation. */
  register(challenge: string, whims?: Whims): RegistrationResponse & { attestationObject: string };
  assert(challenge: string, whims?: Whims): AssertionResponse;
}

export function aSoftKey(algorithm: -7 | -8 | -257 = -7, origin = "https://edge.test"): SoftKey {
  const kind = KINDS[algorithm];
  const keys = kind.make() as KeyPairKeyObjectResult;
  const cose = cbor(new Map(kind.cose(keys.publicKey.export({ format: "jwk" }) as JsonWebKey) as [number, unknown][]));
  const rawId = randomBytes(32);
  const id = url(rawId);
  const client = (type: string, challenge: string, whims: Whims) =>
    JSON.stringify({
      type: whims.type ?? type,
      challenge: whims.challenge ?? challenge,
      origin: whims.origin ?? origin,
      crossOrigin: whims.crossOrigin ?? false,
    });
  const authData = (flags: number, whims: Whims, rest: Uint8Array = new Uint8Array()) => {
    const count = Buffer.alloc(4);
    count.writeUInt32BE(whims.signCount ?? 0);
    const rpId = sha256(whims.rpId ?? new URL(origin).hostname);
    return Buffer.concat([rpId, Buffer.from([whims.flags ?? flags]), count, rest]);
  };
  return {
    algorithm,
    id,
    keys,
    cose,
    register(challenge, whims = {}) {
      const attested = Buffer.concat([Buffer.alloc(16), Buffer.from([0, rawId.length]), rawId, cose]);
      const authenticatorData = authData(0x45, whims, attested);
      const attestation = new Map<string, unknown>([
        ["fmt", "none"],
        ["attStmt", new Map()],
        ["authData", authenticatorData],
      ]);
      return {
        clientDataJSON: url(client("webauthn.create", challenge, whims)),
        authenticatorData: url(authenticatorData),
        publicKey: url(keys.publicKey.export({ format: "der", type: "spki" })),
        algorithm,
        attestationObject: url(cbor(attestation)),
      };
    },
    assert(challenge, whims = {}) {
      const clientDataJSON = client("webauthn.get", challenge, whims);
      const authenticatorData = authData(0x05, whims);
      const signature = kind.sign(Buffer.concat([authenticatorData, sha256(clientDataJSON)]), keys.privateKey);
      return {
        id,
        clientDataJSON: url(clientDataJSON),
        authenticatorData: url(authenticatorData),
        signature: url(signature),
        ...(whims.userHandle !== undefined && { userHandle: whims.userHandle }),
      };
    },
  };
}
