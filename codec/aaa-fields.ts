import type { ColumnName } from "./columns.ts";

/** A text field of an AAA report up to field 16. */
export interface AaaField {
  readonly field: number;
  /** For a number: its name in a Position. */
  readonly name: string;
  readonly column?: ColumnName;
  /** Decimal places that the column holds. */
  readonly places?: number;
  readonly form: string;
}

/**
 * AAA text fields, comma separated, field n in row n - 1. What follows (assisted event information, protocol version,
 * fuel, temperatures, tail of the model) is read by readAaaRest().
 * Source: Meitrack GPRS protocol V1.8, AAA; forms as seen in captures.
 */
export const AAA_FIELDS = [
  { field: 1, name: "event", column: "event", places: 0, form: "decimal" },
  { field: 2, name: "latitude", column: "latitudeE6", places: 6, form: "signed decimal degrees" },
  { field: 3, name: "longitude", column: "longitudeE6", places: 6, form: "signed decimal degrees" },
  { field: 4, name: "time", column: "timeS", form: "yymmddHHMMSS" },
  { field: 5, name: "status", form: "A valid, V not" },
  { field: 6, name: "satellites", column: "satellites", places: 0, form: "decimal" },
  { field: 7, name: "gsmSignal", column: "gsmSignal", places: 0, form: "decimal" },
  { field: 8, name: "speedKmh", column: "speedMilli", places: 3, form: "decimal, fraction optional" },
  { field: 9, name: "courseDeg", column: "courseMilli", places: 3, form: "decimal, fraction optional" },
  { field: 10, name: "hdop", column: "hdopMilli", places: 3, form: "decimal, fraction optional" },
  { field: 11, name: "altitudeM", column: "altitudeMilli", places: 3, form: "signed decimal, fraction optional" },
  { field: 12, name: "odometerM", column: "odometerM", places: 0, form: "decimal, 32 bits" },
  { field: 13, name: "runtimeS", column: "runtimeS", places: 0, form: "decimal, 32 bits" },
  { field: 14, name: "cell", form: "MCC|MNC|LAC|CI, the last two in hex" },
  { field: 15, name: "ports", form: "4 hex digits, high byte inputs, low byte outputs" },
  { field: 16, name: "analog", form: "AD1|AD2|AD3|battery|supply[|AD6|AD7|AD8] in hex, or decimal volts" },
] as const satisfies readonly AaaField[];
