/** A value in `readings`: anything that JSON can say. */
export type Reading = number | string | boolean | readonly Reading[] | { readonly [name: string]: Reading };

/** What rare fields of a report mean, in the names of `Position`. */
export interface Rare {
  fuelPercent?: number;
  temperaturesC?: Record<string, number>;
  driverId?: string;
  pictureName?: string;
  geofence?: number;
  readings?: Record<string, Reading>;
}

/**
 * Adds a reading. Lists under one name are joined; another value under a name that is taken goes under `otherwise`,
 * so that nothing is lost.
 */
export function addReading(rare: Rare, name: string, value: Reading, otherwise: string): void {
  rare.readings ??= {};
  const readings = rare.readings;
  const before = Object.hasOwn(readings, name) ? readings[name] : undefined;
  if (before === undefined) readings[name] = value;
  else if (Array.isArray(before) && Array.isArray(value)) readings[name] = [...before, ...value];
  else readings[freeName(readings, otherwise)] = value;
}

/** Adds a temperature unless the sensor has one already; says whether it did. */
export function addTemperature(rare: Rare, sensor: number, degrees: number): boolean {
  rare.temperaturesC ??= {};
  if (Object.hasOwn(rare.temperaturesC, sensor)) return false;
  rare.temperaturesC[sensor] = degrees;
  return true;
}

/** Power-on value of a 1-wire sensor under number 0: the sensor is absent or not registered. */
export function isAbsentSensor(sensor: number, hundredths: number): boolean {
  return sensor === 0 && hundredths === 8500;
}

// Doubling, then halving: a packet may repeat one id in each of its hundreds of parameters.
function freeName(readings: Record<string, Reading>, name: string): string {
  if (!Object.hasOwn(readings, name)) return name;
  let taken = 1;
  let free = 2;
  while (Object.hasOwn(readings, `${name}.${free}`)) {
    taken = free;
    free *= 2;
  }
  while (free - taken > 1) {
    const middle = (taken + free) >> 1;
    if (Object.hasOwn(readings, `${name}.${middle}`)) taken = middle;
    else free = middle;
  }
  return `${name}.${free}`;
}
