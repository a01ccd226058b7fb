import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Miniflare } from "miniflare";
import { afterAll, afterEach, expect, test } from "vitest";
import type { Mail } from "../../src/context.ts";
import { type EmailBinding, mailer, parseSender } from "../../src/runtime/mail.ts";
import { viaSmtp } from "../../src/runtime/smtp.ts";
import { environment, inDeno } from "../../tools/launch.ts";
import { type Sink, type SinkOptions, startSink } from "./smtp-sink.ts";

const MAIL: Mail = {
  from: "Ephemeris <noreply@edge.test>",
  to: "person@edge.test",
  subject: "Confirm your address 确认",
  text: "A link: https://edge.test/confirm/abc\n\n.\n\nA line that begins with a dot.\n",
  html: '<p><a href="https://edge.test/confirm/abc">Confirm</a></p>',
};

const folder = mkdtempSync(join(tmpdir(), "ephemeris-mail-"));
const sinks: Sink[] = [];
async function aSink(options?: SinkOptions): Promise<Sink> {
  const sink = await startSink(options);
  sinks.push(sink);
  return sink;
}
afterEach(async () => {
  for (const sink of sinks.splice(0)) await sink.close();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A certificate for a name that no client trusts. */
function aCertificate(): { cert: string; key: string } | null {
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const made = ["req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
  try {
    execFileSync("openssl", [...made, "-subj", "/CN=localhost", "-keyout", key, "-out", cert], { stdio: "ignore" });
    return { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") };
  } catch {
    return null;
  }
}
const certificate = aCertificate();

const header = (data: string, name: string) =>
  new RegExp(`^${name}: (.*)$`, "mi").exec(data.split("\r\n\r\n")[0]!.replace(/\r\n[ \t]+/g, " "))?.[1];

test("mailer() takes the first way that is there, and is null without one", async () => {
  const used: string[] = [];
  const email: EmailBinding = { send: async () => used.push("binding") };
  const smtp = () => async () => void used.push("smtp");
  const outbox = { outboxUrl: "http://127.0.0.1:1/mails", outboxToken: "t" };
  await mailer({ email, smtp, smtpUrl: "smtp://localhost", ...outbox })?.(MAIL);
  await mailer({ smtp, smtpUrl: "smtp://localhost", ...outbox })?.(MAIL);
  expect(used).toEqual(["binding", "smtp"]);
  await expect(mailer(outbox)?.(MAIL)).rejects.toThrow();
  expect(mailer({})).toBeNull();
  expect(mailer({ smtp })).toBeNull();
  expect(mailer({ outboxUrl: outbox.outboxUrl })).toBeNull();
});

test.each<[keyof Mail, string]>([
  ["subject", "Hello\r\nBcc: other@edge.test"],
  ["subject", "Hello\nBcc: other@edge.test"],
  ["subject", "Hello\u2028Bcc: other@edge.test"],
  ["to", "person@edge.test\r\nBcc: other@edge.test"],
  ["to", "person@edge.test, other@edge.test"],
  ["to", "person@edge.test;other@edge.test"],
  ["to", "Group: person@edge.test;"],
  ["to", "person@edge.test>\r\nRCPT TO:<other@edge.test"],
  ["to", "<person@edge.test>"],
  ["to", ""],
  ["from", "Ephemeris\r\nBcc: other@edge.test <noreply@edge.test>"],
  ["from", "noreply@edge.test\r\nBcc: other@edge.test"],
  ["from", "Ephemeris <noreply@edge.test>\r\nBcc: other@edge.test"],
])("a mail whose %s is %j is sent by nobody", async (part, value) => {
  const sent: unknown[] = [];
  const email: EmailBinding = { send: async (mail) => sent.push(mail) };
  const sink = await aSink();
  const ways = [mailer({ email }), mailer({ smtp: viaSmtp, smtpUrl: `smtp://127.0.0.1:${sink.port}` })];
  for (const send of ways) {
    const failed = send?.({ ...MAIL, [part]: value });
    await expect(failed).rejects.toThrow("Cannot send mail: a header is not one");
    await expect(failed).rejects.not.toThrow(/other/);
  }
  expect([sent, sink.mails]).toEqual([[], []]);
});

test("parseSender() takes both forms apart", () => {
  expect(parseSender("Ephemeris of Acme <noreply@edge.test>")).toEqual({
    name: "Ephemeris of Acme",
    email: "noreply@edge.test",
  });
  expect(parseSender("noreply@edge.test")).toEqual({ name: "", email: "noreply@edge.test" });
});

test("SMTP delivers text and HTML whole, to one recipient, with a login", async () => {
  const login = { user: "user@edge.test", password: "p@ss:w/rd%" };
  const sink = await aSink({ login });
  const [user, password] = [login.user, login.password].map(encodeURIComponent);
  await viaSmtp(`smtp://${user}:${password}@127.0.0.1:${sink.port}`)(MAIL);
  const [mail] = sink.mails;
  expect(sink.mails).toHaveLength(1);
  expect(mail).toMatchObject({ from: "noreply@edge.test", to: ["person@edge.test"] });
  expect(header(mail!.data, "From")).toBe("Ephemeris <noreply@edge.test>");
  expect(header(mail!.data, "To")).toBe("person@edge.test");
  expect(header(mail!.data, "Subject")).toMatch(/^(Confirm your address )?=\?UTF-8\?/);
  expect(header(mail!.data, "Auto-Submitted")).toBe("auto-generated");
  expect(mail!.data).toMatch(/^Content-Type: text\/plain/m);
  expect(mail!.data).toMatch(/^Content-Type: text\/html/m);
  expect(mail!.data).toContain("https://edge.test/confirm/abc");
  expect(mail!.data).toContain("A line that begins with a dot.");
});

test("SMTP outside this machine is refused without TLS, before the login is shown", async () => {
  const sink = await aSink({ login: { user: "user", password: "secret" } });
  // Not a loopback address by its name, although the system connects it to this machine.
  await expect(viaSmtp(`smtp://user:secret@0.0.0.0:${sink.port}`)(MAIL)).rejects.toThrow(/^Cannot send mail by SMTP: /);
  expect(sink.lines.length).toBeGreaterThan(0);
  expect(sink.lines.filter((line) => /^(AUTH|MAIL)/i.test(line))).toEqual([]);
});

test.skipIf(certificate === null)("SMTP refuses a certificate that nobody vouches for (needs openssl)", async () => {
  const sink = await aSink({ tls: certificate!, login: { user: "user", password: "secret" } });
  await expect(viaSmtp(`smtp://user:secret@0.0.0.0:${sink.port}`)(MAIL)).rejects.toThrow(/^Cannot send mail by SMTP: /);
  expect(sink.lines.some((line) => line === "STARTTLS")).toBe(true);
  expect(sink.lines.filter((line) => /^(AUTH|MAIL)/i.test(line))).toEqual([]);
});

test("SMTP errors repeat nothing of what the server said, nor the login or the address", async () => {
  const sink = await aSink({ login: { user: "user", password: "secret" } });
  const failed = viaSmtp(`smtp://user:wrong-one@127.0.0.1:${sink.port}`)(MAIL);
  const error = await failed.then(
    () => null,
    (reason: Error & { code: string }) => reason,
  );
  expect(error).toMatchObject({ message: "Cannot send mail by SMTP: EAUTH", code: "EAUTH" });
  expect(JSON.stringify(error) + error?.stack).not.toMatch(/wrong-one|person@|no such login/);
  await expect(viaSmtp("smtp://127.0.0.1:1")(MAIL)).rejects.toThrow("ESOCKET");
});

test("SMTP works the same under Deno", { timeout: 60_000 }, async () => {
  const sink = await aSink({ login: { user: "user", password: "secret" } });
  const { command, args } = inDeno("");
  const flags = args.filter((arg) => arg.startsWith("--") && arg !== "--preload");
  const env = environment({ DENO_NO_UPDATE_CHECK: "1" }) as NodeJS.ProcessEnv;
  // From standard input, which counts as a file of this folder: it finds the packages.
  const sent = promisify(execFile)(command, ["run", ...flags, "-"], { env, timeout: 50_000 });
  sent.child.stdin?.end(
    `import { viaSmtp } from "./src/runtime/smtp.ts";
     await viaSmtp("smtp://user:secret@localhost:${sink.port}")(${JSON.stringify(MAIL)});
     console.log("sent");`,
  );
  const { stdout } = await sent;
  expect(stdout).toBe("sent\n");
  expect(sink.mails).toMatchObject([{ from: "noreply@edge.test", to: ["person@edge.test"] }]);
});

test("the binding of Workers takes a mail in workerd", async () => {
  const main = `import { mailer } from "./mail.js";
    export default { async fetch(request, env) {
      const send = mailer({ email: env.EMAIL });
      try { await send(await request.json()); return new Response("sent"); }
      catch (error) { return new Response(error.message, { status: 500 }); }
    } };`;
  const mail = stripTypeScriptTypes(readFileSync("src/runtime/mail.ts", "utf8"));
  const worker = new Miniflare({
    cf: false,
    telemetry: { enabled: false },
    handleStructuredLogs: () => undefined,
    workers: [
      {
        config: {
          name: "test",
          compatibilityDate: "2026-10-20",
          manifest: {
            mainModule: "w.js",
            modules: { "w.js": { type: "esm", contents: main }, "mail.js": { type: "esm", contents: mail } },
          },
          env: { EMAIL: { type: "send-email" } },
        },
        dev: { unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }] },
      },
    ],
  });
  try {
    const url = (await worker.unsafeGetDirectURL()).origin;
    for (const from of [MAIL.from, "noreply@edge.test"]) {
      const response = await fetch(url, { method: "POST", body: JSON.stringify({ ...MAIL, from }) });
      expect([response.status, await response.text()]).toEqual([200, "sent"]);
    }
    const refused = await fetch(url, { method: "POST", body: JSON.stringify({ ...MAIL, subject: "a\r\nb: c" }) });
    expect(refused.status).toBe(500);
  } finally {
    await worker.dispose();
  }
});
