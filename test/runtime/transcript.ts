import { fromHex, toHex } from "../../codec/bytes.ts";
import { decodeMessage } from "../../codec/decode.ts";
import { encodeAaa, encodeAff, encodeCcc, encodeCce } from "../../codec/encode.ts";
import { FrameReader, parseFrame } from "../../codec/frame.ts";
import { decodeRecord, encodeRecord } from "../../codec/record.ts";

const imei = "359999990000010";

function report(n: number) {
  return {
    event: { code: [1, 35, 37][n % 3] },
    fixTime: Date.UTC(2026, 2, 1) + n * 61_000,
    valid: n % 5 !== 0,
    latitude: (((n * 7_123_457) % 180_000_000) - 90_000_000) / 1e6,
    longitude: (180_000_000 - ((n * 13_765_431) % 360_000_000)) / 1e6,
    satellites: n % 20,
    gsmSignal: n % 32,
    speedKmh: n % 180,
    courseDeg: (n * 37) % 360,
    hdop: (n % 50) / 10,
    altitudeM: n - 20,
    odometerM: n * 1_000_003,
    runtimeS: n * 61,
    cell: { mcc: 232, mnc: n % 100, lac: n, cid: n * 7 },
    inputs: n % 16,
    outputs: n % 8,
    batteryV: (300 + (n % 100)) / 100,
    supplyV: (1200 + (n % 200)) / 100,
  };
}

/** Every kind of frame written, cut, read and stored: the same text in every runtime, or the codec depends on one. */
export function transcript(): string {
  const frames = Array.from({ length: 40 }, (_, n) => [
    encodeAaa({ identifier: "A", imei, report: report(n), model: "T366" }),
    encodeAff({ identifier: "B", imei, report: report(n), remaining: n, model: "MVT380" }),
    encodeCcc({ identifier: "C", imei, reports: [report(n), report(n + 1)] }),
    encodeCce({ identifier: "D", imei, reports: [report(n)] }),
  ]).flat();
  const wire = fromHex(frames.map(toHex).join("0d0a2424"));
  const reader = new FrameReader();
  const lines: string[] = [];
  for (let at = 0; at < wire.length; at += 97) {
    for (const bytes of reader.push(wire.slice(at, at + 97))) {
      const message = decodeMessage(parseFrame(bytes), { model: "T366" });
      lines.push(JSON.stringify(message));
      for (const position of message.positions ?? []) {
        const record = encodeRecord(position);
        lines.push(toHex(record), JSON.stringify(decodeRecord(record)));
      }
    }
  }
  return lines.join("\n");
}
