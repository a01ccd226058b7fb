import { beforeAll, describe, expect, test } from "vitest";
import { keyFileText, newKeyFile, type OpeningKey, readKeyFile } from "../../client/key-file.ts";
import { openTrack, readAnswer } from "../../client/track.ts";
import { storedPosition } from "../../codec/stored-position.ts";
import { retentionTime } from "../../src/periods.ts";
import { NOON } from "../database.ts";
import { aFix, anAnswer, aSegment, rows } from "./a-track.ts";

const MINUTE = 60_000;
const newKey = async () => readKeyFile(keyFileText(await newKeyFile(0)));
const json = (value: unknown) => JSON.parse(JSON.stringify(value));

let key: OpeningKey;
let offline: OpeningKey;
let lost: OpeningKey;
beforeAll(async () => {
  [key, offline, lost] = await Promise.all([newKey(), newKey(), newKey()]);
});

const four = [0, 1, 2, 3].map((n) => ({ id: 100 + n, fixTime: NOON + n * MINUTE, latitude: 48 + n / 8 }));

describe("openTrack()", () => {
  test("gives the positions as the API gives them without a key, with whichever key", async () => {
    const answer = await anAnswer([key, offline], { segments: [await aSegment(1, four)] });
    const stored = rows(four);
    const whole = json(four.map((_, row) => storedPosition(stored, row)));
    for (const each of [key, offline]) {
      const { positions, unopened } = await openTrack(json(answer), each);
      expect(unopened).toEqual([]);
      expect(json(positions)).toEqual(whole);
    }
  });

  test("opens nothing with another key, and says so", async () => {
    const answer = await anAnswer([key], { segments: [await aSegment(1, four)] });
    expect(await openTrack(answer, lost)).toEqual({
      positions: [],
      unopened: [{ what: "segment 1", why: `Cannot open secret 12345: it was not wrapped to this key` }],
      nextCursor: null,
    });
    // Who has only the public half, and a private key of their own.
    const forged = await openTrack(answer, { ...lost, publicKey: key.publicKey });
    expect(forged.positions).toEqual([]);
    expect(forged.unopened[0]?.why).toMatch(/not wrapped to this key, or damaged/);
  });

  test("opens the rest when a row was altered or moved", async () => {
    const [one, two] = [await aSegment(1, four.slice(0, 2)), await aSegment(2, four.slice(2))];
    const { positions, unopened } = await openTrack(
      await anAnswer([key], { segments: [{ ...one, toTime: one.toTime + 1 }, two] }),
      key,
    );
    expect(positions.map(({ id }) => id)).toEqual([102, 103]);
    expect(unopened.map(({ what }) => what)).toEqual(["segment 1"]);
    for (const name of ["id", "deviceId", "dayKid", "deviceKid", "firstId", "alarms", "customerKid"] as const) {
      const moved = await anAnswer([key], { segments: [{ ...two, [name]: two[name] + 1 }] });
      expect((await openTrack(moved, key)).positions, name).toEqual([]);
    }
  });

  test("puts what the platform could read among what it could not, each record once", async () => {
    const stored = rows([
      { ...four[3], id: 999 },
      { id: 200, fixTime: NOON + 90_000 },
    ]);
    const data = json([storedPosition(stored, 0), storedPosition(stored, 1)]);
    const segments = [await aSegment(1, four), await aSegment(2, [{ ...four[1], id: 555 }])];
    const { positions } = await openTrack(await anAnswer([key], { data, segments }), key);
    expect(positions.map(({ id }) => id)).toEqual([100, 101, 200, 102, 103]);
  });

  test("knows a record of a tracker without a clock again at another time", async () => {
    const first = { id: 1, fixTime: NOON, receivedAt: NOON + MINUTE, clockless: true };
    const again = { ...first, id: 2, receivedAt: NOON + 2 * MINUTE };
    const { positions } = await openTrack(
      await anAnswer([key], { segments: [await aSegment(1, [first, again])] }),
      key,
    );
    expect(positions.map(({ id }) => id)).toEqual([1]);
  });

  test("leaves out what was not asked for", async () => {
    const specs = four.map((spec, n) => ({ ...spec, event: n === 2 ? 17 : 35 }));
    const segments = [await aSegment(1, specs)];
    const ids = async (wanted: object) =>
      (await openTrack(await anAnswer([key], { segments, wanted }), key)).positions.map(({ id }) => id);
    expect(await ids({ from: NOON + MINUTE, to: NOON + 3 * MINUTE })).toEqual([101, 102]);
    expect(await ids({ order: "newest fix first" })).toEqual([103, 102, 101, 100]);
    expect(await ids({ after: 100, upTo: 102, order: "arrival" })).toEqual([101, 102]);
    expect(await ids({ events: "alarms" })).toEqual([102]);
    expect(await ids({ events: [35, 1] })).toEqual([100, 101, 103]);
  });

  test("leaves out what is past its period, by the time that retention goes by", async () => {
    const far = { id: 9, fixTime: NOON - 500 * 86_400_000, receivedAt: NOON };
    const specs = [far, ...four];
    const segments = [await aSegment(1, specs, { keptFrom: NOON })];
    const { positions } = await openTrack(await anAnswer([key], { segments }), key);
    const kept = specs.filter(({ fixTime, ...more }) => {
      const received = "receivedAt" in more ? (more.receivedAt as number) : fixTime;
      return retentionTime(fixTime, received) >= NOON;
    });
    expect(positions.map(({ id }) => id)).toEqual(kept.map(({ id }) => id));
    expect(positions).toHaveLength(5);
    const later = [await aSegment(1, specs, { keptFrom: NOON + MINUTE })];
    expect((await openTrack(await anAnswer([key], { segments: later }), key)).positions).toHaveLength(3);
  });

  test("joins pages, and gives newest fixes by device", async () => {
    const pages = [
      await anAnswer([key], { segments: [await aSegment(2, four.slice(2))] }),
      await anAnswer([key], { segments: [await aSegment(1, four.slice(0, 3))], nextCursor: "next" }),
    ];
    const joined = await openTrack(pages, key);
    expect(joined.positions.map(({ id }) => id)).toEqual([100, 101, 102, 103]);
    expect(joined.nextCursor).toBe("next");
    const fixes = [await aFix({ ...four[0], deviceId: 5 }), await aFix({ ...four[1], deviceId: 3 })];
    const latest = await openTrack(await anAnswer([key], { fixes, wanted: { order: "device" } }), key);
    expect(latest.positions.map(({ deviceId }) => deviceId)).toEqual([3, 5]);
  });
});

describe("readAnswer()", () => {
  test("takes a page on which nothing is sealed as it is", async () => {
    const stored = rows(four);
    const data = json(four.map((_, row) => storedPosition(stored, row))).reverse();
    const { positions } = await openTrack(readAnswer(JSON.stringify({ data, nextCursor: null })), key);
    expect(positions).toEqual(data);
  });

  test("refuses what is no answer", () => {
    for (const text of ["", "{", "null", "[]", "{}", '{"sealed":true}', '{"code":"not_found"}', '{"data":1}']) {
      expect(() => readAnswer(text), text).toThrow(/^Cannot read answer/);
    }
  });
});
