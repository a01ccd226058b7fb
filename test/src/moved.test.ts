import { expect, test } from "vitest";
import type { Ctx } from "../../src/context.ts";
import { events, extentOf, feed, history, latest } from "../../src/positions.ts";
import { settle, settleAndTidy, tidy } from "../../src/settle.ts";
import { mainTelemetry } from "../../src/telemetry.ts";
import { aBase, aContext, aDatabase, aDevice, asKey, NOON } from "../database.ts";
import { stored } from "../stored.ts";
import { intrude } from "./intrude.ts";

const MINUTE = 60_000;
const device = { id: 1, accountId: 1 };
const ids = ({ data }: { data: readonly { id: number }[] }) => data.map(({ id }) => id);

const READS: Record<string, (ctx: Ctx) => Promise<unknown>> = {
  "history()": async (ctx) => ids(await history(ctx, device.id)),
  "history() backwards": async (ctx) => ids(await history(ctx, device.id, { order: "desc" })),
  "events()": async (ctx) => ids(await events(ctx, device.id)),
  "latest()": async (ctx) => ids(await latest(ctx)),
  "feed()": async (ctx) => ids(await feed(ctx)),
  "extentOf()": (ctx) => extentOf(ctx, device.id),
};

const CASES = Object.entries(READS).flatMap(([name, read]) => [false, true].map((warm) => ({ name, read, warm })));
for (const { name, read, warm } of CASES) {
  const again = warm ? ", a second time" : "";
  test(`${name} shows what was settled, and whose inbox key was destroyed, while it read${again}`, async () => {
    for (let trip = 0; ; trip++) {
      const database = await aDatabase();
      const base = aBase(database.db);
      await aDevice(database.db);
      const specs = [0, 1, 2].map((minute) => ({ fixTime: NOON + minute * MINUTE, event: 1 }));
      await stored(base, device, specs);
      base.advance(40 * MINUTE);
      await settle(base, mainTelemetry(base), { all: true, settle: false });
      await stored(base, device, [{ fixTime: NOON + 3 * MINUTE, event: 1 }]);
      base.advance(40 * MINUTE);
      const expected = await read(aContext(base, asKey(device.accountId)));
      // An isolate that has not seen any key yet.
      const cold = aContext(aBase(database.db, { now: base.now() }), asKey(device.accountId));
      if (warm) await read(cold);
      const over = intrude(database.client, trip, async () => {
        await settle(base, mainTelemetry(base), { all: true });
        await tidy(base, mainTelemetry(base));
      });
      expect([trip, await read(cold)]).toEqual([trip, expected]);
      database.close();
      if (!over()) break;
    }
  });
}

test("a batch whose key is lost is counted once, and what can be opened goes on", async () => {
  const database = await aDatabase();
  const base = aBase(database.db);
  await aDevice(database.db);
  await stored(base, device, [{ fixTime: NOON }]);
  const { rows: batches } = await database.client.execute("UPDATE inbox SET kid = 77 RETURNING id");
  const batch = batches[0]!.id;
  await stored(base, device, [{ fixTime: NOON + MINUTE }]);
  const ctx = aContext(base, asKey(device.accountId));
  expect((await history(ctx, device.id)).data).toHaveLength(1);
  base.advance(2 * 60 * MINUTE);
  await settleAndTidy(base);
  await base.settled();
  expect((await history(ctx, device.id)).data).toHaveLength(1);
  const { rows } = await database.client.execute("SELECT kind, telemetry, thing FROM broken");
  expect(rows.map((row) => Array.from(row))).toEqual([["batch", "main", batch]]);
  expect(base.logged.filter((line) => line.includes(`inbox.broken {"database":"main","batch":${batch}`))).not.toEqual(
    [],
  );
  database.close();
});
