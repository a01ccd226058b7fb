import { closeSync, existsSync, openSync, readSync } from "node:fs";
import { median, printTable } from "../bridge-run.ts";
import type { TrackStoreUnderTest } from "./under-test.ts";

const DEVICES = [5, 23, 41, 77, 101];
const FRAGMENTS = 120;
const GOALS = { ms: 100 } as const;

const CHUNK_BYTES = 64 << 20;
const OVERLAP_BYTES = 64;

/** How many of the fragments are in a file. */
export function fragmentsIn(path: string, fragments: readonly Uint8Array[]): number {
  if (!existsSync(path)) return 0;
  // By their first two bytes, so that most places are passed over at once.
  const byStart = Map.groupBy(fragments, (fragment) => (fragment[0]! << 8) | fragment[1]!);
  const starts = Uint8Array.from({ length: 65_536 }, (_, start) => (byStart.has(start) ? 1 : 0));
  const found = new Set<Uint8Array>();
  const bytes = Buffer.alloc(CHUNK_BYTES);
  const file = openSync(path, "r");
  for (let offset = 0; ; offset += CHUNK_BYTES - OVERLAP_BYTES) {
    const length = readSync(file, bytes, 0, CHUNK_BYTES, offset);
    for (let at = 0; at + 1 < length; at++) {
      const start = (bytes[at]! << 8) | bytes[at + 1]!;
      if (starts[start] === 0) continue;
      for (const fragment of byStart.get(start)!) {
        if (bytes.compare(fragment, 0, fragment.length, at, Math.min(length, at + fragment.length)) === 0) {
          found.add(fragment);
        }
      }
    }
    if (length < CHUNK_BYTES) break;
  }
  closeSync(file);
  return found.size;
}

const inDatabase = ({ database: { path } }: TrackStoreUnderTest, fragments: readonly Uint8Array[]) =>
  fragmentsIn(path, fragments) + fragmentsIn(`${path}-wal`, fragments);

/** Devices are erased one after the other, and the files searched for what was known to be in them. */
export async function measureErasure(stores: readonly TrackStoreUnderTest[]): Promise<void> {
  const rows = [["store", "erase and scrub ms", "longest call ms", "fragments before", "after"]];
  for (const store of stores) {
    const { jobs } = store.database;
    const times: number[] = [];
    const longest: number[] = [];
    let before = 0;
    let after = 0;
    for (const deviceId of DEVICES) {
      const fragments = await store.fragments(deviceId, FRAGMENTS);
      if (fragments.length !== FRAGMENTS) throw new Error(`${store.name}: ${fragments.length} fragments`);
      await store.database.scrub();
      before += inDatabase(store, fragments);
      jobs.held.length = 0;
      const start = performance.now();
      await store.erase(deviceId);
      times.push(performance.now() - start);
      longest.push(Math.max(...jobs.held));
      after += inDatabase(store, fragments);
    }
    const of = FRAGMENTS * DEVICES.length;
    rows.push([
      store.name,
      median(times).toFixed(0),
      median(longest).toFixed(1),
      `${before} of ${of}`,
      `${after} of ${of}`,
    ]);
  }
  console.log(`\nErasure: one device, ${DEVICES.length} times over; its files are searched for known bytes.\n`);
  printTable(rows);
  console.log(`\nGoal: at most ${GOALS.ms} ms, nothing found.`);
}
