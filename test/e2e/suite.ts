import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { createClient } from "@libsql/client";
import { afterAll, beforeAll, expect, test } from "vitest";
import { latin1 } from "../../codec/bytes.ts";
import { encodeAaa, encodeAff, encodeCcc, encodeCce } from "../../codec/encode.ts";
import { encodeFrame } from "../../codec/frame.ts";
import type { Runtime } from "../../tools/edge.ts";
import { type Platform, type PlatformOptions, startPlatform } from "../../tools/platform.ts";
import { aReport, nextImei, overUdp, shown, Tracker } from "./tracker.ts";

type Json = Record<string, never> & { data: Json[]; id: number; [name: string]: unknown };

/** The end-to-end suite: real frames through real sockets, the app in `runtime`, and the database. */
export function suite(runtime: Runtime): void {
  const dataDir = join(mkdtempSync(join(tmpdir(), `ephemeris-${runtime}-`)), "data");
  const reported: string[] = [];
  const options: PlatformOptions = {
    dataDir,
    runtime,
    port: 0,
    bridgePort: 0,
    bridgeHost: "127.0.0.1",
    report: (line) => reported.push(line),
  };
  let platform: Platform;
  let accountId: number;
  let key: string;

  async function call(
    method: string,
    path: string,
    body?: object,
    token = key,
  ): Promise<{ status: number; json: Json }> {
    const response = await fetch(platform.url + path, {
      method,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, json: text === "" ? null : JSON.parse(text) };
  }
  const admin = (method: string, path: string, body?: object) => call(method, path, body, platform.secrets.adminToken);

  async function aDevice(): Promise<{ id: number; imei: string }> {
    const imei = nextImei();
    const { status, json } = await call("POST", "/v1/devices", {
      imei,
      name: `Device ${imei.slice(8)}`,
      model: "T366",
    });
    expect(status).toBe(201);
    return { id: json.id, imei };
  }
  const positionsOf = async (id: number) => (await call("GET", `/v1/devices/${id}/positions?limit=1000`)).json.data;

  /** Asks until there are as many as expected. */
  async function positionsWhen(id: number, count: number, ms = 20_000): Promise<Json[]> {
    for (const deadline = Date.now() + ms; ; await wait(50)) {
      const positions = await positionsOf(id);
      if (positions.length >= count || Date.now() > deadline) return positions;
    }
  }

  beforeAll(async () => {
    platform = await startPlatform(options);
    accountId = (await admin("POST", "/v1/admin/accounts", { name: "Acme" })).json.id;
    key = (await admin("POST", `/v1/admin/accounts/${accountId}/keys`, { scope: "write" })).json.key as string;
  }, 90_000);
  afterAll(async () => {
    await platform?.stop();
    rmSync(join(dataDir, ".."), { recursive: true, force: true });
  });

  test("health, reference and API description are there, and nothing else is without a key", async () => {
    for (const path of ["/healthz", "/docs", "/openapi.json"]) {
      expect([path, (await fetch(platform.url + path)).status]).toEqual([path, 200]);
    }
    expect((await fetch(`${platform.url}/v1/devices`)).status).toBe(401);
    expect((await fetch(`${platform.url}/api/devices`)).status).toBe(404);
  });

  test("a text report over TCP comes out with every field", async () => {
    const { id, imei } = await aDevice();
    const report = aReport();
    const tracker = new Tracker(platform.bridgePort);
    tracker.send(encodeAaa({ identifier: "A", imei, report, model: "T366" }));
    const [position] = await positionsWhen(id, 1);
    expect(position).toMatchObject({ ...shown(report), event: { code: 35, name: expect.any(String) }, deviceId: id });
    expect(Date.now() - Date.parse(String(position.receivedAt))).toBeLessThan(20_000);
    const { json } = await call("GET", "/v1/positions/latest");
    expect(json.data.find(({ deviceId }) => deviceId === id)).toMatchObject(shown(report));
    tracker.close();
  });

  test("a text report over UDP comes out too, and a confirmed one is answered to the sender", async () => {
    const { id, imei } = await aDevice();
    const [first, second] = [aReport(1), aReport(2)];
    await overUdp(platform.bridgePort, encodeAaa({ identifier: "B", imei, report: first, model: "T366" }), 0);
    expect(await positionsWhen(id, 1)).toMatchObject([shown(first)]);
    const frame = encodeAff({ identifier: "C", imei, report: second, remaining: 1, model: "T366" });
    const reply = await overUdp(platform.bridgePort, frame, 10_000);
    expect(reply).toMatchObject({ direction: "down", identifier: "C", imei, type: "AFF", checksumOk: true });
    expect(await positionsOf(id)).toHaveLength(2);
  });

  test("a CCC batch is answered with its count and identifier, and only when it can be read back", async () => {
    const { id, imei } = await aDevice();
    const tracker = new Tracker(platform.bridgePort);
    for (const [batch, identifier] of ["K", "L", "M"].entries()) {
      const reports = Array.from({ length: batch + 3 }, (_, n) => aReport(100 * batch + n));
      const before = (await positionsOf(id)).length;
      tracker.send(encodeCcc({ identifier, imei, reports }));
      const reply = await tracker.receive();
      expect(reply).toMatchObject({ direction: "down", identifier, imei, type: "CCC", lengthOff: 0, checksumOk: true });
      expect(latin1(reply?.content ?? new Uint8Array(), 0)).toBe(String(reports.length));
      expect(await positionsOf(id)).toHaveLength(before + reports.length);
      // Once more, as after a lost answer: the same reply, nothing stored twice.
      tracker.send(encodeCcc({ identifier, imei, reports }));
      expect(await tracker.receive()).toMatchObject({ identifier, type: "CCC" });
      expect(await positionsOf(id)).toHaveLength(before + reports.length);
    }
    tracker.close();
  });

  test("frames cut anywhere, with garbage and a bad one between them, all arrive", async () => {
    const { id, imei } = await aDevice();
    const tracker = new Tracker(platform.bridgePort);
    const frames = [0, 1, 2].map((n) => encodeAaa({ identifier: "D", imei, report: aReport(n), model: "T366" }));
    const spoilt = encodeAaa({ identifier: "E", imei, report: aReport(9), model: "T366" });
    spoilt[spoilt.length - 3] ^= 1;
    const cce = encodeCce({ identifier: "F", imei, reports: [aReport(3)] });
    const wire = Buffer.concat([frames[0], Buffer.from("garbage\r\n"), frames[1], spoilt, frames[2], cce]);
    for (let at = 0; at < wire.length; at += 37) {
      tracker.send(wire.subarray(at, at + 37));
      await wait(2);
    }
    const positions = await positionsWhen(id, 4);
    expect(positions.map(({ odometerM }) => odometerM).sort()).toEqual([1_000_000, 1_000_001, 1_000_002, 1_000_003]);
    tracker.close();
  });

  test("an unknown tracker is not stored, gets no answer and is shown to the operator", async () => {
    const imei = nextImei();
    const tracker = new Tracker(platform.bridgePort);
    tracker.send(encodeCcc({ identifier: "A", imei, reports: [aReport()] }));
    expect(await tracker.receive(1_500)).toBeNull();
    const { json } = await admin("GET", "/v1/admin/unclaimed");
    expect(json.data.filter((row) => String(row.imei) === imei)).toHaveLength(1);
    tracker.close();
    const { json: device } = await call("POST", "/v1/devices", { imei, name: "claimed", model: "T366" });
    expect(await positionsOf(device.id)).toEqual([]);
  });

  test("removing a device removes its positions, and a stranger sees nothing of it", async () => {
    const { id, imei } = await aDevice();
    const tracker = new Tracker(platform.bridgePort);
    tracker.send(encodeCcc({ identifier: "A", imei, reports: [aReport(0), aReport(1)] }));
    await tracker.receive();
    const other = (await admin("POST", "/v1/admin/accounts", { name: "Other" })).json.id;
    const stranger = (await admin("POST", `/v1/admin/accounts/${other}/keys`, { scope: "write" })).json.key as string;
    expect((await call("GET", `/v1/devices/${id}/positions`, undefined, stranger)).status).toBe(404);
    expect((await call("DELETE", `/v1/devices/${id}`, undefined, stranger)).status).toBe(404);
    expect(await positionsOf(id)).toHaveLength(2);
    expect((await call("DELETE", `/v1/devices/${id}`)).status).toBe(204);
    expect((await call("GET", `/v1/devices/${id}/positions`)).status).toBe(404);
    const { json: again } = await call("POST", "/v1/devices", { imei, name: "again", model: "T366" });
    expect(await positionsOf(again.id)).toEqual([]);
    expect((await call("GET", "/v1/positions/latest")).json.data.some(({ deviceId }) => deviceId === id)).toBe(false);
    tracker.close();
  });

  test("a command reaches the tracker's socket and its reply comes back", async () => {
    const { id, imei } = await aDevice();
    const tracker = new Tracker(platform.bridgePort);
    tracker.send(encodeAaa({ identifier: "A", imei, report: aReport(), model: "T366" }));
    await positionsWhen(id, 1);
    expect((await call("POST", `/v1/devices/${id}/commands`, { code: "A12", arguments: {} })).status).toBe(400);
    const queued = await call("POST", `/v1/devices/${id}/commands`, { code: "E91" });
    expect([queued.status, queued.json.state]).toEqual([201, "queued"]);
    const down = await tracker.receive(15_000);
    expect(down).toMatchObject({ direction: "down", imei, type: "E91", checksumOk: true });
    const identifier = down?.identifier ?? "?";
    tracker.send(encodeFrame({ direction: "up", identifier, imei, type: "E91", content: "FWV1.00,12345678" }));
    let command = queued.json;
    for (let i = 0; i < 200 && command.state !== "acked"; i++) {
      await wait(50);
      command = (await call("GET", `/v1/devices/${id}/commands/${queued.json.id}`)).json;
    }
    expect(command).toMatchObject({ state: "acked", sentAt: expect.any(String), answeredAt: expect.any(String) });
    expect(String(command.reply)).toContain("FWV1.00");
    tracker.close();
  });

  test("a tracker that is erased deletes what it holds, and the receipt says so", { timeout: 60_000 }, async () => {
    const { id, imei } = await aDevice();
    const tracker = new Tracker(platform.bridgePort);
    tracker.send(encodeAaa({ identifier: "A", imei, report: aReport(590), model: "T366" }));
    await positionsWhen(id, 1);
    // As intake leaves it.
    const name = "the-erasure-of-the-e2e";
    const client = createClient({ url: `file:${join(dataDir, "main.db")}` });
    await client.execute({
      sql: `INSERT INTO requests (name, type, state, level, account_id, scope, received_at, verified_at, deadline)
        VALUES (?1, 'erase', 'verified', 'V0', ?2, ?3, ?4, ?4, ?5)`,
      args: [name, accountId, JSON.stringify({ kind: "devices", devices: [id] }), Date.now(), Date.now() + 86_400_000],
    });
    client.close();
    const run = () => admin("POST", "/v1/admin/jobs/erase/run");
    // It waits for the tracker.
    const ran = run();
    const down = await tracker.receive(15_000);
    expect((await call("GET", `/v1/devices/${id}`)).status).toBe(404);
    expect(down).toMatchObject({ direction: "down", imei, type: "F09", checksumOk: true });
    expect(latin1(down?.content ?? new Uint8Array(), 0)).toBe("3");
    tracker.send(encodeFrame({ direction: "up", identifier: down!.identifier, imei, type: "F09", content: "OK" }));
    await ran;
    let receipt = await call("GET", `/v1/receipts/${name}`);
    for (let tries = 0; receipt.status !== 200 && tries < 30; tries++) {
      await wait(1000);
      await run();
      receipt = await call("GET", `/v1/receipts/${name}`);
    }
    expect((receipt.json.stores as unknown as Json[]).at(-1)).toMatchObject({
      name: "trackers",
      evidence: { cache: { confirmed: 1 } },
    });
    const page = await (await fetch(`${platform.url}/receipts/${name}`)).text();
    expect(page).toContain("deleted, says the tracker: 1");
    tracker.close();
  });

  test("a mail is sent: it is in the outbox, with a link to this platform", async () => {
    const email = `${runtime}@edge.test`;
    const response = await fetch(`${platform.url}/v1/signups`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ email }),
    });
    expect(response.status).toBe(202);
    const outbox = async () => (await fetch(platform.outboxUrl ?? "")).text();
    for (const deadline = Date.now() + 20_000; !(await outbox()).includes(email) && Date.now() < deadline; )
      await wait(50);
    const page = await outbox();
    expect(page).toContain(`To ${email}`);
    expect(page).toContain(`<a href="${platform.url}/confirm/`);
  });

  const victims =
    runtime === "workerd" ? (["bridge", "workerd", "edge", "libsqld"] as const) : (["bridge", "edge"] as const);
  test.each(victims)(
    "kill -9 of %s: what was acknowledged is stored once, and the rest comes",
    { timeout: 60_000 },
    async (victim) => {
      const { id, imei } = await aDevice();
      let stopped = false;
      let acknowledged = 0;
      // A tracker in confirmation mode: repeats a report until it is acknowledged, on a new connection if it must.
      const driving = (async () => {
        let tracker = new Tracker(platform.bridgePort);
        for (let n = 0; !stopped; ) {
          tracker.send(encodeAff({ identifier: "A", imei, report: aReport(n), remaining: 1, model: "T366" }));
          const reply = await tracker.receive(3_000);
          if (reply !== null) acknowledged = ++n;
          else {
            tracker.close();
            await wait(50);
            tracker = new Tracker(platform.bridgePort);
          }
        }
        tracker.close();
      })();
      while (acknowledged < 3) await wait(5);
      await platform.restart(victim);
      const then = acknowledged;
      for (const deadline = Date.now() + 30_000; acknowledged < then + 5 && Date.now() < deadline; ) await wait(20);
      stopped = true;
      await driving;
      expect(acknowledged).toBeGreaterThanOrEqual(then + 5);
      const odometers = (await positionsOf(id))
        .map(({ odometerM }) => Number(odometerM) - 1_000_000)
        .sort((a, b) => a - b);
      expect(odometers.length - acknowledged).toBeOneOf([0, 1]);
      expect(odometers).toEqual(odometers.map((_, n) => n));
    },
  );

  test("stopping ends every child, and starting again goes on with the same data", { timeout: 60_000 }, async () => {
    const { id, imei } = await aDevice();
    const tracker = new Tracker(platform.bridgePort);
    tracker.send(encodeCcc({ identifier: "A", imei, reports: [aReport()] }));
    await tracker.receive();
    const { children, secrets } = platform;
    expect(Object.keys(children).sort()).toEqual([...victims].sort());
    await platform.stop();
    for (const pid of Object.values(children)) expect(() => process.kill(pid, 0)).toThrow("ESRCH");
    platform = await startPlatform(options);
    expect(platform.secrets).toEqual(secrets);
    expect(await positionsOf(id)).toHaveLength(1);
    tracker.close();
  });

  test("what is settled reads as it did while it waited, also when everything has started again", {
    timeout: 60_000,
  }, async () => {
    const { id, imei } = await aDevice();
    const tracker = new Tracker(platform.bridgePort);
    for (const numbers of [
      [0, 1, 2],
      [5, 4, 3],
      [2, 6],
    ]) {
      const reports = numbers.map((n) => aReport(n));
      tracker.send(encodeCcc({ identifier: "A", imei, reports }));
      expect(await tracker.receive()).not.toBeNull();
    }
    const read = async () => {
      const ofDevice = ({ json }: { json: Json }) => json.data.filter(({ deviceId }) => deviceId === id);
      const feed: Json[] = [];
      for (let cursor = ""; ; ) {
        const page = await call("GET", `/v1/positions/feed?limit=1000${cursor}`);
        if (page.json.data.length === 0) break;
        feed.push(...ofDevice(page));
        cursor = `&cursor=${page.json.nextCursor}`;
      }
      return {
        history: await positionsOf(id),
        latest: ofDevice(await call("GET", "/v1/positions/latest?limit=1000")),
        feed,
      };
    };
    const waiting = await read();
    expect(waiting.history.map(({ odometerM }) => Number(odometerM) - 1_000_000)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(waiting.latest).toEqual([waiting.history.at(-1)]);
    expect(waiting.feed.map(({ id }) => id)).toEqual(waiting.history.map(({ id }) => id).toSorted((a, b) => a - b));
    // The removal of a device settles whatever waits.
    const gone = await aDevice();
    expect((await call("DELETE", `/v1/devices/${gone.id}`)).status).toBe(204);
    const client = createClient({ url: `file:${join(dataDir, "main.db")}` });
    const { rows } = await client.execute(
      `SELECT (SELECT sum(positions) FROM segments WHERE device_id = ${id}), (SELECT count(*) FROM inbox), (SELECT count(*) FROM runs)`,
    );
    client.close();
    expect(Object.values(rows[0])).toEqual([7, 0, 0]);
    expect(await read()).toEqual(waiting);
    await platform.stop();
    platform = await startPlatform(options);
    expect(await read()).toEqual(waiting);
    // Sent again after all of this it is known.
    const again = new Tracker(platform.bridgePort);
    again.send(encodeCcc({ identifier: "B", imei, reports: [aReport(3), aReport(7)] }));
    expect(await again.receive()).not.toBeNull();
    const { history } = await read();
    expect(history.slice(0, 7)).toEqual(waiting.history);
    expect(history).toHaveLength(8);
    for (const each of [tracker, again]) each.close();
  });

  test("a second platform on the same data is refused, and the first goes on", async () => {
    await expect(startPlatform(options)).rejects.toThrow(/^DATA_DIR .* is in use by another Ephemeris \(process \d+\)/);
    expect((await fetch(`${platform.url}/healthz`)).status).toBe(200);
  });

  test("cron triggers run the jobs of their minute", { timeout: 75_000 }, async () => {
    const lastRun = async () => {
      const { json } = await admin("GET", "/v1/admin/jobs");
      return json.data.find((job) => String(job.name) === "expire-commands")?.lastRun ?? null;
    };
    if (runtime === "workerd") {
      await platform.fireCron("* * * * *");
      expect(await lastRun()).toMatchObject({ state: "done" });
    }
    // Deno fires its own: the next full minute shows it.
    for (const deadline = Date.now() + 65_000; (await lastRun()) === null && Date.now() < deadline; ) await wait(250);
    expect(await lastRun()).toMatchObject({ state: "done" });
  });

  test("a person was told of each death and of nothing else", () => {
    const expected = victims.filter((name) => name !== "workerd").map((name) => `${name} ended (SIGKILL)`);
    const deaths = reported.filter((line) => / ended \(/.test(line)).map((line) => line.split(" and ")[0]);
    expect(deaths).toEqual(expected);
  });
}
