import { readdirSync } from "node:fs";
import { createClient } from "@libsql/client";
import { drizzle } from "drizzle-orm/libsql/node";
import { expect, test } from "vitest";
import type { Db } from "../../src/context.ts";
import { unhealthyReason } from "../../src/health.ts";
import { MIGRATIONS } from "../../src/store/migrations.ts";
import { aBase } from "../database.ts";

test("MIGRATIONS names the files of migrations/, all and in order", () => {
  const files = readdirSync(new URL("../../migrations/", import.meta.url)).filter((name) => name.endsWith(".sql"));
  expect(files.toSorted().map((name) => name.replace(/\.sql$/, ""))).toEqual([...MIGRATIONS]);
});

test("unhealthyReason() names the migrations that a new database needs", async () => {
  const client = createClient({ url: ":memory:" });
  expect(await unhealthyReason(aBase(drizzle(client) as unknown as Db))).toBe(
    `Migrations are missing: ${MIGRATIONS.join(", ")}`,
  );
  client.close();
});
