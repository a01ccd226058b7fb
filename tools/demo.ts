import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Child } from "./child.ts";
import { lockDataDir } from "./data-dir.ts";
import { environment, inNode } from "./launch.ts";
import type { Platform } from "./platform.ts";
import { writePrivateFile } from "./secrets.ts";

/** The demonstration's data are in a folder of their own, below the data folder. */
export const demoDir = (dataDir: string) => join(dataDir, "demo");

/** Its account, which lives as long as its folder, and a key that may be shown: nothing in there is real. */
export interface DemoAccount {
  accountId: number;
  key: string;
}

const FLEET = ["--devices", "25", "--rate", "1/5s", "--backfill", "20m", "--gap", "20s/5m", "--resend", "--split"];

async function create(platform: Platform, path: string, body: object): Promise<{ id: number; key?: string }> {
  const response = await fetch(platform.url + path, {
    method: "POST",
    headers: { authorization: `Bearer ${platform.secrets.adminToken}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`Cannot prepare the demonstration: ${await response.text()}`);
  return (await response.json()) as { id: number; key?: string };
}

/** The sample account with a key, made at the first start. */
async function openAccount(platform: Platform): Promise<DemoAccount> {
  const file = join(platform.dataDir, "demo.json");
  if (existsSync(file)) return JSON.parse(readFileSync(file, "utf8"));
  const { id } = await create(platform, "/v1/admin/accounts", { name: "Demo" });
  const { key = "" } = await create(platform, `/v1/admin/accounts/${id}/keys`, { scope: "write", name: "demo" });
  const account = { accountId: id, key };
  writePrivateFile(file, `${JSON.stringify(account)}\n`);
  return account;
}

/** Adds the sample account and sets a simulated fleet in motion, each tracker with a track behind it already. */
export async function startDemo(
  platform: Platform,
  report: (line: string) => void,
): Promise<{ account: DemoAccount; stop(): Promise<void> }> {
  const account = await openAccount(platform);
  const where = ["--port", String(platform.bridgePort), "--url", platform.url, "--register"];
  const fleet = new Child({
    ...inNode("tools/simulate.ts", ...FLEET, ...where),
    name: "fleet",
    env: () => environment({ EPHEMERIS_KEY: account.key }),
    ready: /^\d+ trackers /,
    // It would wait for what is still unacknowledged.
    stopMs: 1_000,
    logDir: join(platform.dataDir, "logs"),
    report,
  });
  await fleet.start();
  return { account, stop: () => fleet.stop() };
}

/**
 * Removes the demonstration and everything it stored.
 * @returns false when there was none
 * @throws {SettingError} while it runs
 */
export function removeDemo(dataDir: string): boolean {
  const folder = demoDir(dataDir);
  if (!existsSync(folder)) return false;
  lockDataDir(folder).release();
  rmSync(folder, { recursive: true });
  return true;
}
