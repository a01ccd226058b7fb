import { expect, test } from "vitest";
import { aCceFrame, anAaaFrame, Random } from "../../bench/frames.ts";
import { readAny } from "../../codec/aaa-any.ts";
import { readUsual } from "../../codec/aaa-usual.ts";
import { COLUMNS, EPOCH_MS, PositionTable, SLOT } from "../../codec/columns.ts";
import { parseFrame } from "../../codec/frame.ts";
import type { PositionJson } from "../../codec/position.ts";
import { jsonOf } from "./wire.ts";

// The usual forms have readers of their own, for speed. They must not differ from the readers of any form.

const encoder = new TextEncoder();

/** The text with the room behind it that a frame gives. */
function withRoom(text: string): Uint8Array {
  return encoder.encode(`${text}*00\r\n`);
}

/** Flags and columns of the row at 0. */
function columnsOf(table: PositionTable): Record<string, number> {
  const mask = table.i32[SLOT.mask];
  const present = COLUMNS.filter((_, column) => (mask & (1 << column)) !== 0);
  return Object.fromEntries([
    ["flags", table.i32[SLOT.flags]],
    ...present.map(({ name }) => [name, table.i32[SLOT[name]]]),
  ]);
}

function readBoth(text: string): { usual: PositionTable | null; any: PositionTable; ends: [number, number] } {
  const bytes = withRoom(text);
  const usual = new PositionTable(1);
  const any = new PositionTable(1);
  usual.addRow();
  any.addRow();
  const end = readUsual(usual.i32, 0, new DataView(bytes.buffer), 0, text.length, 0);
  if (end < 0) return { usual: null, any, ends: [end, end] };
  return { usual, any, ends: [end, readAny(any, 0, bytes, 0, text.length, 0, 0)] };
}

test("readUsual() reads a report as readAny() does, or leaves it", () => {
  const random = new Random(20260214);
  const odd = [..."0000000123456789,.|-AVFfg* +:/@G"];
  let taken = 0;
  for (let n = 0; n < 20_000; n++) {
    const { content } = parseFrame(anAaaFrame(random, random.chance(0.5)));
    const characters = [...new TextDecoder().decode(content)];
    for (let changes = random.int(0, 3); changes > 0; changes--) {
      characters.splice(random.int(0, characters.length - 1), random.int(0, 1), random.pick(odd));
    }
    if (random.chance(0.2)) characters.length = random.int(0, characters.length);
    const text = characters.join("");
    const { usual, any, ends } = readBoth(text);
    if (usual === null) continue;
    taken++;
    expect([text, ends[0], columnsOf(usual)]).toEqual([text, ends[1], columnsOf(any)]);
    expect(any.tailUsed).toBe(0);
  }
  expect(taken).toBeGreaterThan(5000);
});

test("readUsual() knows every day of the century, and no other", () => {
  const two = (value: number) => String(value).padStart(2, "0");
  const read = (stamp: string) => {
    const { usual } = readBoth(`35,1.000000,2.000000,${stamp},A,9,22,41,287,0.9,112,1,2,3|4|0005|0006,0000,0001,`);
    return usual === null ? null : EPOCH_MS + (usual.i32[SLOT.timeS] >>> 0) * 1000;
  };
  for (let year = 0; year < 100; year++) {
    for (let month = 0; month <= 13; month++) {
      for (const day of [0, 1, 28, 29, 30, 31, 32]) {
        const ms = Date.UTC(2000 + year, month - 1, day, 23, 59, 58);
        const date = new Date(ms);
        const exists = date.getUTCMonth() === month - 1 && date.getUTCDate() === day && month >= 1 && month <= 12;
        const stamp = `${two(year)}${two(month)}${two(day)}235958`;
        expect([stamp, read(stamp)]).toEqual([stamp, exists ? ms : null]);
      }
    }
  }
  for (const clock of ["240000", "236000", "235960"]) expect(read(`260214${clock}`)).toBeNull();
});

/** The groups of a CCE packet as lists of parameters, id included. */
function groupsOf(packet: Uint8Array): number[][][] {
  let at = 2;
  return [1, 2, 4, 0].map((size) =>
    Array.from({ length: packet[at++] }, () => {
      const start = at;
      at += packet[at] >= 0xf8 ? 2 : 1;
      at += size > 0 ? size : 1 + packet[at];
      return [...packet.subarray(start, at)];
    }),
  );
}

function packetsOf(content: Uint8Array): Uint8Array[] {
  const packets: Uint8Array[] = [];
  for (let at = 6; at < content.length; ) {
    const length = content[at] | (content[at + 1] << 8);
    packets.push(content.subarray(at + 2, at + 2 + length));
    at += 2 + length;
  }
  return packets;
}

function contentOf(packets: readonly number[][][][]): Uint8Array {
  const bodies = packets.map((groups) => [0, 0, ...groups.flatMap((group) => [group.length, ...group.flat()])]);
  const framed = bodies.flatMap((body) => [body.length & 0xff, body.length >> 8, ...body]);
  return Uint8Array.from([1, 0, 0, 0, packets.length, 0, ...framed]);
}

function withoutUnknown(position: PositionJson): PositionJson {
  const known = Object.entries(position.readings ?? {}).filter(([name]) => !name.startsWith("cce."));
  return { ...position, readings: Object.fromEntries(known) };
}

test("decodeCce() finds the same whatever the order of the parameters, and beside unknown ones", () => {
  const random = new Random(20260215);
  const shuffled = <T>(values: readonly T[]): T[] =>
    values
      .map((value) => ({ value, key: random.next() }))
      .sort((a, b) => a.key - b.key)
      .map(({ value }) => value);
  for (let n = 0; n < 3000; n++) {
    const packets = packetsOf(parseFrame(aCceFrame(random)).content).map(groupsOf);
    const group = random.int(0, 3);
    const id = random.pick([[0x77], [0xfe, 0x77], [0xf8, 0x01], [0xfd], [0xff]]);
    const value = group === 3 ? [3, 9, 9, 9] : Array.from({ length: 1 << group }, () => 9);
    const others = packets.map((groups) =>
      groups.map((parameters, at) => shuffled(at === group ? [...parameters, [...id, ...value]] : parameters)),
    );
    const plain = jsonOf("CCE", contentOf(packets)).map(withoutUnknown);
    expect(jsonOf("CCE", contentOf(others)).map(withoutUnknown)).toEqual(plain);
  }
});
