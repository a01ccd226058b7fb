import { readKeyFile } from "./key-file.ts";
import { type OpenedTrack, openTrack, readAnswer, type SealedAnswer } from "./track.ts";

// Opens a sealed track on the page that has a slot for it. The key is read from its file into this page's memory and
// goes nowhere; texts come with the slot, which stays hidden without a script.

/** Positions of a page, and pages of a track: what one opening asks for at most. */
const PAGE = 1000;
const PAGES = 100;
const SHOWN = 20;

type Opened = OpenedTrack["positions"][number];

function byId<T extends HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`The page has no ${id}`);
  return element as T;
}

async function pagesOf(device: string, from: string, to: string): Promise<{ answers: SealedAnswer[]; more: boolean }> {
  const answers: SealedAnswer[] = [];
  let cursor: string | null = null;
  do {
    const query = new URLSearchParams({ format: "json", limit: String(PAGE) });
    if (from !== "") query.set("from", new Date(from).toISOString());
    if (to !== "") query.set("to", new Date(to).toISOString());
    if (cursor !== null) query.set("cursor", cursor);
    const response = await fetch(`/v1/devices/${device}/positions?${query}`, { credentials: "same-origin" });
    const text = await response.text();
    if (!response.ok) throw new Error((JSON.parse(text) as { detail: string }).detail);
    const answer = readAnswer(text);
    answers.push(answer);
    cursor = answer.nextCursor;
  } while (cursor !== null && answers.length < PAGES);
  return { answers, more: cursor !== null };
}

const geoJson = (positions: readonly Opened[]): string =>
  JSON.stringify({
    type: "FeatureCollection",
    features: positions
      .filter(({ latitude, longitude }) => latitude !== undefined && longitude !== undefined)
      .map(({ latitude, longitude, ...properties }) => ({
        type: "Feature",
        geometry: { type: "Point", coordinates: [longitude, latitude] },
        properties,
      })),
  });

function offer(link: HTMLAnchorElement, text: string, type: string): void {
  if (link.href.startsWith("blob:")) URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(new Blob([text], { type }));
}

function show(positions: readonly Opened[]): void {
  const body = byId("unseal-rows");
  const cell = (text: string, label: string) => {
    const td = document.createElement("td");
    td.dataset.label = label;
    td.append(Object.assign(document.createElement("div"), { textContent: text }));
    return td;
  };
  const names = [...(body.closest("table")?.querySelectorAll("th") ?? [])].map(({ textContent }) => textContent ?? "");
  const rows = positions.slice(-SHOWN).map(({ fixTime, latitude, longitude, speedKmh, event }) => {
    const tr = document.createElement("tr");
    const place = latitude === undefined || longitude === undefined ? "" : `${latitude}, ${longitude}`;
    const values = [fixTime, place, speedKmh === undefined ? "" : String(speedKmh), event.name];
    tr.append(...values.map((value, i) => cell(value, names[i] ?? "")));
    return tr;
  });
  body.replaceChildren(...rows.reverse());
}

const slot = document.getElementById("unseal");
if (slot !== null) {
  const said = byId("unseal-said");
  const result = byId("unseal-result");
  const button = slot.querySelector("button");
  slot.hidden = false;
  byId("unseal-missing").hidden = true;
  button?.addEventListener("click", async () => {
    button.disabled = true;
    said.textContent = "";
    result.hidden = true;
    try {
      const [file] = byId<HTMLInputElement>("f-keyFile").files ?? [];
      if (file === undefined) throw new Error(slot.dataset.noFile);
      const key = await readKeyFile(await file.text());
      const value = (name: string) => byId<HTMLInputElement>(`f-${name}`).value;
      const { answers, more } = await pagesOf(value("device"), value("from"), value("to"));
      const { positions, unopened } = await openTrack(answers, key);
      byId("unseal-count").textContent = String(positions.length);
      byId("unseal-unopened").hidden = unopened.length === 0;
      byId("unseal-more").hidden = !more;
      show(positions);
      offer(byId<HTMLAnchorElement>("unseal-geojson"), geoJson(positions), "application/geo+json");
      const lines = positions.map((position) => `${JSON.stringify(position)}\n`).join("");
      offer(byId<HTMLAnchorElement>("unseal-ndjson"), lines, "application/x-ndjson");
      result.hidden = false;
    } catch (error) {
      said.textContent = error instanceof Error ? error.message : String(error);
    }
    button.disabled = false;
  });
}
