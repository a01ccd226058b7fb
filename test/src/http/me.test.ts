import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EXEMPT } from "../../../src/card-numbers.ts";
import { ROUTES } from "../../../src/http/app.ts";
import { aDevice, anImei, aSession, aUser } from "../../database.ts";
import { type Api, aKeyRow, anApi, type CallOptions, expectProblem } from "./api.ts";
import { ROWS } from "./rows/index.ts";
import type { Things } from "./rows/row.ts";

let api: Api;
let cookie: string;
let user: Awaited<ReturnType<typeof aUser>>;
beforeAll(async () => {
  api = await anApi();
  user = await aUser(api.base.db, { role: "owner", accountId: api.accountId });
  cookie = await aSession(api.base, user);
});
afterAll(() => api.close());

const me = async () =>
  (await (await api.call("GET", "/v1/me", { cookie })).json()) as { user: Record<string, unknown> };

test("PATCH /v1/me changes what is given; null clears; what it does not know is refused", async () => {
  const patch = (body: object) => api.call("PATCH", "/v1/me", { cookie, body });
  expect((await patch({ name: " Kim ", units: "imperial" })).status).toBe(200);
  expect((await me()).user).toMatchObject({ name: "Kim", units: "imperial", email: user.email });
  expect((await patch({ name: null })).status).toBe(200);
  expect((await me()).user.name).toBeNull();
  for (const [body, field] of [
    [{ email: "x@edge.test" }, "email"],
    [{ role: "owner" }, "role"],
    [{ emailVerifiedAt: 1 }, "emailVerifiedAt"],
    [{ extra: { a: 1 } }, "extra"],
    [{ name: "" }, "name"],
    [{ name: "a\nb" }, "name"],
    [{ language: "xx" }, "language"],
    [{ units: "nautical" }, "units"],
    [{ timeZone: "Nowhere" }, "timeZone"],
    [{ personalisation: 1 }, "personalisation"],
  ] as const) {
    expect((await expectProblem(await patch(body), 400, "invalid")).field).toBe(field);
  }
});

describe("in every state of the account", () => {
  test.each(["suspended", "closing", "unverified", "active"] as const)("%s: read, correct and clear", async (state) => {
    await api.base.db.$client.execute({
      sql: "UPDATE accounts SET state = ?, privacy_accepted = 0, terms_accepted = 0 WHERE id = ?",
      args: [state, api.accountId],
    });
    for (const path of ["/v1/me", "/v1/me/held", "/profile", "/profile/held", "/v1/me/searches", "/search"]) {
      expect((await api.call("GET", path, { cookie })).status, path).toBe(200);
    }
    for (const [method, path, body, status] of [
      ["PATCH", "/v1/me", { name: `In ${state}` }, 200],
      ["PATCH", "/v1/me/account", { paymentMode: null, addresses: { shipping: null } }, 200],
      ["POST", "/v1/me/mobile", { mobile: null }, 204],
      ["POST", "/v1/searches", { term: "x" }, 200],
      ["DELETE", "/v1/me/searches", undefined, 204],
    ] as const) {
      expect((await api.call(method, path, { cookie, body })).status, path).toBe(status);
    }
    await api.base.db.$client.execute({
      sql: "UPDATE accounts SET state = 'active', privacy_accepted = NULL, terms_accepted = NULL WHERE id = ?",
      args: [api.accountId],
    });
  });
});

test("e-mail and mobile ask for a fresh proof; the answer to a taken address is the same", async () => {
  const free = await api.call("POST", "/v1/me/email", { cookie, body: { email: "free@edge.test" } });
  const taken = await aUser(api.base.db, { role: "owner", accountId: api.strangerId });
  const same = await api.call("POST", "/v1/me/email", { cookie, body: { email: taken.email } });
  expect([free.status, await free.text()]).toEqual([same.status, await same.text()]);
  await api.base.db.$client.execute({ sql: "UPDATE sessions SET proved_at = 0 WHERE user_id = ?", args: [user.id] });
  for (const [path, body] of [
    ["/v1/me/email", { email: "later@edge.test" }],
    ["/v1/me/mobile", { mobile: null }],
  ] as const) {
    await expectProblem(await api.call("POST", path, { cookie, body }), 401, "step_up_required");
  }
  for (const path of ["/profile/email", "/profile/mobile"]) {
    const response = await api.call("GET", path, { cookie });
    expect([response.status, response.headers.get("location")]).toEqual([
      303,
      `/prove?next=${encodeURIComponent(path)}`,
    ]);
  }
  await api.base.db.$client.execute({
    sql: "UPDATE sessions SET proved_at = ? WHERE user_id = ?",
    args: [api.base.now(), user.id],
  });
});

test("the page keeps what was typed beside its error, in its own form only", async () => {
  const post = (fields: Record<string, string>) =>
    api.call("POST", "/profile", { cookie, body: new URLSearchParams(fields) });
  const wrong = await post({
    act: "save shipping",
    "shipping.line1": "Road <1>",
    "shipping.city": "Town",
    "shipping.country": "Austria",
  });
  expect(wrong.status).toBe(400);
  const text = await wrong.text();
  expect(text).toContain('href="#f-shipping-country"');
  expect(text).toContain("Road &lt;1&gt;");
  const card = await post({
    act: "save billing",
    "billing.line1": "4111 1111 1111 1111",
    "billing.city": "T",
    "billing.country": "AT",
  });
  expect(card.status).toBe(422);
  const saved = await post({
    act: "save shipping",
    "shipping.line1": "Road 1",
    "shipping.city": "Town",
    "shipping.country": "at",
  });
  expect([saved.status, saved.headers.get("location")]).toEqual([303, "/profile?done=saved"]);
  const removed = await post({ act: "remove shipping" });
  expect(removed.status).toBe(303);
  const viewer = await aSession(api.base, await aUser(api.base.db, { role: "viewer", accountId: api.accountId }));
  const refused = await api.call("POST", "/profile", {
    cookie: viewer,
    body: new URLSearchParams({ act: "saveAccount", accountName: "Mine" }),
  });
  expect(refused.status).toBe(403);
});

test("GET /v1/services/requirements says what stops without a field, in the browser's language", async () => {
  const read = async (language: string) =>
    (await (
      await api.call("GET", "/v1/services/requirements", { headers: { "Accept-Language": language } })
    ).json()) as { fields: { field: string; required: boolean; requiredFor: string[]; without: string }[] };
  const { fields } = await read("en");
  expect(fields.filter(({ required }) => required).map(({ field }) => field)).toEqual(["email"]);
  expect(fields.find(({ field }) => field === "shippingAddress")?.requiredFor).toEqual(["delivery"]);
  expect((await read("zh-CN")).fields[1]?.without).not.toBe(fields[1]?.without);
});

test("opening a device is noted with personalisation on, never with it off; the list links to the search", async () => {
  const visitor = await aUser(api.base.db, { role: "viewer", accountId: api.accountId });
  const session = await aSession(api.base, visitor);
  const device = await aDevice(api.base.db, { accountId: api.accountId, name: "Seen van" });
  const rows = async () => {
    expect((await api.call("GET", `/devices/${device.id}`, { cookie: session })).status).toBe(200);
    await api.base.settled();
    const found = await api.base.db.$client.execute({
      sql: "SELECT count(*) FROM recent_devices WHERE user_id = ?",
      args: [visitor.id],
    });
    return found.rows[0]![0];
  };
  const list = async () => (await api.call("GET", "/devices", { cookie: session })).text();
  expect(await rows()).toBe(0);
  const before = await list();
  expect(before).toContain('href="/search"');
  await api.call("PATCH", "/v1/me", { cookie: session, body: { personalisation: true } });
  expect(await rows()).toBe(1);
  expect((await list()).split("Seen van").length).toBe(before.split("Seen van").length + 1);
  const explained = (await (await api.call("GET", "/v1/me/personalisation", { cookie: session })).json()) as object;
  expect(explained).toMatchObject({ on: true, inputs: [{ stored: 1 }] });
  await api.call("PATCH", "/v1/me", { cookie: session, body: { personalisation: false } });
  expect(await rows()).toBe(0);
});

describe("a card number", () => {
  const NUMBER = "4111 1111 1111 1111";
  let things: Things;

  beforeAll(async () => {
    const device = await aDevice(api.base.db, { accountId: api.accountId });
    const make = async (path: string, body: object, key: string) =>
      ((await (await api.call("POST", path, { key, body })).json()) as { id: number }).id;
    things = {
      api,
      imei: device.imei,
      device: device.id,
      account: api.accountId,
      command: 1,
      key: () => aKeyRow(api.base, api.accountId),
      bridge: () => make("/v1/admin/bridges", { name: "B" }, api.admin),
      spareDevice: async () => (await aDevice(api.base.db, { accountId: api.accountId })).id,
    } as Things;
  });

  async function expectNoCard(): Promise<void> {
    const { rows } = await api.base.db.$client.execute(
      "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    );
    for (const { name } of rows) {
      const stored = await api.base.db.$client.execute(`SELECT * FROM ${name}`);
      const text = JSON.stringify(stored.rows, (_, value) => (value instanceof ArrayBuffer ? "" : value));
      expect(/4111[^0-9]{0,3}1111/.test(text), String(name)).toBe(false);
    }
    expect(api.base.logged.join("\n").replaceAll(/"requestId":"\w+"/g, "")).not.toContain("4111");
  }

  /** Every text of a body, with the body in which it is a card number. */
  function* altered(value: unknown, path: string[] = []): Generator<[field: string, body: unknown]> {
    if (typeof value === "string") yield [path.join("."), NUMBER];
    if (typeof value !== "object" || value === null || value instanceof Uint8Array) return;
    for (const [key, inner] of Object.entries(value)) {
      for (const [field, changed] of altered(inner, [...path, key])) {
        yield [
          field,
          Array.isArray(value)
            ? value.map((each, i) => (String(i) === key ? changed : each))
            : { ...value, [key]: changed },
        ];
      }
    }
  }

  test("is refused in every text of every route that takes a body, and leaves no byte", async () => {
    let tried = 0;
    for (const route of ROUTES.filter(({ body }) => body !== undefined)) {
      const name = `${route.method} ${route.path}`;
      const row = ROWS[name];
      if (row?.body === undefined) continue;
      const caller = row.as ?? row.who[0]!;
      const credentials: Record<string, object> = {
        nobody: {},
        readKey: { key: api.read },
        writeKey: { key: api.write },
        adminToken: { key: api.admin },
        bridge: { key: api.bridge },
      };
      const as = credentials[caller] ?? { cookie: api.sessions[caller as keyof Api["sessions"]] };
      const path = await row.path(things);
      for (const [field, body] of altered(await row.body(things))) {
        const response = await api.call(route.method, path, { ...as, body });
        const { code } = (await response.json().catch(() => ({}))) as { code?: string };
        // What has a shape of its own refuses it as that; the exempt fields are no texts that are kept.
        if (code === "pan_not_accepted") tried++;
        else if (field.split(".").some((part) => EXEMPT.has(part))) expect(response.status, name).toBeLessThan(500);
        else
          expect({ name, field, code }).toMatchObject({
            code: expect.stringMatching(/^(invalid|not_found|unauthenticated|rate_limited)$/),
          });
      }
    }
    expect(tried).toBeGreaterThan(10);
    await expectNoCard();
  });

  test("is refused in every field of every form, also in one that the form does not have, and leaves no byte", async () => {
    let tried = 0;
    for (const route of ROUTES.filter(({ form }) => form === true)) {
      const name = `${route.method} ${route.path}`;
      const row = ROWS[name]!;
      const caller = row.as ?? row.who[0]!;
      const as =
        caller === "adminToken"
          ? { key: api.admin }
          : caller === "nobody"
            ? {}
            : { cookie: api.sessions[caller as keyof Api["sessions"]] };
      const path = await row.path(things);
      const body = (await row.body?.(things)) as Record<string, string>;
      for (const field of [...Object.keys(body), "unheard"].filter((each) => each !== "act" && !EXEMPT.has(each))) {
        const form = new URLSearchParams({ ...body, [field]: "4111.1111.\u200b1111\u00a01111" });
        const response = await api.call("POST", path, {
          ...as,
          body: form,
          headers: { ...(caller === "nobody" && { "Sec-Fetch-Site": "same-origin" }) },
        });
        expect({ name, field, status: response.status }).toEqual({ name, field, status: 422 });
        tried++;
      }
    }
    expect(tried).toBeGreaterThan(50);
    await expectNoCard();
  });

  test("leaves no byte where nobody looks for one: names of fields and files, headers, numbers, paths and queries", async () => {
    const digits = "4111111111111111";
    const json = { "Content-Type": "application/json" };
    const logo = new FormData();
    for (const [name, value] of Object.entries({ act: "save", name: "Yard" })) logo.set(name, value);
    logo.set("logo", new File(["\x89PNG"], `${digits}.png`, { type: "image/png" }));
    const multipart = new Response(logo);
    const tries: [string, string, CallOptions][] = [
      ["PATCH", "/v1/me", { cookie, body: { [digits]: "x" } }],
      ["PATCH", "/v1/me", { cookie, body: `{"name":"${digits}","name":"Kim"}` }],
      ["PATCH", "/v1/me", { cookie, body: { name: Number(digits) } }],
      ["PATCH", "/v1/me", { cookie, body: { name: [digits] } }],
      ["PATCH", "/v1/me", { cookie, body: { name: "41111111", units: "11111111" } }],
      ["POST", "/v1/users", { cookie, body: { email: `${digits}@edge.test`, role: "viewer" } }],
      ["POST", "/v1/devices", { key: api.write, body: { imei: anImei(), name: "V", model: digits } }],
      ["POST", "/v1/devices", { key: api.write, body: { imei: anImei(), name: "V", code: digits } }],
      [
        "POST",
        `/v1/devices/${things.device}/commands`,
        { key: api.write, body: { code: "C01", arguments: { speedKmh: 1, outputs: digits } } },
      ],
      [
        "POST",
        `/v1/devices/${things.device}/commands`,
        { key: api.write, body: { code: "A12", arguments: { intervalS: Number(digits) } } },
      ],
      [
        "POST",
        `/v1/devices/${things.device}/commands`,
        { key: api.write, body: { code: "A10" }, headers: { "Idempotency-Key": digits } },
      ],
      [
        "POST",
        "/v1/sessions",
        { body: { email: "a@edge.test", password: digits }, headers: { ...json, "User-Agent": digits } },
      ],
      [
        "POST",
        "/v1/admin/activations/csv",
        { key: api.admin, body: `imei,order\n${anImei()},"4111.1111.1111.1111"\n` },
      ],
      [
        "POST",
        "/v1/admin/activations/csv",
        { key: api.admin, body: `imei,firmware,order\n${anImei()},41111111,11111111\n` },
      ],
      ["POST", "/v1/admin/activations/csv", { key: api.admin, body: `imei,code\n${anImei()},${digits}\n` }],
      ["POST", "/v1/admin/activations/csv", { key: api.admin, body: `imei,model\n${anImei()},${digits}\n` }],
      [
        "POST",
        "/admin/activations",
        {
          cookie: api.sessions.admin,
          body: new URLSearchParams({ act: "load", devices: `imei,order\n${anImei()},${digits}\n` }),
        },
      ],
      [
        "POST",
        "/admin/brands",
        {
          cookie: api.sessions.admin,
          body: new Uint8Array(await multipart.arrayBuffer()),
          headers: { "Content-Type": multipart.headers.get("content-type")! },
        },
      ],
      ["GET", `/v1/devices?cursor=${digits}`, { key: api.read }],
      ["GET", `/login?next=/${digits}`, {}],
      ["GET", `/confirm/${digits}${digits}`, {}],
      ["GET", `/${digits}`, {}],
    ];
    for (const [method, path, options] of tries) {
      const response = await api.call(method, path, {
        ...options,
        headers: { "Sec-Fetch-Site": "same-origin", ...options.headers },
      });
      expect(response.status, `${method} ${path}`).toBeLessThan(500);
      await response.text();
    }
    await api.base.settled();
    await expectNoCard();
  });

  test("is refused under an Idempotency-Key before anything is kept", async () => {
    const before = await api.base.db.$client.execute("SELECT count(*) FROM idempotency_keys");
    const response = await api.call("POST", "/v1/devices", {
      key: api.write,
      body: { imei: anImei(), name: NUMBER },
      headers: { "Idempotency-Key": "card" },
    });
    expect((await expectProblem(response, 422, "pan_not_accepted")).field).toBe("name");
    const after = await api.base.db.$client.execute("SELECT count(*) FROM idempotency_keys");
    expect(after.rows[0]![0]).toBe(before.rows[0]![0]);
  });

  test("is not what an IMEI is taken for, where one belongs", async () => {
    const imei = anImei();
    expect((await api.call("POST", "/v1/searches", { cookie, body: { term: imei } })).status).toBe(200);
    expect(
      (await api.call("POST", "/search", { cookie, body: new URLSearchParams({ act: "find", term: imei }) })).status,
    ).toBe(200);
  });
});
