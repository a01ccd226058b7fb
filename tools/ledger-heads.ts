import { appendFileSync, readFileSync } from "node:fs";
import { canonical, type Json } from "../client/canonical.ts";
import type { Head } from "../client/receipt.ts";
import { LIMITS } from "../src/limits.ts";
import type { Ask } from "./import.ts";

// The signed heads in a second place: a file that is only ever added to, one canonical JSON a line, oldest first. Who keeps
// it where the platform cannot write (a repository that only takes what comes on top, another machine) finds out when the
// ledger was cut short and signed anew, with whatever keys.

type Row = Record<string, unknown>;

/** @throws {Error} for a line that is no head */
export function headsIn(path: string): Head[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return [];
    throw new Error(`${path} cannot be read (${(error as { code?: string }).code}).`);
  }
  return text.split("\n").flatMap((line, i) => (line === "" ? [] : [headOf(line, `Line ${i + 1} of ${path}`)]));
}

function headOf(line: string, where: string): Head {
  try {
    const head = JSON.parse(line) as Head;
    if (Number.isSafeInteger(head.size) && /^[0-9a-f]{64}$/.test(head.root)) return head;
  } catch {
    // Said below.
  }
  throw new Error(`${where} is no head of the ledger.`);
}

/** Has the whole ledger hashed and compared with heads that were kept: the newest say what the older ones did, too. */
export const verifyWith = (heads: readonly Head[], ask: Ask): Promise<Row> =>
  ask("POST", "/v1/admin/ledger/verify", {
    heads: heads.slice(-LIMITS.ledgerHeadsCompared).map(({ size, root }) => ({ size, root })),
  });

/** Adds what was signed since to a file, if all that is in it is true yet. */
export async function appendHeads(path: string, ask: Ask): Promise<Row> {
  const known = headsIn(path);
  const check = await verifyWith(known, ask);
  if ((check.faults as unknown[]).length > 0) return { ...check, added: 0 };
  const last = known.at(-1)?.size ?? 0;
  const { heads } = (await ask("GET", "/.well-known/ledger-heads.json")) as unknown as { heads: Head[] };
  const fresh = heads.filter(({ size }) => size > last).sort((a, b) => a.size - b.size);
  if (fresh.length > 0) appendFileSync(path, fresh.map((head) => `${canonical(head as unknown as Json)}\n`).join(""));
  return { ...check, added: fresh.length };
}
