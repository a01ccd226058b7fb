import { readdirSync } from "node:fs";
import { expect, test } from "vitest";
import { MIGRATIONS } from "../../src/store/migrations.ts";

test("MIGRATIONS names the files of migrations/, all and in order", () => {
  const files = readdirSync(new URL("../../migrations/", import.meta.url)).filter((name) => name.endsWith(".sql"));
  expect(files.toSorted().map((name) => name.replace(/\.sql$/, ""))).toEqual([...MIGRATIONS]);
});
