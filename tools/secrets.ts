import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { SettingError } from "./settings.ts";

const FILE = "secrets.json";
const token = () => randomBytes(32).toString("base64url");

/** Every secret of an installation and how it is made. */
const SECRETS = {
  adminToken: token,
  bridgeToken: token,
  databaseToken: token,
  /** 32 bytes in hex from which the app derives other keys. */
  rootKey: () => randomBytes(32).toString("hex"),
} as const;

export type Secrets = Record<keyof typeof SECRETS, string>;

/**
 * Makes the folder, readable by its owner only.
 * @throws {SettingError} when it cannot be made there, although it looked as if (a file system of the kernel's own, say)
 */
export function makePrivateFolder(path: string): void {
  try {
    makeFolder(path);
    chmodSync(path, 0o700);
  } catch (error) {
    const { code = "unknown" } = error as NodeJS.ErrnoException;
    throw new SettingError(`DATA_DIR must be a folder that can be written, not ${JSON.stringify(path)} (${code}).`);
  }
}

// Step by step: Node's own recursive mkdir never ends where the file system answers ENOENT to a folder in a folder.
function makeFolder(path: string): void {
  if (existsSync(path)) return;
  makeFolder(dirname(path));
  mkdirSync(path, { mode: 0o700 });
}

/** Writes a file that is readable by its owner only, whole or not at all. */
export function writePrivateFile(path: string, text: string): void {
  const draft = `${path}.${process.pid}.new`;
  writeFileSync(draft, text, { mode: 0o600, flush: true });
  renameSync(draft, path);
}

/**
 * The secrets of a data folder.
 * @throws {SettingError} when the file is there but damaged: new secrets would lock out everything that the old ones protect
 */
export function readSecrets(dataDir: string): Secrets | null {
  const path = join(dataDir, FILE);
  if (!existsSync(path)) return null;
  let read: Partial<Secrets>;
  try {
    read = JSON.parse(readFileSync(path, "utf8"));
  } catch {
    throw new SettingError(`${path} cannot be read as JSON; restore it from a backup.`);
  }
  for (const name of Object.keys(SECRETS) as (keyof Secrets)[]) {
    if (typeof read?.[name] !== "string" || read[name].length < 32) {
      throw new SettingError(`${path} lacks ${name}; restore it from a backup.`);
    }
  }
  chmodSync(path, 0o600);
  return read as Secrets;
}

/**
 * The secrets of a data folder, made at its first use.
 * @throws {SettingError} as readSecrets(); when there is a database already: another root key cannot open what it seals
 */
export function openSecrets(dataDir: string): Secrets {
  const known = readSecrets(dataDir);
  if (known !== null) return known;
  if (existsSync(join(dataDir, "main.db"))) {
    throw new SettingError(
      `${join(dataDir, FILE)} is missing, without which main.db is of no use; restore it from a backup.`,
    );
  }
  const made = Object.fromEntries(Object.entries(SECRETS).map(([name, make]) => [name, make()])) as Secrets;
  writePrivateFile(join(dataDir, FILE), `${JSON.stringify(made, null, 2)}\n`);
  return made;
}
