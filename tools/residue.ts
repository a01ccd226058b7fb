import { closeSync, lstatSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Canary, type Needle, needlesOf } from "./residue-forms.ts";

export type { Canary } from "./residue-forms.ts";

// Looks for values in files byte by byte, in every form in which they could lie there: what an erasure left, what should
// be sealed and is not.

const USAGE = `node tools/residue.ts --canaries values.json PATH...

Looks for values in files and folders, in every form that numbers and texts have there. values.json is a list of
  { "name": "home", "value": { "coordinate": 22.513015 } }
with coordinate, number, digits, text or hex (bytes as they lie there) as the value. Says how often each form was found and where; never the values.
Ends with 1 when something was found, and with 2 when something could not be read.`;

/** Of one place. */
export interface Hit {
  canary: string;
  form: string;
  file: string;
  offset: number;
}

export interface Residue {
  files: number;
  bytes: number;
  hits: Hit[];
}

/**
 * Forms that are this short lie in sealed bytes by chance, one of a needle in 4 GB: a needle as short counts when it is
 * found more than once. What is stored of many positions would be found as often.
 */
export const SHORT_BYTES = 4;

const BUFFER_BYTES = 1 << 20;

/** Needles by their first four bytes, behind a filter on the first two. */
class Finder {
  readonly longest: number;
  readonly #filter = new Uint8Array(1 << 16);
  readonly #byHead = new Map<number, Needle[]>();

  constructor(needles: readonly Needle[]) {
    this.longest = needles.reduce((length, { bytes }) => Math.max(length, bytes.length), 1);
    for (const needle of needles) {
      const { bytes } = needle;
      this.#filter[(bytes[0]! << 8) | bytes[1]!] = 1;
      const head = headAt(bytes, 0);
      this.#byHead.set(head, [...(this.#byHead.get(head) ?? []), needle]);
    }
  }

  /** Tells of each needle that begins in bytes[0..end). */
  find(bytes: Uint8Array, end: number, tell: (needle: Needle, at: number) => void): void {
    const filter = this.#filter;
    for (let at = 0; at < end && at + SHORT_BYTES <= bytes.length; at++) {
      if (filter[(bytes[at]! << 8) | bytes[at + 1]!] === 0) continue;
      for (const needle of this.#byHead.get(headAt(bytes, at)) ?? []) {
        if (startsWith(bytes, at, needle.bytes)) tell(needle, at);
      }
    }
  }
}

const headAt = (bytes: Uint8Array, at: number) =>
  ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;

function startsWith(bytes: Uint8Array, at: number, needle: Uint8Array): boolean {
  if (at + needle.length > bytes.length) return false;
  for (let i = SHORT_BYTES; i < needle.length; i++) if (bytes[at + i] !== needle[i]) return false;
  return true;
}

/** Every file under some paths. Links are not followed. */
export function filesUnder(paths: readonly string[]): string[] {
  return paths.flatMap((path) => {
    const state = lstatSync(path);
    if (state.isDirectory()) return filesUnder(readdirSync(path).map((name) => join(path, name)));
    return state.isFile() ? [path] : [];
  });
}

/**
 * Looks for values in files and folders.
 * @param bufferBytes what is read of a file at a time
 */
export function scan(
  paths: readonly string[],
  canaries: readonly Canary[],
  bufferBytes: number = BUFFER_BYTES,
): Residue {
  const finder = new Finder(needlesOf(canaries));
  const residue: Residue = { files: 0, bytes: 0, hits: [] };
  for (const file of filesUnder(paths)) {
    residue.files += 1;
    residue.bytes += scanFile(file, finder, bufferBytes, (needle, offset) => {
      residue.hits.push({ canary: needle.canary, form: needle.form, file, offset });
    });
  }
  return residue;
}

function scanFile(
  file: string,
  finder: Finder,
  bufferBytes: number,
  tell: (needle: Needle, offset: number) => void,
): number {
  // Behind what was read last stands the beginning of what might go on in it.
  const overlap = finder.longest - 1;
  const buffer = new Uint8Array(bufferBytes + overlap);
  const handle = openSync(file, "r");
  try {
    let kept = 0;
    let start = 0;
    for (;;) {
      const read = readSync(handle, buffer, kept, bufferBytes, null);
      const length = kept + read;
      const isEnd = read === 0;
      const end = isEnd ? length : Math.max(0, length - overlap);
      finder.find(buffer.subarray(0, length), end, (needle, at) => tell(needle, start + at));
      if (isEnd) return start + length;
      buffer.copyWithin(0, end, length);
      start += end;
      kept = length - end;
    }
  } finally {
    closeSync(handle);
  }
}

/** The hits that are not to be put down to chance, see SHORT_BYTES. */
export function found({ hits }: Residue, canaries: readonly Canary[]): Hit[] {
  const short = new Set<string>();
  const nameOf = ({ canary, form }: Pick<Hit, "canary" | "form">) => `${canary}\n${form}`;
  for (const needle of needlesOf(canaries)) if (needle.bytes.length <= SHORT_BYTES) short.add(nameOf(needle));
  const counts = new Map<string, number>();
  for (const hit of hits) counts.set(nameOf(hit), (counts.get(nameOf(hit)) ?? 0) + 1);
  return hits.filter((hit) => !short.has(nameOf(hit)) || counts.get(nameOf(hit))! > 1);
}

/** Hits by form. */
export function byForm(hits: readonly Hit[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { form } of hits) counts[form] = (counts[form] ?? 0) + 1;
  return counts;
}

function main(args: string[]): number {
  const { values, positionals } = parseArgs({
    args,
    options: { canaries: { type: "string" }, help: { type: "boolean" } },
    allowPositionals: true,
  });
  if (values.help || values.canaries === undefined || positionals.length === 0) {
    console.log(USAGE);
    return values.help ? 0 : 2;
  }
  const canaries = JSON.parse(readFileSync(values.canaries, "utf8")) as Canary[];
  const residue = scan(positionals, canaries);
  const hits = found(residue, canaries);
  console.log(
    `${residue.files} files, ${residue.bytes} bytes, ${needlesOf(canaries).length} forms of ${canaries.length} values`,
  );
  for (const [form, count] of Object.entries(byForm(hits))) console.log(`${String(count).padStart(8)}  ${form}`);
  for (const { canary, form, file, offset } of hits.slice(0, 50)) console.log(`${file} ${offset}: ${canary}, ${form}`);
  console.log(hits.length === 0 ? "Nothing was found" : `${hits.length} hits`);
  return hits.length === 0 ? 0 : 1;
}

if (import.meta.main) {
  try {
    process.exitCode = main(process.argv.slice(2));
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 2;
  }
}
