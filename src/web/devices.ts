import { html, raw } from "hono/html";
import { MODEL_NAMES } from "../../codec/models.ts";
import type { DeviceSetup, SetupWish } from "../device-setup.ts";
import type { Device } from "../devices.ts";
import type { Form } from "../http/route.ts";
import { LIMITS } from "../limits.ts";
import type { NewestFixes, StoredPosition } from "../positions.ts";
import { frame, type Html, type PageView } from "./frame.ts";
import { button, card, checkbox, code, errorSummary, facts, field, form, notice, pill, table, time } from "./parts.ts";
import type { FormProblem } from "./problems.ts";
import { qrSvg } from "./qr.ts";
import { moment } from "./requests.ts";

/** What was typed into one of a page's forms, and what is wrong with it. */
export interface FormState {
  form: Form;
  problems: readonly FormProblem[];
}

const coordinates = ({ latitude, longitude }: StoredPosition): string | null =>
  latitude === undefined || longitude === undefined ? null : `${latitude.toFixed(6)}, ${longitude.toFixed(6)}`;

/** A measure in the person's own units. @param unit what it is stored in */
function measure(view: PageView, value: number, unit: "km/h" | "m"): string {
  const imperial = view.person?.units === "imperial";
  const [per, name] = unit === "km/h" ? [1.609344, "mph"] : [0.3048, "ft"];
  return `${Math.round(imperial ? value / per : value)} ${imperial ? name : unit}`;
}

const modelChoices = (view: PageView) =>
  [["", view.t.devices.unknownModel], ...MODEL_NAMES.map((name) => [name, name] as const)] as const;

export interface DeviceList {
  devices: readonly Device[];
  fixes: NewestFixes;
  /** Where the next page begins; null at the end. */
  nextCursor: string | null;
  mayAdd: boolean;
  /** Whoever is limited to some devices is told so where there is none. */
  limited: boolean;
  done?: string | undefined;
  /** What stands above the list, such as a search. */
  above?: Html;
}

export function devicesPage(view: PageView, list: DeviceList): Html {
  const { devices: t } = view.t;
  const { devices, fixes, nextCursor, mayAdd, limited, done, above } = list;
  const rows = devices.map((device) => {
    const fix = fixes.open.get(device.id);
    const sealedAt = fixes.sealed.get(device.id) ?? null;
    const place = fix === undefined ? null : coordinates(fix);
    return [
      html`<a href="/devices/${device.id}">${device.name}</a>${device.suspendedSince === null ? "" : html` ${pill("warn", view.t.requests.suspendedShort)}`}`,
      device.model ?? "",
      fix !== undefined
        ? time(view, Date.parse(fix.fixTime))
        : sealedAt !== null
          ? time(view, sealedAt)
          : pill("info", t.neverHeard),
      place !== null ? html`<code class="copy">${place}</code>` : sealedAt !== null ? pill("ok", t.sealed) : "",
    ];
  });
  const addLink = mayAdd ? html`<p><a class="button" href="/devices/new">${t.add}</a></p>` : "";
  const empty = limited
    ? html`<p>${t.emptyLimited}</p>`
    : html`<p><strong>${t.emptyTitle}</strong> ${t.emptyNext}</p>${addLink}`;
  return frame(view, {
    title: t.title,
    lead: t.lead,
    done,
    body: html`${devices.length === 0 ? "" : html`${addLink}${above ?? ""}`}
      ${table(t.list, [t.name, t.model, t.lastSeen, t.coordinates], rows, empty)}
      ${nextCursor === null ? "" : html`<p><a class="button quiet" href="/devices?cursor=${nextCursor}">${t.more}</a></p>`}`,
  });
}

export function newDevicePage(view: PageView, state: FormState, needsCode: boolean): Html {
  const { devices: t, common } = view.t;
  return frame(view, {
    title: t.addTitle,
    lead: t.addLead,
    narrow: true,
    body: html`${errorSummary(view, state.problems)}
      ${form(html`
        ${field({ name: "imei", label: t.imei, hint: t.imeiHint, inputmode: "numeric", autocomplete: "off", maxlength: 20 }, state)}
        ${field({ name: "code", label: t.code, hint: t.codeHint, autocomplete: "off", maxlength: 40, ...(!needsCode && { optional: t.codeOptional }) }, state)}
        ${field({ name: "name", label: t.name, hint: t.nameHint, autocomplete: "off", maxlength: LIMITS.nameCharacters }, state)}
        ${field({ name: "model", label: t.model, hint: t.modelHint, optional: common.optional, choices: modelChoices(view) }, state)}
        <div class="actions">${button("add", t.add)}<a href="/devices">${common.cancel}</a></div>`)}`,
  });
}

export interface DevicePage {
  device: Device;
  fix: StoredPosition | undefined;
  /** When its newest fix was that only the customer can open, Unix ms; null: there is none. */
  sealedAt: number | null;
  /** Its positions are sealed to a key of the account's own. */
  sealing: boolean;
  mayEdit: boolean;
  /** Where the tracker connects to; null when the platform's own host name cannot be told to one. */
  bridge: { host: string; port: number } | null;
  wish: SetupWish & { simNumber: string };
  /** The lines and what their pictures hold, once they were asked for. */
  lines: (DeviceSetup["lines"][number] & { qr: string })[] | null;
  settings: FormState;
  setup: FormState;
  problems: readonly FormProblem[];
  done?: string | undefined;
}

export function devicePage(view: PageView, page: DevicePage): Html {
  const { devices: t } = view.t;
  const { device, fix, sealedAt, mayEdit, problems, done } = page;
  const heard = fix !== undefined || sealedAt !== null;
  return frame(view, {
    title: device.name,
    done,
    body: html`${errorSummary(view, problems)}
      ${device.suspendedSince === null ? "" : notice("warn", html`<p>${view.t.requests.suspendedDevice(moment(view, device.suspendedSince))} <a href="/profile/requests">${view.t.requests.link}</a></p>`)}
      ${card(t.newest, newestCard(view, page))}
      ${heard ? "" : setupCard(view, page)}
      ${card(
        t.settings,
        html`${facts([
          [t.imei, html`<code class="copy">${device.imei}</code>`],
          [t.added, time(view, device.createdAt)],
          [t.leg, html`${t.legState} <a href="/profile/sealing">${t.legMore}</a>`],
          ...(mayEdit ? [] : ([[t.model, device.model ?? t.unknownModel]] as const)),
        ])}
        ${mayEdit ? settingsForm(view, page) : html`<p class="soft">${t.seeOnly}</p>`}`,
      )}
      ${heard && mayEdit ? setupCard(view, page) : ""}
      ${mayEdit ? html`<p><a href="/devices/${device.id}/subjects">${view.t.subjects.pageLink}</a> · <a href="/devices/${device.id}/remove">${t.remove}</a></p>` : ""}`,
  });
}

function newestCard(view: PageView, { device, fix, sealedAt, sealing: isSealed }: DevicePage): Html {
  const { devices: t, sealing } = view.t;
  const track = html`<p>${t.sealedTrack} <a href="/v1/devices/${device.id}/positions?format=json&amp;order=desc&amp;limit=1000" download="track.json">JSON</a></p>`;
  if (sealedAt === null) {
    if (fix === undefined) return notice("info", t.nothingYet);
    return html`${newest(view, fix)}${isSealed ? track : downloads(t.track, device.id)}`;
  }
  return html`${facts([[t.lastSeen, time(view, sealedAt)]])}
    ${notice("info", html`<p>${t.sealedNewest} <a href="/profile/sealing">${sealing.title}</a></p>`)}
    ${track}`;
}

function newest(view: PageView, fix: StoredPosition): Html {
  const { devices: t } = view.t;
  const place = coordinates(fix);
  const { speedKmh, altitudeM, batteryV } = fix;
  return html`${place === null ? "" : code(place)}
    ${facts([
      [t.lastSeen, time(view, Date.parse(fix.fixTime))],
      [t.receivedAt, time(view, Date.parse(fix.receivedAt))],
      ...(speedKmh === undefined ? [] : ([[t.speed, measure(view, speedKmh, "km/h")]] as const)),
      ...(altitudeM === undefined ? [] : ([[t.altitude, measure(view, altitudeM, "m")]] as const)),
      ...(batteryV === undefined ? [] : ([[t.battery, `${batteryV} V`]] as const)),
    ])}`;
}

/** The files of a track, as the API gives them to whoever is signed in. */
function downloads(lead: string, deviceId: number): Html {
  const formats = [
    ["gpx", "GPX"],
    ["geojson", "GeoJSON"],
    ["csv", "CSV"],
  ];
  return html`<p>${lead} ${formats.map(([format, name]) => html`<a href="/v1/devices/${deviceId}/positions?format=${format}" download>${name}</a> `)}</p>`;
}

function settingsForm(view: PageView, { device, settings: state }: DevicePage): Html {
  const { devices: t, common } = view.t;
  return form(html`
    ${field({ name: "name", label: t.name, value: device.name, autocomplete: "off", maxlength: LIMITS.nameCharacters }, state)}
    ${field({ name: "model", label: t.model, hint: t.modelHint, value: device.model ?? "", choices: modelChoices(view) }, state)}
    ${field({ name: "clockOffsetMinutes", label: t.clockOffset, hint: t.clockHint, value: String(device.clockOffsetMinutes), inputmode: "text", autocomplete: "off" }, state)}
    ${checkbox({ name: "confirmCce", label: t.confirmCce, hint: t.confirmHint, checked: device.confirmCce }, state)}
    <div class="actions">${button("save", common.save)}</div>`);
}

function setupCard(view: PageView, { bridge, wish, lines, setup: state }: DevicePage): Html {
  const { devices: t, common } = view.t;
  const text = (name: keyof typeof wish, label: string, hint?: string) =>
    field({ name, label, value: String(wish[name]), autocomplete: "off", ...(hint !== undefined && { hint }) }, state);
  const { optional } = common;
  return card(
    t.setup,
    html`${bridge === null || lines !== null ? "" : html`<p>${t.setupLead(bridge.host, bridge.port)}</p>`}
    ${(lines ?? []).map(
      (
        { code: command, sms, frame: line, qr },
        i,
      ) => html`<h3${i === 0 ? html` tabindex="-1" autofocus` : ""}>${t.lines[command]}</h3>
        <p>${t.bySms}</p>${code(sms)}${raw(qrSvg(qr, t.qr(command)))}
        <details><summary>${t.byCable}</summary>${code(line)}</details>`,
    )}
    ${lines === null ? "" : html`<p>${t.confirmed}</p>`}
    ${form(
      html`
      ${field({ name: "apn", label: t.apn, hint: t.apnHint, optional, value: wish.apn, autocomplete: "off" }, state)}
      ${field({ name: "mobile", label: t.simNumber, hint: t.simNumberHint, optional, value: wish.simNumber, inputmode: "tel", autocomplete: "off" }, state)}
      ${text("intervalS", t.interval, t.intervalHint)}
      <details${state.problems.some(({ field }) => /^(apnUser|apnPassword|smsPassword)$/.test(field)) ? html` open` : ""}><summary>${t.mode}</summary>
        ${field({ name: "mode", label: t.mode, value: wish.mode, choices: Object.entries(t.modes) }, state)}
        ${field({ name: "apnUser", label: t.apnUser, optional, value: wish.apnUser, autocomplete: "off" }, state)}
        ${field({ name: "apnPassword", label: t.apnPassword, optional, value: wish.apnPassword, autocomplete: "off" }, state)}
        ${text("smsPassword", t.smsPassword, t.smsPasswordHint)}
      </details>
      <p class="soft">${t.setupNothingKept}</p>
      <div class="actions">${button("setUp", t.showLines, lines === null ? "primary" : "quiet")}</div>`,
    )}`,
    { id: "setup" },
  );
}

/** What a removal takes with it. Times are Unix ms; null without a position. */
export interface Removal {
  positions: number;
  from: number | null;
  to: number | null;
  /** The account adds trackers with codes, which work once. */
  needsCode: boolean;
}

export function removeDevicePage(
  view: PageView,
  device: Device,
  removal: Removal,
  problems: readonly FormProblem[],
): Html {
  const { devices: t, common } = view.t;
  const { positions, from, to, needsCode } = removal;
  const day = new Intl.DateTimeFormat(view.language, { dateStyle: "long", timeZone: view.timeZone });
  const what =
    from === null || to === null
      ? t.removeNothing
      : t.removeExtent(positions.toLocaleString(view.language), positions, day.format(from), day.format(to));
  return frame(view, {
    title: t.removeTitle(device.name),
    lead: t.removeLead,
    narrow: true,
    body: html`${errorSummary(view, problems)}
      ${notice("warn", html`<p>${what}</p><p>${t.removeFinal}</p>${from === null ? "" : downloads(t.removeKeep, device.id)}${needsCode ? html`<p>${t.removeCode}</p>` : ""}`)}
      ${form(html`<div class="actions">${button("remove", t.removeTitle(device.name), "danger")}<a href="/devices/${device.id}">${common.cancel}</a></div>`)}`,
  });
}
