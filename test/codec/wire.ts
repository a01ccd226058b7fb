import { expect } from "vitest";
import { fromHex } from "../../codec/bytes.ts";
import { decodePositions, type MessageOptions } from "../../codec/decode.ts";
import { CodecError } from "../../codec/errors.ts";
import { encodeFrame } from "../../codec/frame.ts";
import type { PositionJson } from "../../codec/position.ts";

/** An invented tracker. */
export const SENDER = { identifier: "Y", imei: "359999000000018" } as const;

export type UplinkType = "AAA" | "AFF" | "CCC" | "CCE";

/** A frame of the invented tracker around this content. */
export function frameOf(type: UplinkType, content: Uint8Array | string): Uint8Array {
  return encodeFrame({ direction: "up", ...SENDER, type, content });
}

/** Bytes from hex with spaces where they help. */
export function hexBytes(...parts: readonly string[]): Uint8Array {
  return fromHex(parts.join("").replaceAll(" ", ""));
}

/** A number low byte first, as hex; negative numbers in two's complement. */
export function le(size: number, value: number): string {
  let hex = "";
  for (let i = 0, rest = value; i < size; i++, rest = Math.floor(rest / 256)) {
    hex += (((rest % 256) + 256) % 256).toString(16).padStart(2, "0");
  }
  return hex;
}

/** The positions in a frame around this content, as JSON. */
export function jsonOf(type: UplinkType, content: Uint8Array | string, options: MessageOptions = {}): PositionJson[] {
  return decodePositions(frameOf(type, content), options).map((position) => position.toJSON());
}

/** The only position in a frame around this content, as JSON. */
export function onlyJson(type: UplinkType, content: Uint8Array | string, options: MessageOptions = {}): PositionJson {
  const positions = jsonOf(type, content, options);
  expect(positions).toHaveLength(1);
  return positions[0];
}

/** The CodecError that `action` throws; anything else fails the test. */
export function refusal(action: () => unknown): CodecError {
  try {
    action();
  } catch (error) {
    if (error instanceof CodecError) return error;
    throw error;
  }
  throw new Error("it did not throw");
}

/** A generator of numbers from 0 to 2^32 - 1 that are the same in every run (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t ^= t + Math.imul(t ^ (t >>> 7), 61 | t);
    return (t ^ (t >>> 14)) >>> 0;
  };
}
