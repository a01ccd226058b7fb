import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "libsql";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeAaa } from "../../codec/encode.ts";
import { en } from "../../src/text/en.ts";
import { type Platform, startPlatform } from "../../tools/platform.ts";
import { ZipReader } from "../../tools/unzip.ts";
import { findBrowser, openBrowser, Visitor } from "./browser.ts";
import { type Customer, signUp, until } from "./customer.ts";
import { aReport, nextImei, Tracker } from "./tracker.ts";

const executable = findBrowser();
const missing = executable === undefined ? " (skipped: no Chromium is installed, see CONTRIBUTING.md)" : "";
const REPORTS = 20;

describe.skipIf(executable === undefined)(`a hold in a real browser${missing}`, { timeout: 240_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "ephemeris-held-"));
  const dataDir = join(folder, "data");
  const screenshots = process.env.SCREENSHOTS;
  const { holds: t } = en;
  let platform: Platform;
  let browser: Browser;
  let origin: string;
  let boss: Visitor;
  let owner: Customer;
  let device: number;
  let request: string;

  function change(sql: string, ...values: number[]): void {
    const db = new Database(join(dataDir, "main.db"));
    db.exec("PRAGMA busy_timeout = 10000");
    db.prepare(sql).run(values);
    db.close();
  }

  async function admin<T>(path: string, body?: object): Promise<T> {
    const headers = { authorization: `Bearer ${platform.secrets.adminToken}`, "content-type": "application/json" };
    const sent = body !== undefined && { body: JSON.stringify(body) };
    const response = await fetch(platform.url + path, { method: "POST", headers, ...sent });
    expect(response.status, path).toBeLessThan(300);
    return (await response.json()) as T;
  }

  const stateOf = async () => {
    const response = await fetch(`${platform.url}/v1/receipts/${request}`);
    return response.ok ? ((await response.json()) as { result: string; held: unknown[] }) : null;
  };

  beforeAll(async () => {
    platform = await startPlatform({
      dataDir,
      port: 0,
      bridgePort: 0,
      bridgeHost: "127.0.0.1",
      report: () => undefined,
    });
    origin = platform.url.replace("127.0.0.1", "localhost");
    browser = await openBrowser(executable!);
    const person = { email: "ida@edge.test", name: "Ida", mobile: "+436601234567", password: "nine slow brown barges" };
    owner = await signUp(platform, person);
    const imei = nextImei();
    const { data } = await admin<{ data: { code: string }[] }>("/v1/admin/activations", {
      devices: [{ imei, model: "T366" }],
    });
    const code = data[0]!.code;
    device = ((await (await owner.send("POST", "/v1/devices", { name: "Barge", imei, code })).json()) as { id: number })
      .id;
    const tracker = new Tracker(platform.bridgePort);
    for (let n = 0; n < REPORTS; n++) {
      tracker.send(encodeAaa({ identifier: "A", imei, report: aReport(n - REPORTS) }));
    }
    const seen = async () =>
      ((await owner.read(`/v1/devices/${device}/positions?limit=100`)) as { data: unknown[] }).data.length;
    await until("every report can be read", async () => (await seen()) === REPORTS);
    tracker.close();
    boss = await Visitor.arrive(browser, { origins: [origin], screenshots });
    const { link } = await admin<{ link: string }>("/v1/admin/setup-links");
    await boss.go(link.replace("127.0.0.1", "localhost"));
    await boss.fill(en.admin.setup.email, "boss@edge.test");
    await boss.fill(en.admin.setup.password, "seven loud green tractors");
    await boss.press(en.admin.setup.submit);
  }, 120_000);

  afterAll(async () => {
    await browser?.close();
    await platform?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test("one of the legal staff places it, and cannot confirm it alone", async () => {
    await boss.go(`${origin}/admin/holds`);
    expect(await boss.text()).toContain(t.notLegal);
    // Nobody lets themselves: a second administrator would.
    change("UPDATE users SET legal_until = ? WHERE account_id IS NULL", Date.now() + 3_600_000);
    await boss.go(`${origin}/admin/holds`);
    await boss.fill(t.account, "1");
    await boss.fill(t.reference, "F-7/26");
    await boss.press(t.place);
    await boss.look("admin-hold-placed");
    expect(await boss.text()).toContain(t.yours);
    change("UPDATE legal_holds SET confirmed_by = ?, confirmed_at = ?", 9_000_001, Date.now());
    await boss.go(`${origin}/admin/holds`);
    await boss.look("admin-holds");
    expect(await boss.text()).toContain(t.state.in_force);
    expect(boss.problems.splice(0)).toEqual([]);
  });

  test("what the customer erases goes, but for a sealed copy that the receipt names", async () => {
    const asked = await owner.send("POST", "/v1/requests", { type: "erase", scope: { kind: "account" } });
    request = ((await asked.json()) as { name: string }).name;
    await until("the receipt says what is held", async () => (await stateOf())?.result === "partial", 150_000);
    expect((await stateOf())!.held).toMatchObject([{ reason: "hold", basis: "court_order", parts: 1 }]);
    const visitor = await Visitor.arrive(browser, { origins: [origin], screenshots });
    await visitor.go(`${origin}/receipts/${request}`);
    await visitor.look("receipt-held");
    expect(await visitor.text()).toContain(en.requests.heldReasons.hold);
    expect(visitor.problems.splice(0)).toEqual([]);
    await visitor.leave();
  });

  test("the copy is read by legal staff with a reason, and whole", async () => {
    await boss.go(`${origin}/admin/held`);
    await boss.look("admin-held");
    await boss.page.locator("tbody a").first().click();
    await boss.page.waitForLoadState();
    await boss.look("admin-held-part");
    await boss.page.getByLabel(t.reason).fill("The court asked for it on Monday");
    const waiting = boss.page.waitForEvent("download");
    await boss.page.getByRole("button", { name: t.archive }).click();
    const file = join(folder, "held.zip");
    await (await waiting).saveAs(file);
    const zip = new ZipReader(new Uint8Array(readFileSync(file)));
    expect(await zip.text("account/people.jsonl")).toContain("ida@edge.test");
    const positions = await zip.text(`location/device-${device}/positions.jsonl`);
    expect(positions.trim().split("\n")).toHaveLength(REPORTS);
    expect(boss.problems.splice(0)).toEqual([]);
  });

  test("released, it goes within minutes, and the receipt is the last one", async () => {
    await boss.go(`${origin}/admin/holds`);
    await boss.page.getByRole("link", { name: "F-7/26" }).click();
    await boss.page.waitForLoadState();
    await boss.page
      .getByRole("group")
      .or(boss.page.locator("form"))
      .filter({ hasText: t.releaseHint })
      .getByLabel(t.reason)
      .fill("The court let it go on Friday");
    await boss.press(t.release);
    expect(await boss.text()).toContain(t.state.released);
    await until("the last receipt is there", async () => (await stateOf())?.result === "done", 150_000);
    expect((await stateOf())!.held).toEqual([]);
    const db = new Database(join(dataDir, "main.db"));
    const left = db.prepare("SELECT count(*) AS n FROM held_parts").get() as {
      n: number;
    };
    db.close();
    expect(left.n).toBe(0);
    expect(boss.problems.splice(0)).toEqual([]);
  });
});
