import type { Base, Config } from "./context.ts";
import type { OpenedRow } from "./inbox.ts";
import { LIMITS } from "./limits.ts";

/** Which chunks of rows: those with buckets `first` to `last`. */
export interface Scope {
  database: string;
  first: number;
  last: number;
}

interface Kept extends OpenedRow {
  /** A batch or a run. */
  name: string;
  database: string;
  /** First and last chunk. */
  from: number;
  to: number;
  bytes: number;
  usedAt: number;
}

/** Beside its bytes. */
const ROW_BYTES = 512;

const isOf = ({ database, shift, from, to }: Kept, scope: Scope) =>
  database === scope.database && from === scope.first >> shift && to === scope.last >> shift;

/**
 * What waits to be settled, as this isolate opened it a moment ago: the same rows are read with every request, and never
 * change. Whoever uses them asks for their key first, which is forgotten when it is destroyed (src/vault-cache.ts); what is
 * not used as long as that may take is forgotten, too, when something is read next.
 */
export class TailCache {
  /** Oldest use first. */
  readonly #rows = new Map<string, Kept>();
  #sweptAt = Number.NEGATIVE_INFINITY;
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** Rows by their names. */
  rows(scope: Scope, now: number): Map<string, OpenedRow> {
    this.#sweep(now);
    const found = new Map<string, OpenedRow>();
    for (const row of this.#rows.values()) if (isOf(row, scope)) found.set(row.name, row);
    return found;
  }

  /** In place of what is known of a scope, so that rows that are settled go. */
  keep(scope: Scope, rows: ReadonlyMap<string, OpenedRow>, now: number): void {
    this.drop(scope);
    const { database, first, last } = scope;
    for (const [name, { kid, nonce, shift, key, chunks }] of rows) {
      const bytes = chunks.reduce((sum, { plain }) => sum + (plain?.length ?? 0), ROW_BYTES);
      const [from, to] = [first >> shift, last >> shift];
      const place = `${from} ${to} ${name} ${database}`;
      this.#drop(place);
      this.#rows.set(place, { kid, nonce, shift, key, chunks, name, database, from, to, bytes, usedAt: now });
      this.#bytes += bytes;
    }
    for (const oldest of this.#rows.keys()) {
      if (this.#bytes <= LIMITS.tailCacheBytes) break;
      this.#drop(oldest);
    }
  }

  drop(scope: Scope): void {
    for (const [place, row] of this.#rows) if (isOf(row, scope)) this.#drop(place);
  }

  #drop(place: string): void {
    this.#bytes -= this.#rows.get(place)?.bytes ?? 0;
    this.#rows.delete(place);
  }

  #sweep(now: number): void {
    if (now - this.#sweptAt < LIMITS.shredEveryMs) return;
    this.#sweptAt = now;
    for (const [place, { usedAt }] of this.#rows) if (now - usedAt >= LIMITS.shredEveryMs) this.#drop(place);
  }
}

const CACHES = new WeakMap<Config, TailCache>();

/** The cache of this isolate, which lives as long as the configuration object. */
export function tailCacheOf({ config }: Base): TailCache {
  let cache = CACHES.get(config);
  if (cache === undefined) {
    cache = new TailCache();
    CACHES.set(config, cache);
  }
  return cache;
}
