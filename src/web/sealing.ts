import { html } from "hono/html";
import type { CustomerKey, KeyKind } from "../customer-keys.ts";
import type { Form } from "../http/route.ts";
import { frame, type Html, type PageView } from "./frame.ts";
import { button, card, checkbox, code, errorSummary, field, form, hidden, notice, pill, table, time } from "./parts.ts";
import type { FormProblem } from "./problems.ts";

/** A key as the page shows it. */
export type ShownKey = Pick<CustomerKey, "id" | "kind" | "createdAt" | "revokedAt"> & { check: string };

export interface SealingContent {
  keys: readonly ShownKey[];
  /** An owner: who may register and revoke. */
  mayChange: boolean;
  done: string | undefined;
}

const KINDS: readonly KeyKind[] = ["everyday", "offline"];
const OPEN = "npm run -s unseal -- --key my.key track.json > positions.ndjson";
const NEW_KEY = "npm run -s unseal -- --new-key my.key";

/** Whether positions are sealed, who can read what on its way, and the keys. */
export function sealingPage(view: PageView, { keys, mayChange, done }: SealingContent): Html {
  const s = view.t.sealing;
  const used = keys.filter(({ revokedAt }) => revokedAt === null);
  return frame(view, {
    title: s.title,
    lead: s.lead,
    done,
    body: html`${used.length === 0 ? notice("info", s.off) : notice("ok", s.on)}
      ${used.length === 1 ? notice("warn", s.oneKey) : ""}
      ${card(
        s.keys,
        html`${keysTable(view, keys, mayChange)}
        ${used.length === 0 ? "" : html`<p class="soft">${s.revokeHint}</p>`}
        ${
          !mayChange
            ? html`<p>${s.ownerOnly}</p>`
            : used.length === KINDS.length
              ? ""
              : html`<p class="actions"><a class="button" href="/profile/sealing/new">${used.length === 0 ? s.add : s.addOther}</a></p>`
        }`,
      )}
      ${card(s.ways, waysTable(view, used.length > 0))}
      ${keys.length === 0 ? "" : card(s.openTitle, html`<p><a class="button quiet" href="/profile/sealing/open">${s.openPage}</a></p><p>${s.open}</p>${code(OPEN)}`)}
      <p><a href="/profile">${view.t.common.back}</a></p>`,
  });
}

function keysTable(view: PageView, keys: readonly ShownKey[], mayChange: boolean): Html {
  const s = view.t.sealing;
  const nameOf = ({ kind }: ShownKey) => s.kind[kind] ?? kind;
  const rows = keys.map((key) => [
    nameOf(key),
    html`<code>${key.check}</code>`,
    time(view, key.createdAt),
    key.revokedAt === null ? pill("ok", s.state.used) : pill("stop", s.state.revoked),
    key.revokedAt !== null || !mayChange
      ? "–"
      : form(html`${hidden("id", key.id)}${button("revoke", s.revoke, "danger", s.revokeLabel(nameOf(key)))}`),
  ]);
  return table(s.keys, s.keysHead, rows, s.noKeys);
}

const MARKS = { ok: "✓", warn: "!", stop: "×" };
const marked = (kind: keyof typeof MARKS, text: string) =>
  html`<span class="pill ${kind}"><span aria-hidden="true">${MARKS[kind]} </span>${text}</span>`;

/** The three stations of a position, each with what can be read there. */
function waysTable(view: PageView, isSealed: boolean): Html {
  const s = view.t.sealing;
  return table(
    s.ways,
    s.waysHead,
    [
      [s.radio, marked("stop", s.radioState), s.radioWhat],
      [s.memory, marked("warn", s.memoryState), s.memoryWhat],
      [
        s.stored,
        isSealed ? marked("ok", s.storedState) : marked("warn", s.memoryState),
        isSealed ? s.storedWhat : s.off,
      ],
    ],
    "",
  );
}

/** Opens what is sealed in the browser: the key stays there. Hidden until client/browser.ts runs. */
export function openSealedPage(view: PageView, devices: readonly { id: number; name: string }[]): Html {
  const s = view.t.sealing;
  const { devices: d } = view.t;
  const head = [s.fixTime, d.coordinates, `${d.speed} (km/h)`, s.event];
  return frame(view, {
    title: s.openPage,
    lead: s.openLead,
    islands: ["unseal.js"],
    body: html`<div id="unseal-missing">${notice("info", s.openScript)}</div>
      ${
        devices.length === 0
          ? html`<p>${d.emptyTitle}</p>`
          : html`<div id="unseal" hidden data-no-file="${s.noFile}">
        ${field({ name: "keyFile", label: s.keyFile, hint: s.keyFileHint, type: "file", accept: ".key,application/json" })}
        ${field({ name: "device", label: d.list, choices: devices.map(({ id, name }) => [String(id), name]) })}
        ${field({ name: "from", label: s.from, hint: s.whenHint, type: "datetime-local" })}
        ${field({ name: "to", label: s.to, hint: s.whenHint, type: "datetime-local" })}
        <p class="actions"><button type="button" class="primary">${s.openIt}</button></p>
        <p id="unseal-said" class="error" role="alert"></p>
        <div id="unseal-result" role="status" hidden>
          <p><strong id="unseal-count"></strong> ${s.opened}
            <a id="unseal-geojson" href="#" download="track.geojson">GeoJSON</a> <a id="unseal-ndjson" href="#" download="positions.ndjson">NDJSON</a></p>
          <p id="unseal-unopened">${s.unopened}</p><p id="unseal-more">${s.openMore}</p>
          <div class="wide" tabindex="0" role="region" aria-label="${s.openPage}"><table><caption class="hide">${s.openPage}</caption>
            <thead><tr>${head.map((name) => html`<th scope="col">${name}</th>`)}</tr></thead><tbody id="unseal-rows"></tbody></table></div>
        </div></div>`
      }
      <p><a href="/profile/sealing">${view.t.common.back}</a></p>`,
  });
}

/** What a lost key means, then making one, then registering it. */
export function newSealingKeyPage(
  view: PageView,
  used: readonly KeyKind[],
  state: { form: Form; problems: readonly FormProblem[] },
): Html {
  const s = view.t.sealing;
  const free = KINDS.filter((kind) => !used.includes(kind));
  return frame(view, {
    title: s.newTitle,
    lead: s.newLead,
    islands: ["sealing-key.js"],
    body: html`${errorSummary(view, state.problems)}
      ${card(s.finalTitle, html`<ul>${s.final.map((each) => html`<li>${each}</li>`)}</ul>`)}
      ${card(
        s.makeTitle,
        html`<div id="sealing-key" hidden data-failed="${s.makeFailed}" data-made="${s.made}">
            <p>${s.makeWhat}</p><p class="actions"><button type="button" class="quiet">${s.make}</button></p></div>
          <p>${s.makeCommand}</p>${code(NEW_KEY)}`,
      )}
      ${card(
        s.registerTitle,
        form(html`${field({ name: "kind", label: s.kindField, hint: s.kindHint, choices: (free.length === 0 ? KINDS : free).map((kind) => [kind, s.kind[kind] ?? kind]) }, state)}
          ${field({ name: "publicKey", label: s.publicKey, hint: s.publicKeyHint, autocomplete: "off", maxlength: 60 }, state)}
          ${field({ name: "check", label: s.check, hint: s.checkHint, autocomplete: "off", maxlength: 20 }, state)}
          ${checkbox({ name: "lostKeyIsFinal", label: s.understood }, state)}
          <div class="actions">${button("register", s.seal, "danger")}<a href="/profile/sealing">${view.t.common.cancel}</a></div>`),
      )}`,
  });
}
