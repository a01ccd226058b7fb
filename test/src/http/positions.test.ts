import { afterAll, beforeAll, expect, test } from "vitest";
import { encodeAaa } from "../../../codec/encode.ts";
import { RequestWriter } from "../../../codec/envelope.ts";
import { anImei, NOON } from "../../database.ts";
import { type Api, anApi, expectProblem } from "./api.ts";

let api: Api;
let id: number;
let imei: string;

interface Position {
  id: number;
  deviceId: number;
  fixTime: string;
  event: { code: number };
}
interface Page {
  data: Position[];
  nextCursor: string | null;
}

const MINUTE = 60_000;
const minute = (n: number) => new Date(NOON - n * MINUTE).toISOString();

const deliver = async (reports: { minutesAgo: number; code?: number }[]) => {
  const batch = new RequestWriter();
  for (const { minutesAgo, code = 35 } of reports) {
    const fix = { valid: true, latitude: 48.208354, longitude: 16.372504, fixTime: NOON - minutesAgo * MINUTE };
    batch.frame(1, 0, NOON, encodeAaa({ identifier: "A", imei, report: { event: { code }, ...fix } }));
  }
  const response = await api.call("POST", "/v1/bridge/frames", { key: api.bridge, body: batch.finish() });
  expect(response.status).toBe(200);
};

beforeAll(async () => {
  api = await anApi();
  imei = anImei();
  const body = { imei, name: '<Van> & "co"', model: "T366" };
  id = ((await (await api.call("POST", "/v1/devices", { key: api.write, body })).json()) as { id: number }).id;
  await deliver([5, 4, 3, 2, 1].map((minutesAgo) => ({ minutesAgo })));
  // Uploaded late: older than what is there already.
  await deliver([{ minutesAgo: 10, code: 1 }]);
});
afterAll(() => api.close());

const get = (path: string, headers: Record<string, string> = {}) => api.call("GET", path, { key: api.read, headers });
const page = async (path: string) => (await (await get(path)).json()) as Page;
const track = (query = "") => page(`/v1/devices/${id}/positions${query}`);
const times = ({ data }: Page) => data.map(({ fixTime }) => fixTime);

test("GET positions is in fix order, with the fields of the codec", async () => {
  const all = await track();
  expect(times(all)).toEqual([10, 5, 4, 3, 2, 1].map(minute));
  expect(all.nextCursor).toBeNull();
  expect(all.data[0]).toMatchObject({
    deviceId: id,
    receivedAt: new Date(NOON).toISOString(),
    event: { code: 1 },
    valid: true,
    latitude: 48.208354,
    longitude: 16.372504,
  });
});

test("GET positions takes a window, an order and pages", async () => {
  expect(times(await track(`?from=${minute(5)}&to=${minute(2)}`))).toEqual([5, 4, 3].map(minute));
  expect(times(await track("?from=2026-03-02"))).toEqual([]);
  const first = await track("?order=desc&limit=4");
  expect(times(first)).toEqual([1, 2, 3, 4].map(minute));
  expect(times(await track(`?order=desc&limit=4&cursor=${first.nextCursor}`))).toEqual([5, 10].map(minute));
});

test.each([
  ["from=yesterday", "from"],
  ["from=2026-03-01T12:00:00", "from"],
  ["to=2026-02-28T99:00:00Z", "to"],
  ["to=2026-02-30", "to"],
  ["__proto__=1", "__proto__"],
  ["order=up", "order"],
  ["limit=0", "limit"],
  ["format=xml", "format"],
  ["cursor=%00", "cursor"],
  ["cursor=abc&format=json", "cursor"],
  ["cursor=abc&format=csv", "cursor"],
  ["form=csv", "form"],
  ["limit=1&limit=2", "limit"],
])("GET positions?%s is 400 and names the parameter", async (query, field) => {
  const problem = await expectProblem(await get(`/v1/devices/${id}/positions?${query}`), 400, "invalid");
  expect(problem.field).toBe(field);
  expect(problem.detail).not.toContain("yesterday");
});

test.each([
  ["geojson", "application/geo+json"],
  ["ndjson", "application/x-ndjson"],
  ["csv", "text/csv"],
  ["gpx", "application/gpx+xml"],
])("GET positions as %s, asked for by format or by Accept", async (format, type) => {
  const byFormat = await get(`/v1/devices/${id}/positions?format=${format}`);
  const byAccept = await get(`/v1/devices/${id}/positions`, { Accept: `text/html;q=0.5, ${type}` });
  const text = await byFormat.text();
  expect(await byAccept.text()).toBe(text);
  expect(byFormat.headers.get("content-type")).toContain(type);
  expect(byFormat.headers.get("content-disposition")).toBe(`attachment; filename="device-${id}.${format}"`);
  expect(byFormat.headers.get("cache-control")).toBe("no-store");
  expect(byAccept.headers.get("vary")).toBe("Accept");
  expect(text).toContain("48.208354");
  if (format === "geojson") {
    const { features } = JSON.parse(text) as { features: { geometry: { coordinates: number[] } }[] };
    expect(features).toHaveLength(6);
    expect(features[0]!.geometry.coordinates).toEqual([16.372504, 48.208354]);
  }
  if (format === "ndjson")
    expect(
      text
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toEqual((await track()).data);
  if (format === "csv") expect(text.trimEnd().split("\r\n")).toHaveLength(7);
  if (format === "gpx") expect(text).toContain("&lt;Van&gt; &amp; &quot;co&quot;");
});

test("format wins over Accept, and JSON is the answer to what nobody can give", async () => {
  const path = `/v1/devices/${id}/positions`;
  expect((await get(`${path}?format=json`, { Accept: "text/csv" })).headers.get("content-type")).toMatch(/json/);
  expect((await get(path, { Accept: "image/png" })).headers.get("content-type")).toMatch(/json/);
  expect((await get(path, { Accept: "text/csv;q=0, */*" })).headers.get("content-type")).toMatch(/json/);
});

test("a caller who leaves in the middle of an export is no error of ours", async () => {
  const { body } = await get(`/v1/devices/${id}/positions?format=csv`);
  const reader = body!.getReader();
  const pending = reader.read();
  await reader.cancel();
  await pending;
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(api.base.logged.filter((line) => line.includes("export.broken"))).toEqual([]);
});

test("HEAD of an export reads its headers and starts no stream", async () => {
  const response = await api.call("HEAD", `/v1/devices/${id}/positions?format=csv`, { key: api.read });
  expect(response.headers.get("content-disposition")).toMatch(/csv/);
  expect(response.body).toBeNull();
});

test("GET events leaves routine out, and takes codes", async () => {
  expect(times(await page(`/v1/devices/${id}/events`))).toEqual([minute(10)]);
  expect((await page(`/v1/devices/${id}/events?codes=35`)).data).toHaveLength(5);
  const problem = await expectProblem(await get(`/v1/devices/${id}/events?codes=a`), 400, "invalid");
  expect(problem.field).toBe("codes");
});

test("GET latest has the newest fix, not the last that arrived", async () => {
  expect(times(await page("/v1/positions/latest"))).toEqual([minute(1)]);
});

test("GET feed follows the order of arrival, with a cursor that can be asked again", async () => {
  const first = await page("/v1/positions/feed?limit=5");
  expect(times(first)).toEqual([5, 4, 3, 2, 1].map(minute));
  const second = await page(`/v1/positions/feed?cursor=${first.nextCursor}`);
  expect(times(second)).toEqual([minute(10)]);
  const nothing = await page(`/v1/positions/feed?cursor=${second.nextCursor}`);
  expect(nothing.data).toEqual([]);
  await deliver([{ minutesAgo: 20 }]);
  expect(times(await page(`/v1/positions/feed?cursor=${nothing.nextCursor}`))).toEqual([minute(20)]);
  await expectProblem(await get("/v1/positions/feed?cursor=!"), 400, "invalid");
});

test("another account's device is not found before anything else is wrong with the request", async () => {
  for (const path of ["positions", "events"]) {
    for (const query of ["", "?limit=0", "?nonsense=1", "?cursor=nonsense", "?from=2026-01-02&to=2026-01-01"]) {
      for (const key of [api.stranger, api.read]) {
        const device = key === api.stranger ? id : 999_999;
        const response = await api.call("GET", `/v1/devices/${device}/${path}${query}`, { key });
        expect((await expectProblem(response, 404, "not_found")).detail).toBe("No such device");
      }
      const own = await get(`/v1/devices/${id}/${path}${query}`);
      if (query === "") expect(own.status).toBe(200);
      else await expectProblem(own, 400, "invalid");
    }
  }
  const file = await api.call("GET", `/v1/devices/${id}/positions?format=csv`, { key: api.stranger });
  await expectProblem(file, 404, "not_found");
});

test("another account sees none of it in its own lists", async () => {
  for (const path of ["/v1/positions/latest", "/v1/positions/feed", "/v1/devices"]) {
    const response = await api.call("GET", path, { key: api.stranger });
    expect(((await response.json()) as Page).data).toEqual([]);
  }
});
