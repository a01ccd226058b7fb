import { chmodSync, existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import Database from "libsql";
import { writePrivateFile } from "./secrets.ts";
import { SettingError } from "./settings.ts";

/** What a running platform says about itself in its data folder. */
export interface RunningPlatform {
  pid: number;
  url: string;
  bridgePort: number;
  metricsUrl: string;
  children: { name: string; pid: number; started: string | null }[];
}

const STATE_FILE = "platform.json";
/** Children notice that their supervisor is gone and end by themselves; the bridge writes its spool first. */
const ORPHAN_MS = 20_000;

/** The platform of a data folder, or null when none runs there. */
export function readRunning(dataDir: string): RunningPlatform | null {
  try {
    return JSON.parse(readFileSync(join(dataDir, STATE_FILE), "utf8"));
  } catch {
    return null;
  }
}

export function writeRunning(dataDir: string, state: RunningPlatform): void {
  writePrivateFile(join(dataDir, STATE_FILE), `${JSON.stringify(state, null, 2)}\n`);
}

export function clearRunning(dataDir: string): void {
  rmSync(join(dataDir, STATE_FILE), { force: true });
}

/**
 * When a process began, in the kernel's ticks: tells it from a later one with the same id. Null when it has ended (also
 * when nobody has collected it yet) or the system does not tell.
 */
export function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? null : fields[19];
  } catch {
    return null;
  }
}

/**
 * Keeps a second platform out of the same data folder. The lock is one of SQLite on an empty file: the kernel drops it
 * with the process, so a stale one cannot exist.
 * @throws {SettingError} when another platform holds it
 */
export function lockDataDir(dataDir: string): { release(): void } {
  const path = join(dataDir, "lock");
  const db = new Database(path, { timeout: 0 });
  try {
    db.exec("PRAGMA journal_mode=MEMORY");
    db.exec("BEGIN EXCLUSIVE");
  } catch {
    db.close();
    const pid = readRunning(dataDir)?.pid;
    const who = pid === undefined ? "another Ephemeris" : `another Ephemeris (process ${pid})`;
    throw new SettingError(`DATA_DIR ${dataDir} is in use by ${who}; stop that one or set another folder.`);
  }
  chmodSync(path, 0o600);
  return { release: () => db.close() };
}

/** Waits for what a killed supervisor left behind, and ends what does not end by itself. */
export async function endOrphans(dataDir: string): Promise<void> {
  const left = readRunning(dataDir)?.children ?? [];
  const alive = () => left.filter(({ pid, started }) => started !== null && startOf(pid) === started);
  for (const { pid } of alive()) process.kill(pid, "SIGTERM");
  for (const deadline = Date.now() + ORPHAN_MS; alive().length > 0 && Date.now() < deadline; ) await wait(50);
  for (const { pid } of alive()) process.kill(pid, "SIGKILL");
  while (alive().length > 0) await wait(20);
  if (existsSync(join(dataDir, STATE_FILE))) clearRunning(dataDir);
}
