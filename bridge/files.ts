import { type FileHandle, mkdir, open, readdir, readFile, rename, stat, unlink, writeFile } from "node:fs/promises";

/** One open file of the spool. Offsets and sizes are bytes. */
export interface SpoolFile {
  /** Writes all of `bytes` at `offset`, or throws. */
  write(bytes: Uint8Array, offset: number): Promise<void>;
  /** Reads until `into` is full or the file ends. @returns bytes read */
  read(into: Uint8Array, offset: number): Promise<number>;
  /** Puts what was written on the disk (fdatasync). After an error nothing may be assumed about unsynced bytes. */
  sync(): Promise<void>;
  size(): Promise<number>;
  close(): Promise<void>;
}

/** Everything the spool asks of the file system. Tests wrap it to make the disk full, broken or forgetful. */
export interface FileLayer {
  /** @param create false: the file must exist. true: made when missing, opened when not */
  open(path: string, create: boolean): Promise<SpoolFile>;
  list(folder: string): Promise<string[]>;
  makeFolder(folder: string): Promise<void>;
  /** Puts names that were made, renamed or removed in `folder` on the disk. */
  syncFolder(folder: string): Promise<void>;
  remove(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** @returns null when there is no such file */
  readSmall(path: string): Promise<Uint8Array | null>;
  writeSmall(path: string, bytes: Uint8Array): Promise<void>;
}

// Frames are location data: only the owner may read them.
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

function spoolFile(handle: FileHandle): SpoolFile {
  return {
    async write(bytes, offset) {
      let done = 0;
      while (done < bytes.length) {
        const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, offset + done);
        done += bytesWritten;
      }
    },
    async read(into, offset) {
      let done = 0;
      while (done < into.length) {
        const { bytesRead } = await handle.read(into, done, into.length - done, offset + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
      return done;
    },
    sync: () => handle.datasync(),
    size: async () => (await handle.stat()).size,
    close: () => handle.close(),
  };
}

/** What the system calls an error: `ENOSPC`, `EIO`, `ECONNRESET`. */
export function errorCode(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? "UNKNOWN";
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch {
    return false;
  }
}

/** The real file system. Everything runs on the thread pool: the loop that serves the sockets never waits for a disk. */
export const nodeFiles: FileLayer = {
  async open(path, create) {
    return spoolFile(await open(path, create && !(await exists(path)) ? "w+" : "r+", FILE_MODE));
  },
  list: (folder) => readdir(folder),
  async makeFolder(folder) {
    await mkdir(folder, { recursive: true, mode: FOLDER_MODE });
  },
  async syncFolder(folder) {
    const handle = await open(folder, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
  remove: (path) => unlink(path),
  rename: (from, to) => rename(from, to),
  async readSmall(path) {
    try {
      return await readFile(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
      throw error;
    }
  },
  writeSmall: (path, bytes) => writeFile(path, bytes, { mode: FILE_MODE }),
};
