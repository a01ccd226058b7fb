import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { TOTP } from "otpauth";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeAaa } from "../../codec/encode.ts";
import { en } from "../../src/text/en.ts";
import { type Platform, startPlatform } from "../../tools/platform.ts";
import { findBrowser, openBrowser, Visitor } from "./browser.ts";
import { aReport, nextImei, Tracker } from "./tracker.ts";

const executable = findBrowser();
const missing = executable === undefined ? " (skipped: no Chromium is installed, see CONTRIBUTING.md)" : "";

const EMAIL = "ada@edge.test";
const PASSWORD = "four quiet blue lorries";

describe.skipIf(executable === undefined)(`in a real browser${missing}`, { timeout: 60_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "ephemeris-browser-"));
  /** Where pictures of every page go, to be looked at. */
  const screenshots = process.env.SCREENSHOTS;
  let platform: Platform;
  let browser: Browser;
  let origin: string;
  let ada: Visitor;
  let boss: Visitor;
  let totp: TOTP;
  let used: string;
  const { auth, common, devices, legal, people, profile, security, admin: panel } = en;

  const origins = () => [
    origin,
    ...["a", "b"].map((name) => origin.replace("localhost", `${name}.localhost`)),
    platform.outboxUrl!,
  ];
  const aVisitor = (more: { javaScript?: boolean } = {}) =>
    Visitor.arrive(browser, { origins: origins(), screenshots, ...more });
  /** What was wrong since it was asked last. */
  const problems = (visitor: Visitor) => visitor.problems.splice(0);

  type Json = Record<string, unknown> & { data: Record<string, unknown>[] };
  async function admin(method: string, path: string, body?: object): Promise<Json> {
    const response = await fetch(platform.url + path, {
      method,
      headers: { authorization: `Bearer ${platform.secrets.adminToken}`, "content-type": "application/json" },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    expect(response.status).toBeLessThan(300);
    return (await response.json()) as Json;
  }

  async function until(holds: () => Promise<boolean>, ms = 35_000): Promise<void> {
    for (const deadline = Date.now() + ms; !(await holds()); await wait(100)) {
      if (Date.now() > deadline) throw new Error("It did not come true in time");
    }
  }

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
      await wait(100);
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
    const { keyboard } = ada.page;
    await keyboard.press("Tab");
    await keyboard.press("Enter");
    await keyboard.press("Tab");
    // The skip link led past the navigation.
    expect(await ada.page.evaluate("document.activeElement.name")).toBe("email");
    expect(problems(ada)).toEqual([]);
  });

  test("sign up, confirm by the mail in the outbox, accept", async () => {
    await ada.follow(common.signUp);
    await ada.look("signup");
    await ada.press(auth.sendLink);
    await ada.look("signup-error");
    await ada.fill(auth.email, EMAIL);
    await ada.press(auth.sendLink);
    await ada.look("signup-sent");
    await ada.go(platform.outboxUrl!);
    await ada.look("outbox");
    await openMail(ada, "Confirm your address");
    await ada.look("confirm");
    await ada.press(auth.confirm);
    await ada.look("confirm-error");
    await ada.fill(auth.newPassword, PASSWORD);
    for (const box of await ada.page.getByRole("checkbox").all()) await box.check();
    await ada.press(auth.confirm);
    expect(ada.path()).toBe("/devices");
    await ada.look("devices-empty");
    expect(problems(ada)).toEqual([]);
  });

  test("what an account cannot do without is readable without one", async () => {
    for (const kind of ["privacy", "terms"]) {
      await ada.go(`${origin}/legal/${kind}`);
      await ada.look(`legal-${kind}`);
    }
    await ada.go(`${origin}/accept`);
    await ada.look("accept");
    expect(problems(ada)).toEqual([]);
  });

  test("activate a tracker with the code that came with it", async () => {
    const imei = nextImei();
    const { data } = await admin("POST", "/v1/admin/activations", { devices: [{ imei, model: "T366" }] });
    await ada.go(`${origin}/devices`);
    await ada.follow(devices.add);
    await ada.look("devices-new");
    await ada.fill(devices.imei, imei);
    await ada.fill(devices.code, "WRONG-CODE-22");
    await ada.fill(devices.name, "Van 1");
    await ada.press(devices.add);
    expect(ada.path()).toBe("/devices/new");
    await ada.look("devices-new-error");
    await ada.fill(devices.code, String(data[0]!.code));
    await ada.press(devices.add);
    expect(ada.path()).toMatch(/^\/devices\/\d+$/);
    await ada.look("device-new");

    const tracker = new Tracker(platform.bridgePort);
    tracker.send(encodeAaa({ identifier: "A", imei, report: aReport(), model: "T366" }));
    await until(async () => {
      await ada.page.reload();
      return !(await ada.text()).includes(devices.nothingYet);
    });
    tracker.close();
    await ada.look("device");
    await ada.press(devices.showLines);
    await ada.look("device-lines");
    await ada.go(`${origin}/devices`);
    await ada.look("devices");
    expect(problems(ada)).toEqual([]);
  });

  test("what is held shows the position, and no secret", async () => {
    await ada.go(`${origin}/profile`);
    await ada.look("profile");
    await ada.follow(profile.toHeld);
    expect(ada.path()).toBe("/profile/held");
    const text = await ada.text();
    const { latitude, longitude } = aReport();
    for (const part of ["Van 1", EMAIL, String(latitude), String(longitude)]) expect(text).toContain(part);
    expect(text).not.toMatch(/scrypt|\$[0-9]+\$/);
    await ada.look("held");
    expect(problems(ada)).toEqual([]);
  });

  test("add an authenticator app, sign in with its code", async () => {
    await ada.go(`${origin}/security`);
    await ada.look("security");
    await ada.press(security.totpStart);
    const secret = await ada.page.locator("#totp pre code").innerText();
    await ada.look("security-totp");
    totp = new TOTP({ secret });
    await ada.fill(security.code, "000000");
    await ada.press(security.confirm);
    await ada.look("security-totp-error");
    used = totp.generate();
    await ada.fill(security.code, used);
    await ada.press(security.confirm);
    expect(await ada.text()).toContain(security.codesTitle);
    await ada.look("security-codes");
    expect(problems(ada)).toEqual([]);
  });

  test("a second device signs in with password and code, without any script, and is signed out from the first", async () => {
    const phone = await aVisitor({ javaScript: false });
    await phone.go(`${origin}/login`);
    await phone.fill(auth.email, EMAIL);
    await phone.fill(auth.password, "not the right password");
    await phone.press(common.signIn);
    expect(await phone.text()).toContain(auth.problems.wrong);
    // The rest with the keyboard alone.
    const { keyboard } = phone.page;
    await phone.page.getByLabel(auth.email).focus();
    await keyboard.press("Tab");
    await keyboard.type(PASSWORD);
    await keyboard.press("Enter");
    await phone.page.waitForURL(/second/);
    expect(phone.path()).toBe("/login/second");
    // A code works once.
    await phone.fill(auth.code, used);
    await phone.press(auth.goOn);
    expect(await phone.text()).toContain(auth.problems.code);
    // The next one, as a phone shows it whose clock is a little ahead.
    await phone.fill(auth.code, totp.generate({ timestamp: Date.now() + 30_000 }));
    await phone.press(auth.goOn);
    expect(phone.path()).toBe("/devices");

    await ada.go(`${origin}/security`);
    await ada.look("security-two");
    await ada.press(security.endOthers);
    await phone.go(`${origin}/devices`);
    expect(phone.path()).toBe("/login");
    expect(problems(phone)).toEqual([]);
    await phone.leave();
    expect(problems(ada)).toEqual([]);
  });

  test("add a passkey, and sign in with it", async () => {
    const debug = await ada.debug();
    await debug.send("WebAuthn.enable");
    await debug.send("WebAuthn.addVirtualAuthenticator", {
      options: {
        protocol: "ctap2",
        transport: "internal",
        hasResidentKey: true,
        hasUserVerification: true,
        isUserVerified: true,
        automaticPresenceSimulation: true,
      },
    });
    await ada.go(`${origin}/security`);
    await ada.press(security.addPasskey);
    await ada.page.waitForURL(/done=saved/);
    await ada.look("security-passkey");
    await ada.press(common.signOut);
    expect(ada.path()).toBe("/login");
    await ada.look("login-out");
    await ada.press(auth.withPasskey);
    await ada.page.waitForURL(/\/devices/);
    expect(problems(ada)).toEqual([]);
  });

  test("the other pages of a customer", async () => {
    for (const [path, name] of [
      ["/people", "people"],
      ["/people/invite", "people-invite"],
      ["/keys", "keys"],
      ["/keys/new", "keys-new"],
      ["/support", "support"],
      ["/profile/searches", "searches"],
      ["/profile/email", "profile-email"],
      ["/profile/mobile", "profile-mobile"],
      ["/profile/export", "export"],
      ["/profile/retention", "retention"],
      ["/profile/retention/account", "retention-account"],
      ["/profile/collection", "collection"],
      ["/prove", "prove"],
      ["/search", "search"],
      ["/nowhere", "not-found"],
    ] as const) {
      await ada.go(origin + path);
      await ada.look(name);
    }
    await ada.go(`${origin}/devices`);
    await ada.go(`${origin}${await ada.page.locator("td a").first().getAttribute("href")}/remove`);
    await ada.look("device-remove");
    for (const path of ["/forgot", "/secure", "/logout", "/login/second"]) {
      await ada.go(origin + path);
      await ada.look(path.slice(1).replace("/", "-"));
    }
    expect(problems(ada)).toEqual([]);
  });

  test("a colleague is invited, joins by the mail and sees what a viewer sees", async () => {
    const bob = await aVisitor();
    await ada.go(`${origin}/people/invite`);
    await ada.fill(people.invite.email, "bob@edge.test");
    await ada.press(people.invite.send);
    await ada.look("people-two");
    await openMail(bob, "You are invited");
    await bob.look("invite");
    await bob.fill(auth.newPassword, "nine slow yellow wagons");
    for (const box of await bob.page.getByRole("checkbox").all()) await box.check();
    await bob.press(auth.join);
    expect(bob.path()).toBe("/devices");
    await bob.look("devices-viewer");
    await bob.follow("Van 1");
    await bob.look("device-viewer");
    expect(await bob.text()).toContain(devices.seeOnly);
    for (const path of ["/people", "/keys", "/admin"]) {
      await bob.go(origin + path);
      expect(await bob.text()).toContain(common.errorTitle["403"]);
    }
    await bob.look("forbidden");
    await ada.go(`${origin}/people`);
    await ada.follow(people.change("bob@edge.test"));
    await ada.look("person");
    expect(problems(bob)).toEqual([]);
    expect(problems(ada)).toEqual([]);
    await bob.leave();
  });

  test("a key is shown once, and a window for support opens and ends", async () => {
    await ada.go(`${origin}/keys/new`);
    await ada.fill(people.newKey.name, "Dashboard");
    await ada.press(people.newKey.make);
    expect(await ada.text()).toMatch(/eph_[\w-]{20,}/);
    await ada.look("keys-made");
    await ada.go(`${origin}/keys`);
    expect(await ada.text()).not.toMatch(/eph_/);
    await ada.look("keys-one");
    await ada.go(`${origin}/support`);
    await ada.press(people.support.openIt);
    const accountId = (await admin("GET", "/v1/admin/accounts")).data[0]!.id;
    await admin("GET", `/v1/admin/accounts/${accountId}/positions/latest`);
    await ada.page.reload();
    await ada.look("support-open");
    expect(await ada.text()).toContain(people.support.token);
    await ada.press(people.support.closeIt);
    expect(await ada.text()).toContain(people.support.closed);
    expect(problems(ada)).toEqual([]);
  });

  test("after a material change one can look and not change, until it is accepted", async () => {
    const body = "# Terms\n\nNew words.\n";
    await admin("POST", "/v1/admin/documents", {
      kind: "terms",
      texts: [{ language: "en", title: "Terms of use", body }],
      material: true,
      effectiveAt: new Date(Date.now() + 3_000).toISOString(),
    });
    await ada.go(`${origin}/accept`);
    await ada.look("accept-waits");
    await wait(4_000);
    await ada.go(`${origin}/devices`);
    await ada.follow("Van 1");
    await ada.press(common.save);
    expect(await ada.text()).not.toContain(common.done.saved);
    await ada.look("unaccepted");
    await ada.go(`${origin}/profile/held`);
    expect(await ada.text()).toContain("Van 1");
    await ada.go(`${origin}/accept`);
    await ada.look("accept-late");
    await ada.tick(legal.agree("Terms of use", 2));
    await ada.press(legal.accept);
    expect(await ada.text()).toContain(legal.nothingWaits);
    await ada.go(`${origin}/devices`);
    await ada.follow("Van 1");
    await ada.press(common.save);
    expect(await ada.text()).toContain(common.done.saved);
    await ada.go(`${origin}/legal/terms/2`);
    await ada.look("legal-changes");
    expect(problems(ada)).toEqual([]);
  });

  test("Chinese", async () => {
    await ada.go(`${origin}/security?lang=zh`);
    await ada.look("zh-security");
    expect(await ada.page.locator("html").getAttribute("lang")).toBe("zh");
    await ada.go(`${origin}/profile?lang=zh`);
    await ada.look("zh-profile");
    await ada.go(`${origin}/profile?lang=en`);
    expect(problems(ada)).toEqual([]);
  });

  test("the operator: the first administrator by the setup link", async () => {
    boss = await aVisitor();
    const { link } = await admin("POST", "/v1/admin/setup-links");
    await boss.go(String(link).replace("127.0.0.1", "localhost"));
    await boss.look("setup");
    await boss.fill(panel.setup.email, "boss@edge.test");
    await boss.fill(panel.setup.password, "seven loud green tractors");
    await boss.press(panel.setup.submit);
    expect(boss.path()).toMatch(/^\/(admin|login)/);
    await boss.look("admin");
    await boss.go(String(link).replace("127.0.0.1", "localhost"));
    await boss.look("setup-over");
    expect(problems(boss)).toEqual([]);
  });

  test("the operator: the policy of one brand is on its sign-in page and on no other, until it is cleared", async () => {
    const policy = "https://reseller.example/privacy";
    const visitor = await aVisitor();
    const shown = async (name: string) => {
      await visitor.go(`${origin.replace("localhost", `${name}.localhost`)}/login`);
      return visitor.page.locator(`a[href="${policy}"]`).count();
    };
    for (const name of ["a", "b"]) {
      await boss.go(`${origin}/admin/brands`);
      if (name === "b") await boss.look("admin-brands");
      await boss.fill(panel.brands.hostname, `${name}.localhost`);
      await boss.fill(panel.brands.name, `Reseller ${name.toUpperCase()}`);
      await boss.press(panel.brands.add);
      expect(boss.path()).toMatch(/^\/admin\/brands\/\d+$/);
    }
    await boss.go(`${origin}/admin/brands/1`);
    expect([await shown("a"), await shown("b")]).toEqual([0, 0]);
    await boss.page.locator("[name='privacy.en.url']").fill("http://reseller.example/privacy");
    await boss.page.locator("button[value='texts']").click();
    await boss.look("admin-brand-error");
    await boss.page.locator("[name='privacy.en.url']").fill(policy);
    await boss.page.locator("button[value='texts']").click();
    await boss.page.waitForURL(/done=saved/);
    await boss.look("admin-brand");
    await until(async () => (await shown("a")) === 1, 60_000);
    await visitor.look("login-brand");
    expect(await shown("b")).toBe(0);
    await visitor.look("login-other-brand");
    await boss.page.locator("[name='privacy.en.url']").fill("");
    await boss.page.locator("button[value='texts']").click();
    await until(async () => (await shown("a")) === 0, 60_000);
    expect(problems(visitor)).toEqual([]);
    expect(problems(boss)).toEqual([]);
    await visitor.leave();
  });

  test("the other pages of the operator", async () => {
    for (const [path, name] of [
      ["/admin/accounts", "admin-accounts"],
      ["/admin/accounts/1", "admin-account"],
      ["/admin/devices", "admin-devices"],
      ["/admin/activations", "admin-activations"],
      ["/admin/documents", "admin-documents"],
      ["/admin/documents?from=privacy", "admin-documents-draft"],
      ["/admin/staff", "admin-staff"],
      ["/admin/staff/2", "admin-staff-member"],
      ["/admin/settings", "admin-settings"],
      ["/admin/calendar", "admin-calendar"],
      ["/admin/audit", "admin-audit"],
      ["/profile", "staff-profile"],
      ["/security", "staff-security"],
    ] as const) {
      await boss.go(origin + path);
      await boss.look(name);
    }
    expect(problems(boss)).toEqual([]);
  });
});
