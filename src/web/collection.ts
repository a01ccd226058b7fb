import { html } from "hono/html";
import type { CollectionProfile } from "../collection.ts";
import type { Form } from "../http/route.ts";
import { frame, type Html, type PageView } from "./frame.ts";
import { button, checkbox, errorSummary, facts, field, form } from "./parts.ts";
import type { FormProblem } from "./problems.ts";

const PARTS = ["speed", "cell", "driver"] as const;

export function collectionPage(
  view: PageView,
  now: CollectionProfile,
  mayChange: boolean,
  state: { form: Form; problems: readonly FormProblem[]; done?: string | undefined },
): Html {
  const { collection: t, common } = view.t;
  const coordinates = [["exact", t.exact], ...Object.entries(t.decimals).toReversed()] as [string, string][];
  const value = String(now.decimals ?? "exact");
  const body = mayChange
    ? form(html`${PARTS.map((name) => checkbox({ name, label: t[name], checked: now[name], hint: t[`${name}Hint`] }, state))}
        ${field({ name: "coordinates", label: t.coordinates, value, hint: t.coordinatesHint, choices: coordinates }, state)}
        <p class="soft">${t.unknown}</p><p>${t.fromNow}</p>
        <div class="actions">${button("save", t.save)}<a href="/profile">${common.back}</a></div>`)
    : html`${facts([
        ...PARTS.map((name) => [t[name], now[name] ? common.yes : common.no] as const),
        [t.coordinates, coordinates.find(([key]) => key === value)?.[1]] as const,
      ])}<p><a href="/profile">${common.back}</a></p>`;
  return frame(view, {
    title: t.title,
    lead: t.lead,
    done: state.done,
    narrow: true,
    body: html`${errorSummary(view, state.problems)}${body}`,
  });
}
