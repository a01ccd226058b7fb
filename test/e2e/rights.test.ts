import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import Database from "libsql";
import { TOTP } from "otpauth";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeCcc } from "../../codec/encode.ts";
import { LIMITS } from "../../src/limits.ts";
import { en } from "../../src/text/en.ts";
import { zh } from "../../src/text/zh.ts";
import { type Platform, startPlatform } from "../../tools/platform.ts";
import { findBrowser, openBrowser, Visitor } from "./browser.ts";
import { aReport, nextImei, Tracker } from "./tracker.ts";

const executable = findBrowser();
const missing = executable === undefined ? " (skipped: no Chromium is installed, see CONTRIBUTING.md)" : "";
const EMAIL = "ada@edge.test";
const PASSWORD = "four quiet blue lorries";

describe.skipIf(executable === undefined)(`rights in a real browser${missing}`, { timeout: 90_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "ephemeris-rights-"));
  const screenshots = process.env.SCREENSHOTS;
  const { auth, requests: t, security } = en;
  let platform: Platform;
  let browser: Browser;
  let origin: string;
  let ada: Visitor;
  let receipt: string;
  /** A recovery code. */
  let code: string;
  let totp: TOTP;
  let used: string;

  const aVisitor = () => Visitor.arrive(browser, { origins: [origin, platform.outboxUrl!], screenshots });
  const problems = (visitor: Visitor) => visitor.problems.splice(0);

  async function admin(method: string, path: string, body?: object): Promise<Record<string, unknown>> {
    const response = await fetch(platform.url + path, {
      method,
      headers: { authorization: `Bearer ${platform.secrets.adminToken}`, "content-type": "application/json" },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    expect(response.status, path).toBeLessThan(300);
    return (await response.json()) as Record<string, unknown>;
  }

  async function openMail(visitor: Visitor, subject: string): Promise<void> {
    for (let tries = 0; ; tries++) {
      await visitor.go(platform.outboxUrl!);
      const mail = visitor.page.locator("article").filter({ hasText: subject }).first();
      if ((await mail.count()) > 0) {
        await mail.getByRole("link").click();
        await visitor.page.waitForLoadState();
        return;
      }
      if (tries === 40) throw new Error(`There is no mail "${subject}"`);
      await wait(100);
    }
  }

  function change(sql: string, value: number): void {
    const db = new Database(join(platform.dataDir, "main.db"));
    db.exec("PRAGMA busy_timeout = 10000");
    db.prepare(sql).run([value]);
    db.close();
  }

  /** Each code is taken once. */
  async function nextCode(): Promise<string> {
    while (totp.generate() === used) await wait(500);
    used = totp.generate();
    return used;
  }

  beforeAll(async () => {
    const options = { port: 0, bridgePort: 0, bridgeHost: "127.0.0.1", report: () => undefined };
    platform = await startPlatform({ dataDir: join(folder, "data"), ...options });
    origin = platform.url.replace("127.0.0.1", "localhost");
    browser = await openBrowser(executable!);
    ada = await aVisitor();
    await ada.go(`${origin}/signup`);
    await ada.fill(auth.email, EMAIL);
    await ada.press(auth.sendLink);
    await openMail(ada, "Confirm your address");
    await ada.fill(auth.newPassword, PASSWORD);
    for (const box of await ada.page.getByRole("checkbox").all()) await box.check();
    await ada.press(auth.confirm);
    await ada.go(`${origin}/security`);
    await ada.press(security.totpStart);
    const secret = await ada.page.locator("#totp pre code").innerText();
    totp = new TOTP({ secret });
    used = totp.generate();
    await ada.fill(security.code, used);
    await ada.press(security.confirm);
    code = (await ada.page.locator("main li code, main pre code").first().innerText()).split(/\s/)[0]!;
    problems(ada);
  }, 120_000);
  afterAll(async () => {
    await browser?.close();
    await platform?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test("a part is asked for, shown with its clock, and cancelled", async () => {
    await ada.go(`${origin}/profile/requests`);
    await ada.look("requests-empty");
    await ada.follow(t.ask);
    await ada.look("requests-new");
    await ada.page.getByLabel(t.scopeField).selectOption("categories");
    await ada.press(t.next);
    await ada.look("requests-new-categories");
    await ada.press(t.sendErase);
    expect(await ada.text()).toContain("Choose at least one category.");
    await ada.look("requests-new-error");
    await ada.page.getByLabel(t.categories.other!).check();
    await ada.press(t.sendErase);
    expect(ada.path()).toMatch(/^\/profile\/requests\/[\w-]{22}$/);
    await ada.look("request");
    await ada.go(`${origin}/profile/requests`);
    await ada.look("requests");
    await ada.page.getByRole("button", { name: /^Cancel/ }).click();
    await ada.page.waitForLoadState();
    expect(await ada.text()).toContain(t.state.revoked);
    for (const scope of ["range", "fields", "devices"]) {
      await ada.go(`${origin}/profile/requests/new`);
      await ada.page.getByLabel(t.scopeField).selectOption(scope);
      await ada.press(t.next);
      await ada.look(`requests-new-${scope}`);
    }
    expect(problems(ada)).toEqual([]);
  });

  test("a tracker that is not to be used is answered and not stored, until it is let go on", async () => {
    const { devices } = en;
    const imei = nextImei();
    const { data } = await admin("POST", "/v1/admin/activations", { devices: [{ imei, model: "T366" }] });
    await ada.go(`${origin}/devices/new`);
    await ada.fill(devices.imei, imei);
    await ada.fill(devices.code, String((data as { code: string }[])[0]!.code));
    await ada.fill(devices.name, "Van 1");
    await ada.press(devices.add);
    const page = `${origin}${ada.path()}`;
    const positions = async () => {
      const answer = await ada.page.request.get(`${origin}/v1${new URL(page).pathname}/positions`);
      return ((await answer.json()) as { data: { odometerM: number }[] }).data.map(({ odometerM }) => odometerM);
    };
    const tracker = new Tracker(platform.bridgePort);
    // The tracker hears that it arrived, which it waits for before it forgets it.
    const deliver = async (identifier: string, n: number) => {
      const report = { ...aReport(n), fixTime: Math.ceil(Date.now() / 1000) * 1000 };
      tracker.send(encodeCcc({ identifier, imei, reports: [report] }));
      expect(await tracker.receive()).toMatchObject({ identifier, imei, type: "CCC" });
    };
    await deliver("A", 1);
    expect(await positions()).toEqual([1_000_001]);

    await ada.go(`${origin}/profile/requests/new`);
    await ada.page.getByLabel(t.typeField).selectOption("restrict");
    await ada.page.getByLabel(t.scopeField).selectOption("range");
    await ada.press(t.next);
    expect(await ada.text()).toContain("Only the whole account");
    await ada.page.getByLabel(t.scopeField).selectOption("devices");
    await ada.press(t.next);
    await ada.page.getByLabel("Van 1").check();
    await ada.press(t.send);
    expect(await ada.text()).toContain(t.state.cleared);
    await ada.go(page);
    expect(await ada.text()).toContain("Suspended since");
    await ada.look("device-suspended");
    await ada.go(`${origin}/devices`);
    expect(await ada.text()).toContain(t.suspendedShort);
    await ada.look("devices-suspended");
    await deliver("B", 2);
    await deliver("C", 3);
    expect(await positions()).toEqual([1_000_001]);

    await ada.go(`${origin}/profile/requests`);
    await ada.look("requests-suspended");
    await ada.page.getByRole("button", { name: new RegExp(`^${t.lift}`) }).click();
    await ada.page.waitForLoadState();
    expect(await ada.text()).toContain(en.common.done.resumed);
    await deliver("D", 4);
    expect((await positions()).toSorted()).toEqual([1_000_001, 1_000_004]);
    tracker.close();
    expect(problems(ada)).toEqual([]);
  });

  test("who cannot sign in asks by mail, shows a code, and cancels with the link", async () => {
    const lost = await aVisitor();
    await lost.go(`${origin}/login`);
    await lost.follow(t.footer);
    expect(lost.path()).toBe("/privacy/request");
    await lost.look("privacy-request");
    await lost.fill(t.email, "nobody");
    await lost.press(t.askLink);
    await lost.look("privacy-request-error");
    await lost.fill(t.email, EMAIL);
    await lost.press(t.askLink);
    await lost.look("privacy-request-sent");
    await openMail(lost, "Your request about your data");
    await lost.look("privacy-verify");
    await lost.fill(t.code, "000000");
    await lost.press(t.verify);
    await lost.look("privacy-verify-error");
    await lost.fill(t.code, code);
    await lost.press(t.verify);
    expect(await lost.text()).toContain(t.verified);
    await lost.look("privacy-verified");
    await openMail(lost, "Your request: Delete: the whole account");
    await lost.look("privacy-cancel");
    await lost.press(t.cancel);
    expect(await lost.text()).toContain(t.cancelled);
    await lost.look("privacy-cancelled");
    expect(problems(lost)).toEqual([]);
    await lost.leave();
  });

  test("the operator sees what is asked for, and nobody's name", async () => {
    const boss = await aVisitor();
    const { link } = await admin("POST", "/v1/admin/setup-links");
    await boss.go(String(link).replace("127.0.0.1", "localhost"));
    await boss.fill(en.admin.setup.email, "boss@edge.test");
    await boss.fill(en.admin.setup.password, "seven loud green tractors");
    await boss.press(en.admin.setup.submit);
    await boss.go(`${origin}/admin/requests?all=true`);
    await boss.look("admin-requests");
    expect(await boss.text()).not.toContain(EMAIL);
    await boss.page.locator("td a").first().click();
    await boss.page.waitForLoadState();
    await boss.look("admin-request");
    await boss.go(`${origin}/admin/requests`);
    await boss.fill(t.accountNumber, "1");
    await boss.page.getByLabel(t.reason).fill("Came with the order number 4711");
    await boss.press(t.onBehalf);
    expect(boss.path()).toMatch(/^\/admin\/requests\/[\w-]{22}$/);
    await boss.page.getByLabel(t.reason).fill("Came with the order number 4711");
    await boss.press(t.confirm);
    expect(await boss.text()).toContain(t.another);
    await boss.look("admin-request-confirmed");
    await boss.page.getByLabel(t.reason).fill("It was somebody else after all");
    await boss.press(t.deny);
    expect(await boss.text()).toContain(t.state.denied);
    expect(problems(boss)).toEqual([]);
    await boss.leave();
  });

  /** What a newcomer presses from the profile on: nothing but what the pages offer under the names that they are given. */
  async function downloadThenDelete(visitor: Visitor, proves: boolean): Promise<number> {
    let clicks = 0;
    await visitor.go(`${origin}/profile`);
    await visitor.follow(t.toDelete);
    clicks++;
    expect(visitor.path()).toBe(proves ? "/prove" : "/profile/delete");
    if (proves) {
      await visitor.look("delete-prove");
      await visitor.fill(auth.password, PASSWORD);
      await visitor.fill(security.code, await nextCode());
      await visitor.press(security.prove);
      clicks++;
    }
    expect(visitor.path()).toBe("/profile/delete");
    await visitor.look("delete");
    const arriving = visitor.page.waitForEvent("download");
    await visitor.page.getByRole("button", { name: t.download }).click();
    clicks++;
    expect((await arriving).suggestedFilename()).toMatch(/\.zip$/);
    await visitor.page.getByRole("button", { name: t.erase }).click();
    await visitor.page.waitForURL(/\/profile\/requests\/[\w-]{22}$/);
    clicks++;
    // So that it is still to be looked at when the next minute begins.
    change("UPDATE requests SET due_at = ? WHERE closed_at IS NULL", Date.now() + 600_000);
    await visitor.look("delete-noted");
    return clicks;
  }

  test("from the profile it takes three clicks to download and delete", async () => {
    expect(await downloadThenDelete(ada, false)).toBe(3);
    await ada.press(t.cancel);
    expect(await ada.text()).toContain(t.state.revoked);
    expect(problems(ada)).toEqual([]);
  });

  test("and four where it is too long ago that they proved who they are", async () => {
    change("UPDATE sessions SET proved_at = proved_at - ?", LIMITS.stepUpMs);
    expect(await downloadThenDelete(ada, true)).toBe(4);
    receipt = `/receipts/${ada.path().split("/").at(-1)}`;
    expect(await ada.text()).toContain(receipt);
    for (const path of ["/profile", "/profile/requests", ada.path(), "/profile/delete"]) {
      await ada.go(`${origin}${path}?lang=zh`);
      await ada.look(`zh-${path.startsWith("/profile/requests/") ? "request" : path.slice(1).replace("/", "-")}`);
    }
    await ada.go(`${origin}/profile?lang=en`);
    expect(problems(ada)).toEqual([]);
  });

  test("the receipt is there when the account is gone, and the browser finds it genuine", async () => {
    const anybody = await aVisitor();
    change("UPDATE requests SET due_at = ?", 0);
    for (let tries = 0; tries < 20; tries++) {
      await admin("POST", "/v1/admin/jobs/erase/run");
      if ((await fetch(`${platform.url}/v1${receipt}`)).status === 200) break;
      await wait(3000);
    }
    await ada.go(`${origin}/profile`);
    expect(ada.path()).toBe("/login");
    await anybody.go(origin + receipt);
    await anybody.page.waitForSelector("#receipt-check[data-verified]");
    expect(await anybody.text()).toContain(t.receiptGood);
    await anybody.look("receipt");
    await anybody.go(`${origin + receipt}?lang=zh`);
    await anybody.page.waitForSelector("#receipt-check[data-verified]");
    expect(await anybody.text()).toContain(zh.requests.receiptGood);
    await anybody.look("zh-receipt");
    await anybody.go(`${origin}/privacy/request?lang=zh`);
    await anybody.look("zh-privacy-request");
    expect(problems(anybody)).toEqual([]);
  });
});
