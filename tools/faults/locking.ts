import { setTimeout as sleep } from "node:timers/promises";
import Database from "libsql";

/** Another program on the database file: takes the write lock, holds it for HOLD_MS and gives it back. */
const database = new Database(process.env.DATABASE_PATH!, { timeout: 10_000 });
database.exec("BEGIN IMMEDIATE");
process.stdout.write("locked\n");
await sleep(Number(process.env.HOLD_MS));
database.exec("ROLLBACK");
database.close();
process.exit(0);
