import { afterEach, beforeEach, expect, test } from "vitest";
import {
  answerStatement,
  claimedFrames,
  claimStatement,
  commandById,
  insertCommand,
  listCommands,
  offersStatement,
  openCommands,
  openedOffers,
  purgeCommands,
  releaseStatement,
  sentCommands,
} from "../../../src/store/commands.ts";
import type { Statement } from "../../../src/store/db.ts";
import { aDatabase, aDevice, NOON, type TestDatabase } from "../../database.ts";

const MINUTE = 60_000;
/** The reach of a caller who may see everything of the device's account. */
const all = ({ accountId }: { accountId: number }) => ({ accountId, devices: null });

let database: TestDatabase;
let device: { id: number; accountId: number; imei: string };
let version: number;
beforeEach(async () => {
  database = await aDatabase();
  device = await aDevice(database.db);
  version = Number((await database.client.execute("SELECT version FROM registry")).rows[0][0]);
});
afterEach(() => database.close());

async function queued(spec: { to?: typeof device; code?: string; identifier?: string; expiresAt?: number } = {}) {
  const { to = device, code = "A10", identifier = "A", expiresAt = NOON + 10 * MINUTE } = spec;
  const command = await insertCommand(database.db, to.accountId, {
    deviceId: to.id,
    code,
    arguments: { n: 1 },
    identifier,
    frame: new TextEncoder().encode(`@@${identifier}`),
    createdAt: NOON,
    expiresAt,
  });
  return command.id;
}

const run = async (statement: Statement) => database.client.execute(statement);
const stateOf = async (id: number, now = NOON) =>
  (await commandById(database.db, all(device), device.id, id, now))?.state;
const claim = async (ids: number[], bridge = 0, now = NOON, at = version) =>
  claimedFrames(database.db, (await run(claimStatement(bridge, ids, { version: at, kid: null }, now))).rows);

test("insertCommand() gives the command back as queued, with its arguments", async () => {
  const id = await queued();
  expect(await commandById(database.db, all(device), device.id, id, NOON)).toEqual({
    id,
    deviceId: device.id,
    code: "A10",
    arguments: { n: 1 },
    state: "queued",
    createdAt: NOON,
    expiresAt: NOON + 10 * MINUTE,
    sentAt: null,
    answeredAt: null,
    reply: null,
  });
  const other = await aDevice(database.db);
  expect(await commandById(database.db, all(other), device.id, id, NOON)).toBeNull();
  expect(await listCommands(database.db, all(other), device.id, null, 10, NOON)).toEqual([]);
});

test("a command is claimed once, by one bridge, in its time", async () => {
  const [first, second] = [await queued(), await queued({ expiresAt: NOON + MINUTE })];
  const frames = await claim([first, 999]);
  expect([...frames.keys()]).toEqual([first]);
  expect(new TextDecoder().decode(frames.get(first))).toBe("@@A");
  expect((await claim([first], 1)).size).toBe(0);
  expect((await claim([second], 0, NOON + MINUTE)).size).toBe(0);
  expect(await stateOf(second, NOON + MINUTE)).toBe("expired");
  expect(await stateOf(first)).toBe("sent");
});

test("two bridges that claim at once get it once between them", async () => {
  const id = await queued();
  const [a, b] = await database.client.batch(
    [1, 2].map((bridge) => claimStatement(bridge, [id], { version, kid: null }, NOON)),
    "write",
  );
  expect(a.rows.length + b.rows.length).toBe(1);
});

test("a released command can be claimed again while its time lasts, and only its own bridge releases it", async () => {
  const id = await queued();
  await claim([id], 1);
  await run(releaseStatement(2, [id], version));
  expect(await stateOf(id)).toBe("sent");
  await run(releaseStatement(1, [id], version));
  expect(await stateOf(id)).toBe("queued");
  expect((await claim([id], 2)).size).toBe(1);
  await run(releaseStatement(2, [id], version));
  expect(await stateOf(id, NOON + 10 * MINUTE)).toBe("expired");
});

test("nothing moves for a bridge that knows an old registry, nor for a device that is being removed", async () => {
  const id = await queued();
  expect((await claim([id], 0, NOON, version - 1)).size).toBe(0);
  await database.client.execute("UPDATE devices SET deleting_at = 1");
  version += 1;
  expect((await claim([id])).size).toBe(0);
  expect((await run(offersStatement(NOON, 10))).rows).toEqual([]);
});

test("offersStatement() offers the oldest queued command of each device, in its time", async () => {
  const second = await aDevice(database.db);
  const old = await queued({ expiresAt: NOON });
  const first = await queued();
  await queued({ identifier: "B" });
  const other = await queued({ to: second });
  const offers = await openedOffers(database.db, (await run(offersStatement(NOON, 10))).rows);
  expect(offers.toSorted((a, b) => a.commandId - b.commandId)).toEqual([
    { commandId: first, imei: device.imei },
    { commandId: other, imei: second.imei },
  ]);
  expect(old).toBeLessThan(first);
  expect((await run(offersStatement(NOON, 1))).rows).toHaveLength(1);
});

test("answerStatement() keeps the first answer, and answers nothing that was not sent", async () => {
  const [sent, never] = [await queued(), await queued()];
  await claim([sent]);
  const answer = (id: number, state: "acked" | "refused") => ({
    id,
    deviceId: device.id,
    accountId: device.accountId,
    state,
    answeredAt: NOON + 5,
    reply: "OK",
    certain: true,
  });
  await run(await answerStatement(database.db, [answer(sent, "acked"), answer(never, "acked")], version));
  await run(await answerStatement(database.db, [answer(sent, "refused")], version));
  expect(await commandById(database.db, all(device), device.id, sent, NOON)).toMatchObject({
    state: "acked",
    answeredAt: NOON + 5,
    reply: "OK",
  });
  expect(await stateOf(never)).toBe("queued");
});

test("sentCommands() and openCommands() leave out what is over", async () => {
  const [a, b, c] = [await queued(), await queued({ identifier: "B" }), await queued({ expiresAt: NOON })];
  await claim([a]);
  expect((await sentCommands(database.db, [device.id], NOON - 1)).map((row) => row.id)).toEqual([a]);
  expect(await sentCommands(database.db, [device.id], NOON)).toEqual([]);
  const open = await openCommands(database.db, all(device), device.id, NOON, NOON - 1);
  expect(open.map((row) => row.id)).toEqual([a, b]);
  expect(c).toBeGreaterThan(b);
});

test("purgeCommands() removes the old ones and keeps what is younger", async () => {
  const old = await queued({ expiresAt: NOON });
  expect(await purgeCommands(database.db, [{ deviceId: device.id, cutoff: NOON }], 10)).toBe(0);
  expect(await purgeCommands(database.db, [{ deviceId: device.id, cutoff: NOON + 1 }], 10)).toBe(1);
  expect(await stateOf(old)).toBeUndefined();
});
