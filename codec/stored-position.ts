import { isoTime } from "./iso-time.ts";
import { type PositionJson, positionAt } from "./position.ts";
import type { StoredPositions } from "./stored.ts";

/** A position of a device as the API shows it. What the tracker did not send is undefined, which JSON leaves out. */
export type StoredPosition = Pick<PositionJson, "event" | "valid"> & {
  [name in Exclude<keyof PositionJson, "event" | "valid" | "fixTime">]?: PositionJson[name] | undefined;
} & {
  id: number;
  deviceId: number;
  receivedAt: string;
  /** The receive time when the tracker's clock was unusable; `readings.deviceTime` is then what the tracker said. */
  fixTime: string;
};

/** A row as the API shows it. Its JSON is what `positionsJson()` writes, in a small part of the time. */
export function storedPosition(stored: StoredPositions, row: number): StoredPosition {
  const position = positionAt(stored.table, row);
  const { fixTime } = position;
  let { readings } = position;
  if (stored.clock[row] !== 0 && fixTime !== undefined) readings = { ...readings, deviceTime: isoTime(fixTime) };
  // All fields by name: objects of one shape are built and written three times as fast as those of toJSON().
  return {
    id: stored.ids[row],
    deviceId: stored.deviceIds[row],
    receivedAt: isoTime(stored.receivedAt[row]),
    event: position.event,
    fixTime: isoTime(stored.fixTimeAt(row)),
    valid: position.valid,
    latitude: position.latitude,
    longitude: position.longitude,
    satellites: position.satellites,
    gsmSignal: position.gsmSignal,
    speedKmh: position.speedKmh,
    courseDeg: position.courseDeg,
    hdop: position.hdop,
    altitudeM: position.altitudeM,
    odometerM: position.odometerM,
    runtimeS: position.runtimeS,
    cell: position.cell,
    inputs: position.inputs,
    outputs: position.outputs,
    analogV: position.analogV,
    batteryV: position.batteryV,
    supplyV: position.supplyV,
    fuelPercent: position.fuelPercent,
    temperaturesC: position.temperaturesC,
    driverId: position.driverId,
    pictureName: position.pictureName,
    geofence: position.geofence,
    readings,
  } satisfies Record<keyof StoredPosition, unknown>;
}
