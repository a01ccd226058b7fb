import { html } from "hono/html";
import type { Export } from "../exports.ts";
import { frame, type Html, type PageView } from "./frame.ts";
import { button, card, code, errorSummary, facts, form, hidden, notice, table, time } from "./parts.ts";
import type { FormProblem } from "./problems.ts";

const OPEN = "npm run -s unseal -- --key my.key export.zip.sealed > export.zip";

export interface ExportsContent {
  links: readonly Export[];
  /** Just made: the path of its file, shown this once. */
  made: { path: string; expiresAt: number } | null;
  wholeAccount: boolean;
  /** It will be encrypted to the account's sealing keys. */
  sealed: boolean;
}

/** What is in a download, the button that makes one, and those that can still be fetched. */
export function exportsPage(
  view: PageView,
  { links, made, wholeAccount, sealed }: ExportsContent,
  state: { problems: readonly FormProblem[]; done?: string | undefined },
): Html {
  const { exports: t, common } = view.t;
  const ready = (file: NonNullable<ExportsContent["made"]>) =>
    card(
      t.ready,
      html`<p class="actions"><a class="button" href="${file.path}" download>${t.fetch}</a></p>
        <p>${t.readyHint}</p>${facts([[t.until, time(view, file.expiresAt)]])}`,
    );
  const rows = links.map(({ id, createdAt, expiresAt, fetchedAt }) => [
    time(view, createdAt),
    time(view, expiresAt),
    time(view, fetchedAt, t.notYet),
    form(html`${hidden("id", id)}${button("revoke", t.revoke, "quiet", t.revokeLabel(id))}`),
  ]);
  return frame(view, {
    title: t.title,
    lead: t.lead,
    done: state.done,
    body: html`${errorSummary(view, state.problems)}
      ${made === null ? "" : ready(made)}
      <ul><li>${t.what}</li><li>${wholeAccount ? t.whole : t.own}</li><li>${t.never}</li><li>${t.fresh}</li></ul>
      ${sealed ? html`${notice("info", t.sealed)}${code(OPEN)}` : ""}
      ${made === null ? form(html`<div class="actions">${button("make", t.make)}<a href="/profile">${common.back}</a></div>`) : ""}
      ${card(t.links, table(t.links, t.head, rows, t.none), { id: "links" })}
      ${made === null ? "" : html`<p><a href="/profile">${common.back}</a></p>`}`,
  });
}
