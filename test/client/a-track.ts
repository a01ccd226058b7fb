import { toBase64, toBase64Url } from "../../client/base64.ts";
import type { OpeningKey } from "../../client/key-file.ts";
import { fixBinding, segmentBinding } from "../../client/sealed.ts";
import type { SealedAnswer, SealedFix, SealedSegment } from "../../client/track.ts";
import { segmentKey, wrapSecret } from "../../client/wrap.ts";
import { PositionTable } from "../../codec/columns.ts";
import { decodePositionsInto } from "../../codec/decode.ts";
import { encodeAaa } from "../../codec/encode.ts";
import { locateFrame, newBounds } from "../../codec/frame.ts";
import { ByteSink, encodeStored, StoredPositions } from "../../codec/segment.ts";

export const ACCOUNT = 7;
export const KID = 12_345;
export const DAY = 20_513;
const SECRET = new Uint8Array(32).fill(3);
const SHARE = new Uint8Array(32).fill(4);

/** What is asked for when nothing is. */
export const ALL: SealedAnswer["wanted"] = {
  order: "fix",
  from: null,
  to: null,
  after: null,
  upTo: null,
  events: null,
  routine: [35],
};

export interface RowSpec {
  id: number;
  fixTime: number;
  latitude?: number;
  event?: number;
  deviceId?: number;
  receivedAt?: number;
  /** The tracker's clock was unusable. */
  clockless?: boolean;
}

export function rows(specs: readonly RowSpec[]): StoredPositions {
  const all = new StoredPositions(specs.length);
  for (const { id, fixTime, latitude = 48.25, event = 35, deviceId = 1, ...more } of specs) {
    const report = { event: { code: event }, fixTime, valid: true, latitude, longitude: 16.5 };
    const frame = encodeAaa({ identifier: "A", imei: "359999000000018", report });
    const bounds = newBounds();
    locateFrame(frame, 0, frame.length, bounds);
    const table = new PositionTable(1);
    decodePositionsInto(table, frame, bounds, { scale: 0 });
    all.add(table, 0, id, deviceId, 0, more.receivedAt ?? fixTime, more.clockless ?? false);
  }
  return all;
}

async function sealed(plain: StoredPositions, binding: Uint8Array<ArrayBuffer>): Promise<string> {
  const sink = new ByteSink();
  const order = Uint32Array.from({ length: plain.count }, (_, row) => row);
  encodeStored(plain, order, 0, plain.count, sink);
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const algorithm = { name: "AES-GCM", iv, additionalData: binding };
  const content = sink.bytes.slice(0, sink.length) as Uint8Array<ArrayBuffer>;
  const bytes = new Uint8Array(await crypto.subtle.encrypt(algorithm, await segmentKey(SECRET, SHARE), content));
  return toBase64(Uint8Array.from([...iv, ...bytes]));
}

export async function aSegment(id: number, specs: readonly RowSpec[], more: Partial<SealedSegment> = {}) {
  const head = {
    id,
    deviceId: specs[0]!.deviceId ?? 1,
    dayKid: 11,
    deviceKid: 22,
    fromTime: specs[0]!.fixTime,
    toTime: specs.at(-1)!.fixTime,
    dueFrom: null,
    dueTo: null,
    firstId: specs[0]!.id,
    lastId: specs.at(-1)!.id,
    positions: specs.length,
    alarms: 0,
    clockless: 0,
    customerKid: KID,
  };
  const content = await sealed(rows(specs), segmentBinding({ ...head, accountId: ACCOUNT }));
  return { ...head, keptFrom: 0, share: toBase64(SHARE), sealed: content, ...more };
}

export async function aFix(spec: RowSpec): Promise<SealedFix> {
  const head = { deviceId: spec.deviceId ?? 1, dayKid: 11, deviceKid: 22, due: spec.fixTime, customerKid: KID };
  return { ...head, share: toBase64(SHARE), sealed: await sealed(rows([spec]), fixBinding(ACCOUNT, head)) };
}

/** An answer with the secret of its content wrapped to these keys. */
export async function anAnswer(
  keys: readonly OpeningKey[],
  more: Partial<Omit<SealedAnswer, "wanted">> & { wanted?: Partial<SealedAnswer["wanted"]> } = {},
): Promise<SealedAnswer> {
  const name = { accountId: ACCOUNT, day: DAY, kid: KID };
  const wrapped = await Promise.all(
    keys.map(async ({ publicKey }) => ({
      publicKey: toBase64Url(publicKey),
      wrapped: toBase64(await wrapSecret(publicKey, name, SECRET)),
    })),
  );
  return {
    sealed: true,
    accountId: ACCOUNT,
    data: [],
    segments: [],
    fixes: [],
    secrets: [{ kid: KID, day: DAY, wrapped }],
    nextCursor: null,
    ...more,
    wanted: { ...ALL, ...more.wanted },
  };
}
