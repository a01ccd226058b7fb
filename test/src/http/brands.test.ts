import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { app } from "../../../src/http/app.ts";
import { NOON } from "../../database.ts";
import { type Api, anApi, expectProblem } from "./api.ts";
import { A_LOGO } from "./rows/legal.ts";

let api: Api;
let id: number;
beforeAll(async () => {
  api = await anApi();
});
afterAll(() => api.close());

const send = (method: string, path: string, body?: unknown) => api.call(method, path, { key: api.admin, body });
const setText = (text: object) => send("PATCH", `/v1/admin/brands/${id}/texts`, text);
/** A visitor's request under a hostname. */
const visit = (host: string, path: string, headers: Record<string, string> = {}) =>
  app.fetch(new Request(`https://${host}${path}`, { headers }), api.base);
const pageOf = async (host: string, path = "/login", headers: Record<string, string> = {}) =>
  (await visit(host, path, headers)).text();

const OWN = "reseller.test";
const OTHER = "other.test";

beforeEach(async () => {
  api.base.at(NOON);
  const { data } = (await (await send("GET", "/v1/admin/brands")).json()) as { data: { id: number }[] };
  for (const brand of data) await send("DELETE", `/v1/admin/brands/${brand.id}`);
  const made = await send("POST", "/v1/admin/brands", { hostname: OWN, name: "Reseller <b>" });
  id = ((await made.json()) as { id: number }).id;
  await send("POST", "/v1/admin/brands", { hostname: OTHER, name: "Other" });
});

test("the sign-in page shows a brand's own policy as soon as it is filled, on its hostname only, until it is cleared", async () => {
  for (const path of ["/login", "/signup"]) {
    expect(await pageOf(OWN, path)).not.toContain("brand-links");
    await setText({ kind: "privacy", language: "en", url: "https://reseller.test/privacy?x=1&y=2" });
    const page = await pageOf(OWN, path);
    expect(page).toContain(
      '<a href="https://reseller.test/privacy?x=1&amp;y=2" hreflang="en" rel="noopener noreferrer">',
    );
    expect(page).toContain("Privacy policy of Reseller &lt;b&gt;");
    expect(page).not.toContain("/brand/terms");
    for (const host of [OTHER, "edge.test"]) {
      const other = await pageOf(host, path);
      expect(other).not.toContain("brand-links");
      expect(other).not.toContain("Reseller");
    }
    await setText({ kind: "privacy", language: "en", url: null });
    expect(await pageOf(OWN, path)).not.toContain("brand-links");
  }
});

test("nothing that a brand sets hides the platform's own statement and terms, and no anchor is dead", async () => {
  await send("PATCH", `/v1/admin/brands/${id}`, { name: "</footer><style>footer{display:none}</style>" });
  await setText({ kind: "terms", language: "en", body: "</main><style>footer { display: none }</style>" });
  for (const path of ["/login", "/brand/terms"]) {
    const page = await pageOf(OWN, path);
    expect(page).toContain('<a href="/legal/privacy">');
    expect(page).toContain('<a href="/legal/terms">');
    expect(page).not.toContain("<style");
    expect(page.match(/<\/footer>/g)).toHaveLength(1);
    expect(page).not.toMatch(/href=""|href="#?"|<a>/);
  }
});

test("a text of the brand's own is a page in the visitor's language, else in English, else in any", async () => {
  await setText({
    kind: "terms",
    language: "zh",
    body: "# 条款\n\n[x](javascript:alert(1)) <img src=x onerror=alert(1)>",
  });
  const page = await pageOf(OWN, "/brand/terms");
  expect(page).toContain('<div class="legal" lang="zh"><h2>条款</h2>');
  expect(page).not.toMatch(/<img|href="javascript/);
  await setText({ kind: "terms", language: "en", body: "# Terms" });
  expect(await pageOf(OWN, "/brand/terms")).toContain("<h2>Terms</h2>");
  expect(await pageOf(OWN, "/brand/terms", { "Accept-Language": "zh-CN" })).toContain("<h2>条款</h2>");
  expect(await pageOf(OWN, "/login", { "Accept-Language": "zh-CN" })).toContain("的服务条款");
  expect((await visit(OWN, "/brand/privacy")).status).toBe(404);
  expect((await visit(OTHER, "/brand/terms")).status).toBe(404);
  expect((await visit("edge.test", "/brand/terms")).status).toBe(404);
});

test("name, colours and logo are those of the hostname", async () => {
  await send("PATCH", `/v1/admin/brands/${id}`, { name: "Reseller", accent: "#B00020", logo: A_LOGO });
  const page = await pageOf(OWN);
  expect(page).toContain("<bdi>Reseller</bdi>");
  expect(page).toContain('<link rel="stylesheet" href="/brand.css">');
  expect(page).toContain('<img src="/brand/logo"');
  const css = await visit(OWN, "/brand.css");
  expect(await css.text()).toMatch(/^:root \{ --accent: #[0-9a-f]{6};[\s\S]*prefers-color-scheme: dark/);
  const logo = await visit(OWN, "/brand/logo");
  expect(logo.headers.get("content-type")).toBe("image/png");
  expect(logo.headers.get("x-content-type-options")).toBe("nosniff");
  expect(Buffer.from(await logo.arrayBuffer()).toString("base64")).toBe(A_LOGO);
  expect(await pageOf(OTHER)).not.toContain("/brand.css");
  expect(await (await visit(OTHER, "/brand.css")).text()).toBe("");
  expect((await visit(OTHER, "/brand/logo")).status).toBe(404);
  await send("PATCH", `/v1/admin/brands/${id}`, { logo: null, accent: null });
  expect(await pageOf(OWN)).not.toMatch(/brand\.css|brand\/logo/);
});

test("what another isolate changed is seen here within 60 s", async () => {
  await pageOf(OWN);
  await api.base.db.$client.execute("UPDATE brands SET name = 'Renamed' WHERE hostname = 'reseller.test'");
  api.base.advance(59_000);
  expect(await pageOf(OWN)).toContain("<bdi>Renamed</bdi>");
});

test.each(["javascript:alert(1)", "data:text/html,x", "http://reseller.test/", "//reseller.test", "x"])(
  "the address %j is refused, naming the field and not the value",
  async (url) => {
    const problem = await expectProblem(await setText({ kind: "terms", language: "en", url }), 400, "invalid");
    expect(problem.field).toBe("url");
    expect(problem.detail).not.toContain(url);
    expect(await pageOf(OWN)).not.toContain("brand-links");
  },
);

test("brands are refused with a clear problem: a hostname twice, a pale accent, an SVG, both url and body", async () => {
  const again = await send("POST", "/v1/admin/brands", { hostname: OWN.toUpperCase(), name: "B" });
  expect((await expectProblem(again, 409, "conflict")).field).toBe("hostname");
  const pale = await send("PATCH", `/v1/admin/brands/${id}`, { accent: "#ffcc00" });
  expect((await expectProblem(pale, 400, "invalid")).detail).toMatch(/4\.5; #[0-9a-f]{6} would do/);
  for (const logo of [Buffer.from("<svg/>").toString("base64"), "%%%"]) {
    const response = await send("PATCH", `/v1/admin/brands/${id}`, { logo });
    expect((await expectProblem(response, 400, "invalid")).field).toBe("logo");
  }
  const both = await setText({ kind: "terms", language: "en", url: "https://a.test/", body: "x" });
  expect((await expectProblem(both, 400, "invalid")).field).toBe("url");
});

test("a logo of 64 KiB fits", async () => {
  const logo = Buffer.concat([Buffer.from(A_LOGO, "base64"), Buffer.alloc(64 * 1024 - 13)]).toString("base64");
  expect((await send("PATCH", `/v1/admin/brands/${id}`, { logo })).status).toBe(200);
});

test("the list of brands shows their texts, and no logo bytes", async () => {
  await send("PATCH", `/v1/admin/brands/${id}`, { logo: A_LOGO });
  await setText({ kind: "terms", language: "en", url: "https://reseller.test/terms" });
  const { data } = (await (await send("GET", "/v1/admin/brands")).json()) as { data: Record<string, unknown>[] };
  expect(data).toMatchObject([
    {
      hostname: OWN,
      logoType: "image/png",
      texts: [{ kind: "terms", language: "en", url: "https://reseller.test/terms" }],
    },
    { hostname: OTHER, logoType: null, texts: [] },
  ]);
  expect(data[0]).not.toHaveProperty("logo");
});
