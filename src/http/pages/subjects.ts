import * as v from "valibot";
import { LIMITS } from "../../limits.ts";
import { linkOf, linkOfToken, linksOf, makeLink, revokeLink, summaryOf } from "../../subject-links.ts";
import {
  acceptSubject,
  askBySubject,
  refuseSubject,
  requestsOfLink,
  SUBJECT_REQUEST_TYPES,
  subjectRequestOf,
  subjectRequests,
} from "../../subject-requests.ts";
import { subjectLinksPage, subjectPage, subjectRequestPage } from "../../web/subjects.ts";
import { DevicePath, findDevice } from "../devices.ts";
import { type PageCall, page, tickedIds, typed, typedTime } from "../page.ts";
import { NamePath } from "../requests.ts";
import type { Form, Route } from "../route.ts";
import { TokenPath } from "../subjects.ts";
import { NEWEST } from "../support.ts";
import { parse } from "../validate.ts";

const stateOf = ({ form, problems, query }: PageCall<unknown, { done?: string | undefined }, unknown>) => ({
  form,
  problems,
  done: query.done,
});

/** A time that may be left out. */
const timeIn = (form: Form, name: string, timeZone: string) =>
  typed(form, name) === "" ? undefined : typedTime(form, name, timeZone);

export const SUBJECTS_PAGES: readonly Route[] = [
  page({
    path: "/devices/{id}/subjects",
    access: "manager",
    right: true,
    summary: "Links for who drives or carries a tracker, and what they ask",
    params: DevicePath,
    find: findDevice,
    show: async (call) => {
      const { ctx, view, object } = call;
      const asked = await subjectRequests(ctx, NEWEST, LIMITS.pageDefault, object.id);
      return subjectLinksPage(
        view,
        object,
        await linksOf(ctx, object),
        asked,
        call.result as string | null,
        stateOf(call),
      );
    },
    acts: {
      make: async ({ ctx, object, form, view }) => {
        const { timeZone } = view;
        const from = typedTime(form, "from", timeZone);
        const to = typedTime(form, "to", timeZone);
        const expiresAt = timeIn(form, "expiresAt", timeZone);
        const { url } = await makeLink(ctx, object, {
          ...{ from, to, expiresAt, showsTrack: typed(form, "showsTrack") === "on" },
        });
        return { show: url };
      },
      revoke: async ({ ctx, object, form }) => {
        await revokeLink(ctx, await linkOf(ctx, object, tickedIds(form, "link")[0] ?? 0));
        return `/devices/${object.id}/subjects?done=saved`;
      },
    },
  }),
  page({
    path: "/subject-requests/{name}",
    access: "manager",
    right: true,
    summary: "What somebody asks who drives or carries a tracker",
    params: NamePath,
    find: (ctx, { name }) => subjectRequestOf(ctx, name),
    show: async (call) => subjectRequestPage(call.view, call.object, stateOf(call)),
    acts: {
      accept: async ({ ctx, object, form }) => {
        await acceptSubject(ctx, object, typed(form, "reason"));
        return `/subject-requests/${object.name}?done=saved`;
      },
      refuse: async ({ ctx, object, form }) => {
        await refuseSubject(ctx, object, typed(form, "reason"));
        return `/subject-requests/${object.name}?done=saved`;
      },
    },
  }),
  page({
    path: "/subject/{token}",
    access: "public",
    summary: "What is held about who drives or carries a tracker, by a link",
    params: TokenPath,
    find: (ctx, { token }) => linkOfToken(ctx, token),
    show: async (call) => {
      const { ctx, view, params, object: link } = call;
      const held = await summaryOf(ctx, link);
      const asked = await requestsOfLink(ctx, link);
      return subjectPage(view, params.token, link, held, asked, call.result === true, stateOf(call));
    },
    acts: {
      ask: async ({ ctx, object, form, view }) => {
        const { type } = parse(v.object({ type: v.picklist(SUBJECT_REQUEST_TYPES) }), { type: typed(form, "type") });
        const [from, to] = [timeIn(form, "from", view.timeZone), timeIn(form, "to", view.timeZone)];
        await askBySubject(ctx, object, { type, from, to });
        return { show: true };
      },
    },
  }),
].flat();
