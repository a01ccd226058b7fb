import { getTableColumns } from "drizzle-orm";
import { getTableConfig } from "drizzle-orm/sqlite-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DATA_MAP, describe, type Mapped } from "../../src/store/personal.ts";
import { makeToken } from "../../src/tokens.ts";
import { TABLES } from "../canaries.ts";
import { anImei } from "../database.ts";
import { type Api, anApi } from "./http/api.ts";

// What the data map says that a person may correct is what requests of theirs change, and nothing else is.

const MAP: Mapped = DATA_MAP;
let api: Api;
beforeAll(async () => {
  api = await anApi();
});
afterAll(async () => {
  await api.base.settled();
  api.close();
});

const ADDRESS = {
  recipient: "Kim",
  line1: "Road 1",
  line2: "Door 2",
  city: "Town",
  region: "West",
  postcode: "1010",
  country: "AT",
};
const OTHER = {
  recipient: "Lee",
  line1: "Lane 3",
  line2: "Door 4",
  city: "City",
  region: "East",
  postcode: "2020",
  country: "DE",
};

/** The columns of some tables in which something is another than before. */
async function changes(act: () => Promise<void>): Promise<Set<string>> {
  const names = ["accounts", "users", "addresses", "devices", "deviceGroups"];
  const read = async () => {
    const found = new Map<string, unknown>();
    for (const name of names) {
      const { rows } = await api.base.db.$client.execute(
        `SELECT rowid AS place, * FROM ${getTableConfig(TABLES[name]!).name}`,
      );
      const columns = getTableColumns(TABLES[name]!) as Record<string, { name: string }>;
      for (const row of rows) {
        for (const [key, column] of Object.entries(columns)) found.set(`${name}.${key} ${row.place}`, row[column.name]);
      }
    }
    return found;
  };
  const before = await read();
  await act();
  const after = await read();
  const changed = [...after].flatMap(([key, value]) => (before.get(key) === value ? [] : [key.split(" ")[0]!]));
  return new Set(changed);
}

test("requests of a person change what the map calls correctable, and only that", async () => {
  const cookie = api.sessions.owner;
  const call = async (method: string, path: string, body: object) => {
    await api.base.db.$client.execute(`UPDATE sessions SET proved_at = ${api.base.now()}`);
    const response = await api.call(method, path, { cookie, body });
    expect(response.status, `${method} ${path} ${await response.clone().text()}`).toBeLessThan(300);
    return (response.status === 204 ? {} : await response.json()) as { id: number };
  };
  const device = await call("POST", "/v1/devices", { name: "Van", imei: anImei() });
  const group = await call("POST", "/v1/groups", { name: "Vans", days: 30 });
  await call("PATCH", "/v1/me/account", { addresses: { billing: ADDRESS } });
  const { rows } = await api.base.db.$client.execute(
    `SELECT id FROM users WHERE role = 'owner' AND account_id = ${api.accountId}`,
  );
  const payload = "another@edge.test";
  const token = await makeToken(api.base, "email", { userId: Number(rows[0]![0]), payload, lifeMs: 60_000 });
  const found = await changes(async () => {
    await call("PATCH", "/v1/me", {
      ...{ name: "Lee", language: "zh", units: "imperial", timeZone: "Asia/Shanghai" },
      ...{ personalisation: true, searchHistory: true },
    });
    await call("PATCH", "/v1/me/account", { name: "Lee Ltd", paymentMode: "card", addresses: { billing: OTHER } });
    await call("POST", "/v1/me/mobile", { mobile: "+49 151 0000000" });
    await call("POST", "/v1/me/email/confirm", { token });
    await call("PATCH", `/v1/devices/${device.id}`, {
      name: "Car",
      model: "T366",
      clockOffsetMinutes: 60,
      confirmCce: true,
    });
    await call("PATCH", `/v1/groups/${group.id}`, { name: "Cars" });
    await call("PUT", "/v1/me/retention", { timeZone: "Asia/Shanghai", account: { days: 3650 } });
    await call("PUT", "/v1/me/collection", { speed: false, cell: true, driver: true, coordinates: "exact" });
  });
  const said = Object.entries(MAP).flatMap(([name, { columns }]) =>
    Object.entries(columns).flatMap(([column, entry]) => (describe(entry).correctable ? [`${name}.${column}`] : [])),
  );
  // A longer period of a device or a group is the same request with their numbers.
  const own = said.filter((name) => !/^(devices|deviceGroups)\.retentionDays$/.test(name));
  const personal = [...found].filter((name) => {
    const [table, column] = name.split(".") as [string, string];
    const { class: cls } = describe(MAP[table]!.columns[column]!);
    return cls !== "none" && cls !== "secret" && !/At$/.test(column);
  });
  expect(personal.toSorted()).toEqual(own.toSorted());
});
