import { afterEach, expect, test } from "vitest";
import { noFailPoint } from "../../bridge/failpoint.ts";
import { LIMITS, type Limits } from "../../bridge/limits.ts";
import { HEADER_BYTES, recordBytes } from "../../bridge/segment.ts";
import { Spool } from "../../bridge/spool.ts";
import { MemoryFiles, seeded } from "./memory-files.ts";

const FOLDER = "/spool";
const SMALL: Limits = {
  ...LIMITS,
  frameBytes: 512,
  segmentBytes: 4096,
  spoolBytes: 8 * 4096,
  slabBytes: 1024,
  recentBytes: 2048,
  pendingBytes: 3000,
  batchBytes: 2048,
  diskRetryMs: 2,
  unreadableMs: 10,
  unreadableBytes: 256,
};

const opened: Spool[] = [];
afterEach(async () => {
  for (const spool of opened.splice(0)) await spool.close();
});

async function anOpenSpool(files = new MemoryFiles(), limits: Limits = SMALL) {
  const seen = { durable: 0, damaged: [] as Uint8Array[], disk: [] as string[], pressure: [] as boolean[], deleted: 0 };
  const spool = await Spool.open({
    folder: FOLDER,
    files,
    limits,
    now: Date.now,
    reach: noFailPoint,
    events: {
      durable: (frames) => {
        seen.durable += frames;
      },
      pressure: (on) => seen.pressure.push(on),
      damaged: (bytes) => seen.damaged.push(Buffer.from(bytes)),
      diskError: (code) => seen.disk.push(code),
      deleted: () => {
        seen.deleted += 1;
      },
    },
  });
  opened.push(spool);
  return { spool, files, seen };
}

const frame = (n: number, size = 100): Uint8Array => Buffer.from(`frame ${n} `.padEnd(size, "."));
const numberOf = (bytes: Uint8Array): number => Number(/^frame (\d+) /.exec(Buffer.from(bytes).toString())?.[1]);

function append(spool: Spool, from: number, to: number, size = 100): void {
  for (let n = from; n <= to; n++) spool.append(n, 0, 1_000 + n, frame(n, size));
}

/** Reads and releases everything that is on the disk. @returns the numbers of the frames in the order they came */
async function drain(spool: Spool, numbers: number[] = []): Promise<number[]> {
  for (;;) {
    const batch = await spool.peek(7, SMALL.batchBytes);
    if (batch === null) return numbers;
    numbers.push(...batch.records.map((record) => numberOf(record.bytes)));
    await spool.release(batch);
  }
}

const upTo = (last: number, first = 1): number[] => Array.from({ length: last - first + 1 }, (_, at) => first + at);
const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
};

test("Spool.peek() gives frames in order with all that was appended", async () => {
  const { spool, seen } = await anOpenSpool();
  spool.append(7, 1, 1234.5, frame(1));
  await spool.flush();
  const batch = await spool.peek(10, 10_000);
  expect(batch?.records).toMatchObject([{ connection: 7, transport: 1, receivedAt: 1234.5, sequence: 1 }]);
  expect(numberOf(batch!.records[0]!.bytes)).toBe(1);
  expect(seen.durable).toBe(1);
});

test("Spool.peek() gives the same batch again until it is released", async () => {
  const { spool } = await anOpenSpool();
  append(spool, 1, 5);
  await spool.flush();
  for (const size of [5, 2, 1]) {
    const batch = await spool.peek(size, 10_000);
    expect(batch?.records.map((record) => numberOf(record.bytes))).toEqual(upTo(size));
  }
  expect(await drain(spool)).toEqual(upTo(5));
});

test("Spool.append() does not count a frame before it is synced", async () => {
  const { spool, files, seen } = await anOpenSpool();
  let synced = false;
  files.fail = (operation) => {
    if (operation === "sync") synced = true;
    return null;
  };
  append(spool, 1, 1);
  expect([seen.durable, spool.backlog, synced]).toEqual([0, 0, false]);
  await spool.flush();
  expect([seen.durable, spool.backlog, synced]).toEqual([1, 1, true]);
});

test("Spool keeps order over many segments, from memory and from files, and deletes what was answered", async () => {
  const { spool, files, seen } = await anOpenSpool();
  const numbers: number[] = [];
  for (let from = 1; from <= 400; from += 40) {
    append(spool, from, from + 39);
    await spool.flush();
    // Every other round is left lying, so that the reader falls behind and catches up.
    if (from % 80 === 1) await drain(spool, numbers);
  }
  await drain(spool, numbers);
  expect(numbers).toEqual(upTo(400));
  expect(seen.deleted).toBeGreaterThan(5);
  expect([...files.files.keys()].filter((path) => path.endsWith(".segment")).length).toBeLessThanOrEqual(2);
  expect(spool.backlog).toBe(0);
});

test("Spool.open() goes on after a kill with everything that was not released, and never reuses a sequence", async () => {
  const first = await anOpenSpool();
  append(first.spool, 1, 60);
  await first.spool.flush();
  const batch = await first.spool.peek(10, 10_000);
  await first.spool.release(batch!);
  const second = await anOpenSpool(first.files.afterKill());
  expect(second.spool.firstOfThisRun).toBe(61);
  append(second.spool, 61, 65);
  await second.spool.flush();
  // The cursor was not written: frames 1 to 10 come again, which the edge recognises.
  expect(await drain(second.spool)).toEqual(upTo(65));
});

test("Spool.open() continues from the cursor when it was written", async () => {
  const first = await anOpenSpool();
  append(first.spool, 1, 20);
  await first.spool.flush();
  await first.spool.release((await first.spool.peek(10, 10_000))!);
  await first.spool.close();
  const second = await anOpenSpool(first.files.afterKill());
  expect(second.spool.backlog).toBe(10);
  expect(await drain(second.spool)).toEqual(upTo(20, 11));
});

test("Spool.open() ignores a damaged cursor", async () => {
  const first = await anOpenSpool();
  append(first.spool, 1, 5);
  await first.spool.flush();
  await first.spool.close();
  const files = first.files.afterKill();
  await files.writeSmall(`${FOLDER}/cursor`, Buffer.from("EPC1 4000000 00000000\n"));
  expect(await drain((await anOpenSpool(files)).spool)).toEqual(upTo(5));
});

test("Spool.open() goes on in the same segment after a clean end and does not add a file per restart", async () => {
  let files = new MemoryFiles();
  for (let n = 1; n <= 10; n++) {
    const { spool } = await anOpenSpool(files);
    append(spool, n, n);
    await spool.flush();
    files = files.afterKill();
  }
  const { spool } = await anOpenSpool(files);
  expect(spool.segmentCount).toBe(1);
  expect(await drain(spool)).toEqual(upTo(10));
});

test("Spool delivers every synced frame after a power cut, whatever it left of the rest (100 seeds)", async () => {
  for (let seed = 1; seed <= 100; seed++) {
    const random = seeded(seed);
    const first = await anOpenSpool();
    let last = 0;
    for (let round = 0; round < 6; round++) {
      const count = 1 + Math.floor(random() * 12);
      append(first.spool, last + 1, last + count, 40 + Math.floor(random() * 200));
      last += count;
      await first.spool.flush();
    }
    const synced = first.seen.durable;
    // The next group is written and its sync fails with the power.
    first.files.fail = (operation) => (operation === "sync" ? "EIO" : null);
    append(first.spool, last + 1, last + 5);
    await until(() => first.seen.disk.length > 0);
    const second = await anOpenSpool(first.files.afterPowerCut(random));
    const numbers = await drain(second.spool);
    expect(numbers.slice(0, synced), `seed ${seed}`).toEqual(upTo(synced));
    expect(
      [...numbers].sort((a, b) => a - b),
      `seed ${seed}`,
    ).toEqual(numbers);
    expect(new Set(numbers).size, `seed ${seed}`).toBe(numbers.length);
    append(second.spool, 1000, 1003);
    await second.spool.flush();
    expect(await drain(second.spool), `seed ${seed}`).toEqual(upTo(1003, 1000));
  }
});

test("Spool reports one damaged record and delivers all others, for a flip at every byte of a small spool", async () => {
  const first = await anOpenSpool();
  append(first.spool, 1, 4, 60);
  await first.spool.flush();
  const size = recordBytes(60);
  const [path] = [...first.files.files.keys()].filter((name) => name.endsWith(".segment"));
  for (let at = 0; at < 4 * size; at++) {
    const files = first.files.afterKill();
    files.files.get(path!)!.bytes[at]! ^= 0x41;
    const { spool, seen } = await anOpenSpool(files);
    const inPadding = at % size >= HEADER_BYTES + 60;
    const hit = 1 + Math.floor(at / size);
    expect(await drain(spool), `byte ${at}`).toEqual(upTo(4).filter((n) => inPadding || n !== hit));
    expect(seen.damaged.length, `byte ${at}`).toBe(inPadding ? 0 : 1);
    // It goes on working, and does not find the damage again.
    append(spool, 5, 6);
    await spool.flush();
    expect(await drain(spool), `byte ${at}`).toEqual([5, 6]);
    await spool.close();
    opened.length = 0;
  }
});

test("Spool reports damage once, not again at each start while its segment is still there", async () => {
  const first = await anOpenSpool();
  append(first.spool, 1, 4, 60);
  await first.spool.flush();
  const files = first.files.afterKill();
  const [path] = [...files.files.keys()].filter((name) => name.endsWith(".segment"));
  files.files.get(path!)!.bytes[recordBytes(60) + HEADER_BYTES]! ^= 1;
  const counts: number[] = [];
  for (let start = 0; start < 3; start++) {
    const { spool, seen } = await anOpenSpool(files);
    append(spool, 10 + start, 10 + start, 60);
    await spool.flush();
    expect(await drain(spool)).toEqual(start === 0 ? [1, 3, 4, 10] : [10 + start]);
    counts.push(seen.damaged.length);
    await spool.close();
    opened.pop();
  }
  expect(counts).toEqual([1, 0, 0]);
});

test("Spool delivers the whole records of a spool that was cut off at any byte", async () => {
  const first = await anOpenSpool();
  append(first.spool, 1, 3, 60);
  await first.spool.flush();
  const size = recordBytes(60);
  const [path] = [...first.files.files.keys()].filter((name) => name.endsWith(".segment"));
  for (let length = 0; length <= 3 * size; length += 3) {
    const files = first.files.afterKill();
    const file = files.files.get(path!)!;
    file.bytes = file.bytes.subarray(0, length);
    const { spool } = await anOpenSpool(files);
    const whole = Math.floor((length + 7) / size);
    expect(await drain(spool), `cut at ${length}`).toEqual(upTo(Math.min(3, Math.floor(length / size), whole)));
    await spool.close();
    opened.length = 0;
  }
});

test("Spool goes on behind a segment in which nothing is left to read", async () => {
  const first = await anOpenSpool();
  append(first.spool, 1, 40);
  await first.spool.flush();
  const files = first.files.afterKill();
  const paths = [...files.files.keys()].filter((name) => name.endsWith(".segment")).sort();
  const newest = paths.findLast((path) => files.files.get(path)!.bytes.includes("frame"))!;
  const lost = [
    ...files.files
      .get(newest)!
      .bytes.toString("latin1")
      .matchAll(/frame (\d+) /g),
  ].map((m) => Number(m[1]));
  files.files.get(newest)!.bytes.fill(0x55, 0, 200 * lost.length);
  const { spool } = await anOpenSpool(files);
  append(spool, 41, 45);
  await spool.flush();
  expect(lost.length).toBeGreaterThan(0);
  expect(await drain(spool)).toEqual([...upTo(lost[0]! - 1), ...upTo(45, 41)]);
  expect(spool.backlog).toBe(0);
});

test("Spool does not wait for records at its end that were damaged before they were read", async () => {
  const { spool, files, seen } = await anOpenSpool(new MemoryFiles(), { ...SMALL, recentBytes: 0 });
  append(spool, 1, 5);
  await spool.flush();
  const [path] = [...files.files.keys()].filter((name) => name.endsWith(".segment"));
  files.files.get(path!)!.bytes[4 * recordBytes(100) + HEADER_BYTES]! ^= 1;
  expect(await drain(spool)).toEqual(upTo(4));
  expect([spool.backlog, seen.damaged.length]).toEqual([0, 1]);
});

test("Spool takes no record from inside a frame, even after the frame's own record was damaged", async () => {
  const inner = await anOpenSpool();
  append(inner.spool, 999, 999, 60);
  await inner.spool.flush();
  const [name] = [...inner.files.files.keys()].filter((path) => path.endsWith(".segment"));
  const forged = inner.files.files.get(name!)!.bytes.subarray(0, recordBytes(60));

  const first = await anOpenSpool();
  first.spool.append(1, 0, 1, Buffer.concat([frame(1, 64), forged]));
  append(first.spool, 2, 3);
  await first.spool.flush();
  const files = first.files.afterKill();
  const [path] = [...files.files.keys()].filter((path) => path.endsWith(".segment"));
  files.files.get(path!)!.bytes[HEADER_BYTES + 3]! ^= 1;
  const { spool, seen } = await anOpenSpool(files);
  expect(await drain(spool)).toEqual([2, 3]);
  expect(seen.damaged.length).toBe(1);
});

test("Spool writes to a new segment after a failed sync, and delivers each frame once", async () => {
  const { spool, files, seen } = await anOpenSpool();
  append(spool, 1, 3);
  await spool.flush();
  const paths = [...files.files.keys()];
  let failures = 1;
  files.fail = (operation) => (operation === "sync" && failures-- > 0 ? "EIO" : null);
  append(spool, 4, 6);
  await spool.flush();
  expect(seen.disk).toEqual(["EIO"]);
  const used = [...files.files.keys()].filter((path) => path.endsWith(".segment") && !paths.includes(path));
  expect(used.length).toBe(1);
  const restarted = await anOpenSpool(files.afterKill());
  expect(await drain(restarted.spool)).toEqual(upTo(6));
  expect(await drain(spool)).toEqual(upTo(6));
  expect(spool.held).toBeNull();
});

test("Spool holds frames while the disk is full and goes on by itself when there is space", async () => {
  const { spool, files, seen } = await anOpenSpool();
  let full = true;
  files.fail = (operation) => (full && operation === "write" ? "ENOSPC" : null);
  append(spool, 1, 3);
  await until(() => seen.disk.length >= 3);
  expect([spool.held, spool.congested, seen.durable, seen.pressure]).toEqual(["ENOSPC", true, 0, [true]]);
  append(spool, 4, 5);
  full = false;
  await spool.flush();
  expect([spool.held, spool.congested, seen.durable, seen.pressure]).toEqual([null, false, 5, [true, false]]);
  expect(await drain(spool)).toEqual(upTo(5));
});

test("Spool survives any one failing file operation: nothing lost, nothing twice, order kept", async () => {
  const operations = { open: 0, write: 0, sync: 0, remove: 0, rename: 0, writeSmall: 0, syncFolder: 0, read: 0 };
  const run = async (failing: string, nth: number): Promise<number[]> => {
    const { spool, files } = await anOpenSpool();
    let count = 0;
    files.fail = (operation) => {
      operations[operation] += 1;
      if (operation !== failing) return null;
      count += 1;
      return count === nth ? "EIO" : null;
    };
    const numbers: number[] = [];
    for (let from = 1; from <= 60; from += 20) {
      append(spool, from, from + 19);
      await spool.flush();
      if (from > 20) await drain(spool, numbers).catch(() => drain(spool, numbers));
    }
    await spool.close();
    return numbers;
  };
  for (const failing of Object.keys(operations)) {
    for (let nth = 1; nth <= 12; nth++) expect(await run(failing, nth), `${failing} ${nth}`).toEqual(upTo(60));
  }
  expect(Math.min(operations.open, operations.write, operations.sync, operations.remove)).toBeGreaterThan(0);
});

test("Spool stops taking frames at its limit and goes on as soon as a segment was answered", async () => {
  const limits = { ...SMALL, spoolBytes: 2 * SMALL.segmentBytes, diskRetryMs: 60_000 };
  const { spool, seen } = await anOpenSpool(new MemoryFiles(), limits);
  let last = 0;
  while (spool.held === null) {
    append(spool, last + 1, last + 5, 200);
    last += 5;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  expect(spool.held).toBe("SPOOL_FULL");
  expect(spool.fileBytes).toBe(limits.spoolBytes);
  const numbers = await drain(spool);
  await spool.flush();
  await drain(spool, numbers);
  expect(numbers).toEqual(upTo(last));
  expect(seen.durable).toBe(last);
});

test("Spool passes a stretch that stays unreadable, delivers the rest and keeps the file", async () => {
  const first = await anOpenSpool();
  append(first.spool, 1, 30);
  await first.spool.flush();
  const files = first.files.afterKill();
  const { spool } = await anOpenSpool(files);
  append(spool, 31, 80);
  await spool.flush();
  const [path] = [...files.files.keys()].filter((name) => name.endsWith(".segment")).sort();
  let reads = 0;
  files.fail = (operation, name) => (operation === "read" && name === path && reads++ < 20 ? "EIO" : null);
  const numbers: number[] = [];
  while (numbers.at(-1) !== 80) {
    await drain(spool, numbers).catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  expect(numbers.length).toBeGreaterThan(50);
  expect([...numbers].sort((a, b) => a - b)).toEqual(numbers);
  expect([...files.files.keys()]).toContain(`${path}.unreadable`);
});

test("Spool closes an old segment so that answered frames do not stay on the disk", async () => {
  const limits = { ...SMALL, segmentAgeMs: 30, cursorMs: 10 };
  const { spool, files } = await anOpenSpool(new MemoryFiles(), limits);
  append(spool, 1, 1);
  await spool.flush();
  expect(await drain(spool)).toEqual([1]);
  const holdsFrame = () => [...files.files.values()].some((file) => file.bytes.includes("frame 1 "));
  expect(holdsFrame()).toBe(true);
  await until(() => {
    void spool.peek(1, 1);
    return !holdsFrame();
  });
  append(spool, 2, 3);
  await spool.flush();
  expect(await drain(spool)).toEqual([2, 3]);
});
