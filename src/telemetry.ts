import type { Base, Db } from "./context.ts";

/** A database with tracks. */
export interface Telemetry {
  /** As the directory and the key store call it. */
  name: string;
  db: Db;
  /** The registry of devices is in it, too: then a write can name the registry's version. */
  main: boolean;
}

/** The database that holds accounts and devices, and the tracks of every account that is not placed elsewhere. */
export function mainTelemetry(ctx: Base): Telemetry {
  return { name: "main", db: ctx.db, main: true };
}
