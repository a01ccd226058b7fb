import { encodeFrame } from "../../codec/frame.ts";

/** Made-up numbers, outside any that a maker was given. */
export const imeiOf = (n: number): string => String(990_000_000_000_000 + n);

/** A text report of an invented tracker, with `n` in its odometer. */
export function aFrame(n: number, imei: string = imeiOf(1), padding = 0): Uint8Array {
  const content = `35,1.234567,103.987654,260101120000,A,9,20,40,90,1.0,12,${n},60,525|1|2B10|0001,0000,0018|||02DE|010A${"0".repeat(padding)}`;
  return encodeFrame({ direction: "up", identifier: "A", imei, type: "AAA", content });
}

/** The `n` of `aFrame`. */
export function numberOf(frame: Uint8Array): number {
  return Number(Buffer.from(frame).toString("latin1").split(",")[14]);
}

/** An answer to a frame, as the edge would make it. */
export function aReply(imei: string, content = "1"): Uint8Array {
  return encodeFrame({ direction: "down", identifier: "A", imei, type: "AFF", content });
}

export const until = async (condition: () => boolean, withinMs = 5000): Promise<void> => {
  const end = Date.now() + withinMs;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`Not within ${withinMs} ms: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
};
