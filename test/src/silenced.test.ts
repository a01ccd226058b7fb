import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { encodeAaa, encodeCcc } from "../../codec/encode.ts";
import { OUTCOME_NAMES, RequestWriter, readResponse } from "../../codec/envelope.ts";
import { encodeFrame } from "../../codec/frame.ts";
import { createDevice } from "../../src/activation.ts";
import { deleteDevice } from "../../src/devices.ts";
import { ingest } from "../../src/ingest.ts";
import { LIMITS } from "../../src/limits.ts";
import { purgeSilenced, silence } from "../../src/silenced.ts";
import { emptyLog } from "../../src/store/scrub.ts";
import { listUnclaimed } from "../../src/unclaimed.ts";
import { aBase, aContext, aDatabaseFile, aDevice, anImei, asUser, aUser, NOON, type TestBase } from "../database.ts";
import { workOf } from "./work.ts";

let database: Awaited<ReturnType<typeof aDatabaseFile>>;
let base: TestBase;
beforeEach(async () => {
  database = await aDatabaseFile();
  base = aBase(database.db);
});
afterEach(() => database.close());

let count = 0;
const report = () => ({
  ...{
    event: { code: 35 },
    fixTime: Math.floor(base.now() / 1000) * 1000,
    valid: true,
    latitude: 22.5,
    longitude: 114,
    odometerM: count++,
  },
});
const aaa = (imei: string) => encodeAaa({ identifier: "A", imei, report: report() });
const ccc = (imei: string) => encodeCcc({ identifier: "A", imei, reports: [report(), report()] } as never);

async function send(frames: readonly Uint8Array[]) {
  const request = new RequestWriter();
  for (const frame of frames) request.frame(1, 0, base.now(), frame);
  const { frames: answers } = readResponse(await ingest(base, 0, request.finish().slice()));
  await base.settled();
  return answers.map(({ outcome, reply }) => ({
    outcome: OUTCOME_NAMES[outcome],
    reply: reply === null ? null : new TextDecoder("latin1").decode(reply),
  }));
}

const rows = async (table: string) =>
  Number((await database.client.execute(`SELECT count(*) FROM ${table}`)).rows[0]![0]);

async function removed(imei: string): Promise<void> {
  const { accountId, id } = await aDevice(database.db, { imei });
  const user = await aUser(database.db, { role: "owner", accountId });
  await deleteDevice(aContext(base, asUser(accountId, user.id)), id);
}

test("a tracker that was erased is answered, and of 1,000 frames more nothing is kept, nor its IMEI anywhere", async () => {
  const imei = anImei();
  await removed(imei);
  const before = { inbox: await rows("inbox"), segments: await rows("segments"), newest: await rows("newest") };
  for (let batch = 0; batch < 10; batch++) {
    const answers = await send(Array.from({ length: 100 }, () => aaa(imei)));
    expect(new Set(answers.map(({ outcome }) => outcome))).toEqual(new Set(["unknown_device"]));
    base.advance(10_000);
  }
  expect(await rows("unclaimed")).toBe(0);
  expect(await listUnclaimed(base)).toEqual([]);
  for (const [table, found] of Object.entries(before)) expect(await rows(table), table).toBe(found);
  await emptyLog(database.db);
  const folder = dirname(database.path);
  const files = readdirSync(folder);
  expect(files.length).toBeGreaterThan(0);
  for (const file of files) {
    const bytes = readFileSync(join(folder, file));
    expect(bytes.includes(imei), file).toBe(false);
    expect(bytes.includes(Buffer.from(imei, "utf16le")), file).toBe(false);
  }
  expect(base.logged.join("\n")).not.toContain(imei);
  const logged = base.logged.filter((line) => line.includes("ingest.silenced"));
  expect(logged.length).toBeGreaterThan(0);
  expect(logged.length).toBeLessThan(5);
});

test("it gets the answers that one gets whose frames are stored", async () => {
  const [here, gone] = [anImei(), anImei()];
  await aDevice(database.db, { imei: here });
  await silence(base, [gone]);
  const frames = (imei: string) => [
    ccc(imei),
    encodeFrame({ direction: "up", identifier: "B", imei, type: "AAC", content: "" }),
    aaa(imei),
  ];
  const stored = await send(frames(here));
  const answered = await send(frames(gone));
  expect(stored[0]!.reply).toContain(",CCC,2*");
  const without = (reply: string | null) => reply?.replace(/\d{15}/, "").replace(/\*..\r\n$/, "");
  expect(answered.map(({ reply }) => without(reply))).toEqual(stored.map(({ reply }) => without(reply)));
});

test("a known device costs no look-up; unknown IMEIs cost one, once, and none where nothing is silenced", async () => {
  const [known, stranger, other] = [anImei(), anImei(), anImei()];
  await aDevice(database.db, { imei: known });
  const asked = async (imeis: readonly string[]) => {
    const request = new RequestWriter();
    for (const imei of imeis) request.frame(1, 0, base.now(), aaa(imei));
    const body = request.finish().slice();
    const done = await workOf(aContext(base), (ctx) => ingest(ctx, 0, body));
    return done.filter((sql) => sql.includes("FROM silenced WHERE mark"));
  };
  expect(await asked([known, stranger])).toEqual([]);
  await silence(base, [other]);
  expect(await asked([known])).toEqual([]);
  expect(await asked([known, stranger, anImei()])).toHaveLength(1);
  expect(await asked([known, stranger])).toEqual([]);
});

test("who registers the IMEI again takes the mark away, and everything is kept again", async () => {
  const imei = anImei();
  await removed(imei);
  expect(await rows("silenced")).toBe(1);
  const user = await aUser(database.db, { role: "owner" });
  const ctx = aContext(base, asUser(user.accountId!, user.id));
  await createDevice(ctx, { imei, name: "Van", model: null, clockOffsetMinutes: 0, confirmCce: false });
  expect(await rows("silenced")).toBe(0);
  expect(await send([aaa(imei)])).toMatchObject([{ outcome: "stored" }]);
});

test("a mark ends after 400 days; the IMEI is then an unknown one", async () => {
  const imei = anImei();
  await silence(base, [imei]);
  base.at(NOON + LIMITS.silencedMs - 1);
  expect(await purgeSilenced(base)).toBe(0);
  await send([aaa(imei)]);
  expect(await rows("unclaimed")).toBe(0);
  base.advance(1);
  expect(await purgeSilenced(base)).toBe(1);
  await send([aaa(imei)]);
  expect(await rows("unclaimed")).toBe(1);
});

test("silence() forgets the tracker among the unknown ones", async () => {
  const imei = anImei();
  await send([aaa(imei)]);
  expect(await rows("unclaimed")).toBe(1);
  await silence(base, [imei]);
  expect(await rows("unclaimed")).toBe(0);
});
