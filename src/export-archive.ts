import { ByteSink, encodeStored } from "../codec/segment.ts";
import { storedPosition } from "../codec/stored-position.ts";
import type { Ctx, UserPrincipal } from "./context.ts";
import { EXPORTS, type ExportFormat } from "./export.ts";
import { csvCell } from "./export-csv.ts";
import { isTime } from "./held.ts";
import { LIMITS } from "./limits.ts";
import { positionJson } from "./position-json.ts";
import { asAnswer } from "./sealed-answer.ts";
import { listDevices } from "./store/devices.ts";
import { type HeldSource, type HeldValue, type Holder, heldPage, heldSources } from "./store/held.ts";
import { CATEGORIES, type Category, type Mapped } from "./store/personal.ts";
import type { Reach } from "./store/reach.ts";
import { type Telemetry, telemetryFor } from "./telemetry.ts";
import { type Found, type TrackQuery, trackOf } from "./track.ts";
import type { ZipFile } from "./zip.ts";

// What is in an export: every row that the data map says is about the person, each table as JSON Lines and as CSV; every
// position of their devices in four formats, and as it is stored, for an import that loses nothing; and at the end the
// manifest. A page is in memory at a time.

/** What is asked for; what is absent is not limited. */
export interface ExportScope {
  /** Ids of the only devices. */
  devices?: readonly number[] | undefined;
  /** Of the tracks: `from` <= fix time < `to`, Unix ms. */
  from?: number | undefined;
  to?: number | undefined;
  categories?: readonly Category[] | undefined;
}

export const EXPORT_CATEGORIES = CATEGORIES.filter((category) => category !== "operation");

/** What the manifest says of a file. */
export interface ManifestFile {
  name: string;
  mediaType: string;
  category: Category;
  rows: number;
  bytes: number;
  sha256: string;
  /** SHA-256 of what the rows say, whatever ids they have: the same after an import. Of JSON Lines. */
  contentSha256?: string;
  table?: string;
  deviceId?: number;
  columns?: readonly { name: string; class: string; category: string }[];
}

export interface Manifest {
  format: "ephemeris export";
  version: 1;
  madeAt: string;
  accountId: number;
  userId: number;
  /** The account as a whole; else what is about the person and their devices. */
  wholeAccount: boolean;
  scope: ExportScope;
  files: ManifestFile[];
  /** Tables without a row about the person. */
  empty: string[];
  /** Columns that open something: stored, and never given out. */
  withheld: Record<string, string[]>;
}

/** What the platform copies for itself: the same, but also of what is frozen, of every person, and in fewer formats. */
export interface Keeping {
  formats: readonly TrackFormat[];
}

/** A stretch of a file. */
interface Piece {
  bytes: Uint8Array;
  rows: number;
  /** What the rows say, without ids. */
  content?: string;
}

const text = new TextEncoder();

/**
 * The files of an export, one after the other: each must be read to its end before the next is asked for.
 * @param alive throws when the export must not go on
 * @param sign makes the signature of the manifest
 * @param map the data map; a test gives an altered one
 * @param keeping that it is the platform's own copy
 */
export async function* archive(
  ctx: Ctx,
  me: Pick<UserPrincipal, "accountId" | "userId" | "role" | "devices">,
  scope: ExportScope,
  alive: () => Promise<void>,
  sign: (manifest: Uint8Array<ArrayBuffer>) => Promise<string>,
  map?: Mapped,
  keeping?: Keeping,
): AsyncGenerator<ZipFile, undefined, undefined> {
  const telemetry = await telemetryFor(ctx, me.accountId);
  const reach: Reach = { ...reachWithin(me, scope), ...(keeping && { frozen: true }) };
  const manifest: Manifest = {
    format: "ephemeris export",
    version: 1,
    madeAt: new Date(ctx.now()).toISOString(),
    accountId: me.accountId,
    userId: me.userId,
    wholeAccount: isWhole(me),
    scope,
    files: [],
    empty: [],
    withheld: {},
  };
  const formats = keeping?.formats ?? TRACK_FORMATS;
  const call: Call = { ctx, reach, telemetry, scope, alive, manifest, formats };
  const { accountId, devices } = reach;
  const who: Holder = { userId: me.userId, accountId, devices, wholeAccount: manifest.wholeAccount };
  if (keeping) who.everybody = true;
  for (const source of heldSources(who, map)) yield* tableFiles(call, source);
  if (wants(scope, "location")) {
    for (let after = 0; ; ) {
      const devices = await listDevices(ctx.db, reach, after, LIMITS.pageMax);
      for (const device of devices) yield* trackFiles(call, device);
      if (devices.length < LIMITS.pageMax) break;
      after = devices.at(-1)!.id;
    }
  }
  const bytes = text.encode(`${JSON.stringify(manifest, null, 1)}\n`) as Uint8Array<ArrayBuffer>;
  yield { name: "manifest.json", bytes: once(bytes) };
  yield { name: "manifest.sig", bytes: once(text.encode(await sign(bytes))) };
  return undefined;
}

interface Call {
  ctx: Ctx;
  reach: Reach;
  telemetry: Telemetry;
  scope: ExportScope;
  alive: () => Promise<void>;
  manifest: Manifest;
  formats: readonly TrackFormat[];
}

const wants = ({ categories }: ExportScope, category: Category) => categories?.includes(category) ?? true;

/** Owners and managers of all of an account see it as a whole. */
export const isWhole = ({ role, devices }: Pick<UserPrincipal, "role" | "devices">): boolean =>
  role !== "viewer" && devices === null;

/** The devices that are both within the person's reach and asked for. */
function reachWithin(
  { accountId, devices: reachable }: Pick<UserPrincipal, "accountId" | "devices">,
  { devices: asked }: ExportScope,
): Reach {
  if (asked === undefined) return { accountId, devices: reachable };
  return { accountId, devices: asked.filter((id) => reachable === null || reachable.includes(id)) };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** A file that is noted in the manifest once it is written. */
function file(
  { ctx, manifest }: Call,
  facts: Omit<ManifestFile, "rows" | "bytes" | "sha256">,
  pieces: AsyncIterable<Piece>,
): ZipFile {
  async function* counted() {
    const [hash, content] = [ctx.sha256(), ctx.sha256()];
    let [rows, bytes, hasContent] = [0, 0, false];
    for await (const piece of pieces) {
      rows += piece.rows;
      bytes += piece.bytes.length;
      hash.update(piece.bytes);
      if (piece.content !== undefined) {
        content.update(piece.content);
        hasContent = true;
      }
      yield piece.bytes;
    }
    const sums = { sha256: hash.digest(), ...(hasContent && { contentSha256: content.digest() }) };
    const { name, mediaType, category, ...more } = facts;
    manifest.files.push({ name, mediaType, category, rows, bytes, ...sums, ...more });
  }
  return { name: facts.name, bytes: counted() };
}

async function* tableFiles(call: Call, source: HeldSource): AsyncGenerator<ZipFile> {
  const { ctx, telemetry, scope, alive, manifest } = call;
  const columns = source.columns.filter(({ category }) => wants(scope, category));
  if (!columns.some((column) => column.class !== "pseudonymous") && scope.categories !== undefined) return;
  if (source.secret.length > 0) manifest.withheld[source.name] = source.secret.map(({ name }) => name);
  const places = columns.map((column) => source.columns.indexOf(column));
  async function* pages() {
    for (let after: number | null = 0; after !== null; ) {
      await alive();
      const { values, next }: Awaited<ReturnType<typeof heldPage>> = await heldPage(
        ctx.db,
        telemetry.db,
        source,
        after,
        LIMITS.exportRows,
      );
      yield values.map((row) => places.map((place, i) => given(columns[i]!.name, row[place]!)));
      after = next;
    }
  }
  for await (const page of pages()) {
    if (page.length > 0) break;
    manifest.empty.push(source.name);
    return;
  }
  const names = columns.map(({ name }) => name);
  const said = columns.flatMap((column, i) => (column.class === "pseudonymous" ? [] : [i]));
  const category = mainCategory(columns.map((column) => column.category));
  const facts = { category, table: source.name, columns };
  const lines = async function* (): AsyncGenerator<Piece> {
    for await (const page of pages()) {
      const objects = page.map(
        (row) => `${JSON.stringify(Object.fromEntries(names.map((name, i) => [name, row[i]])))}\n`,
      );
      const content = page.map((row) => `${JSON.stringify(said.map((i) => row[i]))}\n`).join("");
      yield { bytes: text.encode(objects.join("")), rows: page.length, content };
    }
  };
  const cells = async function* (): AsyncGenerator<Piece> {
    yield { bytes: text.encode(`${names.join(",")}\r\n`), rows: 0 };
    for await (const page of pages()) {
      const rows = page.map((row) => `${row.map((value) => csvCell(value ?? undefined)).join(",")}\r\n`);
      yield { bytes: text.encode(rows.join("")), rows: page.length };
    }
  };
  const at = `${category}/${source.file}`;
  yield file(call, { name: `${at}.jsonl`, mediaType: EXPORTS.ndjson.mediaType, ...facts }, lines());
  yield file(call, { name: `${at}.csv`, mediaType: EXPORTS.csv.mediaType, ...facts }, cells());
}

/** Times as everybody writes them. */
const given = (column: string, value: HeldValue): HeldValue =>
  typeof value === "number" && isTime(column) && Math.abs(value) <= LIMITS.timeMs
    ? new Date(value).toISOString()
    : value;

/** The one that most columns have. */
function mainCategory(of: readonly Category[]): Category {
  const count = (category: Category) => of.filter((each) => each === category).length;
  return of.reduce((most, each) => (count(each) > count(most) ? each : most), of[0]!);
}

/** As the codec writes positions for the database. */
const BLOCKS = { mediaType: "application/vnd.ephemeris.positions", extension: "blocks" } as const;

type TrackFormat = Exclude<ExportFormat, "ndjson"> | "jsonl" | "blocks";
const TRACK_FORMATS: readonly TrackFormat[] = ["jsonl", "csv", "gpx", "geojson", "blocks"];

/** How far a track has been read; null: to its end. */
interface Reading {
  after: TrackQuery["after"] | "end";
  /** Something came that only the customer can open. */
  closed: boolean;
}

async function* trackFiles(call: Call, device: { id: number; name: string }): AsyncGenerator<ZipFile> {
  const at = `location/device-${device.id}`;
  const facts = { category: "location", deviceId: device.id } as const;
  let closed = false;
  let found = false;
  for await (const page of reads(call, device.id, { after: null, closed })) {
    found = page.rows.length > 0 || page.closed !== undefined;
    break;
  }
  if (!found) return;
  for (const format of call.formats) {
    const { mediaType, extension } = format === "blocks" ? BLOCKS : EXPORTS[format === "jsonl" ? "ndjson" : format];
    const reading: Reading = { after: null, closed: false };
    for (let part = 1; reading.after !== "end"; part++) {
      const name = `${at}/positions${part === 1 ? "" : `-${part}`}.${format === "jsonl" ? format : extension}`;
      const pieces = format === "blocks" ? blocks(call, device.id, reading) : texts(call, device, reading, format);
      yield file(call, { name, mediaType, ...facts }, pieces);
    }
    closed ||= reading.closed;
  }
  if (closed) {
    const name = `${at}/sealed.jsonl`;
    yield file(call, { name, mediaType: EXPORTS.ndjson.mediaType, ...facts }, sealedLines(call, device.id));
  }
}

/** Reads a track to its end, or so far that a file of it is full. */
async function* reads({ ctx, reach, scope, alive }: Call, deviceId: number, reading: Reading): AsyncGenerator<Found> {
  const { from = -LIMITS.timeMs, to = LIMITS.timeMs } = scope;
  for (let rows = 0; reading.after !== "end" && rows < LIMITS.exportFileRows; ) {
    await alive();
    const limit = LIMITS.exportTrackPage;
    const found = await trackOf(ctx, reach, deviceId, { from, to, descending: false, after: reading.after, limit });
    // Removed while it was being read.
    if (found === null) {
      reading.after = "end";
      return;
    }
    const { stored, closed } = found;
    rows += found.rows.length;
    if (closed !== undefined) {
      reading.closed = true;
      reading.after = closed.next === null ? "end" : { fixTime: closed.next[0]!, id: closed.next[1]! };
    } else {
      const last = found.rows.at(-1);
      const ended = last === undefined || found.rows.length < limit;
      reading.after = ended ? "end" : { fixTime: stored.fixTimeAt(last), id: stored.ids[last] };
    }
    yield found;
  }
}

/** So many positions of a page at a time. */
function* slices(rows: readonly number[]): Generator<readonly number[]> {
  for (let i = 0; i < rows.length; i += LIMITS.exportPage) yield rows.slice(i, i + LIMITS.exportPage);
}

async function* texts(
  call: Call,
  device: { id: number; name: string },
  reading: Reading,
  format: Exclude<TrackFormat, "blocks">,
): AsyncGenerator<Piece> {
  const { head, item, separator, tail } = EXPORTS[format === "jsonl" ? "ndjson" : format];
  yield { bytes: text.encode(head({ title: device.name })), rows: 0 };
  let before = "";
  for await (const { stored, rows } of reads(call, device.id, reading)) {
    for (const slice of slices(rows)) {
      let written = "";
      let content = "";
      let count = 0;
      for (const row of slice) {
        if (format === "jsonl") {
          const json = positionJson(stored, row);
          written += `${json}\n`;
          content += `${withoutIds(json)}\n`;
        } else {
          const one = item(storedPosition(stored, row));
          if (one === null) continue;
          written += before + one;
          before = separator;
        }
        count++;
      }
      yield { bytes: text.encode(written), rows: count, ...(format === "jsonl" && { content }) };
    }
  }
  yield { bytes: text.encode(tail), rows: 0 };
}

/** A position begins with its id and its device's, then says when it was received. */
const withoutIds = (json: string) => `{${json.slice(json.indexOf('"receivedAt"'))}`;

/** Blocks of codec/segment.ts, each after its length: u32, little-endian. */
async function* blocks(call: Call, deviceId: number, reading: Reading): AsyncGenerator<Piece> {
  for await (const { stored, rows } of reads(call, deviceId, reading)) {
    for (const slice of slices(rows)) {
      const sink = new ByteSink();
      encodeStored(stored, Uint32Array.from(slice), 0, slice.length, sink);
      const bytes = new Uint8Array(4 + sink.length);
      new DataView(bytes.buffer).setUint32(0, sink.length, true);
      bytes.set(sink.bytes.subarray(0, sink.length), 4);
      yield { bytes, rows: slice.length };
    }
  }
}

const LINE_FEED = 0x0a;

/** What is sealed to the customer's own keys, as src/sealed-answer.ts gives it out: one answer a line. */
async function* sealedLines(call: Call, deviceId: number): AsyncGenerator<Piece> {
  for await (const { stored, closed } of reads(call, deviceId, { after: null, closed: false })) {
    if (closed === undefined) continue;
    const { json } = await asAnswer(call.ctx)({ stored, rows: [], closed }, null);
    const bytes = new Uint8Array(json.length + 1).fill(LINE_FEED, json.length);
    bytes.set(json);
    yield { bytes, rows: closed.segments.reduce((sum, { positions }) => sum + positions, 0) };
  }
}
