import { afterEach, beforeEach, expect, test } from "vitest";
import { isSealed } from "../../src/sealed-fields.ts";
import { type ColumnOf, SEALED, type SealedTable } from "../../src/store/sealed.ts";
import { destroyAccount } from "../../src/vault.ts";
import { aBase, aDatabase, type TestBase, type TestDatabase } from "../database.ts";

let database: TestDatabase;
let base: TestBase;
beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
});
afterEach(() => database.close());

const fields = () => base.db.$fields;
type Row = Record<string, string | Uint8Array>;

/** Every sealed column there is. */
const COLUMNS = Object.entries(SEALED).flatMap(([table, { columns }]) =>
  Object.keys(columns).map((column) => ({
    table: table as SealedTable,
    column,
    ...((columns as never)[column] as { own?: true; index?: string }),
  })),
);
const SHARED = COLUMNS.filter(({ own }) => own !== true);

test.each(SHARED)(
  "seal() and open() of $table.$column give the value back, and another text each time",
  async ({ table, column, index }) => {
    for (const value of ["", "Ada Lovelace", "Ærø 東京 🚐", new Uint8Array([0x40, 0, 255])]) {
      const sealed = (await fields().seal(table, 7, { [column]: value })) as Row;
      expect(isSealed(sealed[column]!)).toBe(true);
      expect(typeof sealed[column]).toBe(typeof value);
      expect(String(sealed[column])).not.toContain("Lovelace");
      const again = (await fields().seal(table, 7, { [column]: value })) as Row;
      expect(again[column]).not.toEqual(sealed[column]);
      expect(again[`${column}Index`]).toEqual(sealed[`${column}Index`]);
      expect(sealed[`${column}Index`] === undefined).toBe(index === undefined);
      expect(await fields().open(table, [{ [column]: sealed[column] }], 7)).toEqual([{ [column]: value }]);
    }
  },
);

test("seal() leaves what is not sealed, what is not given and nothing as they are; an index goes with its value", async () => {
  const row = { id: 3, name: "Van", imei: null, model: "T366" };
  const sealed = await fields().seal("devices", 7, row);
  expect(sealed).toMatchObject({ id: 3, imei: null, imeiIndex: null, model: "T366" });
  expect(await fields().open("devices", [sealed], 7)).toEqual([{ ...row, imeiIndex: null }]);
  expect(await fields().seal("devices", 7, { model: null })).toEqual({ model: null });
});

test("open() leaves a clear value of before as it is", async () => {
  expect(await fields().open("devices", [{ name: "Van", imei: "353358017784062" }], 7)).toEqual([
    { name: "Van", imei: "353358017784062" },
  ]);
});

test("a value that was moved to another column, table or account does not open, nor one that was altered", async () => {
  const sealed = await fields().seal("devices", 7, { name: "Van", imei: "353358017784062" });
  const opened = async (table: SealedTable, row: Row, account: number | null) =>
    Object.values((await fields().open(table, [row], account))[0]!)[0];
  expect(await opened("devices", { name: sealed.name }, 7)).toBe("Van");
  expect(await opened("devices", { imei: sealed.name }, 7)).toBe("");
  expect(await opened("activations", { imei: sealed.imei }, 7)).toBe("");
  await fields().seal("devices", 8, { name: "" });
  expect(await opened("devices", { name: sealed.name }, 8)).toBe("");
  expect(await opened("devices", { name: sealed.name }, null)).toBe("");
  for (let at = 1; at < sealed.name.length; at++) {
    const other = sealed.name[at] === "A" ? "B" : "A";
    // The last character has bits that are none of the value's.
    if (at === sealed.name.length - 1) continue;
    expect(await opened("devices", { name: sealed.name.slice(0, at) + other + sealed.name.slice(at + 1) }, 7)).toBe("");
  }
  const refused = base.logged.filter((line) => line.includes("field.refused"));
  expect(refused[0]).toBe('error field.refused {"table":"devices","column":"imei","account":7}');
  expect(refused.join()).not.toContain("Van");
});

test("open() gives the rows that it can when one of them is refused", async () => {
  const rows = await Promise.all(["a", "b", "c"].map((name) => fields().seal("devices", 7, { name })));
  rows[1]!.name = `${rows[1]!.name.slice(0, 20)}AAAA${rows[1]!.name.slice(24)}`;
  expect((await fields().open("devices", rows, 7)).map(({ name }) => name)).toEqual(["a", "", "c"]);
});

test("after destroyAccount() nothing of the account opens, and nothing more is sealed for it", async () => {
  const account = 7;
  const sealed = await Promise.all(
    SHARED.map(async ({ table, column }) => ({
      table,
      column,
      row: (await fields().seal(table, account, { [column]: "Ada" })) as Row,
    })),
  );
  const other = await fields().seal("devices", 8, { name: "Bea" });
  await destroyAccount(base, account);
  for (const { table, column, row } of sealed) {
    expect((await fields().open(table, [{ [column]: row[column]! }], account))[0]).toEqual({ [column]: "" });
  }
  expect(await fields().open("devices", [{ name: other.name }], 8)).toEqual([{ name: "Bea" }]);
  await expect(fields().seal("devices", account, { name: "Ada" })).rejects.toThrow("This account was erased");
  // Other isolates know a minute later.
  const elsewhere = aBase(database.db);
  const { row } = sealed.find(({ table, column }) => table === "devices" && column === "name")!;
  expect(await elsewhere.db.$fields.open("devices", [{ name: row.name! }], account)).toEqual([{ name: "" }]);
});

test("index() is the same for the same text of a purpose, whatever its case where that does not matter", async () => {
  const index = (...args: Parameters<ReturnType<typeof fields>["index"]>) => fields().index(...args);
  expect(await index("email", "Ada@Edge.test")).toBe(await index("email", "ada@edge.test"));
  expect(await index("accountName", "  Acme\u00a0Ltd ")).toBe(await index("accountName", "ACME ltd"));
  expect(await index("email", "1")).not.toBe(await index("imei", "1"));
  expect(await index("imei", "353358017784062")).toMatch(/^[\w-]{43}$/);
  // Of another installation's key store it is another.
  const another = await aDatabase();
  expect(await another.db.$fields.index("imei", "1")).not.toBe(await index("imei", "1"));
  another.close();
});

const OWN = COLUMNS.filter(({ own }) => own === true);

test.each(OWN)("$table.$column opens for its own row only, and open() leaves it", async ({ table, column }) => {
  const name = column as ColumnOf<typeof table>;
  const sealed = await fields().sealOwn(table, name, { account: 7, id: 1 }, "secret");
  expect(await fields().openOwn(table, name, { account: 7, id: 1 }, sealed)).toBe("secret");
  expect(await fields().open(table, [{ [column]: sealed }], 7)).toEqual([{ [column]: sealed }]);
  for (const at of [
    { account: 7, id: 2 },
    { account: 8, id: 1 },
    { account: null, id: 1 },
  ]) {
    await expect(fields().openOwn(table, name, at, sealed)).rejects.toThrow();
  }
  await destroyAccount(base, 7);
  await expect(fields().openOwn(table, name, { account: 7, id: 1 }, sealed)).rejects.toThrow("destroyed");
});
