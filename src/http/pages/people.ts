import { requireGoodStanding, requireProof, requireRight } from "../../access.ts";
import type { Ctx } from "../../context.ts";
import { listDevices } from "../../devices.ts";
import { createOwnKey, listOwnKeys, ownKey, revokeOwnKey } from "../../keys.ts";
import { LIMITS } from "../../limits.ts";
import { changeMember, inviteAgain, inviteMember, listMembers, removeMember } from "../../members.ts";
import { closeWindow, listLooks, listWindows, openWindow, windowOf } from "../../support.ts";
import { invitePage, KEY_DAYS, keysPage, memberPage, membersPage, newKeyPage, supportPage } from "../../web/people.ts";
import { IdCursor, iso } from "../fields.ts";
import { NewOwnKey, newKeyOf } from "../keys.ts";
import { type PageQuery, page, tickedIds, typed } from "../page.ts";
import type { Form, Route } from "../route.ts";
import { NEWEST } from "../support.ts";
import { findMember, Invitation, MemberChange, MemberPath } from "../users.ts";
import { parse } from "../validate.ts";

/** The devices that a form offers: as many as one can be limited to. */
const offered = (ctx: Ctx) => listDevices(ctx, 0, LIMITS.devicesPerLimit);

/** Role and limits as the form has them: a choice for each device. */
function rightsIn(form: Form) {
  const deviceLimited = typed(form, "deviceLimited") === "yes" && typed(form, "role") !== "owner";
  const devices = Object.entries(form).flatMap(([name, value]) => {
    const id = /^device-([1-9]\d{0,15})$/.exec(name)?.[1];
    return id !== undefined && (value === "see" || value === "edit")
      ? [{ id: Number(id), mayEdit: value === "edit" }]
      : [];
  });
  return { role: typed(form, "role"), deviceLimited, devices: deviceLimited ? devices : [] };
}

/** An id that a form carries; 0, which nothing has, when it is none. */
const idIn = (form: Form) => tickedIds(form, "id")[0] ?? 0;

const PEOPLE = [
  page({
    path: "/people",
    access: "owner",
    summary: "The account's members",
    show: async ({ ctx, view, query }) =>
      membersPage(view, { members: await listMembers(ctx, 0, LIMITS.usersPerAccount), done: query.done }),
  }),
  page({
    path: "/people/invite",
    access: "owner",
    summary: "Invite somebody",
    stepUp: true,
    show: async ({ ctx, view, form, problems }) => invitePage(view, { devices: await offered(ctx), form, problems }),
    acts: {
      invite: async ({ ctx, form }) => {
        await inviteMember(ctx, parse(Invitation, { email: typed(form, "email").trim(), ...rightsIn(form) }));
        return "/people?done=invited";
      },
    },
  }),
  page({
    path: "/people/{id}",
    access: "owner",
    summary: "A member: role, devices, removal",
    params: MemberPath,
    find: findMember,
    stepUp: true,
    right: true,
    show: async ({ ctx, view, object, query, form, problems }) =>
      memberPage(view, { member: object, devices: await offered(ctx), done: query.done, form, problems }),
    acts: {
      save: async ({ ctx, object, form }) => {
        requireGoodStanding(ctx.principal);
        await changeMember(ctx, object, parse(MemberChange, rightsIn(form)));
        return "/people?done=saved";
      },
      again: async ({ ctx, object }) => {
        requireGoodStanding(ctx.principal);
        await inviteAgain(ctx, object);
        return "/people?done=invited";
      },
      remove: async ({ ctx, object }) => {
        await removeMember(ctx, object.id);
        return "/people?done=removed";
      },
    },
  }),
];

const DAY_MS = 86_400_000;

const KEYS = [
  page({
    path: "/keys",
    access: "manager",
    summary: "The account's API keys",
    right: true,
    show: async ({ ctx, view, query, problems }) => {
      const [keys, devices] = await Promise.all([listOwnKeys(ctx, 0, LIMITS.pageMax), offered(ctx)]);
      return keysPage(view, { keys, devices, done: query.done, problems });
    },
    acts: {
      revoke: async ({ ctx, form }) => {
        await revokeOwnKey(ctx, (await ownKey(ctx, idIn(form))).id);
        return "/keys?done=revoked";
      },
    },
  }),
  page({
    path: "/keys/new",
    access: "manager",
    summary: "Make an API key",
    stepUp: true,
    show: async ({ ctx, view, form, problems, result }) => {
      const made = result as { key: string; name: string | null } | null;
      const limited = ctx.principal.kind === "user" && ctx.principal.devices !== null;
      return newKeyPage(view, { devices: made === null ? await offered(ctx) : [], limited, made, form, problems });
    },
    acts: {
      make: async ({ ctx, form }) => {
        const days = KEY_DAYS.find((count) => count === typed(form, "expiresAt")) ?? "30";
        const limited = typed(form, "deviceLimited") === "yes";
        const key = parse(NewOwnKey, {
          name: typed(form, "name"),
          scope: typed(form, "scope"),
          expiresAt: days === "" ? null : iso(ctx.now() + Number(days) * DAY_MS),
          deviceLimited: limited,
          devices: limited ? tickedIds(form, "devices") : [],
        });
        return { show: await createOwnKey(ctx, newKeyOf(key)) };
      },
    },
  }),
];

const LOOKS_SHOWN = 100;

const SUPPORT = page<undefined, { before?: number | undefined }>({
  path: "/support",
  access: "customer",
  summary: "Who looked, and windows in which staff may look",
  query: { before: IdCursor },
  right: true,
  show: async ({ ctx, view, query, form, problems }) => {
    const { before = NEWEST, done }: PageQuery & { before?: number | undefined } = query;
    const [windows, looks, devices] = await Promise.all([
      listWindows(ctx, NEWEST, LIMITS.pageDefault),
      listLooks(ctx, before, LOOKS_SHOWN + 1),
      offered(ctx),
    ]);
    const shown = looks.slice(0, LOOKS_SHOWN);
    const older = looks.length > LOOKS_SHOWN ? String(shown.at(-1)?.id) : null;
    const isOwner = ctx.principal.kind === "user" && ctx.principal.role === "owner";
    return supportPage(view, { windows, looks: shown, older, devices, isOwner, done, form, problems });
  },
  acts: {
    open: async ({ ctx, form }) => {
      requireRight("owner", ctx.principal);
      requireGoodStanding(ctx.principal);
      requireProof(ctx);
      await openWindow(ctx, Number(typed(form, "minutes")));
      return "/support?done=windowOpened";
    },
    close: async ({ ctx, form }) => {
      requireRight("owner", ctx.principal);
      await closeWindow(ctx, (await windowOf(ctx, idIn(form))).id);
      return "/support?done=windowClosed";
    },
  },
});

export const PEOPLE_PAGES: readonly Route[] = [...PEOPLE, ...KEYS, SUPPORT].flat();
