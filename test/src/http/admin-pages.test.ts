import { afterAll, beforeAll, expect, test } from "vitest";
import type { Role } from "../../../src/context.ts";
import { LIMITS } from "../../../src/limits.ts";
import { anImei } from "../../database.ts";
import { type Api, anApi } from "./api.ts";

let api: Api;
beforeAll(async () => {
  api = await anApi();
});
afterAll(async () => {
  await api.base.settled();
  api.close();
});

const get = (path: string, role: Role = "admin") => api.call("GET", path, { cookie: api.sessions[role] });
const read = async (path: string, role: Role = "admin") => (await get(path, role)).text();
const post = (path: string, fields: Record<string, string>, role: Role = "admin") =>
  api.call("POST", path, { cookie: api.sessions[role], body: new URLSearchParams(fields) });
const links = (text: string) =>
  [...text.slice(text.indexOf('class="sub"')).matchAll(/href="(\/admin[^"?]*)"/g)].map(([, to]) => to!);

test.each([
  ["admin", 12],
  ["support", 3],
  ["privacy", 7],
  ["finance", 2],
] as const)("the panel shows %s only what they may open", async (role, areas) => {
  const text = await read("/admin", role);
  const shown = [...new Set(links(text.slice(0, text.indexOf("</nav>", text.indexOf('class="sub"')))))];
  expect(shown).toHaveLength(areas);
  for (const path of shown) expect((await get(path, role)).status, `${role} ${path}`).toBe(200);
  expect(text.includes('value="run"')).toBe(role === "admin");
});

test("every page of the panel is there in Chinese too", async () => {
  for (const path of links(await read("/admin"))) {
    const text = await read(`${path}?lang=zh`);
    expect(text).toContain('lang="zh"');
    expect(text).not.toContain("undefined");
    expect(text).toMatch(/[\u4e00-\u9fff]/);
  }
});

test("a job runs from the overview, a bridge's token is shown once", async () => {
  expect(await (await post("/admin", { act: "run", job: "retention" })).text()).toContain("retention changed 0 rows.");
  expect((await post("/admin", { act: "run", job: "nothing" })).status).toBe(404);
  const made = await (await post("/admin", { act: "bridge", name: "North <yard>" })).text();
  expect(made).toMatch(/epb_[\w-]{43}/);
  const later = await read("/admin");
  expect(later).not.toMatch(/epb_/);
  expect(later).toContain("North &lt;yard&gt;");
  expect((await post("/admin", { act: "bridge", name: "" })).status).toBe(400);
});

test("an account is opened, masked, unmasked with a reason, suspended and resumed", async () => {
  const opened = await post("/admin/accounts", { act: "create", name: "Yard" });
  expect(opened.headers.get("location")).toMatch(/^\/admin\/accounts\/\d+\?done=saved$/);
  const path = `/admin/accounts/${api.accountId}`;
  expect(await read(path, "support")).toContain("p***@e***.test");
  const without = await post(path, { act: "unmask", reason: "no" }, "support");
  expect(without.status).toBe(400);
  expect(await without.text()).toContain('value="no"');
  const reason = "The customer called about it";
  expect(await (await post(path, { act: "unmask", reason }, "support")).text()).toMatch(/person\d+@edge\.test/);
  expect((await post(path, { act: "unmask", reason }, "finance")).status).toBe(403);
  expect((await post(path, { act: "suspend", reason }, "support")).status).toBe(403);
  expect((await post(path, { act: "suspend", reason })).status).toBe(303);
  expect(await read(path)).toContain(reason);
  expect((await post(path, { act: "resume" })).status).toBe(303);
});

test("trackers are loaded from a list with their codes shown once, and from a file", async () => {
  const [one, two] = [anImei(), anImei()];
  const text = await (await post("/admin/activations", { act: "load", devices: `imei\n${one}\n` }, "support")).text();
  expect(text).toMatch(/<code>[0-9A-Z]{5}-[0-9A-Z]{5}<\/code>/);
  expect(await read("/admin/activations")).not.toMatch(/<code>[0-9A-Z]{5}-/);
  const form = new FormData();
  form.set("act", "load");
  form.set("devices", "");
  form.set("file", new Blob([`imei\n${two}\n`], { type: "text/csv" }), "list.csv");
  const packed = new Response(form);
  const sent = await api.call("POST", "/admin/activations", {
    cookie: api.sessions.admin,
    body: new Uint8Array(await packed.arrayBuffer()),
    headers: { "Content-Type": packed.headers.get("content-type")! },
  });
  expect(await sent.text()).toContain(two);
  const wrong = await post("/admin/activations", { act: "load", devices: "imei\n123\n" });
  expect([wrong.status, (await wrong.text()).includes('aria-invalid="true"')]).toEqual([400, true]);
  expect((await post("/admin/activations", { act: "remove", imei: one })).status).toBe(303);
});

test("a brand gets its look and texts, one field at a time, and loses them again", async () => {
  const made = await post("/admin/brands", { act: "create", hostname: "yard.test", name: "Yard" });
  const path = made.headers.get("location")!.split("?")[0]!;
  expect((await post(path, { act: "save", name: "Yard", accent: "#0b5f66" })).status).toBe(303);
  const url = "https://yard.test/privacy";
  expect((await post(path, { act: "texts", "privacy.en.url": url, "terms.zh.body": "# 条款" })).status).toBe(303);
  const text = await read(path);
  expect(text).toContain(url);
  expect(text).toContain("# 条款");
  const bad = await (await post(path, { act: "texts", "terms.en.url": "javascript:alert(1)" })).text();
  expect(bad).toContain('href="#f-terms-en-url"');
  const both = await post(path, { act: "texts", "privacy.en.url": url, "privacy.en.body": "Text" });
  expect([both.status, (await both.text()).includes("#f-privacy-en-url")]).toEqual([400, true]);
  expect((await post(path, { act: "texts" })).status).toBe(303);
  expect(await read(path)).not.toContain(url);
  expect((await post(path, { act: "remove" })).status).toBe(303);
  expect((await get(path)).status).toBe(404);
});

test("a text is published and the next one begins from it", async () => {
  const fields = { act: "publish", kind: "terms", "en.title": "Terms", "en.body": "# Terms of the yard" };
  expect((await post("/admin/documents", fields, "privacy")).status).toBe(303);
  expect(await read("/admin/documents?from=terms", "privacy")).toContain("# Terms of the yard");
  const empty = await (await post("/admin/documents", { ...fields, "zh.title": "条款" })).text();
  expect(empty).toContain('href="#f-zh-body"');
  expect(empty).toContain("# Terms of the yard");
  expect((await post("/admin/documents", { ...fields, effectiveAt: "tomorrow" })).status).toBe(400);
});

test("staff are invited, trained, given a role and removed", async () => {
  const fields = { act: "invite", email: "new@edge.test", role: "support", language: "en" };
  expect((await post("/admin/staff", fields)).headers.get("location")).toBe("/admin/staff?done=saved");
  const path = /href="(\/admin\/staff\/\d+)">new@edge\.test/.exec(await read("/admin/staff"))![1]!;
  const day = new Date(api.base.now() + 300 * 86_400_000).toISOString().slice(0, 10);
  expect((await post(path, { act: "attest", validUntil: day })).status).toBe(303);
  expect(await read(path)).toContain(`datetime="${day}T00:00:00.000Z"`);
  expect(await (await post(path, { act: "attest", validUntil: "" })).text()).toContain('href="#f-validUntil"');
  for (const act of ["disable", "enable", "remove"]) expect((await post(path, { act })).status).toBe(303);
  const { sendMail } = api.base;
  api.base.sendMail = null;
  expect(await (await post("/admin/staff", { ...fields, email: "other@edge.test" })).text()).toMatch(
    /\/invite\/[\w-]{43}/,
  );
  api.base.sendMail = sendMail;
});

test("settings are saved, and a wrong one is said at its field", async () => {
  expect((await post("/admin/settings", { act: "save", operatorName: "The yard" })).status).toBe(303);
  expect(await read("/admin/settings")).toContain('value="The yard"');
  const wrong = await (await post("/admin/settings", { act: "save", bridgePort: "0" })).text();
  expect(wrong).toContain('href="#f-bridgePort"');
});

test("a list goes on where its page ends", async () => {
  for (let n = 0; n < LIMITS.pageDefault; n++) {
    await api.base.db.$client.execute({ sql: "INSERT INTO accounts (name, created_at) VALUES ('More', 1)", args: [] });
  }
  const next = /href="(\/admin\/accounts\?cursor=\d+)"/.exec(await read("/admin/accounts"))![1]!;
  expect(await read(next)).toContain('href="/admin/accounts"');
  expect(await read("/admin/audit")).toContain("setting.changed");
});

test("the acts that touch people ask again who one is", async () => {
  api.base.advance(LIMITS.stepUpMs);
  const path = `/admin/accounts/${api.accountId}`;
  for (const [to, fields] of [
    [path, { act: "unmask", reason: "The customer called about it" }],
    ["/admin/staff", { act: "invite", email: "third@edge.test", role: "support", language: "en" }],
  ] as const) {
    const answer = await post(to, fields);
    expect([answer.status, answer.headers.get("location")]).toEqual([303, `/prove?next=${encodeURIComponent(to)}`]);
  }
});
