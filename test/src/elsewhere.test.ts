import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { encodeAaa } from "../../codec/encode.ts";
import { RequestWriter } from "../../codec/envelope.ts";
import { BUCKETS, COOKIES, KEY_OBJECTS, LOG_FIELDS, OUTBOUND, ROUTES_FOR } from "../../src/elsewhere.ts";
import { ROUTES } from "../../src/http/app.ts";
import * as browser from "../../src/http/browser.ts";
import { runJob } from "../../src/jobs.ts";
import { anImei, NOON } from "../database.ts";
import { type Api, anApi } from "./http/api.ts";

const ROOT = join(import.meta.dirname, "../..");
const sources = (...folders: string[]) =>
  folders.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts"))
      .map((name) => ({ name: `${folder}/${name}`, text: readFileSync(join(ROOT, folder, name), "utf8") })),
  );

let api: Api;
beforeAll(async () => {
  api = await anApi();
});
afterAll(async () => {
  await api.base.settled();
  api.close();
});

test("every object of the key store is one that is declared, in each copy, and every declared one is made", async () => {
  const imei = anImei();
  const { id } = (await (
    await api.call("POST", "/v1/devices", { key: api.write, body: { name: "Van", imei } })
  ).json()) as { id: number };
  const batch = new RequestWriter();
  const report = { event: { code: 35 }, valid: true, latitude: 48, longitude: 16, fixTime: NOON - 60_000 };
  batch.frame(1, 0, NOON, encodeAaa({ identifier: "A", imei, report }));
  await api.call("POST", "/v1/bridge/frames", { key: api.bridge, body: batch.finish() });
  await api.call("POST", "/v1/me/totp", { cookie: api.sessions.owner });
  await api.base.db.$client.execute({
    sql: `INSERT INTO legal_holds (name, account_id, basis, reference, scope, placed_by, placed_at, confirmed_by,
      confirmed_at, review_at, expires_at) SELECT 'hold', account_id, 'court_order', 'F-1', '{"kind":"account"}', 1, ?, 2, ?, ?, ?
      FROM devices WHERE id = ?`,
    args: [NOON, NOON, NOON * 2, NOON * 2, id],
  });
  await api.call("DELETE", `/v1/devices/${id}`, { key: api.write });
  const asked = { type: "restrict", scope: { kind: "account" } };
  const made = await api.call("POST", "/v1/requests", { cookie: api.sessions.owner, body: asked });
  expect([made.status, await made.text()]).toEqual([201, expect.any(String)]);
  await runJob(api.base, "refresh-escrow");
  await api.base.settled();
  const { copies, escrow } = api.base.secrets;
  const patterns = Object.keys(KEY_OBJECTS).map(
    (name) => [name, new RegExp(`^${name.replace("{}", "[\\w-]+")}$`)] as const,
  );
  const met = new Set<string>();
  for (const copy of [...copies, escrow]) {
    for (const object of await copy.list("")) {
      const pattern = patterns.find(([, each]) => each.test(object));
      expect({ object, declared: pattern !== undefined }).toEqual({ object, declared: true });
      met.add(pattern![0]);
    }
  }
  expect([...met].toSorted()).toEqual(Object.keys(KEY_OBJECTS).toSorted());
});

test("the buckets are those of wrangler.toml", () => {
  const bound = readFileSync(join(ROOT, "wrangler.toml"), "utf8").matchAll(
    /^\[\[(?:r2_buckets|kv_namespaces|queues\.\w+|durable_objects\.bindings|d1_databases)\]\]\s*\n\s*binding = "(\w+)"/gm,
  );
  expect([...bound].map(([, name]) => name)).toEqual(Object.keys(BUCKETS));
});

/** What is between commas that are in no brackets and no quotes, up to the bracket that ends it. */
function parts(text: string): string[] {
  const found: string[] = [];
  let [depth, quote, part] = [0, "", ""];
  for (let i = 0; i < text.length; i++) {
    const character = text[i]!;
    if (quote !== "") {
      if (character === "\\") part += text[i++]!;
      else if (character === quote) quote = "";
    } else if ("\"'`".includes(character)) quote = character;
    else if ("([{".includes(character)) depth++;
    else if (")]}".includes(character) && depth-- === 0) break;
    else if (character === "," && depth === 0) {
      found.push(part.trim());
      part = "";
      continue;
    }
    part += text[i] ?? "";
  }
  return [...found, part.trim()].filter((each) => each !== "");
}

/** The fields of an object, or of the last one of that name that is written before. */
function fieldsOf(object: string, text: string): string[] {
  if (object.startsWith("{")) {
    return parts(object.slice(1)).flatMap((field) =>
      field.startsWith("...") ? fieldsOf(field.slice(3), text) : [/^\w+/.exec(field)?.[0] ?? field],
    );
  }
  const name = /\w+$/.exec(object)?.[0] ?? "";
  const written = [...text.matchAll(new RegExp(`const ${name}(?:: \\w+)? = (\\{[^}]*\\})`, "g"))].at(-1)?.[1];
  return written === undefined ? [object] : fieldsOf(written, text);
}

/** The fields of every line of the log, as the source writes them. */
function loggedFields(): Map<string, string> {
  const fields = new Map<string, string>();
  for (const { name: file, text } of sources("src", "bridge")) {
    for (const call of text.matchAll(/\blog(\.(?:info|warn|error))?\(/g)) {
      const given = parts(text.slice(call.index + call[0].length));
      if (call[1] === undefined && !/^("|on \?)/.test(given[0] ?? "")) continue;
      const object = given[call[1] === undefined ? 2 : 1];
      if (object !== undefined)
        for (const field of fieldsOf(object, text.slice(0, call.index))) fields.set(field, file);
    }
  }
  return fields;
}

test("a line of the log has the declared fields alone, and each of them is used", () => {
  const fields = loggedFields();
  // Those that src/runtime/log.ts and bridge/log.ts add to each line.
  for (const own of ["time", "level", "event", "message", "error", "code", "at"]) fields.set(own, "log.ts");
  expect(fields.size).toBeGreaterThan(40);
  const declared = [...LOG_FIELDS.pseudonymous, ...LOG_FIELDS.none] as readonly string[];
  expect([...fields].filter(([field]) => !declared.includes(field))).toEqual([]);
  expect(declared.filter((field) => !fields.has(field))).toEqual([]);
  expect(new Set(declared).size).toBe(declared.length);
});

test("what was logged until here has declared fields alone", async () => {
  const declared = [...LOG_FIELDS.pseudonymous, ...LOG_FIELDS.none] as readonly string[];
  expect(api.base.logged.length).toBeGreaterThan(3);
  for (const line of api.base.logged) {
    const fields = JSON.parse(line.slice(line.indexOf("{"))) as object;
    expect(Object.keys(fields).filter((field) => !declared.includes(field))).toEqual([]);
  }
});

test("the cookies are those that are set, and pages store nothing else in a browser", () => {
  const named = Object.entries(browser).filter(([name]) => name.endsWith("_COOKIE"));
  expect(named.map(([, value]) => String(value)).toSorted()).toEqual(Object.keys(COOKIES).toSorted());
  const setting = /__Host-|localStorage|sessionStorage|indexedDB|document\.cookie|cookieStore|\bcaches\.open/;
  const found = sources("src", "client").flatMap(({ name, text }) => (setting.test(text) ? [name] : []));
  expect(found.toSorted()).toEqual(["src/elsewhere.ts", "src/http/browser.ts"]);
  const headers = sources("src").flatMap(({ name, text }) =>
    /cookie\(\s*SESSION|; Path=\/; Secure/.test(text) ? [name] : [],
  );
  expect(headers).toEqual(["src/http/browser.ts"]);
});

test("nothing is sent to another host but by the files that are declared", () => {
  const sends =
    /(?<![.\w])fetch\(|\.request\(|https?\.request|\bnew WebSocket\(|createTransport\(|\.connect\(|sendBeacon/;
  const found = sources("src", "bridge").flatMap(({ name, text }) =>
    text.split("\n").some((line) => sends.test(line) && !/async fetch\(|^\s*(\*|\/\/)/.test(line)) ? [name] : [],
  );
  expect(found.filter((name) => name !== "src/elsewhere.ts").toSorted()).toEqual(Object.keys(OUTBOUND).toSorted());
});

test("every route is for a purpose, and one that nobody declared is for none", () => {
  const purposeOf = (path: string) => ROUTES_FOR.find(([pattern]) => pattern.test(path))?.[1];
  expect(ROUTES.filter(({ path }) => purposeOf(path) === undefined).map(({ path }) => path)).toEqual([]);
  for (const path of ["/v1/foo", "/v1/admin/foo", "/foo", "/admin/foo"]) expect(purposeOf(path)).toBeUndefined();
});
