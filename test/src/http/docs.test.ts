import { afterAll, beforeAll, expect, test } from "vitest";
import { ROUTES } from "../../../src/http/app.ts";
import { PROBLEMS } from "../../../src/http/errors.ts";
import { type Api, anApi } from "./api.ts";

let api: Api;
let response: Response;
let page: string;
beforeAll(async () => {
  api = await anApi();
  response = await api.call("GET", "/docs");
  page = await response.text();
});
afterAll(() => api.close());

test("/docs has every route, every error code as an anchor, and every object", () => {
  for (const { path, summary } of ROUTES.filter(({ page }) => page !== true)) {
    expect(page).toContain(`<code class="path">${path}</code>`);
    expect(page).toContain(summary.replaceAll("'", "&#39;"));
  }
  for (const code of Object.keys(PROBLEMS)) expect(page).toContain(`id="${code}"`);
  expect(page).toContain('id="schema-Position"');
});

test("/docs needs no script, no inline style and nothing from elsewhere", () => {
  expect(page).not.toMatch(/<script|<style|\sstyle=|\son\w+=|javascript:/i);
  const loaded = [...page.matchAll(/(?:src|href|action)="([^"]*)"/g)].map(([, url]) => url!);
  expect(loaded.length).toBeGreaterThan(50);
  for (const url of loaded) expect(url).toMatch(/^(#|\/(?!\/))/);
  const policy = response.headers.get("content-security-policy");
  expect(policy).toContain("default-src 'none'");
  expect(policy).not.toMatch(/unsafe|https?:|\*/);
});

test("every link within /docs has its target, and no id occurs twice", () => {
  const ids = [...page.matchAll(/\sid="([^"]+)"/g)].map(([, id]) => id!);
  expect(new Set(ids).size).toBe(ids.length);
  for (const [, target] of page.matchAll(/href="#([^"]+)"/g)) expect(ids).toContain(target);
});

test("/docs is a whole document in which every element is closed", () => {
  expect(page).toMatch(/^<!doctype html>\s*<html lang="en">/);
  const open: string[] = [];
  for (const [, closing, name] of page.matchAll(/<(\/?)([a-z][a-z0-9]*)\b[^>]*>/g)) {
    if (["meta", "link", "br"].includes(name!)) continue;
    if (closing === "") open.push(name!);
    else expect(open.pop()).toBe(name);
  }
  expect(open).toEqual([]);
  expect(page).not.toMatch(/\[object |undefined|NaN|Promise/);
});

test("the stylesheet of /docs is served from here and loads nothing", async () => {
  const style = await api.call("GET", "/docs/style.css");
  expect(style.headers.get("content-type")).toBe("text/css; charset=utf-8");
  expect(await style.text()).not.toMatch(/url\(|@import/);
});

test("the type of a problem leads to its place in /docs", async () => {
  const problem = (await (await api.call("GET", "/nothing")).json()) as { type: string };
  expect(problem.type).toBe("https://edge.test/docs#not_found");
});
