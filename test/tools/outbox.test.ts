import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, expect, test } from "vitest";
import type { Mail } from "../../src/context.ts";
import { mailer } from "../../src/runtime/mail.ts";
import { type Outbox, startOutbox } from "../../tools/outbox.ts";

const folder = mkdtempSync(join(tmpdir(), "ephemeris-outbox-"));
let dir: string;
let outbox: Outbox;
let next = 0;
beforeEach(async () => {
  dir = join(folder, String(next++));
  outbox = await startOutbox(dir);
});
afterEach(() => outbox.close());
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const aMail = (more: Partial<Mail> = {}): Mail => ({
  from: "Ephemeris <noreply@edge.test>",
  to: "person@edge.test",
  subject: "Confirm your address",
  text: "Confirm: http://localhost:8787/confirm/abc\n",
  html: "<p>Confirm</p>",
  ...more,
});
const send = (mail: Mail, { postUrl, token } = outbox) => mailer({ outboxUrl: postUrl, outboxToken: token })?.(mail);
const page = async () => (await fetch(outbox.url)).text();

/** With a Host header of our own, which fetch() does not allow. */
function ask(host: string, method = "GET"): Promise<number | undefined> {
  const { hostname, port } = new URL(outbox.url);
  return new Promise((resolve, reject) => {
    const asked = request({ hostname, port, method, headers: { host } }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    asked.once("error", reject);
    asked.end();
  });
}

test("a mail is kept as a file of the owner and shown with its link, the newest first", async () => {
  expect(await page()).toContain("No mail yet");
  await send(aMail({ subject: "First" }));
  await send(aMail({ subject: "Second", to: "other@edge.test" }));
  const files = readdirSync(dir);
  expect(files).toHaveLength(2);
  for (const file of files) expect(statSync(join(dir, file)).mode & 0o777).toBe(0o600);
  expect(statSync(dir).mode & 0o777).toBe(0o700);
  expect(JSON.parse(readFileSync(join(dir, files.sort()[0]!), "utf8"))).toEqual(aMail({ subject: "First" }));
  const html = await page();
  expect(html.indexOf("Second")).toBeLessThan(html.indexOf("First"));
  expect(html).toContain("To other@edge.test");
  expect(html).toContain('<a href="http://localhost:8787/confirm/abc" rel="noreferrer">');
});

test("what a mail says is shown and never run", async () => {
  const hostile = `</pre><script>alert(1)</script> http://x.test/"onmouseover="alert(1) javascript:alert(1)`;
  await send(aMail({ subject: hostile, text: hostile }));
  const response = await fetch(outbox.url);
  const html = await response.text();
  expect(html).not.toMatch(/<script|<\/pre><(?!\/article)|"onmouseover|href="javascript/);
  const policy = response.headers.get("content-security-policy") ?? "";
  expect(policy).toMatch(/^default-src 'none'; style-src 'sha256-[^']+'; /);
  expect(policy).not.toMatch(/unsafe|script-src/);
});

test("only the app with its token can put a mail here", async () => {
  for (const token of ["", "wrong", `${outbox.token}x`]) {
    await expect(send(aMail(), { ...outbox, token: token || "none" })).rejects.toThrow("refused");
  }
  const bare = await fetch(outbox.postUrl, { method: "POST", body: JSON.stringify(aMail()) });
  expect(bare.status).toBe(401);
  const headers = { authorization: `Bearer ${outbox.token}` };
  for (const body of ["", "{}", '{"from":1}', "null"]) {
    expect([body, (await fetch(outbox.postUrl, { method: "POST", body, headers })).status]).toEqual([body, 400]);
  }
  const large = JSON.stringify(aMail({ text: "x".repeat(300_000) }));
  const refused = await fetch(outbox.postUrl, { method: "POST", body: large, headers }).then(
    ({ status }) => status,
    () => "cut",
  );
  expect(refused).toBeOneOf([500, "cut"]);
  expect(readdirSync(dir)).toEqual([]);
});

test("it listens on this machine and answers to no other name: a foreign page cannot read mails through one", async () => {
  const { port, hostname } = new URL(outbox.url);
  expect(hostname).toBe("127.0.0.1");
  expect(await ask(`localhost:${port}`)).toBe(200);
  for (const host of [`evil.test:${port}`, "evil.test", "127.0.0.1", `127.0.0.1.evil.test:${port}`, `localhost:1`]) {
    expect([host, await ask(host)]).toEqual([host, 421]);
  }
});

test("the newest 500 are kept, and a damaged file hides no other", { timeout: 60_000 }, async () => {
  for (let n = 0; n < 503; n++) await send(aMail({ subject: `Mail ${n}.` }));
  const files = readdirSync(dir).sort();
  expect(files).toHaveLength(500);
  writeFileSync(join(dir, files.at(-1)!), "{");
  const html = await page();
  expect(html).toContain("Mail 501.");
  expect(html).not.toContain("Mail 2.");
});

test("with somebody who delivers, nothing is kept, and a failure is the app's to repeat", async () => {
  const delivered: Mail[] = [];
  const relay = await startOutbox(join(folder, "relay"), async (mail) => {
    if (mail.subject === "Fail") throw new Error("person@edge.test is unknown");
    delivered.push(mail);
  });
  try {
    await send(aMail(), relay);
    expect(delivered).toEqual([aMail()]);
    await expect(send(aMail({ subject: "Fail" }), relay)).rejects.toThrow(/^The outbox refused a mail$/);
    expect((await fetch(relay.url)).status).toBe(404);
    expect(readdirSync(folder)).not.toContain("relay");
  } finally {
    await relay.close();
  }
});
