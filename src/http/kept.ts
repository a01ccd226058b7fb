import * as v from "valibot";
import { type ChosenStatute, chooseStatute, dropStatute, statuteNamed, statutesOf } from "../chosen-statutes.ts";
import type { Ctx } from "../context.ts";
import { HELD_REASONS, type Kept, ownKept } from "../kept.ts";
import {
  agreeToObligation,
  isInForce,
  needsAgreement,
  OBLIGATION_BASES,
  OBLIGATION_KINDS,
  type Obligation,
  ownObligation,
  ownObligations,
} from "../obligations.ts";
import { textFor } from "../text/index.ts";
import { Id, iso, isoOrNull, ListQuery, listOf, MaybeTime, PathId, page, Time } from "./fields.ts";
import { type Route, route } from "./route.ts";
import { NEWEST } from "./support.ts";

export const StatutePath = v.object({ profile: v.pipe(v.string(), v.regex(/^[a-z][a-z0-9-]{1,60}$/)) });

const StatuteJson = v.object({
  profile: v.string(),
  law: v.pipe(v.string(), v.description("In your language")),
  region: v.pipe(v.string(), v.description("ISO 3166, with the city where it is a city's")),
  days: v.pipe(v.number(), v.integer(), v.description("How long at least, from the fix")),
  means: v.pipe(v.string(), v.description("In plain words, what choosing it does")),
  chosenAt: v.pipe(MaybeTime, v.description("null: the account does not say that it is under it")),
});

function statuteJson(ctx: Ctx, { name, region, days, chosenAt }: ChosenStatute): v.InferOutput<typeof StatuteJson> {
  const t = textFor(ctx.principal.kind === "user" ? ctx.principal.language : "en").holds;
  return {
    profile: name,
    law: t.laws[name] ?? name,
    region,
    days,
    means: t.means(days),
    chosenAt: isoOrNull(chosenAt),
  };
}

export const ObligationJson = v.object({
  id: Id,
  kind: v.picklist(OBLIGATION_KINDS),
  basis: v.picklist(OBLIGATION_BASES),
  details: v.pipe(v.string(), v.description("What is kept, and nothing else")),
  createdAt: Time,
  expiresAt: v.pipe(Time, v.description("Then it is gone")),
  agreedAt: v.pipe(MaybeTime, v.description("Of an extension: when an owner agreed to it")),
  needsAgreement: v.pipe(v.boolean(), v.description("It waits for an owner, and keeps nothing")),
  inForce: v.boolean(),
});

export const obligationJson = (row: Obligation, now: number): v.InferOutput<typeof ObligationJson> => ({
  id: row.id,
  kind: row.kind as (typeof OBLIGATION_KINDS)[number],
  basis: row.basis as (typeof OBLIGATION_BASES)[number],
  details: row.details,
  createdAt: iso(row.createdAt),
  expiresAt: iso(row.expiresAt),
  agreedAt: isoOrNull(row.acknowledgedAt),
  needsAgreement: needsAgreement(row),
  inForce: isInForce(row, now),
});

export const KeptJson = v.object({
  id: Id,
  reason: v.picklist(HELD_REASONS),
  basis: v.pipe(v.string(), v.description("Of the hold or the obligation, or the name of the law")),
  madeAt: v.pipe(Time, v.description("When it would have gone")),
  until: v.pipe(MaybeTime, v.description("Then it goes by itself; what a hold keeps goes as soon as that is released")),
  bytes: v.pipe(v.number(), v.integer()),
});

export const keptJson = ({ id, reason, basis, madeAt, endsAt, bytes }: Kept): v.InferOutput<typeof KeptJson> => ({
  ...{ id, reason, basis, madeAt: iso(madeAt), until: isoOrNull(endsAt), bytes },
});

const ById = v.object({ id: PathId });
const access = "owner";
const tag = "Your rights";
const right = true;
const stepUp = true;

export const KEPT: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/me/kept",
    access,
    tag,
    summary: "List what is kept of what was erased: why, and until when",
    description:
      "Sealed, and unreadable to everybody but the operator's legal staff with a written reason. Reading it is listed among the looks.",
    query: ListQuery,
    answers: { 200: { description: "One page, newest first", schema: listOf(KeptJson) } },
    handle: async ({ c, ctx, query: { cursor = NEWEST, limit } }) =>
      c.json(page(await ownKept(ctx, cursor, limit + 1), limit, keptJson)),
  }),
  route({
    method: "GET",
    path: "/v1/me/statutes",
    access,
    tag,
    summary: "List laws that make you keep positions longer, and which you said that you are under",
    answers: { 200: { description: "All of them", schema: v.object({ data: v.array(StatuteJson) }) } },
    handle: async ({ c, ctx }) => c.json({ data: (await statutesOf(ctx)).map((statute) => statuteJson(ctx, statute)) }),
  }),
  route({
    method: "PUT",
    path: "/v1/me/statutes/{profile}",
    access,
    right,
    stepUp,
    tag,
    summary: "Say that you are under a law",
    description:
      "Positions stay as long as your own period says. What goes earlier than the law lets it, by its period or because you erase it, is kept sealed until then.",
    params: StatutePath,
    find: async (_, { profile }) => statuteNamed(profile),
    answers: { 204: { description: "It counts from now on" } },
    handle: async ({ c, ctx, object }) => {
      await chooseStatute(ctx, object);
      return c.body(null, 204);
    },
  }),
  route({
    method: "DELETE",
    path: "/v1/me/statutes/{profile}",
    access,
    right,
    stepUp,
    tag,
    summary: "Say that you are not under a law any more",
    description: "What is kept already stays until its time.",
    params: StatutePath,
    find: async (_, { profile }) => statuteNamed(profile),
    answers: { 204: { description: "Nothing more is kept for it" } },
    handle: async ({ c, ctx, object }) => {
      await dropStatute(ctx, object);
      return c.body(null, 204);
    },
  }),
  route({
    method: "GET",
    path: "/v1/me/obligations",
    access,
    tag,
    summary: "List what is owed to or by the account, and what is kept for it",
    query: ListQuery,
    answers: { 200: { description: "One page, newest first", schema: listOf(ObligationJson) } },
    handle: async ({ c, ctx, query: { cursor = NEWEST, limit } }) =>
      c.json(page(await ownObligations(ctx, cursor, limit + 1), limit, (row) => obligationJson(row, ctx.now()))),
  }),
  route({
    method: "POST",
    path: "/v1/me/obligations/{id}/acknowledge",
    access,
    right,
    stepUp,
    tag,
    summary: "Agree that something is kept longer",
    description: "An extension keeps nothing before.",
    params: ById,
    find: (ctx, { id }) => ownObligation(ctx, id),
    answers: { 200: { description: "As it is now", schema: ObligationJson } },
    handle: async ({ c, ctx, object }) => c.json(obligationJson(await agreeToObligation(ctx, object), ctx.now())),
  }),
];
