import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { keyFileText, newKeyFile, type OpeningKey, readKeyFile } from "../../../client/key-file.ts";
import { openTrack, readAnswer } from "../../../client/track.ts";
import { encodeAaa } from "../../../codec/encode.ts";
import { RequestWriter } from "../../../codec/envelope.ts";
import { ROUTES } from "../../../src/http/app.ts";
import type { Route } from "../../../src/http/route.ts";
import { MEDIA_TYPES } from "../../../src/sealed-answer.ts";
import { settle } from "../../../src/settle.ts";
import { mainTelemetry } from "../../../src/telemetry.ts";
import { anImei, NOON } from "../../database.ts";
import { type Api, aKeyRow, anApi, type CallOptions, expectProblem } from "./api.ts";
import { ROWS } from "./rows/index.ts";
import type { Caller, Things } from "./rows/row.ts";

/** Whoever the operator is, with every right that there is. */
const OPERATORS: readonly Caller[] = ["adminToken", "admin", "support", "privacy", "finance"];
/** Where the device was: while it waits to be sealed, and once it is. */
const WAITING = { latitude: 48.208354, longitude: 16.372504 };
const SEALED = { latitude: 47.070714, longitude: 15.439504 };
const CANARIES = [WAITING, SEALED].flatMap(({ latitude, longitude }) => [String(latitude), String(longitude)]);

const nameOf = (route: Route) => `${route.method} ${route.path}`;

describe("an account with a sealing key", () => {
  let api: Api;
  let things: Things;
  let key: OpeningKey;
  let calls = 0;

  const idOf = async (response: Response) => ((await response.json()) as { id: number }).id;
  const make = async (path: string, body: object, key: string) =>
    idOf(await api.call("POST", path, { key, body: { name: "Thing", ...body } }));
  const sql = (statement: string) => api.base.db.$client.execute(statement);

  async function report(imei: string, where: typeof WAITING, fixTime: number): Promise<void> {
    const batch = new RequestWriter();
    const fix = { event: { code: 35 }, valid: true, fixTime, ...where };
    batch.frame(1, 0, NOON, encodeAaa({ identifier: "A", imei, report: fix }));
    expect((await api.call("POST", "/v1/bridge/frames", { key: api.bridge, body: batch.finish() })).status).toBe(200);
  }

  beforeAll(async () => {
    api = await anApi();
    const imei = anImei();
    const device = await make("/v1/devices", { imei }, api.write);
    const file = await newKeyFile(NOON);
    key = await readKeyFile(keyFileText(file));
    const { publicKey, check } = file;
    const body = { kind: "offline", publicKey, check, lostKeyIsFinal: true };
    const made = await api.call("POST", "/v1/me/sealing-keys", { cookie: api.sessions.owner, body });
    expect(made.status).toBe(201);
    await report(imei, SEALED, NOON - 120_000);
    await settle(api.base, mainTelemetry(api.base), { all: true });
    await report(imei, WAITING, NOON - 60_000);
    things = {
      api,
      imei,
      device,
      account: api.accountId,
      command: await idOf(
        await api.call("POST", `/v1/devices/${device}/commands`, { key: api.write, body: { code: "A10" } }),
      ),
      key: () => aKeyRow(api.base, api.accountId),
      bridge: () => make("/v1/admin/bridges", {}, api.admin),
      spareDevice: () => make("/v1/devices", { imei: anImei() }, api.write),
    };
  });
  afterAll(async () => {
    await api.base.settled();
    api.close();
  });

  /** What a row's own path may have ended: the key is in use, and the window is open that lets staff look. */
  const inForce = async (sealed: boolean) => {
    await sql(`UPDATE customer_keys SET revoked_at = ${sealed ? "NULL" : "1"} WHERE kind = 'offline'`);
    await sql(`UPDATE sessions SET proved_at = ${api.base.now()}`);
    await sql(`DELETE FROM support_windows`);
    await sql(
      `INSERT INTO support_windows (account_id, opened_at, expires_at) VALUES (${api.accountId}, ${NOON}, ${NOON * 2})`,
    );
  };

  async function ask(route: Route, caller: Caller, sealed: boolean): Promise<Response> {
    const row = ROWS[nameOf(route)]!;
    const path = await row.path(things);
    const body = await row.body?.(things);
    const sent = route.form === true && body !== undefined ? new URLSearchParams(body as Record<string, string>) : body;
    await inForce(sealed);
    api.base.advance(100);
    const credentials: CallOptions =
      caller === "adminToken" ? { key: api.admin } : { cookie: api.sessions[caller as keyof typeof api.sessions] };
    const headers = { "CF-Connecting-IP": `2001:db8::${(++calls).toString(16)}` };
    return api.call(route.method, path, { ...credentials, headers, ...(sent === undefined ? {} : { body: sent }) });
  }

  /** Routes that the operator's people may call, each as everybody who may. */
  const theirs = ROUTES.filter((route) => ROWS[nameOf(route)]?.ends !== true).flatMap((route) =>
    ROWS[nameOf(route)]!.who.filter((caller) => OPERATORS.includes(caller)).map((caller) => ({ route, caller })),
  );

  test("is one whose positions its operator could read without the key: this notices what it must", async () => {
    const seen = new Set<string>();
    for (const { route, caller } of theirs.filter(({ route }) => /positions/.test(route.path))) {
      const text = await (await ask(route, caller, false)).text();
      for (const canary of CANARIES) if (text.includes(canary)) seen.add(canary);
    }
    // What waits; what is sealed nobody reads, key in use or not.
    expect([...seen].toSorted()).toEqual([String(WAITING.longitude), String(WAITING.latitude)].toSorted());
  });

  test("has no route to a position for anybody of the operator, in an open window either", async () => {
    expect(theirs.length).toBeGreaterThan(100);
    for (const { route, caller } of theirs) {
      const response = await ask(route, caller, true);
      const text = await response.text();
      for (const canary of CANARIES) {
        expect(text.includes(canary), `${nameOf(route)} as ${caller}: ${canary}`).toBe(false);
      }
      expect(text, nameOf(route)).not.toContain('"sealed":"');
    }
  }, 120_000);

  test("refuses the operator's look with a reason, and the customer sees that it was tried", async () => {
    await inForce(true);
    for (const path of ["positions/latest", `devices/${things.device}/positions`]) {
      const response = await api.call("GET", `/v1/admin/accounts/${api.accountId}/${path}`, { key: api.admin });
      await expectProblem(response, 409, "sealed");
    }
    const answer = await api.call("GET", "/v1/me/instructions", { cookie: api.sessions.owner });
    const { data } = (await answer.json()) as { data: { action: string; actor: string }[] };
    expect(data.slice(0, 2)).toMatchObject([
      { action: "look.refused", actor: "admin_token" },
      { action: "look.refused", actor: "admin_token" },
    ]);
  });

  test("gets its own positions, part of them sealed, in the API and what opens them", async () => {
    await inForce(true);
    for (const path of [`devices/${things.device}/positions`, `devices/${things.device}/events?codes=35`]) {
      for (const caller of [{ key: api.read }, { cookie: api.sessions.viewer }]) {
        const response = await api.call("GET", `/v1/${path}`, caller);
        expect(response.headers.get("content-type")).toBe(MEDIA_TYPES.sealed);
        const answer = readAnswer(await response.text());
        expect(answer.data).toMatchObject([WAITING]);
        const { positions, unopened } = await openTrack(answer, key);
        expect(positions).toMatchObject([SEALED, WAITING]);
        expect(unopened).toEqual([]);
      }
    }
    const feed = await api.call("GET", "/v1/positions/feed", { key: api.read });
    expect((await openTrack(readAnswer(await feed.text()), key)).positions).toMatchObject([SEALED, WAITING]);
    const latest = await api.call("GET", "/v1/positions/latest", { key: api.read });
    expect((await openTrack(readAnswer(await latest.text()), key)).positions).toMatchObject([WAITING]);
    const file = await api.call("GET", `/v1/devices/${things.device}/positions?format=gpx`, { key: api.read });
    await expectProblem(file, 409, "sealed");
  });

  test("is told on its pages what is sealed", async () => {
    await inForce(true);
    await settle(api.base, mainTelemetry(api.base), { all: true });
    const read = async (path: string) => (await api.call("GET", path, { cookie: api.sessions.owner })).text();
    const [list, page, held] = [
      await read("/devices"),
      await read(`/devices/${things.device}`),
      await read("/profile/held"),
    ];
    for (const text of [list, page, held]) for (const canary of CANARIES) expect(text).not.toContain(canary);
    expect(list).toContain("sealed to your key");
    expect(page).toContain("only the file of your key can tell");
    expect(held).toContain("The newest position of 1 device is sealed to your key.");
    const sealing = await read("/profile/sealing");
    expect(sealing).toContain("Positions are sealed to your key.");
    expect(sealing.match(/class="pill (ok|warn|stop)"/g)).toEqual([
      'class="pill ok"',
      'class="pill stop"',
      'class="pill warn"',
      'class="pill ok"',
    ]);
    expect(sealing).not.toMatch(/end-to-end encrypted/i);
  });
});
