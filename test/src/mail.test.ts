import { afterEach, beforeEach, expect, test } from "vitest";
import type { Ctx } from "../../src/context.ts";
import { LIMITS } from "../../src/limits.ts";
import { linkTo, type MailData, type MailKind, queueMail, sendDueMails } from "../../src/mail.ts";
import { mailer } from "../../src/runtime/mail.ts";
import { LANGUAGES } from "../../src/text/index.ts";
import { destroyAccount } from "../../src/vault.ts";
import { aBase, aContext, aDatabase, aUser, type TestBase, type TestDatabase } from "../database.ts";

let database: TestDatabase;
let base: TestBase;
let ctx: Ctx;
beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  ctx = aContext(base);
});
afterEach(() => database.close());

const LINK = "https://edge.test/confirm/abc";
const to = "person@edge.test";
const MINUTE = 60_000;

/** Something for each of the values that a mail of any kind may name. */
const VALUES = {
  link: LINK,
  browser: "Firefox, Linux",
  time: "1 March 2026, 12:00 UTC",
  what: "a passkey",
  account: "Acme",
  device: "0018",
  title: "Privacy statement",
  effective: "1 April 2026",
  until: "2 March 2026, 12:00 UTC",
  reason: "asked for twice",
  percent: "50",
};

const rows = async () => (await database.client.execute("SELECT * FROM mails")).rows;

for (const [language, { text }] of Object.entries(LANGUAGES)) {
  test.each(Object.keys(text.mail) as MailKind[])(
    `${language}: the mail %s is whole, and nothing in it tracks`,
    async (kind) => {
      await queueMail(ctx, kind, { to, userId: null, language, data: VALUES as MailData[typeof kind] });
      await base.settled();
      const [mail] = base.sent;
      expect(mail).toMatchObject({ from: "Ephemeris <noreply@edge.test>", to });
      expect(mail.subject.length).toBeGreaterThan(3);
      expect(mail.subject.length).toBeLessThan(60);
      expect(mail.text.split(LINK)).toHaveLength(2);
      expect(mail.html).toMatch(
        /^(<p>[^<]+<\/p>\n){2,4}<p><a href="https:\/\/edge\.test\/confirm\/abc">[^<]+<\/a><\/p>$/,
      );
      expect(mail.text + mail.html).not.toMatch(/undefined|null|\[object/);
      expect(JSON.stringify([mail.text, mail.html]).match(/https?:[^"\s\\]*/g)).toEqual([LINK, LINK]);
      const sent: unknown[] = [];
      await mailer({ email: { send: async (given) => sent.push(given) } })?.(mail);
      expect(sent).toHaveLength(1);
    },
  );
}

test("a mail is sent at once and its row goes; what waits is sealed", async () => {
  const user = await aUser(database.db, { role: "owner" });
  await queueMail(ctx, "reset", { to, userId: user.id, language: "en", data: { link: LINK } });
  const [row] = await rows();
  expect(JSON.stringify(row)).not.toMatch(/person|edge\.test|confirm/);
  await base.settled();
  expect(base.sent).toHaveLength(1);
  expect(await rows()).toEqual([]);
});

test("what a person wrote is neither markup nor a header", async () => {
  const account = `<img src="//x.test/1.png">\r\nBcc: other@edge.test`;
  await queueMail(ctx, "invite", { to, userId: null, language: "en", data: { account, link: LINK } });
  const title = "News\r\nBcc: other@edge.test\r\n\r\nHello";
  const data = { title, effective: "tomorrow", link: LINK };
  await queueMail(ctx, "statementChanged", { to, userId: null, language: "en", data });
  await base.settled();
  const [invite, changed] = base.sent;
  expect(invite.html).toContain("&lt;img src=&quot;");
  expect(invite.html).not.toContain("<img");
  expect(changed.subject).toBe("New version: News Bcc: other@edge.test Hello");
});

test("a mail that cannot be sent is tried again, later and later, for a day, and the log has ids only", async () => {
  base.sendMail = async () => {
    throw new Error(`550 ${to} is unknown`);
  };
  ctx = aContext(base);
  await queueMail(ctx, "reset", { to, userId: null, language: "en", data: { link: LINK } });
  await base.settled();
  const due = async () => Number((await rows())[0]?.due_at) - base.now();
  expect(await due()).toBe(2 * MINUTE);
  expect(await sendDueMails(base)).toBe(0);
  expect(base.logged).toHaveLength(1);
  const waits: number[] = [];
  for (let at = 0; at < 8; at++) {
    base.advance(await due());
    await sendDueMails(base);
    waits.push((await due()) / MINUTE);
  }
  expect(waits).toEqual([4, 8, 16, 32, 60, 60, 60, 60]);
  expect(base.logged.every((line) => line.startsWith("error mail.failed "))).toBe(true);
  expect(base.logged.join()).not.toMatch(/person|edge\.test|unknown/);
  base.advance(LIMITS.mailMs);
  expect(await sendDueMails(base)).toBe(1);
  expect(await rows()).toEqual([]);
});

test("sendDueMails() sends what waited, and of two at once only one does", async () => {
  const { sendMail } = base;
  base.sendMail = null;
  await queueMail(aContext(base), "reset", { to, userId: null, language: "en", data: { link: LINK } });
  await base.settled();
  expect(await rows()).toHaveLength(1);
  base.sendMail = sendMail;
  base.advance(2 * MINUTE);
  const sent = await Promise.all([sendDueMails(base), sendDueMails(base)]);
  expect(sent.sort()).toEqual([0, 1]);
  expect(base.sent).toHaveLength(1);
  expect(await rows()).toEqual([]);
});

test("sendDueMails() does not wait for a server that is down once for each mail, and leaves none out", async () => {
  const { sendMail } = base;
  base.sendMail = null;
  for (let n = 0; n < 8; n++) {
    await queueMail(aContext(base), "reset", { to, userId: null, language: "en", data: { link: LINK } });
  }
  await base.settled();
  let tries = 0;
  base.sendMail = async () => {
    tries++;
    throw new Error("down");
  };
  base.advance(2 * MINUTE);
  await sendDueMails(base);
  expect(tries).toBe(LIMITS.mailFailuresPerRun);
  base.sendMail = sendMail;
  expect(await sendDueMails(base)).toBe(8 - LIMITS.mailFailuresPerRun);
  base.advance(4 * MINUTE);
  expect(await sendDueMails(base)).toBe(LIMITS.mailFailuresPerRun);
  expect(await rows()).toEqual([]);
});

test("a mail waits under the secret of its account: when that is destroyed nobody opens it; one of nobody is sent", async () => {
  const [gone, stays] = [await aUser(database.db, { role: "owner" }), await aUser(database.db, { role: "support" })];
  const { sendMail } = base;
  base.sendMail = null;
  for (const userId of [gone.id, stays.id, null]) {
    await queueMail(aContext(base), "reset", {
      to: `${userId}@edge.test`,
      userId,
      language: "en",
      data: { link: LINK },
    });
  }
  await base.settled();
  await destroyAccount(base, gone.accountId!);
  base.sendMail = sendMail;
  base.advance(2 * MINUTE);
  await sendDueMails(base);
  expect(base.sent.map((mail) => mail.to)).toEqual([`${stays.id}@edge.test`, "null@edge.test"]);
});

test("a mail goes with the user whose it is", async () => {
  const user = await aUser(database.db, { role: "owner" });
  base.sendMail = null;
  await queueMail(aContext(base), "reset", { to, userId: user.id, language: "en", data: { link: LINK } });
  await base.settled();
  await database.client.execute({ sql: "DELETE FROM users WHERE id = ?", args: [user.id] });
  expect(await rows()).toEqual([]);
});

test("a reseller's mail has the reseller's name and the platform's address", async () => {
  await database.client.execute(
    "INSERT INTO brands (hostname, name, created_at, updated_at) VALUES ('fleet.test', 'Fleet <x@y.test>, \"Ltd\"', 0, 0)",
  );
  const client = { ...ctx.client, origin: "https://fleet.test" };
  await queueMail({ ...ctx, client }, "reset", { to, userId: null, language: "en", data: { link: LINK } });
  await base.settled();
  expect(base.sent[0].from).toBe("Fleet xy.test Ltd <noreply@edge.test>");
});

test("linkTo() never takes a name from the request that is not ours", async () => {
  await database.client.execute(
    "INSERT INTO brands (hostname, name, created_at, updated_at) VALUES ('fleet.test', 'Fleet', 0, 0)",
  );
  const from = (origin: string) => linkTo({ ...ctx, client: { ...ctx.client, origin } }, "/reset/abc");
  expect(await from("https://evil.test")).toBe("https://edge.test/reset/abc");
  expect(await from("https://localhost.evil.test")).toBe("https://edge.test/reset/abc");
  expect(await from("https://fleet.test")).toBe("https://fleet.test/reset/abc");
  expect(await from("https://fleet.test:8443")).toBe("https://fleet.test/reset/abc");
  // Whoever sends this name would have others look for the page on their own machines.
  expect(await from("http://localhost:8787")).toBe("https://edge.test/reset/abc");
  base.config.publicUrl = "http://localhost:8787";
  expect(await from("http://127.0.0.1:8787")).toBe("http://127.0.0.1:8787/reset/abc");
  base.config.publicUrl = undefined as never;
  await expect(from("https://evil.test")).rejects.toThrow("PUBLIC_URL");
  expect(await from("http://localhost:8787")).toBe("http://localhost:8787/reset/abc");
});
