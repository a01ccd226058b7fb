import { setTimeout as sleep } from "node:timers/promises";
import { LIMITS } from "./limits.ts";
import type { ApiPage, ReadPage } from "./oracle.ts";

/** The model of all devices: it sends hundredths of a volt, as the reports in records.ts have them. */
export const MODEL = "T366";

/** The platform's HTTP API as the harness uses it: operator and one customer. */
export class Api {
  readonly #url: string;
  readonly #adminToken: string;
  readonly #keys: string[] = [];
  #asked = 0;

  constructor(url: string, adminToken: string) {
    this.#url = url;
    this.#adminToken = adminToken;
  }

  /** Opens the account that all devices belong to. */
  async openAccount(): Promise<void> {
    const account = await this.#ask("POST", "/v1/admin/accounts", this.#adminToken, { name: "Fault harness" });
    const path = `/v1/admin/accounts/${account.id}/keys`;
    for (let i = 0; i < LIMITS.keys; i++) {
      this.#keys.push(String((await this.#ask("POST", path, this.#adminToken, { scope: "write" })).key));
    }
  }

  get #key(): string {
    return this.#keys[this.#asked++ % this.#keys.length]!;
  }

  /** Whether the app says that it can serve. */
  async healthy(): Promise<boolean> {
    try {
      const { ok } = await fetch(`${this.#url}/healthz`, { signal: AbortSignal.timeout(LIMITS.healthMs) });
      return ok;
    } catch {
      return false;
    }
  }

  /** Registers a device. @returns its id */
  async createDevice(imei: string): Promise<number> {
    const made = await this.#ask("POST", "/v1/devices", this.#key, {
      imei,
      name: `Device ${imei.slice(8)}`,
      model: MODEL,
    });
    return made.id as number;
  }

  /** Removes a device with everything of it. */
  async removeDevice(id: number): Promise<void> {
    await this.#ask("DELETE", `/v1/devices/${id}`, this.#key);
  }

  /** Runs one of the platform's jobs. */
  async runJob(name: string): Promise<void> {
    await this.#ask("POST", `/v1/admin/jobs/${name}/run`, this.#adminToken);
  }

  /** One page of a list. */
  readonly page: ReadPage = async (path) => (await this.#ask("GET", path, this.#key)) as unknown as ApiPage;

  /** Asks a device for its position. */
  async queueCommand(device: number): Promise<void> {
    await this.#ask("POST", `/v1/devices/${device}/commands`, this.#key, { code: "A10" });
  }

  /** IMEIs on the operator's list of unknown trackers. */
  async unclaimed(): Promise<string[]> {
    const list = await this.#ask("GET", "/v1/admin/unclaimed", this.#adminToken);
    return (list as unknown as ApiPage).data.map(({ imei }) => String(imei));
  }

  /** A request is repeated as often and as late as an answer 429 says. */
  async #ask(method: string, path: string, token: string, body?: unknown): Promise<Record<string, unknown>> {
    for (;;) {
      const response = await fetch(this.#url + path, {
        method,
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(LIMITS.requestTimeoutMs),
      });
      const text = await response.text();
      if (response.ok) return (text === "" ? {} : JSON.parse(text)) as Record<string, unknown>;
      if (response.status !== 429)
        throw new Error(`Cannot ${method} ${path.split("?")[0]}: ${response.status} ${text}`);
      await sleep(1_000 * Number(response.headers.get("retry-after") ?? 1));
    }
  }
}
