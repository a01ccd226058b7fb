import { CCE_GROUPS, PARAMETERS, type Parameter } from "./cce-parameters.ts";
import { readStructure, type StructureName } from "./cce-structures.ts";
import { keptAaaRest, keptAaaText } from "./collect-text.ts";
import {
  bits,
  type ColumnName,
  FLAGS,
  type PositionTable,
  SLOT,
  SOURCES,
  STRIDE,
  TAIL,
  visitTail,
  writeVarint,
} from "./columns.ts";
import { DROP, PROFILE_BITS, ROUND, ROUND_SHIFT } from "./profile-bits.ts";

export { DROP, PROFILE_BITS, ROUND_SHIFT, ROUNDED_DECIMALS } from "./profile-bits.ts";

/** Columns that a bit drops. Coordinates are rounded instead. */
const COLUMNS_OF = [
  { bit: DROP.speed, columns: ["speedMilli"] },
  { bit: DROP.cell, columns: ["mccMnc", "lac", "cid", "rxLevel"] },
] as const satisfies readonly { bit: number; columns: readonly ColumnName[] }[];

/** Steps of rounded coordinates, by row of ROUNDED_DECIMALS. */
const STEPS_E6 = [1, 100, 1000, 10_000] as const;

/** Parameters of a CCE packet that are dropped with a column when they come a second time. */
const BITS_OF_COLUMN: { readonly [column in ColumnName]?: number } = {
  speedMilli: DROP.speed,
  latitudeE6: ROUND,
  longitudeE6: ROUND,
};

/** The same for numbers without a column. */
const BITS_OF_NAME: Readonly<Record<string, number>> = {
  tachographSpeedKmh: DROP.speed,
  wheelSpeedKmh: DROP.speed,
  overspeedRecovery: DROP.speed,
  driverCardNumber: DROP.driver,
};

/**
 * The same for structures. Networks around a tracker tell its place better than rounded coordinates do. Pictures and
 * videos go with the driver whom they show, and beacons because drivers carry them.
 */
const BITS_OF_STRUCTURE: { readonly [structure in StructureName]?: number } = {
  neighbourCell: DROP.cell | ROUND,
  wifi: DROP.cell | ROUND,
  network: DROP.cell,
  trip: DROP.speed,
  speedsBefore: DROP.speed,
  overspeed: DROP.speed | ROUND,
  magneticCard: DROP.driver,
  pictureTime: DROP.driver,
  pictureName: DROP.driver,
  fatigueAlert: DROP.driver,
  driverAlert: DROP.driver,
  faceAlert: DROP.driver,
  alarmVideos: DROP.driver,
  bluetooth: DROP.driver,
  beacons: DROP.driver,
};

const PARAMETER_BY_KEY = new Map<number, Parameter>(
  PARAMETERS.map((parameter) => [TAIL.cceGroup * (CCE_GROUPS.indexOf(parameter.group) + 1) + parameter.id, parameter]),
);

const MASK = SLOT.mask;
const FLAGS_SLOT = SLOT.flags;
const EVENT = SLOT.event;
const GEOFENCE_BIT = bits("geofence");
const CCC = SOURCES.indexOf("CCC");
/** Event whose CCC record has the driver's card where others have a geo-fence. */
const CARD_EVENT = 37;

/**
 * Removes from a row, in place, what the profile says is not to be collected: done before anything is stored. With any
 * bit of a profile also everything that is not understood goes, as it may hold what was to be dropped: CCE parameters
 * without a row in PARAMETERS or not laid out as it says, bytes after the fields of a record, a packet or a frame, texts
 * of AAA fields that are not numbers, and customised data. What the columns cannot hold exactly goes where the column
 * is dropped or rounded.
 * @param table as a decoder filled it: the row's tail is its own
 * @param profile bits of DROP, and a row of ROUNDED_DECIMALS from ROUND_SHIFT on; 0 changes nothing
 */
export function collect(table: PositionTable, row: number, profile: number): void {
  if ((profile & PROFILE_BITS) === 0) return;
  const { i32 } = table;
  const base = row * STRIDE;
  const event = (i32[base + MASK] & 1) === 0 ? 0 : i32[base + EVENT];
  for (const { bit, columns } of COLUMNS_OF) {
    if ((profile & bit) === 0) continue;
    for (const column of columns) drop(i32, base, column);
  }
  const source = i32[base + FLAGS_SLOT] >>> FLAGS.sourceShift;
  if (
    (profile & DROP.driver) !== 0 &&
    source === CCC &&
    event === CARD_EVENT &&
    (i32[base + MASK] & GEOFENCE_BIT) !== 0
  ) {
    drop(i32, base, "geofence");
  }
  const step = STEPS_E6[(profile & ROUND) >> ROUND_SHIFT];
  for (const slot of [SLOT.latitudeE6, SLOT.longitudeE6]) i32[base + slot] = Math.round(i32[base + slot] / step) * step;
  if (i32[base + SLOT.tailLength] > 0) collectTail(table, base, event, profile);
}

function drop(i32: Int32Array, base: number, column: ColumnName): void {
  i32[base + MASK] &= ~bits(column);
  i32[base + SLOT[column]] = 0;
}

// The tail only becomes shorter, so it is written over itself.
function collectTail(table: PositionTable, base: number, event: number, profile: number): void {
  const { i32, tail } = table;
  const start = i32[base + SLOT.tailStart];
  const end = start + i32[base + SLOT.tailLength];
  let to = start;
  let entry = start;
  let exact = false;
  visitTail(tail, start, end, (key, from, until) => {
    if (key === TAIL.aaaRest) {
      const kept = keptAaaRest(tail.slice(from, until), event, profile);
      if (kept.length > 0) {
        to = writeVarint(tail, writeVarint(tail, to, key), kept.length);
        tail.set(kept, to);
        to += kept.length;
      }
    } else if (keeps(key, tail.slice(from, until), profile)) {
      tail.copyWithin(to, entry, until);
      to += until - entry;
      exact ||= key < TAIL.aaaRest;
    }
    entry = until;
  });
  tail.fill(0, to, end);
  i32[base + SLOT.tailLength] = to - start;
  if (!exact) i32[base + FLAGS_SLOT] &= ~FLAGS.exact;
}

function keeps(key: number, bytes: Uint8Array, profile: number): boolean {
  if (key < TAIL.aaaRest) return keptAaaText(key, bytes, profile);
  // Two bytes that number a layout, and one that says whether there was a fix.
  if (key === TAIL.cccLayout || key === TAIL.cccStatus) return true;
  const parameter = PARAMETER_BY_KEY.get(key);
  if (parameter === undefined) return false;
  if ("structure" in parameter) {
    const { structure, id } = parameter;
    return ((BITS_OF_STRUCTURE[structure] ?? 0) & profile) === 0 && readStructure(structure, id, bytes) !== null;
  }
  const dropped = "column" in parameter ? BITS_OF_COLUMN[parameter.column] : BITS_OF_NAME[parameter.name];
  return ((dropped ?? 0) & profile) === 0 && bytes.length === parameter.group;
}
