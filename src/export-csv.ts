import type { StoredPosition } from "./positions.ts";

type Cell = string | number | boolean | undefined;

interface Column {
  name: string;
  of(position: StoredPosition): Cell;
}

const json = (value: object | undefined) => (value === undefined ? undefined : JSON.stringify(value));

/** The columns of a CSV export, named as in the API; what the API nests has a column for each part. */
const COLUMNS: readonly Column[] = [
  { name: "id", of: (p) => p.id },
  { name: "deviceId", of: (p) => p.deviceId },
  { name: "fixTime", of: (p) => p.fixTime },
  { name: "receivedAt", of: (p) => p.receivedAt },
  { name: "eventCode", of: (p) => p.event.code },
  { name: "eventName", of: (p) => p.event.name },
  { name: "valid", of: (p) => p.valid },
  { name: "latitude", of: (p) => p.latitude },
  { name: "longitude", of: (p) => p.longitude },
  { name: "satellites", of: (p) => p.satellites },
  { name: "gsmSignal", of: (p) => p.gsmSignal },
  { name: "speedKmh", of: (p) => p.speedKmh },
  { name: "courseDeg", of: (p) => p.courseDeg },
  { name: "hdop", of: (p) => p.hdop },
  { name: "altitudeM", of: (p) => p.altitudeM },
  { name: "odometerM", of: (p) => p.odometerM },
  { name: "runtimeS", of: (p) => p.runtimeS },
  { name: "mcc", of: (p) => p.cell?.mcc },
  { name: "mnc", of: (p) => p.cell?.mnc },
  { name: "lac", of: (p) => p.cell?.lac },
  { name: "cid", of: (p) => p.cell?.cid },
  { name: "inputs", of: (p) => p.inputs },
  { name: "outputs", of: (p) => p.outputs },
  { name: "batteryV", of: (p) => p.batteryV },
  { name: "supplyV", of: (p) => p.supplyV },
  { name: "analogV", of: (p) => json(p.analogV) },
  { name: "fuelPercent", of: (p) => p.fuelPercent },
  { name: "temperaturesC", of: (p) => json(p.temperaturesC) },
  { name: "driverId", of: (p) => p.driverId },
  { name: "pictureName", of: (p) => p.pictureName },
  { name: "geofence", of: (p) => p.geofence },
  { name: "readings", of: (p) => json(p.readings) },
];

/**
 * One cell, quoted where RFC 4180 asks for it. A text that a spreadsheet would run as a formula gets an apostrophe in
 * front (OWASP, CSV injection); numbers keep their sign.
 */
export function csvCell(value: Cell): string {
  if (value === undefined) return "";
  if (typeof value !== "string") return String(value);
  const text = /^[=+\-@\t\r\n\uff0b\uff0d\uff1d\uff20]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function csvHeader(): string {
  return `${COLUMNS.map((column) => column.name).join(",")}\r\n`;
}

export function csvRow(position: StoredPosition): string {
  return `${COLUMNS.map((column) => csvCell(column.of(position))).join(",")}\r\n`;
}
