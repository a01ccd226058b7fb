/** Where simulated vehicles live: a start, its height, and the network that their trackers are in. */
const TOWNS = [
  { name: "Jakarta", latitude: -6.2088, longitude: 106.8456, altitudeM: 16, mcc: 510, mnc: 10 },
  { name: "Bangkok", latitude: 13.7563, longitude: 100.5018, altitudeM: 4, mcc: 520, mnc: 3 },
  { name: "Nairobi", latitude: -1.2864, longitude: 36.8172, altitudeM: 1661, mcc: 639, mnc: 2 },
  { name: "Warsaw", latitude: 52.2297, longitude: 21.0122, altitudeM: 110, mcc: 260, mnc: 1 },
  { name: "Rotterdam", latitude: 51.9244, longitude: 4.4777, altitudeM: -3, mcc: 204, mnc: 8 },
  { name: "Curitiba", latitude: -25.4284, longitude: -49.2733, altitudeM: 935, mcc: 724, mnc: 5 },
  { name: "Monterrey", latitude: 25.6866, longitude: -100.3161, altitudeM: 540, mcc: 334, mnc: 20 },
  { name: "Lagos", latitude: 6.5244, longitude: 3.3792, altitudeM: 41, mcc: 621, mnc: 30 },
] as const;

/** How vehicles drive. Metres, seconds, degrees. */
const DRIVING = {
  accelerationMs2: 1.8,
  brakingMs2: 2.6,
  cornerMs: 6,
  turnDegPerS: 25,
  radiusM: 9000,
  limitsMs: [8.3, 13.9, 13.9, 16.7, 22.2, 30.5],
  legM: { min: 120, max: 2200 },
  lightS: { min: 5, max: 50 },
  parkedS: { min: 120, max: 1500 },
  // Per end of a leg.
  lightChance: 0.28,
  parkChance: 0.025,
  // Longer steps are cut into this many parts at most.
  maxSteps: 120,
} as const;

/** Events that a walk raises by itself, by their code (Meitrack GPRS protocol, event codes). */
export const WALK_EVENTS = { corner: 32, interval: 35, stop: 41, move: 42, ignitionOn: 144, ignitionOff: 145 } as const;

const METRES_PER_DEGREE = 111_320;

/** A small seeded generator of numbers in [0, 1) (sfc32): the same seed gives the same drive. */
export function seededRandom(seed: number, stream: number): () => number {
  let a = seed | 0;
  let b = stream | 0;
  let c = 0x9e3779b9 | 0;
  let d = 1;
  const next = (): number => {
    const t = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + t) | 0;
    return (t >>> 0) / 4294967296;
  };
  for (let i = 0; i < 12; i++) next();
  return next;
}

function clamp(value: number, low: number, high: number): number {
  return value < low ? low : value > high ? high : value;
}

/**
 * One vehicle that drives around its town: legs of road between corners, lights, parking, and a receiver, a modem and a
 * battery that drift. All fields are in wire precision where a tracker counts in whole steps.
 */
export class Vehicle {
  readonly mcc: number;
  readonly mnc: number;
  latitudeE6 = 0;
  longitudeE6 = 0;
  valid = true;
  satellites = 9;
  gsmSignal = 24;
  hdopTenths = 9;
  altitudeM = 0;
  odometerM: number;
  ignition = true;
  batteryCv = 412;
  supplyCv = 1380;
  fuelCentiPercent: number;

  readonly #random: () => number;
  readonly #town: (typeof TOWNS)[number];
  readonly #metresPerLongitude: number;
  #eastM = 0;
  #northM = 0;
  #headingDeg: number;
  #turnLeftDeg = 0;
  #speedMs = 0;
  #limitMs: number = DRIVING.limitsMs[1];
  #legLeftM = 400;
  #waitS = 0;
  #blindS = 0;
  #travelledM = 0;
  #event: number = WALK_EVENTS.interval;

  /** @param odometerM metres on the clock at the start */
  constructor(seed: number, index: number, odometerM: number) {
    this.#random = seededRandom(seed, index);
    this.#town = TOWNS[index % TOWNS.length];
    this.mcc = this.#town.mcc;
    this.mnc = this.#town.mnc;
    this.#metresPerLongitude = METRES_PER_DEGREE * Math.cos((this.#town.latitude * Math.PI) / 180);
    this.odometerM = odometerM;
    this.fuelCentiPercent = 2000 + Math.floor(this.#random() * 7900);
    this.#headingDeg = Math.floor(this.#random() * 4) * 90 + 7;
    this.#eastM = this.#between(-4000, 4000);
    this.#northM = this.#between(-4000, 4000);
    this.#limitMs = this.#pickLimit();
    this.#legLeftM = this.#between(DRIVING.legM.min, DRIVING.legM.max);
    this.#locate();
  }

  get speedKmh(): number {
    return Math.round(this.#speedMs * 3.6);
  }

  get courseDeg(): number {
    return (Math.round(this.#headingDeg) + 360) % 360;
  }

  /** Area and cell of the network: they change every kilometre or so, and fit the 16 bits of a CCC record. */
  get lac(): number {
    return 1000 + (Math.imul((this.#eastM / 6000) | 0, 7919) & 0xff) + (((this.#northM / 6000) | 0) & 0xff);
  }

  get cid(): number {
    return (Math.imul((this.#eastM / 900) | 0, 73856093) ^ Math.imul((this.#northM / 900) | 0, 19349663)) & 0xffff;
  }

  /** The event since the last call, the interval report if nothing happened. */
  takeEvent(): number {
    const event = this.#event;
    this.#event = WALK_EVENTS.interval;
    return event;
  }

  /** Drives on for some seconds. */
  step(seconds: number): void {
    const steps = clamp(Math.ceil(seconds), 1, DRIVING.maxSteps);
    const dt = seconds / steps;
    for (let i = 0; i < steps; i++) this.#drive(dt);
    this.#drift(seconds);
    this.#locate();
  }

  #between(low: number, high: number): number {
    return low + this.#random() * (high - low);
  }

  #pickLimit(): number {
    return DRIVING.limitsMs[Math.floor(this.#random() * DRIVING.limitsMs.length)];
  }

  #drive(dt: number): void {
    if (this.#waitS > 0) {
      this.#waitS -= dt;
      if (this.#waitS > 0) return;
      this.#event = this.ignition ? WALK_EVENTS.move : WALK_EVENTS.ignitionOn;
      this.ignition = true;
    }
    const corner = this.#turnLeftDeg !== 0;
    const brakingM = (this.#speedMs * this.#speedMs - DRIVING.cornerMs ** 2) / (2 * DRIVING.brakingMs2);
    const target = corner || brakingM >= this.#legLeftM ? DRIVING.cornerMs : this.#limitMs;
    this.#speedMs += clamp(target - this.#speedMs, -DRIVING.brakingMs2 * dt, DRIVING.accelerationMs2 * dt);
    if (corner) {
      const turn = clamp(this.#turnLeftDeg, -DRIVING.turnDegPerS * dt, DRIVING.turnDegPerS * dt);
      this.#headingDeg = (this.#headingDeg + turn + 360) % 360;
      this.#turnLeftDeg -= turn;
    }
    const metres = this.#speedMs * dt;
    const heading = (this.#headingDeg * Math.PI) / 180;
    this.#eastM += metres * Math.sin(heading);
    this.#northM += metres * Math.cos(heading);
    this.#legLeftM -= metres;
    this.#travelledM += metres;
    if (this.#legLeftM <= 0) this.#nextLeg();
  }

  #nextLeg(): void {
    this.#legLeftM = this.#between(DRIVING.legM.min, DRIVING.legM.max);
    this.#limitMs = this.#pickLimit();
    const dice = this.#random();
    if (dice < DRIVING.parkChance) {
      this.#waitS = this.#between(DRIVING.parkedS.min, DRIVING.parkedS.max);
      this.ignition = false;
      this.#event = WALK_EVENTS.ignitionOff;
      this.#speedMs = 0;
    } else if (dice < DRIVING.parkChance + DRIVING.lightChance) {
      this.#waitS = this.#between(DRIVING.lightS.min, DRIVING.lightS.max);
      this.#event = WALK_EVENTS.stop;
      this.#speedMs = 0;
    }
    if (Math.hypot(this.#eastM, this.#northM) > DRIVING.radiusM) {
      const home = (Math.atan2(-this.#eastM, -this.#northM) * 180) / Math.PI;
      this.#turnLeftDeg = ((home - this.#headingDeg + 540) % 360) - 180;
    } else {
      const bend = this.#between(-28, 28);
      const choice = this.#random();
      this.#turnLeftDeg = choice < 0.3 ? 90 + bend / 8 : choice < 0.6 ? -90 + bend / 8 : bend;
    }
    if (this.#waitS === 0 && Math.abs(this.#turnLeftDeg) > 45) this.#event = WALK_EVENTS.corner;
  }

  #drift(seconds: number): void {
    const dice = this.#random();
    if (this.#blindS > 0) this.#blindS -= seconds;
    else if (dice < 0.002) this.#blindS = this.#between(5, 60);
    this.valid = this.#blindS <= 0;
    if (dice > 0.7) this.satellites = clamp(this.satellites + (dice > 0.85 ? 1 : -1), 4, 14);
    if (!this.valid) this.satellites = 3;
    this.hdopTenths = this.valid ? clamp(24 - this.satellites - (dice < 0.2 ? 5 : 6), 6, 40) : 50;
    if (dice < 0.3) this.gsmSignal = clamp(this.gsmSignal + (dice < 0.15 ? 1 : -1), 9, 31);
    this.supplyCv = (this.ignition ? 1372 : 1255) + Math.floor(dice * 16);
    this.batteryCv = clamp(this.batteryCv + (dice < 0.1 ? 1 : dice > 0.9 ? -1 : 0), 402, 419);
    const metres = Math.floor(this.#travelledM);
    this.#travelledM -= metres;
    this.odometerM = (this.odometerM + metres) % 4294967296;
    if (dice < metres / 900) this.fuelCentiPercent = this.fuelCentiPercent < 500 ? 9900 : this.fuelCentiPercent - 1;
  }

  /** Without a fix the last coordinates are repeated, as trackers do. */
  #locate(): void {
    if (!this.valid) return;
    this.latitudeE6 = Math.round((this.#town.latitude + this.#northM / METRES_PER_DEGREE) * 1e6);
    this.longitudeE6 = Math.round((this.#town.longitude + this.#eastM / this.#metresPerLongitude) * 1e6);
    this.altitudeM = Math.round(
      this.#town.altitudeM + 12 * Math.sin(this.#eastM / 1300) + 9 * Math.cos(this.#northM / 1700),
    );
  }
}
