import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { LIMITS } from "../../bridge/limits.ts";
import { Parked } from "../../bridge/parked.ts";
import { aFolder, stopAll } from "./a-bridge.ts";

afterEach(stopAll);

async function aParked(changes = {}) {
  const folder = await aFolder();
  const clock = { now: Date.now() };
  const parked = new Parked(folder, { ...LIMITS, ...changes }, () => clock.now);
  const lines = async (): Promise<string> => {
    const texts = await Promise.all((await readdir(folder)).map((name) => readFile(join(folder, name), "utf8")));
    return texts.join("");
  };
  return { folder, clock, parked, lines };
}

const bytes = (n: number): Uint8Array => Buffer.alloc(500, n);

test("Parked.add() writes a line with reason, status and bytes", async () => {
  const { parked, lines } = await aParked();
  await parked.add({ reason: "rejected", status: 413, receivedAt: 5, transport: 1, bytes: Buffer.from("frame") });
  expect(JSON.parse(await lines())).toMatchObject({
    reason: "rejected",
    status: 413,
    receivedAt: 5,
    transport: 1,
    bytes: Buffer.from("frame").toString("hex"),
  });
});

test("Parked.add() keeps what is newest within the limit on bytes", async () => {
  const { parked, lines, folder } = await aParked({ parkedBytes: 20_000 });
  for (let n = 1; n <= 100; n++) await parked.add({ reason: "damaged", bytes: bytes(n) });
  const text = await lines();
  expect(text.length).toBeLessThan(23_000);
  expect(text).toContain("64".repeat(500));
  expect((await readdir(folder)).length).toBe(2);
});

test("Parked.turnOver() forgets what is too old", async () => {
  const { parked, lines, clock } = await aParked({ parkedMs: 1000 });
  await parked.add({ reason: "damaged", bytes: bytes(1) });
  clock.now += 600;
  await parked.turnOver();
  expect(await lines()).not.toBe("");
  clock.now += 600;
  await parked.turnOver();
  expect(await lines()).toBe("");
});
