import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  CLASSES,
  DATA_MAP,
  type Erase,
  type Mapped,
  type MappedTable,
  PURPOSES,
  RETENTIONS,
} from "../../../src/store/personal.ts";
import { aDatabase, type TestDatabase } from "../../database.ts";
import { CHECKS, type Facts, factsOf, unmapped } from "./map-checks.ts";

const MAP: Mapped = DATA_MAP;
let database: TestDatabase;
let facts: Facts;
beforeAll(async () => {
  database = await aDatabase();
  facts = await factsOf(database.client);
});
afterAll(() => database.close());

test.each(Object.entries(CHECKS))("the data map passes: %s", (_, check) => {
  expect(check(MAP, facts)).toEqual([]);
});

test("the data map has everything that the migrated database has, and nothing else", async () => {
  expect(await unmapped(database.client, MAP)).toEqual([]);
});

test.each([
  ["a table", "CREATE TABLE notes (note TEXT)", ["notes.note is not in the map"]],
  ["a column", "ALTER TABLE looks ADD COLUMN note TEXT", ["looks.note is not in the map"]],
  [
    "a generated column",
    "ALTER TABLE looks ADD COLUMN twice TEXT AS (staff_id || what)",
    ["looks.twice is not in the map"],
  ],
  ["a view", "CREATE VIEW seen AS SELECT term FROM searches", ["seen.term is not in the map"]],
  [
    "an index on an expression",
    "CREATE INDEX terms ON searches (lower(term))",
    ["terms keeps a value that no column of the map has"],
  ],
  [
    "a trigger that copies",
    "CREATE TRIGGER keep AFTER DELETE ON searches BEGIN INSERT INTO settings VALUES (OLD.term, OLD.term, 1); END",
    ["keep writes settings"],
  ],
  [
    "a trigger that changes",
    "CREATE TRIGGER keep AFTER UPDATE OF term ON searches BEGIN UPDATE settings SET value = OLD.term; END",
    ["keep writes settings"],
  ],
])("%s that the map does not know is found", async (_, sql, found) => {
  const other = await aDatabase();
  await other.client.execute(sql);
  expect(await unmapped(other.client, MAP)).toEqual(found);
  other.close();
});

test("a full-text index is found with what it keeps beside itself", async () => {
  const other = await aDatabase();
  await other.client.execute("CREATE VIRTUAL TABLE words USING fts5(term)");
  const found = await unmapped(other.client, MAP);
  expect(found).toContain("words.term is not in the map");
  expect(found.filter((each) => each.startsWith("words_")).length).toBeGreaterThan(3);
  other.close();
});

test("what the map has and the database has not is found", async () => {
  const { looks, ...without } = MAP;
  expect((await unmapped(database.client, without)).length).toBe(Object.keys(looks!.columns).length);
  const more = withColumn("looks", "note", "personal log");
  expect(await unmapped(database.client, more)).toEqual(["looks.note is not in the database"]);
});

/** The map with one table changed. */
const withTable = (name: string, change: Partial<MappedTable>): Mapped => ({
  ...MAP,
  [name]: { ...MAP[name]!, ...change },
});
const withColumn = (name: string, column: string, entry: string) =>
  withTable(name, { columns: { ...MAP[name]!.columns, [column]: entry } as MappedTable["columns"] });
const others = <T>(all: readonly T[], but: T) => all.filter((each) => each !== but);

describe("a mistake in the map is found", () => {
  /** Of those maps, the ones that no check finds anything wrong with. */
  function survivors(mutants: Iterable<[string, Mapped]>): string[] {
    const alive: string[] = [];
    let count = 0;
    for (const [name, map] of mutants) {
      count++;
      if (!Object.values(CHECKS).some((check) => check(map, facts).length > 0)) alive.push(name);
    }
    expect(count).toBeGreaterThan(50);
    return alive;
  }

  test("in the class of any column", () => {
    function* mutants(): Iterable<[string, Mapped]> {
      for (const [name, { columns }] of Object.entries(MAP)) {
        for (const [column, entry] of Object.entries(columns)) {
          const [cls, ...rest] = entry.split(" ");
          for (const other of others(CLASSES as readonly string[], cls!)) {
            yield [`${name}.${column}: ${other}`, withColumn(name, column, [other, ...rest].join(" "))];
          }
        }
      }
    }
    expect(survivors(mutants())).toEqual([]);
  });

  test("in whether a column may be emptied", () => {
    function* mutants(): Iterable<[string, Mapped]> {
      for (const [name, { columns, optional }] of Object.entries(MAP)) {
        yield [`${name}: optional`, withTable(name, { optional: optional ? undefined : true } as Partial<MappedTable>)];
        for (const [column, entry] of Object.entries(columns)) {
          const [cls, category, mark] = entry.split(" ");
          const may = mark === "optional" || mark === "emptiable" || mark === "with";
          yield [`${name}.${column}`, withColumn(name, column, `${cls} ${category}${may ? "" : " optional"}`)];
        }
      }
    }
    // Where rows go whole no column of theirs is looked at; code and time look at none; and rows of numbers alone stay.
    const alive = survivors(mutants()).filter((each) => {
      const [, name, column] = /^(\w+)\.?(\w*)/.exec(each)!;
      const { erase, optional, columns } = MAP[name!]!;
      if (erase !== "root" && erase !== "cascade") return false;
      return column === "" ? Object.values(columns).some((entry) => /^(personal|sensitive)/.test(entry)) : !optional;
    });
    expect(alive).toEqual([]);
  });

  test("in what any table is for, how long it stays, whose it is, and what an erasure or an export does to it", () => {
    const erases: Erase[] = [
      "root",
      "cascade",
      "engine",
      "time: as it cannot be found",
      "keep: as somebody said so",
      "operator",
    ];
    function* mutants(): Iterable<[string, Mapped]> {
      for (const [name, entry] of Object.entries(MAP)) {
        for (const purpose of others(PURPOSES, entry.purpose))
          yield [`${name} for ${purpose}`, withTable(name, { purpose })];
        for (const retain of others(RETENTIONS, entry.retain))
          yield [`${name} kept ${retain}`, withTable(name, { retain })];
        for (const of of others(["account", "user", "device", "platform"] as const, entry.of)) {
          yield [`${name} of ${of}`, withTable(name, { of })];
        }
        for (const erase of erases) {
          if (erase.split(":")[0] === entry.erase.split(":")[0]) continue;
          yield [`${name} erased ${erase}`, withTable(name, { erase })];
        }
        const exportAs = entry.exportAs.startsWith("no: ") ? "another-file" : "no: for no reason";
        yield [`${name} exported ${exportAs}`, withTable(name, { exportAs })];
      }
    }
    expect(survivors(mutants())).toEqual([]);
  }, 60_000);
});
