import { createSocket } from "node:dgram";
import { createConnection, type Socket } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import type { Report } from "../../codec/encode.ts";
import { type Frame, FrameReader, parseFrame } from "../../codec/frame.ts";
import { imeiAfter } from "../../tools/imei.ts";

/** A tracker's end of a TCP connection: raw bytes out, whole frames in. */
export class Tracker {
  readonly #socket: Socket;
  readonly #reader = new FrameReader();
  readonly #frames: Frame[] = [];
  #closed = false;

  constructor(port: number) {
    this.#socket = createConnection({ host: "127.0.0.1", port });
    this.#socket.on("data", (chunk) => {
      for (const bytes of this.#reader.push(chunk)) this.#frames.push(parseFrame(bytes.slice()));
    });
    this.#socket.on("error", () => undefined);
    this.#socket.on("close", () => {
      this.#closed = true;
    });
  }

  get closed(): boolean {
    return this.#closed;
  }

  send(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** The next frame from the platform, or null when none comes in time or the connection ends. */
  async receive(ms = 10_000): Promise<Frame | null> {
    for (const deadline = Date.now() + ms; Date.now() < deadline; await wait(5)) {
      const frame = this.#frames.shift();
      if (frame !== undefined) return frame;
      if (this.#closed) return null;
    }
    return null;
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** Sends one datagram and waits for one back. */
export async function overUdp(port: number, bytes: Uint8Array, answerMs: number): Promise<Frame | null> {
  const socket = createSocket("udp4");
  const answer = new Promise<Frame | null>((resolve) => {
    socket.once("message", (message) => resolve(parseFrame(new Uint8Array(message))));
    setTimeout(() => resolve(null), answerMs).unref();
  });
  socket.send(bytes, port, "127.0.0.1");
  try {
    return await answer;
  } finally {
    socket.close();
  }
}

let serial = 500;
/** An IMEI that no other test uses. */
export const nextImei = () => imeiAfter("359999990000010", serial++);

/** Ten minutes before the tests began. */
const BEGIN = Math.floor(Date.now() / 1000) * 1000 - 600_000;

/** A report with a value in every field that all types carry. `n` tells it from the others. */
export function aReport(n = 0): Report {
  return {
    event: { code: 35 },
    fixTime: BEGIN + n * 1000,
    valid: true,
    latitude: 48.208354,
    longitude: 16.372504,
    satellites: 11,
    gsmSignal: 21,
    speedKmh: 42,
    courseDeg: 128,
    hdop: 0.9,
    altitudeM: 171,
    odometerM: 1_000_000 + n,
    runtimeS: 86_400 + n,
    cell: { mcc: 232, mnc: 1, lac: 0x0fa0, cid: 0x1a2b },
    inputs: 3,
    outputs: 2,
    analogV: { "1": 0.24, "2": 1.5, "3": 0 },
    batteryV: 4.02,
    supplyV: 14.01,
  };
}

/** A report as the API shows it. */
export const shown = ({ fixTime, ...rest }: Report) => ({ fixTime: new Date(fixTime).toISOString(), ...rest });
