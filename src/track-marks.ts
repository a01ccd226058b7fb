import type { Base } from "./context.ts";
import { type MirrorHead, mirrorHead } from "./ledger-mirror.ts";
import { readMark, writeMark } from "./store/restore.ts";
import { allTelemetry, type Telemetry } from "./telemetry.ts";

// A database with tracks alone has no ledger. It is told how long that was when it last held nothing that was erased, and
// the main database notes that it was told: one that knows less than was noted of it was restored.

interface Marked {
  telemetry: Telemetry;
  mark: number;
  noted: number;
}

async function marksOf(ctx: Base, telemetry: Telemetry): Promise<Marked> {
  const { db, name } = telemetry;
  return { telemetry, mark: await readMark(db), noted: await readMark(ctx.db, ` ${name}`) };
}

const othersOf = (ctx: Base) => allTelemetry(ctx).filter(({ main }) => !main);

/** Databases with tracks alone that were restored. One that does not answer shows nothing to anybody. */
export async function restoredTracks(ctx: Base): Promise<Telemetry[]> {
  const found = await Promise.allSettled(othersOf(ctx).map((telemetry) => marksOf(ctx, telemetry)));
  return found.flatMap((one) =>
    one.status === "fulfilled" && one.value.mark < one.value.noted ? [one.value.telemetry] : [],
  );
}

/** Tells one how long the ledger is. */
export async function markTracks(ctx: Base, { db, name }: Telemetry, { size }: MirrorHead): Promise<void> {
  await writeMark(db, size, ctx.now());
  await writeMark(ctx.db, size, ctx.now(), ` ${name}`);
}

/** Tells all of them but those that were restored: with the end of an erasure, so that what is put back later is noticed. */
export async function markAllTracks(ctx: Base): Promise<void> {
  const others = othersOf(ctx);
  const head = others.length === 0 ? null : await mirrorHead(ctx);
  if (head === null) return;
  for (const telemetry of others) {
    const { mark, noted } = await marksOf(ctx, telemetry);
    if (mark >= noted && Math.min(mark, noted) < head.size) await markTracks(ctx, telemetry, head);
  }
}
