// The codec against the plain checksum loop over the same bytes, and against two other ways of reading AAA.
// `npm run bench:codec`; takes about a minute. The columnar figures include the content hash that storage needs.
import { createRequire } from "node:module";
import { cpus } from "node:os";
import { PositionTable } from "../codec/columns.ts";
import { decodePositionsInto } from "../codec/decode.ts";
import { encodeFrame, FrameReader, locateFrame, newBounds } from "../codec/frame.ts";
import { scaleOf } from "../codec/models.ts";
import { positionAt } from "../codec/position.ts";
import { median, printTable } from "./bridge-run.ts";
import { aCccFrame, aCceFrame, aCorpus, anAaaFrame, type Corpus, Random } from "./frames.ts";

const SEED = 20261123;
const CORPUS_BYTES = 2 * 1024 * 1024;
const WARM_UP_MS = 700;
const ROUND_MS = 120;
const ROUNDS = 9;
const GARBAGE_BYTES = 64 * 1024;

const options = { scale: scaleOf("T366") };
// What the measured functions found, so that no work can be left out. They add to it once a run: it is no small
// integer, and each addition allocates.
let found = 0;

// ------------------------------------------------------------------------------------------------ what is measured

/** The least that a check costs: eight bytes a step. */
function sumUnrolled(bytes: Uint8Array, start: number, end: number): number {
  let sum = 0;
  let i = start;
  for (const stop = end - 7; i < stop; i += 8) {
    sum +=
      bytes[i] + bytes[i + 1] + bytes[i + 2] + bytes[i + 3] + bytes[i + 4] + bytes[i + 5] + bytes[i + 6] + bytes[i + 7];
  }
  for (; i < end; i++) sum += bytes[i];
  return sum & 255;
}

function unrolledLoop({ bytes, starts }: Corpus): () => void {
  return () => {
    let sum = 0;
    for (let n = 0; n + 1 < starts.length; n++) sum = (sum + sumUnrolled(bytes, starts[n], starts[n + 1] - 4)) | 0;
    found += sum;
  };
}

/** Frame by frame, from head to columns. */
function columnar({ bytes, starts }: Corpus): () => void {
  const table = new PositionTable(2048);
  const bounds = newBounds();
  return () => {
    let rows = 0;
    for (let n = 0; n + 1 < starts.length; n++) {
      table.reset();
      if (locateFrame(bytes, starts[n], starts[n + 1], bounds) !== 0) throw new Error("A frame was refused");
      rows += decodePositionsInto(table, bytes, bounds, options);
    }
    found += rows;
  };
}

/** The same, and an object for each position. */
function objects({ bytes, starts }: Corpus): () => void {
  const table = new PositionTable(2048);
  const bounds = newBounds();
  return () => {
    let speeds = 0;
    for (let n = 0; n + 1 < starts.length; n++) {
      table.reset();
      if (locateFrame(bytes, starts[n], starts[n + 1], bounds) !== 0) throw new Error("A frame was refused");
      const rows = decodePositionsInto(table, bytes, bounds, options);
      for (let row = 0; row < rows; row++) speeds += positionAt(table, row).speedKmh ?? 0;
    }
    found += speeds;
  };
}

/** The whole stream through the reader, as the bridge and the edge get it: nobody says where frames begin. */
function stream({ bytes, starts }: Corpus): () => void {
  const table = new PositionTable(2048);
  const reader = new FrameReader();
  return () => {
    let frames = 0;
    let rows = 0;
    reader.scan(bytes, (buf, bounds) => {
      table.reset();
      frames += 1;
      rows += decodePositionsInto(table, buf, bounds, options);
    });
    found += rows;
    if (frames !== starts.length - 1) throw new Error("A frame was missed");
  };
}

/** Garbage: whatever is in it is decoded. */
function garbage(bytes: Uint8Array): () => void {
  const table = new PositionTable(2048);
  return () => {
    const reader = new FrameReader();
    reader.scan(bytes, (buf, bounds) => {
      table.reset();
      found += decodePositionsInto(table, buf, bounds, options);
    });
  };
}

const text = (bytes: Uint8Array) =>
  Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length).toString("latin1");

/** What one writes first: a string, split at commas, an object. */
function naiveParse(bytes: Uint8Array) {
  let sum = 0;
  for (let i = 0; i < bytes.length - 4; i++) sum = (sum + bytes[i]) & 255;
  const frame = text(bytes);
  if (sum !== Number.parseInt(frame.slice(-4, -2), 16)) throw new Error("checksum");
  const star = frame.lastIndexOf("*");
  const [head, imei, type, event, latitude, longitude, time, status, ...rest] = frame.slice(0, star).split(",");
  const [satellites, gsm, speed, course, hdop, altitude, odometer, runtime, cell, io, analog, ...tail] = rest;
  const [yy, mo, dd, hh, mi, ss] = (time.match(/../g) ?? []).map(Number);
  const [mcc, mnc, lac, cid] = cell.split("|");
  const ports = Number.parseInt(io, 16);
  return {
    identifier: head[2],
    imei,
    type,
    event: Number(event),
    latitude: Number.parseFloat(latitude),
    longitude: Number.parseFloat(longitude),
    fixTime: Date.UTC(2000 + yy, mo - 1, dd, hh, mi, ss),
    valid: status === "A",
    satellites: Number(satellites),
    gsmSignal: Number(gsm),
    speedKmh: Number.parseFloat(speed),
    courseDeg: Number(course),
    hdop: Number.parseFloat(hdop),
    altitudeM: Number(altitude),
    odometerM: Number(odometer),
    runtimeS: Number(runtime),
    cell: {
      mcc: Number(mcc),
      mnc: Number(mnc),
      lac: Number.parseInt(lac, 16),
      cid: Number.parseInt(cid, 16),
    },
    inputs: ports >> 8,
    outputs: ports & 255,
    analog: analog.split("|").map((value) => Number.parseInt(value, 16) / 100),
    tail,
  };
}

/** One array per frame, as both other parsers want it. */
const pieces = ({ bytes, starts }: Corpus): Uint8Array[] =>
  Array.from({ length: starts.length - 1 }, (_, n) => bytes.slice(starts[n], starts[n + 1]));

function naive(corpus: Corpus): () => void {
  const frames = pieces(corpus);
  return () => {
    let speeds = 0;
    for (const frame of frames) speeds += naiveParse(frame).speedKmh;
    found += speeds;
  };
}

function meitrackParser(corpus: Corpus): () => void {
  const { parse } = createRequire(import.meta.url)("meitrack-parser") as {
    parse(raw: Buffer): { type?: string; speed?: number };
  };
  const frames = pieces(corpus).map((frame) => Buffer.from(frame));
  for (const frame of frames.slice(0, 100)) {
    if (parse(frame).speed === undefined) throw new Error("meitrack-parser did not read a frame");
  }
  return () => {
    let speeds = 0;
    for (const frame of frames) speeds += parse(frame).speed ?? 0;
    found += speeds;
  };
}

// ---------------------------------------------------------------------------------------------------- how it is run

interface Case {
  name: string;
  units: number;
  run(): void;
}

function timeOf(run: () => void, ms: number): number {
  const start = performance.now();
  let runs = 0;
  let elapsed = 0;
  do {
    run();
    runs += 1;
    elapsed = performance.now() - start;
  } while (elapsed < ms);
  return (elapsed * 1e6) / runs;
}

/** Nanoseconds per unit of each case: rounds of all cases in turn, so that a busy moment hits them alike. */
function measure(cases: readonly Case[]): Map<string, number> {
  for (const { run } of cases) timeOf(run, WARM_UP_MS);
  const rounds = new Map<string, number[]>(cases.map(({ name }) => [name, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const { name, units, run } of cases) rounds.get(name)?.push(timeOf(run, ROUND_MS) / units);
  }
  return new Map([...rounds].map(([name, values]) => [name, median(values)]));
}

const random = new Random(SEED);
const aaa = aCorpus(CORPUS_BYTES, () => anAaaFrame(random, false));
const oldAaa = aCorpus(CORPUS_BYTES, () => anAaaFrame(random, true));
const ccc = aCorpus(CORPUS_BYTES, () => aCccFrame(random));
const cce = aCorpus(CORPUS_BYTES, () => aCceFrame(random));
const MAKERS = [() => anAaaFrame(random, false), () => aCccFrame(random), () => aCceFrame(random)];
let turn = 0;
const all = aCorpus(CORPUS_BYTES, () => MAKERS[turn++ % MAKERS.length]());

const frames = (corpus: Corpus) => corpus.starts.length - 1;

function filled(make: (at: number) => Uint8Array): Uint8Array {
  const bytes = new Uint8Array(GARBAGE_BYTES);
  for (let at = 0; at < bytes.length; ) {
    const piece = make(at).subarray(0, bytes.length - at);
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

const latin = (value: string) => Uint8Array.from(value, (character) => character.charCodeAt(0));
const damaged = (frame: Uint8Array) => {
  const copy = frame.slice();
  copy[copy.length >> 1] ^= 1;
  return copy;
};

const GARBAGE: readonly [name: string, bytes: Uint8Array][] = [
  ["random bytes", filled(() => Uint8Array.from({ length: 1024 }, () => random.int(0, 255)))],
  ["text", filled(() => latin("GET / HTTP/1.1\r\nHost: example\r\nAccept: */*\r\n\r\n"))],
  ["heads without end ($$$$...)", filled(() => latin("$"))],
  ["frames with wrong checksums", filled(() => damaged(anAaaFrame(random, false)))],
  ["binary frames with wrong checksums", filled(() => damaged(aCccFrame(random)))],
  ["heads that claim 65535 bytes", filled(() => latin("$$A65535,359999000000018,AAA,"))],
  [
    "frames that claim to overlap",
    filled((at) => latin(`$$A${900 + (at % 97)},359999000000018,CCC,${"x".repeat(64)}*00\r\n`)),
  ],
];

/** The shortest frames there are: what a byte costs depends on how many heads it must be asked for. */
const SHORT = filled(() => encodeFrame({ direction: "up", identifier: "A", imei: "1", type: "AAC" }));
const SHORT_GARBAGE: typeof GARBAGE = [
  ["16-byte frames with wrong checksums", filled(() => latin("$$A11,1,AAA*00\r\n"))],
  ["11-byte heads", filled(() => latin("$$A10,1,AAA"))],
];

const results = measure([
  { name: "aaa loop", units: frames(aaa), run: unrolledLoop(aaa) },
  { name: "aaa", units: frames(aaa), run: columnar(aaa) },
  { name: "cce loop", units: frames(cce), run: unrolledLoop(cce) },
  { name: "cce", units: frames(cce), run: columnar(cce) },
  { name: "ccc loop", units: frames(ccc), run: unrolledLoop(ccc) },
  { name: "ccc", units: frames(ccc), run: columnar(ccc) },
  { name: "stream loop", units: frames(all), run: unrolledLoop(all) },
  { name: "stream", units: frames(all), run: stream(all) },
  { name: "aaa objects", units: frames(aaa), run: objects(aaa) },
  { name: "cce objects", units: frames(cce), run: objects(cce) },
  { name: "ccc objects", units: frames(ccc), run: objects(ccc) },
  { name: "old", units: frames(oldAaa), run: columnar(oldAaa) },
  { name: "naive", units: frames(oldAaa), run: naive(oldAaa) },
  { name: "meitrack-parser", units: frames(oldAaa), run: meitrackParser(oldAaa) },
  { name: "short", units: SHORT.length, run: garbage(SHORT) },
  ...[...GARBAGE, ...SHORT_GARBAGE].map(([name, bytes]) => ({ name, units: bytes.length, run: garbage(bytes) })),
]);

/** Bytes of heap that a position on the columnar path costs. */
function allocation(): number {
  const run = columnar(all);
  for (let n = 0; n < 20; n++) run();
  const before = found;
  globalThis.gc?.();
  const start = process.memoryUsage().heapUsed;
  for (let n = 0; n < 50; n++) run();
  return Math.max(0, process.memoryUsage().heapUsed - start) / (found - before);
}

const ns = (name: string) => results.get(name) ?? Number.NaN;
const rows: string[][] = [["what", "ns", "against", "ns", "ratio", "must reach", ""]];
/** @param atMost whether the ratio must stay below `target` (ours / theirs) or reach it (theirs / ours) */
function row(what: string, ours: number, against: string, theirs: number, target: number, atMost: boolean): void {
  const ratio = atMost ? ours / theirs : theirs / ours;
  const good = atMost ? ratio <= target : ratio >= target;
  const show = (value: number) => (value < 10 ? value.toFixed(2) : value.toFixed(0));
  const goal = `${atMost ? "at most" : "at least"} ${target}x`;
  rows.push([what, show(ours), against, show(theirs), `${ratio.toFixed(2)}x`, goal, good ? "reached" : "MISSED"]);
}

row("AAA, a frame", ns("aaa"), "checksum loop", ns("aaa loop"), 3.5, true);
row("CCE, a frame", ns("cce"), "checksum loop", ns("cce loop"), 3, true);
row("CCC, a frame", ns("ccc"), "checksum loop", ns("ccc loop"), 3, true);
row("stream of all three, a frame", ns("stream"), "checksum loop", ns("stream loop"), 3, true);
row("AAA, a frame", ns("old"), "naive split", ns("naive"), 8, false);
row("AAA, a frame", ns("old"), "meitrack-parser", ns("meitrack-parser"), 15, false);
row("AAA objects, a frame", ns("aaa objects"), "columns", ns("aaa"), 2, true);
row("CCE objects, a frame", ns("cce objects"), "columns", ns("cce"), 2, true);
row("CCC objects, a frame", ns("ccc objects"), "columns", ns("ccc"), 2, true);
const cleanByte = (ns("stream") * frames(all)) / all.bytes.length;
for (const [name] of GARBAGE) row(`64 KiB: ${name}, a byte`, ns(name), "clean stream", cleanByte, 2, true);

for (const [name] of SHORT_GARBAGE)
  row(`64 KiB: ${name}, a byte`, ns(name), "clean 16-byte frames", ns("short"), 2, true);

const size = (corpus: Corpus) => (corpus.bytes.length / frames(corpus)).toFixed(0);
console.log(`${cpus()[0]?.model ?? "unknown CPU"}, Node ${process.version}, seed ${SEED}, median of ${ROUNDS} rounds`);
console.log(`bytes a frame: AAA ${size(aaa)}, CCE ${size(cce)}, CCC ${size(ccc)}, all three ${size(all)}\n`);
printTable(rows);
if (globalThis.gc === undefined) {
  console.log("\nallocation on the columnar path: not measured, node needs --expose-gc");
} else {
  const bytes = allocation();
  console.log(
    `\nallocation on the columnar path: ${bytes.toFixed(2)} bytes a position ${bytes < 1 ? "(reached: none)" : "(MISSED)"}`,
  );
}
if (Number.isNaN(found)) throw new Error("Nothing was measured");
