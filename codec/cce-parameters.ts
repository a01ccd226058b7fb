import type { StructureName } from "./cce-structures.ts";
import type { ColumnName } from "./columns.ts";

/** Groups of a CCE packet by the bytes of their values: 1, 2, 4 and any number. An id means another thing in each. */
export const CCE_GROUPS = [1, 2, 4, "n"] as const;
export type CceGroup = (typeof CCE_GROUPS)[number];

/**
 * One parameter. It has exactly one of: `column` with `times` (column number = value * times), `name` of a reading
 * with `per` (reading = value / per), or the `structure` its bytes have.
 */
export type Parameter = {
  readonly group: CceGroup;
  readonly id: number;
  readonly signed?: true;
  readonly source: string;
} & (
  | { readonly column: ColumnName; readonly times: number }
  | { readonly name: string; readonly per: number }
  | { readonly structure: StructureName }
);

/**
 * CCE parameters. Integers are little-endian. An id that is not here keeps its bytes in `readings` under
 * `cce.<group>.<id>`; so do `F828`, `FE2B`, `FE6E`, `FE90`, `FEA5` and `FEB2`, which are seen but whose meaning no source gives.
 * Source: Meitrack MDVR, T633L and P99G GPRS protocols, packet data parameter table, by group and id.
 * 05 (fix status) and 0E (current cell) are read by the decoder itself.
 */
export const PARAMETERS = [
  { group: 1, id: 0x01, column: "event", times: 1, source: "event code of 1-byte models" },
  { group: 1, id: 0x06, column: "satellites", times: 1, source: "satellites" },
  { group: 1, id: 0x07, column: "gsmSignal", times: 1, source: "GSM signal, 0 to 31" },
  { group: 1, id: 0x14, column: "outputs", times: 1, source: "output status" },
  { group: 1, id: 0x15, column: "inputs", times: 1, source: "input status" },
  { group: 1, id: 0x1b, column: "geofence", times: 1, source: "geo-fence number, 0 none" },
  { group: 1, id: 0x27, name: "temperatureSensor", per: 1, source: "sensor of events 50 and 51" },
  { group: 1, id: 0x47, name: "lockState", per: 1, source: "lock, 2 locked" },
  { group: 1, id: 0x5b, name: "deadReckoningState", per: 1, source: "dead reckoning" },
  { group: 1, id: 0x93, name: "clutchSwitch", per: 1, source: "FMS clutch" },
  { group: 1, id: 0x94, name: "tachographPerformance", per: 1, source: "FMS tachograph performance" },
  { group: 1, id: 0x95, name: "parkingBrakeSwitch", per: 1, source: "FMS parking brake" },
  { group: 1, id: 0x96, name: "cruiseControlSwitch", per: 1, source: "FMS cruise control" },
  { group: 1, id: 0x97, name: "acceleratorPedalPercent", per: 1, source: "FMS accelerator pedal" },
  { group: 1, id: 0x9d, name: "canFuelPercent", per: 1, source: "FMS fuel level" },
  { group: 1, id: 0x9e, name: "engineTorquePercent", per: 1, source: "FMS actual engine torque" },
  { group: 1, id: 0xa1, name: "engineLoadPercent", per: 1, source: "FMS load at current speed" },
  { group: 1, id: 0xfe69, name: "batteryPercent", per: 1, source: "P88 battery level" },
  { group: 1, id: 0xfea0, name: "drivingState", per: 1, source: "driving state" },

  { group: 2, id: 0x08, column: "speedMilli", times: 1000, source: "speed, km/h" },
  { group: 2, id: 0x09, column: "courseMilli", times: 1000, source: "course, degrees" },
  // Raw 5 to 19 at good fixes: tenths. The manual's example prints the raw number.
  { group: 2, id: 0x0a, column: "hdopMilli", times: 100, source: "HDOP, tenths" },
  { group: 2, id: 0x0b, column: "altitudeMilli", times: 1000, signed: true, source: "altitude, m" },
  { group: 2, id: 0x16, column: "ad1", times: 1, source: "AD1, 1/100 V" },
  { group: 2, id: 0x17, column: "ad2", times: 1, source: "AD2, 1/100 V" },
  { group: 2, id: 0x18, column: "ad3", times: 1, source: "AD3, 1/100 V" },
  { group: 2, id: 0x19, column: "ad4", times: 1, source: "internal battery, 1/100 V" },
  { group: 2, id: 0x1a, column: "ad5", times: 1, source: "external supply, 1/100 V" },
  { group: 2, id: 0x29, column: "fuelCenti", times: 1, source: "fuel level, 1/100 %" },
  { group: 2, id: 0x40, column: "event", times: 1, source: "event code of 2-byte models" },
  { group: 2, id: 0x41, column: "ad6", times: 1, source: "AD6, 1/100 V" },
  { group: 2, id: 0x91, name: "tachographSpeedKmh", per: 1, source: "FMS tachograph speed" },
  { group: 2, id: 0x92, name: "wheelSpeedKmh", per: 1, source: "FMS wheel-based speed" },
  { group: 2, id: 0x98, name: "fuelUsedL", per: 1, source: "FMS fuel used, 2-byte form" },
  { group: 2, id: 0x99, name: "engineRpm", per: 1, source: "FMS engine speed" },
  { group: 2, id: 0x9c, name: "coolantTemperatureC", per: 1, signed: true, source: "FMS coolant temperature" },
  { group: 2, id: 0x9f, name: "ambientTemperatureC", per: 1, signed: true, source: "FMS ambient temperature" },
  { group: 2, id: 0xc9, name: "fuelConsumption", per: 1, source: "fuel consumption, unit not published" },
  { group: 2, id: 0xf826, name: "coolantLevel", per: 1, source: "MDVR coolant level, unit not published" },
  { group: 2, id: 0xfe30, name: "overspeedRecovery", per: 1, source: "overspeed recovery, unit not published" },

  { group: 4, id: 0x02, column: "latitudeE6", times: 1, signed: true, source: "latitude, 1e-6 degrees" },
  { group: 4, id: 0x03, column: "longitudeE6", times: 1, signed: true, source: "longitude, 1e-6 degrees" },
  { group: 4, id: 0x04, column: "timeS", times: 1, source: "seconds since 2000-01-01 UTC" },
  { group: 4, id: 0x0c, column: "odometerM", times: 1, source: "mileage, m" },
  { group: 4, id: 0x0d, column: "runtimeS", times: 1, source: "run time, s" },
  { group: 4, id: 0x1c, column: "systemFlags", times: 1, source: "system flag, see SYSTEM_FLAGS" },
  { group: 4, id: 0x25, name: "driverCardNumber", per: 1, source: "RFID or iButton; also driverId" },
  { group: 4, id: 0x42, column: "inputs", times: 1, source: "32 inputs" },
  { group: 4, id: 0x98, name: "fuelUsedL", per: 1, source: "FMS total fuel used" },
  { group: 4, id: 0x9a, name: "engineHours", per: 10, source: "FMS engine hours" },
  { group: 4, id: 0x9b, name: "vehicleDistanceM", per: 1, source: "FMS high-resolution distance" },
  { group: 4, id: 0xa0, name: "fuelUsedExactL", per: 1000, source: "FMS high-resolution fuel used" },
  { group: 4, id: 0xa2, name: "fuelRateLPerH", per: 100, source: "FMS fuel rate" },
  { group: 4, id: 0xa3, name: "axleWeightKg", per: 10, source: "FMS axle weight" },
  { group: 4, id: 0xa4, name: "serviceDistanceKm", per: 1, source: "FMS service distance" },
  {
    group: 4,
    id: 0xa5,
    name: "fuelConsumptionNow",
    per: 1000,
    source: "instantaneous consumption, unit not published",
  },
  { group: 4, id: 0xf825, name: "vehicleBattery", per: 1, source: "MDVR vehicle battery, unit not published" },
  { group: 4, id: 0xf827, name: "tripFuelUsed", per: 1, source: "MDVR single-trip fuel, unit not published" },
  { group: 4, id: 0xfe2f, name: "fatigueDriving", per: 1, source: "accumulated fatigue driving, unit not published" },
  { group: 4, id: 0xfe37, name: "steps", per: 1, source: "P88, P99 steps" },
  { group: 4, id: 0xfea1, name: "parkingTime", per: 1, source: "accumulated parking, unit not published" },
  // Minutes in one implementation; no manual confirms it.
  { group: 4, id: 0xfef4, name: "engineTime", per: 1, source: "engine time, minutes not proven" },

  { group: "n", id: 0x0f, structure: "neighbourCell", source: "neighbour cell 1" },
  { group: "n", id: 0x10, structure: "neighbourCell", source: "neighbour cell 2" },
  { group: "n", id: 0x11, structure: "neighbourCell", source: "neighbour cell 3" },
  { group: "n", id: 0x12, structure: "neighbourCell", source: "neighbour cell 4" },
  { group: "n", id: 0x13, structure: "neighbourCell", source: "neighbour cell 5" },
  { group: "n", id: 0x1d, structure: "wifi", source: "WiFi access point 1" },
  { group: "n", id: 0x1e, structure: "wifi", source: "WiFi access point 2" },
  { group: "n", id: 0x1f, structure: "wifi", source: "WiFi access point 3" },
  { group: "n", id: 0x20, structure: "wifi", source: "WiFi access point 4" },
  { group: "n", id: 0x21, structure: "wifi", source: "WiFi access point 5" },
  { group: "n", id: 0x22, structure: "wifi", source: "WiFi access point 6" },
  { group: "n", id: 0x23, structure: "wifi", source: "WiFi access point 7" },
  { group: "n", id: 0x24, structure: "wifi", source: "WiFi access point 8" },
  { group: "n", id: 0x25, structure: "wifi", source: "WiFi access point 9" },
  { group: "n", id: 0x28, structure: "pictureTime", source: "T633L picture name" },
  { group: "n", id: 0x2a, structure: "temperature", source: "temperature sensor 1" },
  { group: "n", id: 0x2b, structure: "temperature", source: "temperature sensor 2" },
  { group: "n", id: 0x2c, structure: "temperature", source: "temperature sensor 3" },
  { group: "n", id: 0x2d, structure: "temperature", source: "temperature sensor 4" },
  { group: "n", id: 0x2e, structure: "temperature", source: "temperature sensor 5" },
  { group: "n", id: 0x2f, structure: "temperature", source: "temperature sensor 6" },
  { group: "n", id: 0x30, structure: "temperature", source: "temperature sensor 7" },
  { group: "n", id: 0x31, structure: "temperature", source: "temperature sensor 8" },
  { group: "n", id: 0x39, structure: "magneticCard", source: "T633L magnetic card" },
  { group: "n", id: 0x44, structure: "pictureName", source: "MDVR photo name" },
  { group: "n", id: 0x49, structure: "cameras", source: "MDVR camera status" },
  { group: "n", id: 0x4b, structure: "network", source: "network information" },
  { group: "n", id: 0x4c, structure: "analogList", source: "analog inputs, mV" },
  { group: "n", id: 0x6a, structure: "trip", source: "ignition-off auxiliary" },
  { group: "n", id: 0x72, structure: "storage", source: "MDVR storage status" },
  { group: "n", id: 0xdb, structure: "temperatureList", source: "temperature information" },
  { group: "n", id: 0xf824, structure: "speedsBefore", source: "MDVR speeds before a harsh event" },
  { group: "n", id: 0xf82e, structure: "overspeed", source: "MDVR overspeed statistics" },
  { group: "n", id: 0xfe2d, structure: "fatigueAlert", source: "MDVR fatigue alert" },
  { group: "n", id: 0xfe31, structure: "driverAlert", source: "MDVR ADAS and DMS alert" },
  { group: "n", id: 0xfe6a, structure: "faceAlert", source: "MDVR facial recognition" },
  { group: "n", id: 0xfe70, structure: "bluetooth", source: "Bluetooth auxiliary" },
  { group: "n", id: 0xfe71, structure: "beacons", source: "iBeacon group A" },
  { group: "n", id: 0xfe72, structure: "beacons", source: "iBeacon group B" },
  { group: "n", id: 0xfe73, structure: "bluetoothSensors", source: "Bluetooth temperature and humidity" },
  { group: "n", id: 0xfe79, structure: "alarmVideos", source: "MDVR alarm video A" },
  { group: "n", id: 0xfe80, structure: "alarmVideos", source: "MDVR alarm video B" },
  { group: "n", id: 0xfe96, structure: "people", source: "MDVR people counter" },
  { group: "n", id: 0xfea8, structure: "batteries", source: "battery levels and alert" },
  { group: "n", id: 0xfef2, structure: "tyres", source: "TPMS group 1" },
  { group: "n", id: 0xfef3, structure: "tyres", source: "TPMS group 2" },
] as const satisfies readonly Parameter[];

/** Bits of the `systemFlags` reading. Bits 0 and 1 are documented, the order of the others is assumed. */
export const SYSTEM_FLAGS = [
  "EEP2 modified",
  "ACC on",
  "anti-theft armed",
  "vibration",
  "moving",
  "external power",
  "charging",
  "sleep",
  "FMS",
  "FMS function",
] as const;

/** One-byte prefixes that make an id two bytes long, prefix first. Source: MDVR parameter table (FE, F8). */
export const CCE_PREFIXES: readonly number[] = [0xfe, 0xf8];

/**
 * Prefixes reserved by one implementation and never seen. Such an id is one byte, unless only the two-byte reading
 * comes out at the end of the packet.
 */
export const CCE_DOUBTFUL_PREFIXES: readonly number[] = [0xfd, 0xff];
