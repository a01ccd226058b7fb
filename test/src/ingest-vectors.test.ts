import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { fromHex } from "../../codec/bytes.ts";
import { decodePositions } from "../../codec/decode.ts";
import { OUTCOME_NAMES, RequestWriter, readResponse } from "../../codec/envelope.ts";
import { type Frame, parseFrame } from "../../codec/frame.ts";
import { ingest } from "../../src/ingest.ts";
import { history, type StoredPosition } from "../../src/positions.ts";
import { aBase, aContext, aDatabase, aDevice, anAccount, asKey } from "../database.ts";

// Captured frames, outside of this repository because they are of real vehicles.
const VECTORS = new URL("../../../shared/protocol/vectors.json", import.meta.url);
const NOW = Date.UTC(2026, 9, 1);

interface Vector {
  direction: string;
  hex: string;
}

function readable(hex: string): { frame: Frame; bytes: Uint8Array } | null {
  try {
    const bytes = fromHex(hex);
    const frame = parseFrame(bytes);
    decodePositions(frame);
    return { frame, bytes };
  } catch {
    return null;
  }
}

test("every captured frame that the codec reads is stored, and reads back as the codec decodes it", async (context) => {
  if (!existsSync(VECTORS)) return context.skip("the captured frames are not on this machine");
  const vectors = JSON.parse(readFileSync(VECTORS, "utf8")) as Vector[];
  const uplinks = vectors.filter((vector) => vector.direction === "up").map((vector) => readable(vector.hex));
  const frames = uplinks.filter((frame) => frame !== null && /^\d{15}$/.test(frame.frame.imei)) as NonNullable<
    (typeof uplinks)[number]
  >[];
  expect(frames.length).toBeGreaterThan(100);

  const database = await aDatabase();
  // Some were captured within the 400 days in which the tracker's own time counts, and months ago.
  const base = aBase(database.db, { now: NOW, retentionMonths: 120 });
  const accountId = await anAccount(database.db);
  const devices = new Map<string, number>();
  for (const { frame } of frames) {
    if (devices.has(frame.imei)) continue;
    devices.set(frame.imei, (await aDevice(database.db, { accountId, imei: frame.imei })).id);
  }
  const request = new RequestWriter();
  for (const { bytes } of frames) request.frame(1, 0, NOW, bytes);
  const answer = readResponse(await ingest(base, 0, request.finish().slice()));
  const outcomes = answer.frames.map(({ outcome }) => OUTCOME_NAMES[outcome]);
  for (const [i, { frame }] of frames.entries()) {
    expect(outcomes[i], frame.type).toMatch(/^(D00|FC\d)$/.test(frame.type) ? /^refused$/ : /^(stored|duplicate)$/);
  }

  const ctx = aContext(base, asKey(accountId));
  const stored = new Map<string, StoredPosition[]>();
  for (const [imei, id] of devices) stored.set(imei, (await history(ctx, id, { limit: 1000 })).data);
  const without = ({
    fixTime: _,
    readings,
    ...rest
  }: object & { fixTime?: unknown; readings?: object | undefined }) => {
    const { deviceTime: __, ...others } = (readings ?? {}) as { deviceTime?: unknown };
    return JSON.stringify({ ...rest, readings: others });
  };
  for (const { frame } of frames) {
    for (const position of decodePositions(frame)) {
      const wanted = without(position.toJSON());
      const same = stored
        .get(frame.imei)!
        .filter(({ id: _i, deviceId: _d, receivedAt: _r, ...rest }) => without(rest) === wanted);
      expect(same.length, `${frame.type} of ${frame.imei.slice(0, 8)}`).toBeGreaterThan(0);
    }
  }
  database.close();
});
