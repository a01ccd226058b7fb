import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { en } from "../../src/text/en.ts";
import { type Platform, startPlatform } from "../../tools/platform.ts";
import { findBrowser, openBrowser, Visitor } from "./browser.ts";

const executable = findBrowser();
const missing = executable === undefined ? " (skipped: no Chromium is installed, see CONTRIBUTING.md)" : "";

const EMAIL = "ada@edge.test";
const PASSWORD = "four quiet blue lorries";

describe.skipIf(executable === undefined)(`in a real browser${missing}`, { timeout: 60_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "ephemeris-browser-"));
  const screenshots = process.env.SCREENSHOTS ?? join(folder, "screenshots");
  let platform: Platform;
  let browser: Browser;
  let origin: string;
  let ada: Visitor;

  const origins = () => [
    origin,
    ...["a", "b"].map((name) => origin.replace("localhost", `${name}.localhost`)),
    platform.outboxUrl!,
  ];
  const aVisitor = (more: { javaScript?: boolean } = {}) =>
    Visitor.arrive(browser, { origins: origins(), screenshots, ...more });
  /** What was wrong since it was asked last. */
  const problems = (visitor: Visitor) => visitor.problems.splice(0);

  /** Opens the newest mail with this subject in the outbox and follows its link. */
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
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  beforeAll(async () => {
    const options = { port: 0, bridgePort: 0, bridgeHost: "127.0.0.1", report: () => undefined };
    platform = await startPlatform({ dataDir: join(folder, "data"), ...options });
    origin = platform.url.replace("127.0.0.1", "localhost");
    browser = await openBrowser(executable!);
    ada = await aVisitor();
  }, 90_000);
  afterAll(async () => {
    await browser?.close();
    await platform?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test("who is not signed in is led to the sign-in page", async () => {
    await ada.go(origin);
    expect(ada.path()).toBe("/login");
    await ada.look("login");
    expect(problems(ada)).toEqual([]);
  });

  test("sign up, confirm by the mail in the outbox, accept", async () => {
    await ada.follow(en.common.signUp);
    await ada.look("signup");
    await ada.press(en.auth.sendLink);
    await ada.look("signup-error");
    await ada.fill(en.auth.email, EMAIL);
    await ada.press(en.auth.sendLink);
    await ada.look("signup-sent");
    await ada.go(platform.outboxUrl!);
    await ada.look("outbox");
    await openMail(ada, "Confirm your address");
    await ada.look("confirm");
    await ada.press(en.auth.confirm);
    await ada.look("confirm-error");
    await ada.fill(en.auth.newPassword, PASSWORD);
    for (const box of await ada.page.getByRole("checkbox").all()) await box.check();
    await ada.press(en.auth.confirm);
    expect(ada.path()).toBe("/devices");
    await ada.look("devices-empty");
    expect(problems(ada)).toEqual([]);
  });
});
