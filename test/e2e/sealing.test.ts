import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeAaa } from "../../codec/encode.ts";
import { RequestWriter, readResponse } from "../../codec/envelope.ts";
import { en } from "../../src/text/en.ts";
import { type Platform, startPlatform } from "../../tools/platform.ts";
import { findBrowser, openBrowser, Visitor } from "./browser.ts";
import { aReport, nextImei } from "./tracker.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const PASSWORD = "four quiet blue lorries";
const EMAIL = "seal@edge.test";
const SEALED = "application/vnd.ephemeris.sealed+json";
const LONG = { timeout: 90_000 };
const BATCHES = 150;
const IN_BATCH = 16;
const TOTAL = BATCHES * IN_BATCH;

const found = findBrowser();
const missing = found === undefined ? " (without a browser: no Chromium is installed, see CONTRIBUTING.md)" : "";

describe.each(["workerd", "deno"] as const)(`sealed at the edge to the customer's key in %s${missing}`, (runtime) => {
  // One browser is enough: the pages are the same.
  const executable = runtime === "workerd" ? found : undefined;
  const folder = mkdtempSync(join(tmpdir(), "ephemeris-sealing-"));
  const at = (name: string) => join(folder, name);
  const { sealing, auth, common } = en;
  let platform: Platform;
  let browser: Browser | undefined;
  let ada: Visitor | undefined;
  let cookie: string;
  let device: number;
  let imei: string;

  const call = async (method: string, path: string, body?: object, as: Record<string, string> = { cookie }) =>
    fetch(platform.url + path, {
      method,
      headers: { ...as, "sec-fetch-site": "same-origin", "content-type": "application/json" },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  const idOf = async (response: Response) => {
    expect(response.status, await response.clone().text()).toBe(201);
    return ((await response.json()) as { id: number }).id;
  };
  /** Runs the tool as a person does. */
  const unseal = (...args: string[]) => {
    const options = { encoding: "utf8", maxBuffer: 2 ** 28 } as const;
    return spawnSync(process.execPath, [join(ROOT, "tools/unseal.ts"), ...args], options);
  };

  /** A sold tracker, as its box says it. */
  async function aCode(imei: string): Promise<{ imei: string; code: string }> {
    const operator = { authorization: `Bearer ${platform.secrets.adminToken}` };
    const loaded = await call("POST", "/v1/admin/activations", { devices: [{ imei, model: "T366" }] }, operator);
    const { data } = (await loaded.json()) as { data: { code: string }[] };
    return { imei, code: data[0]!.code };
  }

  async function signUp(): Promise<void> {
    expect((await call("POST", "/v1/signups", { email: EMAIL }, {})).status).toBe(202);
    let token: string | undefined;
    for (let tries = 0; token === undefined && tries < 100; tries++, await wait(100)) {
      token = /\/confirm\/([\w-]+)/.exec(await (await fetch(platform.outboxUrl!)).text())?.[1];
    }
    const texts = (await (await call("GET", "/v1/statements", undefined, {})).json()) as {
      data: Record<string, unknown>[];
    };
    const accept = texts.data
      .filter(({ language }) => language === "en")
      .map(({ kind, version, sha256, language }) => ({ kind, version, sha256, language }));
    const confirmed = await call("POST", "/v1/signups/confirm", { token, password: PASSWORD, accept }, {});
    expect(confirmed.status, await confirmed.clone().text()).toBe(201);
    cookie = confirmed.headers.getSetCookie()[0]!.split(";")[0]!;
  }

  beforeAll(async () => {
    const options = { port: 0, bridgePort: 0, bridgeHost: "127.0.0.1", report: () => undefined };
    platform = await startPlatform({ dataDir: join(folder, "data"), runtime, ...options });
    await signUp();
    imei = nextImei();
    device = await idOf(await call("POST", "/v1/devices", { ...(await aCode(imei)), name: "Van", model: "T366" }));
    if (executable !== undefined) {
      browser = await openBrowser(executable);
      const origin = platform.url.replace("127.0.0.1", "localhost");
      const origins = [origin, `blob:${origin}`];
      ada = await Visitor.arrive(browser, { origins, screenshots: process.env.SCREENSHOTS });
      await ada.go(`${origin}/login`);
      await ada.fill(auth.email, EMAIL);
      await ada.fill(auth.password, PASSWORD);
      await ada.press(common.signIn);
    }
  }, 120_000);
  afterAll(async () => {
    await browser?.close();
    await platform?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test("the offline key is made by the tool and registered by the API", LONG, async () => {
    const made = unseal("--new-key", at("offline.key"));
    expect(made.status).toBe(0);
    const { publicKey, check } = JSON.parse(readFileSync(at("offline.key"), "utf8")) as Record<string, string>;
    const body = { kind: "offline", publicKey, check, lostKeyIsFinal: true };
    const registered = await call("POST", "/v1/me/sealing-keys", body);
    expect(registered.status, await registered.clone().text()).toBe(201);
    // Each runtime refuses what would be sealed to everybody.
    const bad = { ...body, kind: "everyday", publicKey: "A".repeat(43) };
    expect((await call("POST", "/v1/me/sealing-keys", bad)).status).toBe(400);
  });

  test.skipIf(executable === undefined)(
    "the everyday key is made in the browser, which keeps no copy",
    LONG,
    async () => {
      const page = ada!.page;
      const origin = platform.url.replace("127.0.0.1", "localhost");
      await ada!.go(`${origin}/profile/sealing`);
      await ada!.look("sealing-one");
      await ada!.follow(sealing.addOther);
      await ada!.look("sealing-new");
      const [download] = await Promise.all([page.waitForEvent("download"), ada!.press(sealing.make)]);
      await download.saveAs(at("everyday.key"));
      expect(download.suggestedFilename()).toMatch(/^sealing-\d{4}-\d\d-\d\d-\w{4}\.key$/);
      const file = JSON.parse(readFileSync(at("everyday.key"), "utf8")) as Record<string, string>;
      expect(await page.getByLabel(sealing.publicKey, { exact: true }).inputValue()).toBe(file.publicKey);
      expect(await page.content()).not.toContain(file.check);
      await ada!.press(sealing.seal);
      expect(ada!.path()).toBe("/profile/sealing/new");
      await ada!.look("sealing-new-error");
      await ada!.fill(sealing.check, file.check!);
      await ada!.tick(sealing.understood);
      await ada!.press(sealing.seal);
      expect(ada!.path()).toBe("/profile/sealing");
      expect(await ada!.text()).toContain(sealing.on);
      await ada!.look("sealing-two");
      expect(ada!.problems.splice(0)).toEqual([]);
    },
  );

  test("what the tracker sends is sealed once it is settled, and opens with the key alone", LONG, async () => {
    const send = async (from: number, batches: number) => {
      for (let batch = 0; batch < batches; batch++) {
        const request = new RequestWriter();
        for (let n = 0; n < IN_BATCH; n++) {
          const report = aReport(from + batch * IN_BATCH + n);
          request.frame(1, 0, Date.now(), encodeAaa({ identifier: "A", imei, report, model: "T366" }));
        }
        const headers = { authorization: `Bearer ${platform.secrets.bridgeToken}` };
        const body = request.finish() as Uint8Array<ArrayBuffer>;
        const answer = await fetch(`${platform.url}/v1/bridge/frames`, { method: "POST", headers, body });
        expect(readResponse(new Uint8Array(await answer.arrayBuffer())).frames).toHaveLength(IN_BATCH);
      }
    };
    await send(-TOTAL, BATCHES);
    const path = `/v1/devices/${device}/positions?limit=100`;
    // Whatever waits is settled when a tracker is removed, as its part of that must go.
    const code = await aCode(nextImei());
    const spare = await idOf(await call("POST", "/v1/devices", { ...code, name: "Spare" }));
    expect((await call("DELETE", `/v1/devices/${spare}`)).status).toBe(204);
    for (let tries = 0; tries < 100; tries++, await wait(200)) {
      if ((await call("GET", path)).headers.get("content-type") === SEALED) break;
    }
    await send(0, 1);

    const pages: string[] = [];
    for (let cursor: string | null = ""; cursor !== null; ) {
      const response: Response = await call("GET", `${path}${cursor === "" ? "" : `&cursor=${cursor}`}`);
      const text = await response.text();
      expect(text.includes(`"odometerM":${1_000_000 - TOTAL}`)).toBe(false);
      pages.push(at(`${pages.length}.json`));
      writeFileSync(pages.at(-1)!, text);
      cursor = (JSON.parse(text) as { nextCursor: string | null }).nextCursor;
    }
    expect(pages.length).toBeGreaterThan(1);
    const odometers = Array.from({ length: TOTAL + IN_BATCH }, (_, n) => 1_000_000 - TOTAL + n);
    for (const key of ["offline.key", ...(executable === undefined ? [] : ["everyday.key"])]) {
      const opened = unseal("--key", at(key), ...pages);
      expect(opened.stderr).toMatch(/^\d+ positions/);
      const positions = opened.stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as { odometerM: number; latitude: number });
      expect(positions.length).toBe(odometers.length);
      expect(positions.every(({ odometerM }, n) => odometerM === odometers[n])).toBe(true);
      expect(positions[0]!.latitude).toBe(aReport().latitude);
    }
    expect(unseal("--new-key", at("lost.key")).status).toBe(0);
    const lost = unseal("--key", at("lost.key"), pages[0]!);
    expect(lost.status).toBe(1);
    expect(lost.stdout).toBe("");
  });

  test("a page has what opens it in a browser", LONG, async () => {
    const page = await (await call("GET", "/profile/sealing/open")).text();
    const script = /<script type="module" src="(\/assets\/unseal\.[0-9a-f]{8}\.js)">/.exec(page)?.[1];
    const response = await fetch(`${platform.url}${script}`);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toMatch(/^text\/javascript/);
    // HPKE and the codec, in the size that README says.
    expect(gzipSync(await response.text()).length).toBeLessThan(30 * 1024);
  });

  test.skipIf(executable === undefined)("which gives the same as the tool", LONG, async () => {
    const { page } = ada!;
    await ada!.go(`${platform.url.replace("127.0.0.1", "localhost")}/profile/sealing/open`);
    await ada!.press(sealing.openIt);
    await page.getByText(sealing.noFile).waitFor();
    await ada!.look("sealing-open");
    await page.getByLabel(sealing.keyFile).setInputFiles(at("everyday.key"));
    await page.getByRole("button", { name: sealing.openIt, exact: true }).click();
    await page.locator("#unseal-result").waitFor();
    expect(await page.locator("#unseal-count").innerText()).toBe(String(TOTAL + IN_BATCH));
    await ada!.look("sealing-opened");
    const [download] = await Promise.all([page.waitForEvent("download"), page.locator("#unseal-ndjson").click()]);
    await download.saveAs(at("browser.ndjson"));
    const pages = readdirSync(folder).filter((name) => /^\d+\.json$/.test(name));
    const inNode = unseal("--key", at("everyday.key"), ...pages.map(at)).stdout;
    expect(readFileSync(at("browser.ndjson"), "utf8") === inNode).toBe(true);
    // With a key that it was not sealed to there is only what is not sealed yet.
    await page.getByLabel(sealing.keyFile).setInputFiles(at("lost.key"));
    await page.getByRole("button", { name: sealing.openIt, exact: true }).click();
    await page.getByText(sealing.unopened).waitFor();
    expect(await page.locator("#unseal-count").innerText()).toBe(String(IN_BATCH));
    expect(ada!.problems.splice(0)).toEqual([]);
  });

  test.skipIf(executable === undefined)(
    "the pages say so, and a key that is revoked is no longer used",
    LONG,
    async () => {
      const origin = platform.url.replace("127.0.0.1", "localhost");
      await ada!.go(`${origin}/devices`);
      await ada!.look("devices-sealed");
      await ada!.go(`${origin}/devices/${device}`);
      await ada!.look("device-sealed");
      await ada!.go(`${origin}/profile/sealing?lang=zh`);
      await ada!.look("zh-sealing");
      await ada!.go(`${origin}/profile/sealing?lang=en`);
      await ada!.press(sealing.revokeLabel(sealing.kind.everyday!));
      expect(await ada!.text()).toContain(common.done.sealingRevoked);
      await ada!.look("sealing-revoked");
      expect(ada!.problems.splice(0)).toEqual([]);
    },
  );
});
