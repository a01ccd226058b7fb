import { basename, dirname } from "node:path";
import type { FileLayer, SpoolFile } from "../../bridge/files.ts";

interface MemoryFile {
  bytes: Buffer;
  /** What a power cut leaves: the bytes at the last sync, and the writes since in order. */
  synced: Buffer;
  unsynced: { offset: number; bytes: Buffer }[];
  /** True once the folder was synced after the file was made. */
  named: boolean;
}

export type FileOperation = "open" | "write" | "read" | "sync" | "remove" | "rename" | "writeSmall" | "syncFolder";

/** A file system in memory that can be told to fail, and that knows what a power cut would leave of it. */
export class MemoryFiles implements FileLayer {
  readonly files = new Map<string, MemoryFile>();
  /** @returns an error code to make the operation fail with, or null */
  fail: (operation: FileOperation, path: string) => string | null = () => null;

  private check(operation: FileOperation, path: string): void {
    const code = this.fail(operation, path);
    if (code !== null) throw Object.assign(new Error(`${code}: ${operation} ${basename(path)}`), { code });
  }

  async open(path: string, create: boolean): Promise<SpoolFile> {
    this.check("open", path);
    let file = this.files.get(path);
    if (file === undefined) {
      if (!create) throw Object.assign(new Error("ENOENT"), { code: "ENOENT" });
      file = { bytes: Buffer.alloc(0), synced: Buffer.alloc(0), unsynced: [], named: false };
      this.files.set(path, file);
    }
    const entry = file;
    return {
      write: async (bytes, offset) => {
        this.check("write", path);
        entry.bytes = writeInto(entry.bytes, offset, bytes);
        entry.unsynced.push({ offset, bytes: Buffer.from(bytes) });
      },
      read: async (into, offset) => {
        this.check("read", path);
        return entry.bytes.copy(into, 0, Math.min(offset, entry.bytes.length), offset + into.length);
      },
      sync: async () => {
        this.check("sync", path);
        entry.synced = Buffer.from(entry.bytes);
        entry.unsynced = [];
      },
      size: async () => entry.bytes.length,
      close: async () => {},
    };
  }

  async list(folder: string): Promise<string[]> {
    return [...this.files.keys()].filter((path) => dirname(path) === folder).map((path) => basename(path));
  }

  async makeFolder(): Promise<void> {}

  async syncFolder(folder: string): Promise<void> {
    this.check("syncFolder", folder);
    for (const [path, file] of this.files) if (dirname(path) === folder) file.named = true;
  }

  async remove(path: string): Promise<void> {
    this.check("remove", path);
    this.files.delete(path);
  }

  async rename(from: string, to: string): Promise<void> {
    this.check("rename", from);
    const file = this.files.get(from);
    if (file === undefined) throw Object.assign(new Error("ENOENT"), { code: "ENOENT" });
    this.files.delete(from);
    this.files.set(to, file);
  }

  async readSmall(path: string): Promise<Uint8Array | null> {
    return this.files.get(path)?.bytes ?? null;
  }

  async writeSmall(path: string, bytes: Uint8Array): Promise<void> {
    this.check("writeSmall", path);
    const copy = Buffer.from(bytes);
    this.files.set(path, {
      bytes: copy,
      synced: Buffer.alloc(0),
      unsynced: [{ offset: 0, bytes: copy }],
      named: false,
    });
  }

  /** What is there after the process was killed: everything that was written. */
  afterKill(): MemoryFiles {
    return this.copy((file) => file.bytes);
  }

  /**
   * What is there after a power cut: synced bytes, and of the rest what the disk happened to write, in any order and
   * torn at any byte. Files whose folder was not synced may be gone.
   */
  afterPowerCut(random: () => number): MemoryFiles {
    return this.copy((file) => {
      if (!file.named && random() < 0.5) return null;
      let bytes = file.synced;
      for (const write of file.unsynced) {
        if (random() < 0.5) continue;
        const from = Math.floor(random() * write.bytes.length);
        const to = from + Math.floor(random() * (write.bytes.length - from + 1));
        bytes = writeInto(Buffer.from(bytes), write.offset + from, write.bytes.subarray(from, to));
      }
      return bytes;
    });
  }

  private copy(left: (file: MemoryFile) => Buffer | null): MemoryFiles {
    const next = new MemoryFiles();
    for (const [path, file] of this.files) {
      const bytes = left(file);
      if (bytes === null) continue;
      next.files.set(path, { bytes: Buffer.from(bytes), synced: Buffer.from(bytes), unsynced: [], named: true });
    }
    return next;
  }
}

function writeInto(bytes: Buffer, offset: number, part: Uint8Array): Buffer {
  const end = offset + part.length;
  const into = end <= bytes.length ? bytes : Buffer.concat([bytes, Buffer.alloc(end - bytes.length)]);
  into.set(part, offset);
  return into;
}

/** Reproducible numbers in [0, 1) from a seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
