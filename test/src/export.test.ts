import { expect, test } from "vitest";
import { EXPORTS, type ExportFormat, exportText } from "../../src/export.ts";
import { csvCell } from "../../src/export-csv.ts";
import type { StoredPosition } from "../../src/positions.ts";

const POSITION: StoredPosition = {
  id: 7,
  deviceId: 3,
  receivedAt: "2026-03-01T12:00:01.000Z",
  event: { code: 35, name: "track by interval" },
  fixTime: "2026-03-01T12:00:00.000Z",
  valid: true,
  latitude: -22.513015,
  longitude: 114.057235,
  satellites: 8,
  speedKmh: 12.5,
  hdop: 0.9,
  altitudeM: -14,
  cell: { mcc: 460, mnc: 0, lac: 0x1234, cid: 0xabcd },
  analogV: { "1": 0.24 },
  driverId: "=1+1",
};

async function written(format: ExportFormat, pages: StoredPosition[][], title = "Van"): Promise<string> {
  async function* source() {
    yield* pages;
  }
  let text = "";
  for await (const chunk of exportText(format, source(), { title })) text += chunk;
  return text;
}

const other = { ...POSITION, id: 8, fixTime: "2026-03-01T12:00:10.000Z" };
const { latitude: _latitude, longitude: _longitude, ...nowhere } = { ...POSITION, id: 9, valid: false };

test("exportText(geojson) writes RFC 7946: longitude first, null where there is no place", async () => {
  const collection = JSON.parse(await written("geojson", [[POSITION], [other, nowhere]]));
  expect(collection.type).toBe("FeatureCollection");
  expect(collection.features.map((feature: { id: number }) => feature.id)).toEqual([7, 8, 9]);
  expect(collection.features[0]).toMatchObject({
    type: "Feature",
    geometry: { type: "Point", coordinates: [114.057235, -22.513015] },
    properties: { deviceId: 3, fixTime: "2026-03-01T12:00:00.000Z", valid: true, altitudeM: -14 },
  });
  expect(collection.features[0].properties).not.toHaveProperty("latitude");
  expect(collection.features[2].geometry).toBeNull();
});

test("exportText(ndjson) writes one object a line, the same as the pages of JSON", async () => {
  const lines = (await written("ndjson", [[POSITION, other]])).split("\n");
  expect(lines.pop()).toBe("");
  expect(lines.map((line) => JSON.parse(line))).toEqual([POSITION, other]);
});

test("exportText(csv) writes a header, CRLF lines and every cell under its name", async () => {
  const lines = (await written("csv", [[POSITION], [nowhere]])).split("\r\n");
  expect(lines.length).toBe(4);
  const header = lines[0].split(",");
  const cells = lines[1].match(/("([^"]|"")*"|[^,]*)(,|$)/g)!.map((cell) => cell.replace(/,$/, ""));
  const cell = (name: string) => cells[header.indexOf(name)];
  expect(cell("latitude")).toBe("-22.513015");
  expect(cell("altitudeM")).toBe("-14");
  expect(cell("mcc")).toBe("460");
  expect(cell("analogV")).toBe('"{""1"":0.24}"');
  expect(cell("driverId")).toBe("'=1+1");
  expect(lines[2].split(",")[header.indexOf("latitude")]).toBe("");
});

test("csvCell() takes the power from texts that a spreadsheet would run", () => {
  const cells: [value: string | number | undefined, cell: string][] = [
    ["=HYPERLINK(1)", "'=HYPERLINK(1)"],
    ["+49", "'+49"],
    ["-x", "'-x"],
    ["@SUM(A1)", "'@SUM(A1)"],
    ["\t=1", "'\t=1"],
    ["\r=1", `"'\r=1"`],
    ["a=1", "a=1"],
    ['say "hi", you', '"say ""hi"", you"'],
    [-5, "-5"],
    [undefined, ""],
  ];
  for (const [value, cell] of cells) expect(csvCell(value)).toBe(cell);
});

test("exportText(gpx) writes GPX 1.1 with real fixes only, and names that cannot break out", async () => {
  const text = await written("gpx", [[POSITION, nowhere, { ...other, valid: false }]], `<Van> & "Co"\u0001`);
  expect(text).toContain("<name>&lt;Van&gt; &amp; &quot;Co&quot;</name>");
  expect(text.match(/<trkpt /g)).toHaveLength(1);
  expect(text).toContain(
    '<trkpt lat="-22.513015" lon="114.057235"><ele>-14</ele><time>2026-03-01T12:00:00.000Z</time>' +
      "<desc>track by interval</desc><sat>8</sat><hdop>0.9</hdop></trkpt>",
  );
  expect(text.endsWith("</trkseg></trk>\n</gpx>\n")).toBe(true);
});

for (const format of Object.keys(EXPORTS) as ExportFormat[]) {
  test(`exportText(${format}) is whole without a single position`, async () => {
    const text = await written(format, []);
    const { head, tail } = EXPORTS[format];
    expect(text).toBe(head({ title: "Van" }) + tail);
    if (format === "geojson") expect(JSON.parse(text).features).toEqual([]);
  });
}

test("exportText() writes one piece for each page and asks for the next only then", async () => {
  let asked = 0;
  async function* pages() {
    for (asked = 1; asked <= 3; asked++) yield [POSITION];
  }
  const chunks = exportText("ndjson", pages(), { title: "Van" });
  await chunks.next();
  expect(asked).toBe(1);
  await chunks.next();
  expect(asked).toBe(2);
});
