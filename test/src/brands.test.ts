import { afterEach, beforeEach, expect, test } from "vitest";
import {
  brandFor,
  brandStyle,
  brandText,
  brandTextHashes,
  brandTextsFor,
  changeBrand,
  contrast,
  createBrand,
  deleteBrand,
  PLATFORM_BRAND,
  setBrandText,
} from "../../src/brands.ts";
import type { Ctx } from "../../src/context.ts";
import { LIMITS } from "../../src/limits.ts";
import { aBase, aContext, aDatabase, type TestBase, type TestDatabase } from "../database.ts";

let database: TestDatabase;
let base: TestBase;
let ctx: Ctx;
beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  ctx = aContext(base, { kind: "admin" });
});
afterEach(() => database.close());

const acme = () => createBrand(ctx, "Tracking.ACME.test", { name: "Acme" });

test("brandFor() gives a hostname its brand, another one the platform's, and shows a change within 60 s", async () => {
  const brand = await acme();
  expect(brand.hostname).toBe("tracking.acme.test");
  expect(await brandFor(base, "tracking.acme.test")).toMatchObject({ id: brand.id, name: "Acme", hasLogo: false });
  expect(await brandFor(base, "acme.test")).toEqual(PLATFORM_BRAND);
  // Another isolate changes it: this one hears of it when its entry is old.
  await database.client.execute("UPDATE brands SET name = 'Other'");
  expect((await brandFor(base, "tracking.acme.test")).name).toBe("Acme");
  base.advance(LIMITS.brandMs);
  expect((await brandFor(base, "tracking.acme.test")).name).toBe("Other");
  expect(LIMITS.brandMs).toBeLessThan(40_000);
  await deleteBrand(ctx, brand.id);
  expect(await brandFor(base, "tracking.acme.test")).toEqual(PLATFORM_BRAND);
});

test("brandFor() reads a hostname once in that time, one without a brand too, and remembers a bounded number", async () => {
  const { execute } = database.client;
  let reads = 0;
  database.client.execute = ((...args: Parameters<typeof execute>) => {
    reads++;
    return execute.apply(database.client, args);
  }) as typeof execute;
  for (let i = 0; i < 3; i++) await brandFor(base, "nobody.test");
  expect(reads).toBeLessThanOrEqual(1);
  for (let i = 0; i < LIMITS.brandEntries + 5; i++) await brandFor(base, `h${i}.test`);
  expect(await brandFor(base, "x".repeat(300))).toEqual(PLATFORM_BRAND);
});

test("brandTextsFor() prefers the visitor's language, then English, then any, and gives no link for what is empty", async () => {
  const brand = await acme();
  expect(await brandTextsFor(base, brand.id, "en")).toEqual([]);
  expect(await brandTextsFor(base, null, "en")).toEqual([]);
  await setBrandText(ctx, brand, "terms", "zh", { body: "# 条款" });
  expect(await brandTextsFor(base, brand.id, "en")).toEqual([{ kind: "terms", href: "/brand/terms", language: "zh" }]);
  await setBrandText(ctx, brand, "terms", "en", { url: "https://acme.test/terms" });
  await setBrandText(ctx, brand, "privacy", "en", { body: "# Ours" });
  expect(await brandTextsFor(base, brand.id, "fr")).toEqual([
    { kind: "privacy", href: "/brand/privacy", language: "en" },
    { kind: "terms", href: "https://acme.test/terms", language: "en" },
  ]);
  expect(await brandText(base, brand.id, "terms", "zh")).toMatchObject({ body: "# 条款", language: "zh" });
  await expect(brandText(base, brand.id, "terms", "en")).rejects.toMatchObject({ code: "not_found" });
  expect(Object.keys(JSON.parse((await brandTextHashes(base, brand.id, "en")) ?? ""))).toEqual(["privacy", "terms"]);
  await setBrandText(ctx, brand, "terms", "en", null);
  await setBrandText(ctx, brand, "terms", "zh", null);
  await setBrandText(ctx, brand, "privacy", "en", null);
  expect(await brandTextsFor(base, brand.id, "en")).toEqual([]);
  expect(await brandTextHashes(base, brand.id, "en")).toBeNull();
});

test.each([
  "javascript:alert(1)",
  "JavaScript:alert(1)",
  "data:text/html,x",
  "http://acme.test/",
  "//acme.test/",
  "/terms",
  "ftp://acme.test/",
  "https:/acme.test",
  "https://",
  "https://user:secret@acme.test/",
  "https://acme.test/\\evil",
  "https://acme.test/a b",
  "vbscript:x",
  " ",
  `https://acme.test/${"x".repeat(600)}`,
])("setBrandText() refuses the address %j", async (url) => {
  const brand = await acme();
  await expect(setBrandText(ctx, brand, "terms", "en", { url })).rejects.toMatchObject({
    code: "invalid",
    field: "url",
  });
  expect(await brandTextsFor(base, brand.id, "en")).toEqual([]);
});

test.each(["", "a b", "https://acme.test", "acme.test:80", "-a.test", "a..test", "ä.test", "a_b.test", "x".repeat(64)])(
  "createBrand() refuses the hostname %j",
  async (hostname) => {
    await expect(createBrand(ctx, hostname, { name: "A" })).rejects.toMatchObject({ field: "hostname" });
  },
);

test("createBrand() takes each hostname once", async () => {
  await acme();
  await expect(acme()).rejects.toMatchObject({ code: "conflict", field: "hostname" });
});

test.each([
  [{ name: "" }, "name"],
  [{ name: "x".repeat(61) }, "name"],
  [{ accent: "red" }, "accent"],
  [{ accent: "#fff" }, "accent"],
  [{ accent: "#ffcc00" }, "accent"],
  [{ accent: "#777777" }, "accent"],
  [{ logo: new TextEncoder().encode("<svg xmlns='http://www.w3.org/2000/svg'/>") }, "logo"],
  [{ logo: new Uint8Array(0) }, "logo"],
  [{ logo: new Uint8Array(LIMITS.logoBytes + 1).fill(0xff) }, "logo"],
])("changeBrand() refuses what is wrong, %#", async (change, field) => {
  const brand = await acme();
  await expect(changeBrand(ctx, brand.id, change)).rejects.toMatchObject({ code: "invalid", field });
});

test("changeBrand() knows the kind of a logo from its bytes", async () => {
  const brand = await acme();
  for (const [head, type] of [
    ["\x89PNG\r\n\x1a\n....", "image/png"],
    ["\xff\xd8\xff\xe0....", "image/jpeg"],
    ["RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"],
  ] as const) {
    const logo = new Uint8Array(Buffer.from(head, "latin1"));
    expect(await changeBrand(ctx, brand.id, { logo })).toMatchObject({ logoType: type });
  }
  expect(await changeBrand(ctx, brand.id, { logo: null })).toMatchObject({ logoType: null });
});

test("brandStyle() keeps 4.5:1 in both themes for every accent that is taken", async () => {
  const brand = await acme();
  for (const accent of ["#0b5f66", "#000000", "#b00020", "#0000ff", "#767676", "#5a2d82", "#008a00"]) {
    expect((await changeBrand(ctx, brand.id, { accent })).accent).toBe(accent);
    const style = brandStyle({ ...PLATFORM_BRAND, accent });
    const [light = "", dark = ""] = [...style.matchAll(/--accent: (#[0-9a-f]{6})/g)].map(([, colour]) => colour);
    for (const ground of ["#ffffff", "#fdfbf7", "#e6f2f3"]) expect(contrast(light, ground)).toBeGreaterThanOrEqual(4.5);
    for (const ground of ["#0e141b", "#151d26", "#112a2d", "#1b2530"]) {
      expect(contrast(dark, ground)).toBeGreaterThanOrEqual(4.5);
    }
  }
  expect(brandStyle(PLATFORM_BRAND)).toBe("");
  expect(contrast("#000000", "#ffffff")).toBeCloseTo(21);
});
