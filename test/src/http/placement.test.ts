import { afterAll, beforeAll, expect, test } from "vitest";
import type { Role } from "../../../src/context.ts";
import { type TestDatabase, withElsewhere } from "../../database.ts";
import { type Api, anApi, expectProblem } from "./api.ts";

let api: Api;
let eu: TestDatabase;
beforeAll(async () => {
  api = await anApi();
  eu = await withElsewhere(api.base.db, "eu");
});
afterAll(async () => {
  await api.base.settled();
  eu.close();
  api.close();
});

const path = () => `/v1/admin/accounts/${api.accountId}/placement`;
const reason = "Agreed with the customer";
const read = async (page: string, role: Role) => (await api.call("GET", page, { cookie: api.sessions[role] })).text();
const json = async (response: Promise<Response>) => (await response).json() as Promise<Record<string, unknown>>;

test("an account is placed by the API, with a reason for another region; its people see where, and why", async () => {
  expect(await json(api.call("GET", path(), { key: api.admin }))).toEqual({
    database: "main",
    region: "default",
    databases: [
      { name: "main", region: "default" },
      { name: "eu", region: "EU" },
    ],
    moves: [],
  });
  const place = (body: object) => api.call("POST", path(), { key: api.admin, body });
  expect((await expectProblem(await place({ database: "eu" }), 400, "invalid")).field).toBe("reason");
  expect((await expectProblem(await place({ database: "us", reason }), 400, "invalid")).field).toBe("database");
  const placed = await place({ database: "eu", reason });
  expect(placed.status).toBe(200);
  expect(await placed.json()).toMatchObject({ fromRegion: "default", toRegion: "EU", state: "erasing", reason });
  await expectProblem(await place({ database: "main", reason }), 409, "conflict");

  const me = await json(api.call("GET", "/v1/me", { cookie: api.sessions.owner }));
  expect(me.account).toMatchObject({ region: "EU", database: "eu" });
  const held = await json(api.call("GET", "/v1/me/held", { cookie: api.sessions.owner }));
  expect(JSON.stringify(held)).toContain(reason);
  expect(await read("/profile?lang=en", "owner")).toMatch(/Positions are stored in<\/dt>\s*<dd>EU</);
  expect(await read("/profile?lang=zh", "owner")).toMatch(/位置数据存放地<\/dt>\s*<dd>EU</);
});

test("the panel shows where an account is, and lets an administrator alone move it", async () => {
  const page = `/admin/accounts/${api.accountId}`;
  for (let runs = 0; runs < 3; runs++) {
    api.base.advance(61_000);
    await api.call("POST", "/v1/admin/jobs/move-tracks/run", { key: api.admin });
  }
  expect(await read(page, "admin")).toContain("EU (eu)");
  expect(await read(`${page}?lang=zh`, "support")).toContain("轨迹所在地");
  expect(await read(page, "support")).not.toContain('value="place"');
  const post = (role: Role, fields: Record<string, string>) =>
    api.call("POST", page, {
      cookie: api.sessions[role],
      body: new URLSearchParams({ act: "place", database: "main", ...fields }),
    });
  expect((await post("support", { placeReason: reason })).status).toBe(403);
  const refused = await post("admin", { placeReason: "short" });
  expect(refused.status).toBe(400);
  expect(await refused.text()).toContain("placeReason");
  expect((await post("admin", { placeReason: reason })).status).toBe(303);
  const me = await json(api.call("GET", "/v1/me", { cookie: api.sessions.owner }));
  expect(me.account).toMatchObject({ region: "default", database: "main" });
});
