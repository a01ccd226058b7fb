import { createHash } from "node:crypto";
import { eq } from "drizzle-orm";
import { afterEach, beforeEach, expect, test } from "vitest";
import { currentDocuments } from "../../../src/documents.ts";
import { acceptances, accounts } from "../../../src/store/schema.ts";
import { aDevice, NOON } from "../../database.ts";
import { type Api, anApi, type CallOptions, expectProblem } from "./api.ts";

const DAY = 86_400_000;
let api: Api;
beforeEach(async () => {
  api = await anApi();
});
afterEach(async () => {
  await api.base.settled();
  api.close();
});

const signedUp = () =>
  api.base.db.update(accounts).set({ privacyAccepted: 1, termsAccepted: 1 }).where(eq(accounts.id, api.accountId));
const publish = (more: object = {}) =>
  api.call("POST", "/v1/admin/documents", {
    key: api.admin,
    body: {
      kind: "privacy",
      texts: [
        { language: "en", title: "Statement", body: "# New\n\nKept for *two* months <script>" },
        { language: "zh", title: "声明", body: "# 新\n\n保存两个月" },
      ],
      material: true,
      ...more,
    },
  });
const asOwner = (): CallOptions => ({ cookie: api.sessions.owner });
const accept = (texts: object[], as: CallOptions = asOwner()) =>
  api.call("POST", "/v1/statement/acceptances", { ...as, body: { accept: texts } });
const current = async (kind: string, language = "en") => {
  const found = (await currentDocuments(api.base, language)).find((row) => row.kind === kind)!;
  return { kind, version: found.version, sha256: found.sha256, language: found.language };
};
const pageText = async (path: string, options: CallOptions = {}) => (await api.call("GET", path, options)).text();

test("a version stays readable at its address, with the hash of exactly the text that is served", async () => {
  await publish({ effectiveAt: new Date(NOON).toISOString() });
  for (const [version, lang] of [
    [1, "en"],
    [1, "zh"],
    [2, "en"],
    [2, "zh"],
  ]) {
    const response = await api.call("GET", `/v1/statements/privacy/${version}?lang=${lang}`);
    const { body, sha256, language } = (await response.json()) as Record<string, string>;
    expect(language).toBe(lang);
    expect(createHash("sha256").update(body).digest("hex")).toBe(sha256);
  }
  const { data } = (await (await api.call("GET", "/v1/statements")).json()) as { data: object[] };
  expect(data).toHaveLength(6);
  await expectProblem(await api.call("GET", "/v1/statements/privacy/9"), 404, "not_found");
  expect((await api.call("GET", "/v1/statements/privacy/0")).status).toBe(404);
  expect((await api.call("GET", "/v1/statements/other/1")).status).toBe(404);
});

test("the pages show the text, its hash, that it is a template, and what changed", async () => {
  const first = await pageText("/legal/privacy");
  expect(first).toContain("has not published a reviewed one");
  expect(first).toContain((await current("privacy")).sha256);
  expect(first).not.toContain("<ins>");
  await publish();
  expect(await pageText("/legal/privacy")).toBe(await pageText("/legal/privacy"));
  expect(await pageText("/legal/privacy")).toContain("has not published a reviewed one");
  expect(await pageText("/legal/privacy/2")).toContain("This version is not in force yet");
  api.base.advance(31 * DAY);
  const second = await pageText("/legal/privacy");
  expect(second).not.toContain("has not published a reviewed one");
  expect(second).toContain("<h2>New</h2>");
  expect(second).toContain("<em>two</em> months &lt;script&gt;");
  expect(second).toContain("What changed since version 1");
  expect(second).toMatch(/<ins><span class="hide">added: <\/span>/);
  expect(second).toMatch(/<del><span class="hide">removed: <\/span>/);
  expect(await pageText("/legal/privacy/1")).toContain("A newer version is in force");
  expect(await pageText("/legal/privacy?lang=zh")).toContain('<div class="legal" lang="zh"><h2>新</h2>');
  expect((await api.call("GET", "/legal/privacy/3", { headers: { Accept: "text/html" } })).status).toBe(404);
});

test("an account that did not accept a material version in force can read, export and erase, and nothing else, until it accepts", async () => {
  await signedUp();
  const device = await aDevice(api.base.db, { accountId: api.accountId });
  const spare = await aDevice(api.base.db, { accountId: api.accountId });
  const work = async (as: CallOptions) => {
    const registered = await api.call("PATCH", `/v1/devices/${device.id}`, { ...as, body: { name: "Van" } });
    const command = await api.call("POST", `/v1/devices/${device.id}/commands`, { ...as, body: { code: "A10" } });
    return [registered, command];
  };
  const callers = [asOwner(), { cookie: api.sessions.manager }, { key: api.write }];
  const expectOpen = async () => {
    for (const as of callers) expect((await work(as)).map(({ status }) => status)).toEqual([200, 201]);
  };
  await publish({ effectiveAt: new Date(NOON + DAY).toISOString() });
  await expectOpen();
  api.base.at(NOON + DAY - 1);
  await expectOpen();
  api.base.at(NOON + DAY);
  for (const as of callers) {
    for (const response of await work(as)) await expectProblem(response, 403, "acceptance_required");
    const add = await api.call("POST", "/v1/devices", { ...as, body: { imei: "359999000000018", name: "New" } });
    await expectProblem(add, 403, "acceptance_required");
    for (const path of ["/v1/devices", `/v1/devices/${device.id}/positions`, "/v1/positions/feed"]) {
      expect((await api.call("GET", path, as)).status).toBe(200);
    }
  }
  // The stranger's account was opened by the operator: nothing is held back.
  const other = await aDevice(api.base.db, { accountId: api.strangerId });
  const change = { key: api.stranger, body: { name: "Other" } };
  expect((await api.call("PATCH", `/v1/devices/${other.id}`, change)).status).toBe(200);
  // Erasing is a right.
  expect((await api.call("DELETE", `/v1/devices/${spare.id}`, { key: api.write })).status).toBe(204);

  const statement = (await (
    await api.call("GET", "/v1/me/statement", { cookie: api.sessions.viewer })
  ).json()) as object;
  expect(statement).toMatchObject({
    accepted: { privacy: 1, terms: 1 },
    waiting: [{ kind: "privacy", version: 2, deadline: new Date(NOON + DAY).toISOString() }],
  });
  const text = await current("privacy");
  for (const role of ["manager", "viewer"] as const) {
    await expectProblem(await accept([text], { cookie: api.sessions[role] }), 403, "forbidden");
  }
  await expectProblem(await accept([{ ...text, sha256: "0".repeat(64) }]), 409, "conflict");
  await expectProblem(await accept([{ ...text, version: 1 }]), 409, "conflict");
  await expectProblem(await accept([await current("terms")]), 400, "invalid");
  expect(await api.base.db.select().from(acceptances)).toEqual([]);
  const accepted = await accept([text]);
  expect(accepted.status).toBe(200);
  expect(await accepted.json()).toMatchObject({ accepted: { privacy: 2, terms: 1 }, waiting: [] });
  await expectOpen();
});

test("the acceptance page says what changed and until when; only the owner gets a box, and it is not ticked", async () => {
  await signedUp();
  expect(await pageText("/accept", asOwner())).toContain("Nothing waits for you.");
  await publish();
  const page = await pageText("/accept", asOwner());
  expect(page).toContain("To go on as before, accept it by");
  expect(page).toMatch(/<ins>/);
  expect(page).toContain('type="checkbox" id="f-privacy"');
  expect(page).not.toContain("checked");
  const asViewer = await pageText("/accept", { cookie: api.sessions.viewer });
  expect(asViewer).toContain("Only an owner can accept for the account:");
  expect(asViewer).not.toContain("checkbox");

  const [, privacyText = ""] = /name="privacyText" value="([^"]+)"/.exec(page) ?? [];
  const post = (fields: Record<string, string>, cookie = api.sessions.owner) =>
    api.call("POST", "/accept", { cookie, body: new URLSearchParams({ act: "accept", ...fields }) });
  const unticked = await post({ privacyText });
  expect(unticked.status).toBe(400);
  expect(await unticked.text()).toContain('href="#f-privacy"');
  expect((await post({ privacyText, privacy: "on" }, api.sessions.manager)).status).toBe(403);
  const done = await post({ privacyText, privacy: "on" });
  expect([done.status, done.headers.get("location")]).toEqual([303, "/accept?done=accepted"]);
  const after = await pageText("/accept?done=accepted", asOwner());
  expect(after).toContain("Accepted. Thank you.");
  expect(after).toContain("Nothing waits for you.");
  expect(after).toContain("Privacy statement, version 2");
});

test("a page's form that the account may not send leads to the acceptance", async () => {
  await signedUp();
  await publish({ effectiveAt: new Date(NOON).toISOString() });
  const body = new URLSearchParams({ act: "add" });
  const response = await api.call("POST", "/devices/new", { ...asOwner(), body });
  expect([response.status, response.headers.get("location")]).toEqual([303, "/accept"]);
});

test("what is accepted is recorded with the hashes of the brand's texts that stood beside it", async () => {
  const made = await api.call("POST", "/v1/admin/brands", {
    key: api.admin,
    body: { hostname: "edge.test", name: "B" },
  });
  const { id } = (await made.json()) as { id: number };
  const text = { kind: "terms", language: "en", body: "# Ours" };
  await api.call("PATCH", `/v1/admin/brands/${id}/texts`, { key: api.admin, body: text });
  expect((await accept([await current("privacy"), await current("terms", "zh")])).status).toBe(200);
  const rows = await api.base.db.select().from(acceptances);
  const terms = createHash("sha256").update("# Ours").digest("hex");
  expect(rows.map(({ language, brandTexts }) => [language, JSON.parse(brandTexts ?? "null")])).toEqual([
    ["en", { terms }],
    ["zh", { terms }],
  ]);
});

test("publishing is for privacy staff and administrators, takes 100 KiB a language, and names what is wrong", async () => {
  const body = "x".repeat(100 * 1024 - 1);
  const texts = [
    { language: "en", title: "T", body },
    { language: "zh", title: "T", body },
  ];
  const published = await api.call("POST", "/v1/admin/documents", {
    cookie: api.sessions.privacy,
    body: { kind: "terms", material: false, texts },
  });
  expect(published.status).toBe(201);
  const [row] = (await (await api.call("GET", "/v1/statements?limit=1&cursor=4")).json()).data;
  expect(row).toMatchObject({ kind: "terms", version: 2, material: false, effectiveAt: new Date(NOON).toISOString() });
  const big = await publish({ texts: [{ language: "en", title: "T", body: `${body}xx` }] });
  expect((await expectProblem(big, 400, "invalid")).field).toBe("texts");
  const early = await publish({ effectiveAt: new Date(NOON - 1).toISOString() });
  expect((await expectProblem(early, 400, "invalid")).field).toBe("effectiveAt");
  const chinese = await publish({ texts: [{ language: "zh", title: "T", body }] });
  expect((await expectProblem(chinese, 400, "invalid")).field).toBe("texts");
});

test("an altered text is found by verify, and nobody can accept it", async () => {
  await signedUp();
  const text = await current("privacy");
  await api.base.db.$client.execute("DROP TRIGGER documents_fixed");
  await api.base.db.$client.execute("UPDATE documents SET body = 'other' WHERE kind = 'privacy' AND language = 'en'");
  await expectProblem(await accept([text]), 409, "conflict");
  const verified = await api.call("GET", "/v1/admin/documents/verify", { key: api.admin });
  expect(await verified.json()).toEqual({
    checked: 4,
    altered: [{ kind: "privacy", product: "", region: "", version: 1, language: "en" }],
  });
});

test("a region without a notice of its own is given the one for every region", async () => {
  const notice = (more: object, body: string) =>
    publish({ kind: "notice", material: false, texts: [{ language: "en", title: "N", body }], ...more });
  await expectProblem(await notice({ product: "audio", region: "EU" }, "x"), 409, "conflict");
  await notice({ product: "audio" }, "everywhere");
  await notice({ product: "audio", region: "EU" }, "Europe");
  const bodyOf = async (query: string) =>
    ((await (await api.call("GET", `/v1/notices${query}`)).json()) as { body: string }).body;
  expect(await bodyOf("?product=audio&region=EU")).toBe("Europe\n");
  expect(await bodyOf("?product=audio&region=US&lang=zh")).toBe("everywhere\n");
  expect(await bodyOf("?product=other")).toContain("Template");
  const page = await pageText("/legal/notices");
  expect(page).toContain('href="/legal/notice/1?product=audio&amp;region=EU"');
  expect(await pageText("/legal/notice/1?product=audio&region=EU")).toContain("<p>Europe</p>");
});
