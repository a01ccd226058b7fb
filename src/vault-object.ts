import type { Base } from "./context.ts";
import { AppError } from "./errors.ts";
import type { KeptPart } from "./store/held-parts.ts";
import type { KeptHold } from "./store/legal-holds.ts";

// A key object: the secrets of one account, of what is held of it, of one inbox, or of the installation, wrapped as one
// under the root key.
//
// wrapped   "EVK1" | root key id, 4 bytes | iv, 12 bytes | AES-256-GCM of the content and its tag | checksum, 8 bytes
// content   u32 length of the head | head, JSON | secrets, 49 bytes each, little-endian:
//           u8 kind | u48 kid | f64 of | u16 scope | 32 bytes
//
// The checksum (SHA-256, cut) tells an object that was damaged, and may be written over, from one that another root key
// wrapped, which may not.

/** What a secret is for. Their places in this list are stored: never change them. */
const KINDS = ["own", "device", "day", "inbox", "pepper", "lasting", "held", "share"] as const;

export interface Secret {
  kind: (typeof KINDS)[number];
  /** A random integer below 2^48, unique in its object: rows carry it. */
  kid: number;
  /** device, held: its id; day: UTC days since 1970; inbox: when it was made, Unix ms; share: kid of its day; otherwise 0. */
  of: number;
  /** day: whose retention period decides; lasting: use and purpose; share: device and kid of its secret; otherwise empty. */
  scope: string;
  /** 32 random bytes. */
  bytes: Uint8Array<ArrayBuffer>;
}

/** A destruction, as the list of them has it. */
export interface Shred {
  /** Serial of the list when it was added. */
  number: number;
  at: number;
  /** The object, and its serial after the destruction. */
  name: string;
  serial: number;
  kids: readonly number[];
}

/** A request as src/kept-requests.ts keeps it: names of columns, numbers of rows, times. */
export interface KeptRequest {
  name: string;
  type: "access" | "export" | "correct" | "erase" | "restrict" | "object";
  level: "V0" | "V1" | "V2";
  accountId: number;
  userId: number | null;
  /** JSON of an ErasureScope. */
  scope: string;
  receivedAt: number;
  verifiedAt: number;
  deadline: number;
  calendar: string;
  uncertain: boolean;
  overAt: number | null;
}

export interface KeyObject {
  /** Rises with each change: of two copies the higher one is true. */
  serial: number;
  /** The account was destroyed: no secret is ever made here again. */
  gone: boolean;
  /** Devices whose secret was destroyed: they get no other. */
  erased: readonly number[];
  /** The last destruction here: serial after it, time, and the kids that went. */
  shred: { serial: number; at: number; kids: readonly number[] };
  /** Only of the object `shreds`: destructions, oldest first, and the number up to which they are not listed any more. */
  shreds?: { list: readonly Shred[]; before: number };
  /** Only of the object `requests`. */
  requests?: readonly KeptRequest[];
  /** Only of the objects `held/{}`: what of an account must not go, and what was copied of what went. */
  held?: { holds: readonly KeptHold[]; parts: readonly KeptPart[] };
  /** Only of the escrow's `refreshed`. */
  refreshed?: { at: number; began: number; next: string };
  /** Of one device the newest last. */
  secrets: readonly Secret[];
}

export const EMPTY: KeyObject = {
  serial: 0,
  gone: false,
  erased: [],
  shred: { serial: 0, at: 0, kids: [] },
  secrets: [],
};

/** The name of the object with the secrets of an account. */
export const accountName = (accountId: number) => `account/${accountId}`;

/** Whose object it is by its name; null: no account's. */
export function accountIn(name: string): number | null {
  const id = /^account\/(\d+)$/.exec(name)?.[1];
  return id === undefined ? null : Number(id);
}

/** What is under this name is the ledger's mirror (src/ledger-mirror.ts), and no key object. */
export const LEDGER = "ledger/";

/** Under these names are copies that must be kept (src/vault-held.ts), each sealed under a secret of its own. */
export const COPIES = "copy/";

/** The names under which copies are wrapped: one does not open in the place of another. */
export type CopyLabel = "a" | "b" | "escrow";

export type Unwrapped =
  | { state: "good"; object: KeyObject; rootKeyId: string }
  /** Damaged: there is nothing to lose by writing over it. */
  | { state: "damaged" }
  /** Whole, but wrapped under a root key that this installation does not have. */
  | { state: "foreign"; rootKeyId: string };

const MAGIC = "EVK1";
const HEAD_BYTES = 20;
const CHECKSUM_BYTES = 8;
const SECRET_BYTES = 49;
const KID_BYTES = 6;
const text = new TextEncoder();

interface RootKey {
  id: string;
  live: CryptoKey;
  escrow: CryptoKey;
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** By the root key in hex. Keys, never promises: in workerd a promise dies with the request that made it. */
const ROOTS = new Map<string, RootKey>();

async function rootKey(hex: string): Promise<RootKey> {
  const known = ROOTS.get(hex);
  if (known !== undefined) return known;
  const bytes = Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  const label = text.encode("ephemeris root key id ");
  const digest = await crypto.subtle.digest("SHA-256", new Uint8Array([...label, ...bytes]));
  const material = await crypto.subtle.importKey("raw", bytes, "HKDF", false, ["deriveKey"]);
  const derive = (info: string) =>
    crypto.subtle.deriveKey(
      { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(32), info: text.encode(info) },
      material,
      { name: "AES-GCM", length: 256 },
      false,
      ["encrypt", "decrypt"],
    );
  const id = toHex(new Uint8Array(digest, 0, 4));
  const made = { id, live: await derive("ephemeris vault live"), escrow: await derive("ephemeris vault escrow") };
  ROOTS.set(hex, made);
  return made;
}

/** Names the present root key: eight hex digits that say nothing about it. */
export async function rootKeyId(ctx: Base): Promise<string> {
  return (await rootKey(ctx.config.rootKey)).id;
}

const keyOf = (root: RootKey, label: CopyLabel) => (label === "escrow" ? root.escrow : root.live);

function boundTo(label: CopyLabel, name: string, head: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array([...text.encode(`${label}|${name}|`), ...head.subarray(0, 8)]);
}

async function checksum(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes), 0, CHECKSUM_BYTES);
}

/** Wraps an object for one copy under the present root key. */
export async function wrap(ctx: Base, label: CopyLabel, name: string, object: KeyObject): Promise<Uint8Array> {
  const root = await rootKey(ctx.config.rootKey);
  const head = new Uint8Array(HEAD_BYTES);
  head.set(text.encode(MAGIC));
  for (let i = 0; i < 4; i++) head[4 + i] = Number.parseInt(root.id.slice(2 * i, 2 * i + 2), 16);
  head.set(ctx.random(12), 8);
  const algorithm = { name: "AES-GCM", iv: head.subarray(8), additionalData: boundTo(label, name, head) };
  const sealed = new Uint8Array(await crypto.subtle.encrypt(algorithm, keyOf(root, label), encode(object)));
  const whole = new Uint8Array(HEAD_BYTES + sealed.length + CHECKSUM_BYTES);
  whole.set(head);
  whole.set(sealed, HEAD_BYTES);
  whole.set(await checksum(whole.subarray(0, HEAD_BYTES + sealed.length)), HEAD_BYTES + sealed.length);
  return whole;
}

/** Opens what a copy holds, under whichever root key of the configuration wrapped it. */
export async function unwrap(ctx: Base, label: CopyLabel, name: string, wrapped: Uint8Array): Promise<Unwrapped> {
  const bytes = new Uint8Array(wrapped);
  const end = bytes.length - CHECKSUM_BYTES;
  if (end < HEAD_BYTES || MAGIC !== String.fromCharCode(...bytes.subarray(0, 4))) return { state: "damaged" };
  const expected = await checksum(bytes.subarray(0, end));
  if (!expected.every((byte, i) => byte === bytes[end + i])) return { state: "damaged" };
  const id = toHex(bytes.subarray(4, 8));
  for (const hex of [ctx.config.rootKey, ...ctx.config.oldRootKeys]) {
    const root = await rootKey(hex);
    if (root.id !== id) continue;
    const head = bytes.subarray(0, HEAD_BYTES);
    const algorithm = { name: "AES-GCM", iv: head.subarray(8), additionalData: boundTo(label, name, head) };
    let content: ArrayBuffer;
    try {
      content = await crypto.subtle.decrypt(algorithm, keyOf(root, label), bytes.subarray(HEAD_BYTES, end));
    } catch {
      return { state: "damaged" };
    }
    return { state: "good", object: decode(new Uint8Array(content)), rootKeyId: id };
  }
  return { state: "foreign", rootKeyId: id };
}

function encode({ secrets, ...rest }: KeyObject): Uint8Array<ArrayBuffer> {
  const scopes = [...new Set(secrets.map((secret) => secret.scope))];
  const head = text.encode(JSON.stringify({ ...rest, scopes }));
  const bytes = new Uint8Array(4 + head.length + secrets.length * SECRET_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, head.length, true);
  bytes.set(head, 4);
  const places = new Map(scopes.map((scope, place) => [scope, place]));
  let at = 4 + head.length;
  for (const { kind, kid, of, scope, bytes: secret } of secrets) {
    view.setUint8(at, KINDS.indexOf(kind));
    view.setUint32(at + 1, kid % 2 ** 32, true);
    view.setUint16(at + 5, Math.floor(kid / 2 ** 32), true);
    view.setFloat64(at + 7, of, true);
    view.setUint16(at + 15, places.get(scope) ?? 0, true);
    bytes.set(secret, at + 17);
    at += SECRET_BYTES;
  }
  return bytes;
}

function decode(bytes: Uint8Array<ArrayBuffer>): KeyObject {
  const view = new DataView(bytes.buffer);
  let at = 4 + view.getUint32(0, true);
  const { scopes, ...rest } = JSON.parse(new TextDecoder().decode(bytes.subarray(4, at)));
  const secrets: Secret[] = [];
  for (; at < bytes.length; at += SECRET_BYTES) {
    secrets.push({
      kind: KINDS[view.getUint8(at)],
      kid: view.getUint32(at + 1, true) + view.getUint16(at + 5, true) * 2 ** 32,
      of: view.getFloat64(at + 7, true),
      scope: scopes[view.getUint16(at + 15, true)],
      bytes: bytes.subarray(at + 17, at + SECRET_BYTES),
    });
  }
  return { ...rest, secrets };
}

/** Kids that a new secret of an object must not have. */
export function kidsOf({ secrets, shred }: KeyObject): Set<number> {
  // Those that went a moment ago too: who still knows them would take the new one for them.
  const kids = new Set(shred.kids);
  for (const { kid } of secrets) kids.add(kid);
  return kids;
}

/** The scope of what stays of a device's secret for one day (vault-segments.ts). */
export const shareScope = (deviceId: number, deviceKid: number) => `${deviceId} ${deviceKid}`;

/** Whether a secret is a device's, or stays of one. */
export const isOfDevice = ({ kind, of, scope }: Secret, deviceId: number) =>
  (kind === "device" && of === deviceId) ||
  (kind === "day" && scope === `device:${deviceId}`) ||
  (kind === "share" && scope.startsWith(`${deviceId} `));

/** A new secret with a kid that is not among `taken`, and then is. */
export function newSecret(ctx: Base, taken: Set<number>, what: Pick<Secret, "kind"> & Partial<Secret>): Secret {
  for (;;) {
    const random = new Uint8Array(ctx.random(KID_BYTES + 32));
    let kid = 0;
    for (const byte of random.subarray(0, KID_BYTES)) kid = kid * 256 + byte;
    if (taken.has(kid)) continue;
    taken.add(kid);
    return { of: 0, scope: "", ...what, kid, bytes: random.slice(KID_BYTES) };
  }
}

/** What cannot be answered now although a later try may: a copy that does not open, a change that others keep undoing. */
export function unavailable(message: string, cause?: unknown): AppError {
  return new AppError("unavailable", message, { retryAfterS: 2, cause });
}
