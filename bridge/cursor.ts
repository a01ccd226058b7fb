import { join } from "node:path";
import { crc32 } from "node:zlib";
import type { FileLayer } from "./files.ts";

const NAME = "cursor";
const FORM = /^EPC1 (\d{1,16}) ([0-9a-f]{8})\n$/;

const sum = (text: string): string => crc32(text).toString(16).padStart(8, "0");

/**
 * How far delivery got: the sequence up to which everything was answered. Written without a sync, because losing it
 * does no harm: the edge recognises what it already stored.
 */
export class Cursor {
  private readonly folder: string;
  private readonly files: FileLayer;

  constructor(folder: string, files: FileLayer) {
    this.folder = folder;
    this.files = files;
  }

  /** @returns 0 when there is none, or none that can be trusted */
  async read(): Promise<number> {
    const bytes = await this.files.readSmall(join(this.folder, NAME)).catch(() => null);
    const match = bytes === null ? null : FORM.exec(Buffer.from(bytes).toString("latin1"));
    if (match === null || sum(match[1]!) !== match[2]) return 0;
    const answered = Number(match[1]);
    return Number.isSafeInteger(answered) ? answered : 0;
  }

  async write(answered: number): Promise<void> {
    const text = String(answered);
    const fresh = join(this.folder, `${NAME}.new`);
    await this.files.writeSmall(fresh, Buffer.from(`EPC1 ${text} ${sum(text)}\n`, "latin1"));
    await this.files.rename(fresh, join(this.folder, NAME));
  }
}
