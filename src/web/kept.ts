import { html } from "hono/html";
import type { ChosenStatute } from "../chosen-statutes.ts";
import type { Form } from "../http/route.ts";
import type { Kept } from "../kept.ts";
import { needsAgreement, type Obligation } from "../obligations.ts";
import { frame, type Html, type PageView } from "./frame.ts";
import { button, card, errorSummary, form, hidden, pill, table, time } from "./parts.ts";
import type { FormProblem } from "./problems.ts";

interface State {
  form: Form;
  problems: readonly FormProblem[];
  done?: string | undefined;
}

export const sizeOf = ({ language }: PageView, bytes: number) =>
  `${(bytes / 1024).toLocaleString(language, { maximumFractionDigits: bytes < 10_240 ? 1 : 0 })} KiB`;

export const reasonOf = ({ t }: PageView, { reason }: Pick<Kept, "reason">) => t.requests.heldReasons[reason] ?? reason;
export const basisOf = ({ t }: PageView, basis: string) => t.requests.heldBases[basis] ?? basis;

/** Until when it is kept: what a hold keeps may go before. */
export const untilOf = (view: PageView, { endsAt, hold }: Kept): Html =>
  html`${time(view, endsAt, "–")}${hold === null ? "" : html` <span class="soft">${view.t.holds.atTheLatest}</span>`}`;

/** What is kept of what was erased: why, because of what, and until when. */
export function keptTable(view: PageView, parts: readonly Kept[]): Html {
  const t = view.t.holds;
  return html`${table(
    t.kept,
    t.keptHead,
    parts.map((part) => [
      reasonOf(view, part),
      basisOf(view, part.basis),
      time(view, part.madeAt),
      untilOf(view, part),
      sizeOf(view, part.bytes),
    ]),
    t.nothingKept,
  )}${parts.length === 0 ? "" : html`<p class="soft">${t.sealedNote}</p>`}`;
}

/** Laws that the account is under, what is owed, and what is kept. */
export function keptPage(
  view: PageView,
  {
    statutes,
    owed,
    parts,
  }: { statutes: readonly ChosenStatute[]; owed: readonly Obligation[]; parts: readonly Kept[] },
  state: State,
): Html {
  const { holds: t, common } = view.t;
  const lawForm = ({ name, chosenAt }: ChosenStatute) => {
    const law = t.laws[name] ?? name;
    return form(
      html`${hidden("profile", name)}${
        chosenAt === null
          ? button("choose", t.choose, "quiet", `${t.choose}: ${law}`)
          : button("drop", t.drop, "quiet", `${t.drop}: ${law}`)
      }`,
    );
  };
  const agreement = (row: Obligation) => {
    if (row.expiresAt <= view.now) return t.over;
    if (row.kind !== "extension") return "";
    return needsAgreement(row)
      ? html`<p class="soft">${t.agreeHint}</p>${form(html`${hidden("id", row.id)}${button("agree", t.agree, "quiet", `${t.agree}: ${row.details.slice(0, 60)}`)}`)}`
      : pill("ok", t.agreed);
  };
  return frame(view, {
    title: t.title,
    lead: t.lead,
    done: state.done,
    body: html`${errorSummary(view, state.problems)}
      ${card(t.kept, keptTable(view, parts), { id: "kept" })}
      ${card(
        t.lawsTitle,
        html`<p>${t.lawsLead}</p>${table(
          t.lawsTitle,
          t.lawHead,
          statutes.map((statute) => [
            t.laws[statute.name] ?? statute.name,
            statute.region,
            t.days(statute.days),
            t.means(statute.days),
            time(view, statute.chosenAt, t.notChosen),
            lawForm(statute),
          ]),
          common.none,
        )}<p class="soft">${t.dropHint}</p>`,
      )}
      ${card(
        t.owedTitle,
        html`<p>${t.owedLead}</p>${table(
          t.owedTitle,
          t.owedHead,
          owed.map((row) => [
            t.kinds[row.kind] ?? row.kind,
            basisOf(view, row.basis),
            row.details,
            time(view, row.expiresAt),
            agreement(row),
          ]),
          t.nothingOwed,
        )}`,
      )}
      <p><a href="/profile">${common.back}</a></p>`,
  });
}
