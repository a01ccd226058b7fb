import * as v from "valibot";
import { chooseStatute, dropStatute, statuteNamed, statutesOf } from "../../chosen-statutes.ts";
import { ownKept } from "../../kept.ts";
import { LIMITS } from "../../limits.ts";
import { agreeToObligation, ownObligation, ownObligations } from "../../obligations.ts";
import { keptPage } from "../../web/kept.ts";
import { PathId } from "../fields.ts";
import { page, typed } from "../page.ts";
import type { Form, Route } from "../route.ts";
import { NEWEST } from "../support.ts";
import { parse } from "../validate.ts";

const DONE = "/profile/kept?done=saved";
const idIn = (form: Form) => parse(v.object({ id: PathId }), { id: typed(form, "id") }).id;

export const KEPT_PAGES: readonly Route[] = page<undefined, object>({
  path: "/profile/kept",
  access: "owner",
  right: true,
  summary: "What is kept and why, which laws apply, and what is owed",
  show: async ({ ctx, view, form, problems, query }) => {
    const statutes = await statutesOf(ctx);
    const owed = await ownObligations(ctx, NEWEST, LIMITS.pageDefault);
    const parts = await ownKept(ctx, NEWEST, LIMITS.pageDefault);
    return keptPage(view, { statutes, owed, parts }, { form, problems, done: query.done });
  },
  acts: {
    choose: async ({ ctx, form }) => {
      await chooseStatute(ctx, statuteNamed(typed(form, "profile")));
      return DONE;
    },
    drop: async ({ ctx, form }) => {
      await dropStatute(ctx, statuteNamed(typed(form, "profile")));
      return DONE;
    },
    agree: async ({ ctx, form }) => {
      await agreeToObligation(ctx, await ownObligation(ctx, idIn(form)));
      return DONE;
    },
  },
});
