import * as v from "valibot";
import { requireRight } from "../../../access.ts";
import type { Ctx } from "../../../context.ts";
import { AppError } from "../../../errors.ts";
import { LIMITS } from "../../../limits.ts";
import type { Listed, PanelState } from "../../../web/admin/panel.ts";
import { IdCursor, Name, PathId, queryTime } from "../../fields.ts";
import { type PageQuery, typed } from "../../page.ts";
import type { Form } from "../../route.ts";
import { parse } from "../../validate.ts";

// The operator's panel. A page is open to whoever of the staff has a use for it; an act asks again for the right to it.

export const ById = v.object({ id: PathId });
export const cursor = { cursor: IdCursor };
export interface Cursor {
  cursor?: number | undefined;
}

export async function listed<Row extends { id: number }>(
  at: number | undefined,
  first: number,
  read: (at: number, limit: number) => Promise<readonly Row[]>,
): Promise<Listed<Row>> {
  const limit = LIMITS.pageDefault;
  const rows = await read(at ?? first, limit + 1);
  const shown = rows.slice(0, limit);
  return { rows: shown, next: rows.length > limit ? shown.at(-1)!.id : null, later: at !== undefined };
}

export const state = ({
  form,
  problems,
  query,
}: {
  form: Form;
  problems: PanelState["problems"];
  query: PageQuery;
}) => ({
  form,
  problems,
  done: query.done,
});

export const nameIn = (form: Form) => parse(v.object({ name: Name }), { name: typed(form, "name") }).name;
export const idIn = (form: Form, name: string) =>
  parse(v.object({ [name]: PathId }), { [name]: typed(form, name) })[name] as number;
const Day = queryTime("A day");
/** A day that was typed, as its first moment in UTC; undefined when nothing was. */
export const dayIn = (form: Form, name: string) =>
  parse(v.object({ [name]: v.optional(Day) }), { [name]: typed(form, name) || undefined })[name] as number | undefined;
/** Of a page with several reasons, each field has a name of its own: what is wrong with one is said there. */
export async function withReason(field: string, act: () => Promise<string>): Promise<string> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof AppError) || error.field !== "reason") throw error;
    throw new AppError(error.code, error.message.replace(/^reason/, field), { field });
  }
}
export const admin = (ctx: Ctx) => requireRight("admin", ctx.principal);
