import { csvHeader, csvRow } from "./export-csv.ts";
import type { StoredPosition } from "./positions.ts";

interface ExportFile {
  /** Of the track, for formats that name it. */
  title: string;
}

/** How a format is written: what goes before the first position, between two, and after the last. */
interface Format {
  mediaType: string;
  extension: string;
  head(file: ExportFile): string;
  /** Null leaves the position out. */
  item(position: StoredPosition): string | null;
  separator: string;
  tail: string;
}

/** The formats of a track beside the pages of JSON. */
export const EXPORTS = {
  // RFC 7946: longitude first, no CRS member.
  geojson: {
    mediaType: "application/geo+json",
    extension: "geojson",
    head: () => '{"type":"FeatureCollection","features":[\n',
    item: (position) => JSON.stringify(feature(position)),
    separator: ",\n",
    tail: "\n]}\n",
  },
  ndjson: {
    mediaType: "application/x-ndjson",
    extension: "ndjson",
    head: () => "",
    item: (position) => `${JSON.stringify(position)}\n`,
    separator: "",
    tail: "",
  },
  // RFC 4180
  csv: {
    mediaType: "text/csv; charset=utf-8; header=present",
    extension: "csv",
    head: () => csvHeader(),
    item: csvRow,
    separator: "",
    tail: "",
  },
  // GPX 1.1, https://www.topografix.com/GPX/1/1/: a track has only real fixes.
  gpx: {
    mediaType: "application/gpx+xml",
    extension: "gpx",
    head: ({ title }) =>
      '<?xml version="1.0" encoding="UTF-8"?>\n<gpx version="1.1" creator="Ephemeris" ' +
      'xmlns="http://www.topografix.com/GPX/1/1" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" ' +
      'xsi:schemaLocation="http://www.topografix.com/GPX/1/1 http://www.topografix.com/GPX/1/1/gpx.xsd">\n' +
      `<trk><name>${xml(title)}</name><trkseg>\n`,
    item: trackPoint,
    separator: "",
    tail: "</trkseg></trk>\n</gpx>\n",
  },
} as const satisfies Record<string, Format>;

export type ExportFormat = keyof typeof EXPORTS;

/** Writes pages of positions in a format, one piece of text for each page. */
export async function* exportText(
  format: ExportFormat,
  pages: AsyncIterable<readonly StoredPosition[]>,
  file: ExportFile,
): AsyncGenerator<string, undefined, undefined> {
  const { head, item, separator, tail }: Format = EXPORTS[format];
  let text = head(file);
  let before = "";
  for await (const page of pages) {
    for (const position of page) {
      const written = item(position);
      if (written === null) continue;
      text += before + written;
      before = separator;
    }
    if (text !== "") yield text;
    text = "";
  }
  text += tail;
  if (text !== "") yield text;
  return undefined;
}

function feature({ id, latitude, longitude, ...properties }: StoredPosition): object {
  const located = latitude !== undefined && longitude !== undefined;
  const geometry = located ? { type: "Point", coordinates: [longitude, latitude] } : null;
  return { type: "Feature", id, geometry, properties };
}

// Element order is the schema's: ele, time, name, sat, hdop.
function trackPoint({ valid, latitude, longitude, altitudeM, fixTime, event, satellites, hdop }: StoredPosition) {
  if (!valid || latitude === undefined || longitude === undefined) return null;
  const inside =
    (altitudeM === undefined ? "" : `<ele>${altitudeM}</ele>`) +
    `<time>${fixTime}</time><desc>${xml(event.name)}</desc>` +
    (satellites === undefined ? "" : `<sat>${satellites}</sat>`) +
    (hdop === undefined ? "" : `<hdop>${hdop}</hdop>`);
  return `<trkpt lat="${latitude}" lon="${longitude}">${inside}</trkpt>\n`;
}

const ENTITIES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;" };

/** Text for XML 1.0, which has no control characters, not even escaped. */
function xml(text: string): string {
  return text.replace(/[^\P{Cc}\t\n\r]|[\ufffe\uffff]/gu, "").replace(/[&<>"']/g, (character) => ENTITIES[character]);
}
