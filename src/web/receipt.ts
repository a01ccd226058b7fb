import { html } from "hono/html";
import { frame, type Html, type PageView } from "./frame.ts";
import { card, facts, table, time } from "./parts.ts";

type Fields = Readonly<Record<string, unknown>>;

const TIMES: ReadonlySet<string> = new Set(["receivedAt", "verifiedAt", "frozenAt", "clearedAt", "deadline"]);

/**
 * A receipt as people read it, to be printed. The island checks it where it is read: its text is on the page, and the
 * heads that the platform has published are fetched.
 * @param body canonical JSON, as it was signed
 */
export function receiptPage(view: PageView, name: string, body: string): Html {
  const t = view.t.requests;
  const receipt = JSON.parse(body) as Fields;
  const all = (Array.isArray(receipt.stores) ? receipt.stores : []) as Fields[];
  // Trackers are no place that we can look into: there is only what they said.
  const stores = all.filter((store) => store.name !== "trackers");
  const told = Object.entries((all.find((store) => store.name === "trackers")?.evidence ?? {}) as Fields);
  const held = (Array.isArray(receipt.held) ? receipt.held : []) as Fields[];
  const number = (value: unknown) => (typeof value === "number" ? value.toLocaleString(view.language) : "–");
  const words: Record<string, Readonly<Record<string, string>>> = {
    type: t.type,
    scopeClass: t.receiptScopes,
    level: t.levels,
    result: t.receiptResults,
  };
  const shown = Object.keys(t.receiptFields).flatMap((key): [string, unknown][] => {
    const value = receipt[key];
    if (value === undefined || value === null) return [];
    const label = t.receiptFields[key] ?? key;
    if (TIMES.has(key)) return [[label, time(view, Number(value))]];
    if (key === "request") return [[label, html`<code>${String(value)}</code>`]];
    return [[label, words[key]?.[String(value)] ?? (typeof value === "number" ? number(value) : String(value))]];
  });
  return frame(view, {
    title: t.receiptTitle,
    lead: t.receiptLead,
    islands: ["receipt.js"],
    body: html`${facts(shown)}
      ${card(
        t.receiptStores,
        table(
          t.receiptStores,
          t.receiptStoreHead,
          stores.map((store) => [
            t.stores[String(store.name)] ?? String(store.name),
            number(store.rows),
            number(store.bytes),
            number(store.keys),
            number(store.left),
          ]),
          "–",
        ),
      )}
      ${
        told.length === 0
          ? ""
          : card(
              t.receiptTrackers,
              html`<p>${t.receiptTrackersLead}</p>${facts(
                told.map(([what, counts]): [string, unknown] => [
                  t.trackerHolds[what] ?? what,
                  Object.entries(counts as Fields)
                    .map(([word, count]) => `${t.trackerSaid[word] ?? word}: ${number(count)}`)
                    .join(" · "),
                ]),
              )}`,
            )
      }
      ${
        held.length === 0
          ? ""
          : card(
              t.receiptHeld,
              html`<ul>${held.map(
                (row) =>
                  html`<li>${t.heldUntil(
                    t.heldReasons[String(row.reason)] ?? String(row.reason),
                    t.heldBases[String(row.basis)] ?? String(row.basis),
                    typeof row.until === "number" ? time(view, row.until) : "–",
                  )}</li>`,
              )}</ul>`,
            )
      }
      ${card(
        t.receiptCheck,
        html`<noscript><p>${t.receiptNoScript}</p></noscript>
          <div id="receipt-check" hidden data-good="${t.receiptGood}" data-bad="${t.receiptBad}"><p id="receipt-said" role="status">${t.receiptChecking}</p></div>
          <details><summary>${t.receiptWhole}</summary><pre class="copy" tabindex="0" id="receipt-text">${body}</pre></details>
          <p><a href="/v1/receipts/${name}" download="receipt-${name}.json">${t.receiptFile}</a></p>
          <p class="soft">${t.receiptPrint}</p>`,
      )}`,
  });
}
