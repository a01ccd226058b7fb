// How long an export of many positions takes, and how much memory. `npm run bench:export`; two minutes, no
// network. The command gives JavaScript no more memory than a Worker has.
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { createExport, download, exportOfToken } from "../src/exports.ts";
import { aBase, aContext, aDatabaseFile, aDevice, asUser, aUser, NOON } from "../test/database.ts";
import { settled, stored } from "../test/stored.ts";
import { printTable } from "./bridge-run.ts";

const DEVICES = 5;
const STEP_MS = 10_000;
const BATCH = 8192;

const { values } = parseArgs({ options: { positions: { type: "string", default: "1000000" } } });
const each = Math.ceil(Number(values.positions) / DEVICES);
const MiB = 2 ** 20;

const database = await aDatabaseFile();
const base = aBase(database.db);
const owner = await aUser(base.db, { role: "owner" });
for (let n = 0; n < DEVICES; n++) {
  const device = await aDevice(base.db, { accountId: owner.accountId! });
  for (let from = 0; from < each; from += BATCH) {
    const specs = Array.from({ length: Math.min(BATCH, each - from) }, (_, i) => {
      const at = from + i;
      return { fixTime: NOON - (each - at) * STEP_MS, latitudeE6: 48_000_000 + ((at * 7919) % 900_000) };
    });
    await stored(base, device, specs);
    if ((from / BATCH) % 8 === 7) await settled(base);
  }
}
await settled(base);

const ctx = aContext(base, asUser(owner.accountId!, owner.id));

/** Of this process, in MiB: what it has, and the most that it had since the last reset. */
function resident(): { now: number; peak: number } {
  const status = readFileSync("/proc/self/status", "utf8");
  const of = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]) / 1024;
  return { now: of("VmRSS"), peak: of("VmHWM") };
}

const used = () => {
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / MiB;
};

const { url } = await createExport(ctx);
globalThis.gc?.();
const before = { ...resident(), used: used() };
writeFileSync("/proc/self/clear_refs", "5");
let most = before.used;
const watch = setInterval(() => {
  most = Math.max(most, used());
}, 50);
const began = performance.now();
const { body } = await download(ctx, await exportOfToken(ctx, url.split("/").at(-1)!));
let bytes = 0;
for await (const chunk of body) bytes += chunk.length;
const seconds = (performance.now() - began) / 1000;
clearInterval(watch);
const { peak } = resident();
printTable([
  [
    "positions",
    "seconds",
    "ZIP, MiB",
    "process before, MiB",
    "its peak, MiB",
    "JavaScript before, MiB",
    "its peak, MiB",
  ],
  [String(each * DEVICES), ...[seconds, bytes / MiB, before.now, peak, before.used, most].map((n) => n.toFixed(1))],
]);
database.close();
