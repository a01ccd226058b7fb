import { scaleOf } from "../codec/models.ts";
import type { Base, Config } from "./context.ts";
import { bucketOf } from "./inbox.ts";
import { LIMITS } from "./limits.ts";
import type { RegisteredDevice, RegistryRead } from "./store/registry.ts";
import { readBridge } from "./store/registry.ts";

/** What `Registry.find()` gives for an IMEI that belongs to no device. */
export const NO_DEVICE = -1;
/** What `Registry.find()` gives for an IMEI that must be read first. */
export const NOT_READ = -2;
/** What `Registry.find()` gives for trackers that are answered and of which nothing is kept; with CCE packets, too. */
export const SILENCED = -3;
export const SILENCED_CCE = -4;

/** A registered device as ingest uses it. */
export interface Known extends RegisteredDevice {
  /** Row of the voltage scales, codec/models.ts. */
  scale: number;
  /** Seconds that the tracker's clock is ahead of UTC. */
  offsetS: number;
  /** Where its positions wait, src/inbox.ts. */
  bucket: number;
}

const NONE: ReadonlyMap<string, boolean> = new Map();

const IMEI_DIGITS = 15;
const HIGH_DIGITS = 7;
const ZERO = 0x30;

/**
 * IMEI to device for one version of the registry, kept by an isolate between requests. Filled with what batches ask
 * for; every write names the version, so that what is kept here can be old but never acts.
 * A hash table of our own: the IMEI is two numbers read from the frame, where a Map would need a string or a boxed
 * number for each frame.
 */
export class Registry {
  version = -1;
  devices: Known[] = [];
  /** Bridges by the hash of their token. */
  readonly bridges = new Map<string, number>();
  readonly #allowed = new Set<number>();
  #high = new Int32Array(0);
  #low = new Int32Array(0);
  #value = new Int32Array(0);
  #used = 0;

  constructor() {
    this.#resize(1024);
  }

  /** Forgets everything and begins with another version. */
  restart(version: number): void {
    this.version = version;
    this.devices = [];
    this.bridges.clear();
    this.#allowed.clear();
    this.#used = 0;
    this.#resize(1024);
  }

  /**
   * @param imei the IMEI field of a frame is `imei[start..end)`
   * @returns index into `devices`, or one of the values above
   */
  find(imei: Uint8Array, start: number, end: number): number {
    // Devices are registered with 15 digits, so nothing else can be one.
    if (end - start !== IMEI_DIGITS) return NO_DEVICE;
    let high = 0;
    let low = 0;
    for (let i = start; i < end; i++) {
      const digit = imei[i] - ZERO;
      if (digit < 0 || digit > 9) return NO_DEVICE;
      if (i < start + HIGH_DIGITS) high = high * 10 + digit;
      else low = low * 10 + digit;
    }
    const at = this.#place(high, low);
    return this.#high[at] === -1 ? NOT_READ : this.#value[at];
  }

  /** Whether a bridge is known to be allowed to deliver. */
  allows(bridgeId: number): boolean {
    return this.#allowed.has(bridgeId);
  }

  /**
   * Takes in what was read of the IMEIs that were asked for; those without a device are known to have none.
   * @param silenced those of them that are, and whether they want their CCE packets confirmed
   */
  learn(read: RegistryRead, asked: Iterable<string>, silenced: ReadonlyMap<string, boolean> = NONE): void {
    if (read.version !== this.version || this.#used > LIMITS.registryEntries) this.restart(read.version);
    if (read.bridge) this.#allowed.add(read.bridgeId);
    for (const imei of asked) {
      const confirms = silenced.get(imei);
      this.#set(imei, confirms === undefined ? NO_DEVICE : confirms ? SILENCED_CCE : SILENCED);
    }
    for (const device of read.devices) {
      const index = this.devices.length;
      this.devices.push({
        ...device,
        scale: scaleOf(device.model),
        offsetS: device.clockOffsetMinutes * 60,
        bucket: bucketOf(device.accountId, device.id),
      });
      this.#set(device.imei, index);
    }
  }

  #set(imei: string, value: number): void {
    const high = Number(imei.slice(0, HIGH_DIGITS));
    const low = Number(imei.slice(HIGH_DIGITS));
    let at = this.#place(high, low);
    if (this.#high[at] === -1) {
      if (this.#used * 2 >= this.#high.length) {
        this.#resize(this.#high.length * 2);
        at = this.#place(high, low);
      }
      this.#used += 1;
      this.#high[at] = high;
      this.#low[at] = low;
    }
    this.#value[at] = value;
  }

  /** Where this IMEI is, or the free place where it belongs. */
  #place(high: number, low: number): number {
    const mask = this.#high.length - 1;
    let at = Math.imul(low ^ Math.imul(high, 0x85ebca6b), 0x9e3779b1) >>> 7;
    for (at &= mask; this.#high[at] !== -1; at = (at + 1) & mask) {
      if (this.#low[at] === low && this.#high[at] === high) break;
    }
    return at;
  }

  #resize(size: number): void {
    const [high, low, value] = [this.#high, this.#low, this.#value];
    this.#high = new Int32Array(size).fill(-1);
    this.#low = new Int32Array(size);
    this.#value = new Int32Array(size);
    if (this.#used === 0) return;
    for (let i = 0; i < high.length; i++) {
      if (high[i] === -1) continue;
      const at = this.#place(high[i], low[i]);
      this.#high[at] = high[i];
      this.#low[at] = low[i];
      this.#value[at] = value[i];
    }
  }
}

const REGISTRIES = new WeakMap<Config, Registry>();

/** The registry of this isolate: it lives as long as the configuration object, of which the platform makes one. */
export function registryOf(ctx: Base): Registry {
  let registry = REGISTRIES.get(ctx.config);
  if (registry === undefined) {
    registry = new Registry();
    REGISTRIES.set(ctx.config, registry);
  }
  return registry;
}

/**
 * The bridge whose token has this SHA-256 (hex), other than the configured one. Read once per registry version; a
 * bridge that was revoked since is found out by its first write.
 * @returns null when there is none or it is revoked
 */
export async function bridgeOf(ctx: Base, hash: string): Promise<number | null> {
  const registry = registryOf(ctx);
  const known = registry.bridges.get(hash);
  if (known !== undefined) return known;
  const { version, id } = await readBridge(ctx.db, hash);
  if (id === null) return null;
  if (registry.version !== version) registry.restart(version);
  registry.bridges.set(hash, id);
  return id;
}
