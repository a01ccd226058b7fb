import * as v from "valibot";
import { brandText } from "../../brands.ts";
import type { Ctx } from "../../context.ts";
import {
  acceptNow,
  changesBetween,
  type DocumentName,
  type DocumentText,
  documentText,
  LEGAL_KINDS,
  type LegalKind,
  statementOfAccount,
  versionsOf,
} from "../../documents.ts";
import { AppError } from "../../errors.ts";
import type { PageView } from "../../web/frame.ts";
import { acceptPage, brandTextPage, documentPage, noticesPage } from "../../web/legal.ts";
import { LegalKindField, VersionPath } from "../documents.ts";
import { page, typed } from "../page.ts";
import type { Form, Route } from "../route.ts";

const named = (kind: DocumentName["kind"], product = "", region = ""): DocumentName => ({ kind, product, region });

async function shownDocument(ctx: Ctx, view: PageView, document: DocumentText) {
  const all = await versionsOf(ctx, document.kind, view.language);
  const versions = all.filter(({ product, region }) => product === document.product && region === document.region);
  return documentPage(view, { document, versions, changes: await changesBetween(ctx, document, document.version - 1) });
}

/** The version in force, under an address that every page links to. */
const current = (kind: LegalKind): readonly Route[] =>
  page({
    path: `/legal/${kind}`,
    access: "public",
    summary: kind === "privacy" ? "The privacy statement in force" : "The terms in force",
    show: async ({ ctx, view }) => shownDocument(ctx, view, await documentText(ctx, named(kind), null, view.language)),
  });

/** What a form of /accept ticks, and the first thing that it leaves out. */
function acceptedIn(form: Form) {
  const texts = LEGAL_KINDS.map((kind) => ({
    kind,
    text: typed(form, `${kind}Text`),
    ticked: typed(form, kind) !== "",
  }));
  const accepted = texts
    .filter(({ text, ticked }) => text !== "" && ticked)
    .map(({ kind, text }) => {
      const [version, language = "", sha256 = ""] = text.split(" ");
      return { kind, version: Number(version), language, sha256 };
    });
  return { accepted, left: texts.find(({ text, ticked }) => text !== "" && !ticked)?.kind ?? "privacy" };
}

export const LEGAL_PAGES: readonly Route[] = [
  current("privacy"),
  current("terms"),
  page({
    path: "/legal/notices",
    access: "public",
    summary: "Notices for products and regions",
    show: async ({ ctx, view }) => noticesPage(view, await versionsOf(ctx, "notice", view.language)),
  }),
  page({
    path: "/legal/{kind}/{version}",
    access: "public",
    summary: "One version of a published text",
    params: VersionPath,
    query: {
      product: v.optional(v.pipe(v.string(), v.maxLength(40))),
      region: v.optional(v.pipe(v.string(), v.maxLength(2))),
    },
    show: async ({ ctx, view, params, query }) => {
      const { product, region } = query as { product?: string; region?: string };
      const name = named(params.kind, product, region);
      return shownDocument(ctx, view, await documentText(ctx, name, params.version, view.language));
    },
  }),
  page({
    path: "/accept",
    access: "customer",
    summary: "What waits for acceptance",
    right: true,
    show: async ({ ctx, view, form, problems, query }) => {
      const { accepted, waiting, owners, acceptances } = await statementOfAccount(ctx, view.language);
      const shown = await Promise.all(
        waiting.map(async (row) => {
          const text = await documentText(ctx, named(row.kind), row.version, row.language);
          return { ...row, changes: await changesBetween(ctx, text, row.accepted) };
        }),
      );
      return acceptPage(view, {
        waiting: shown,
        openedByOperator: accepted.privacy === null && accepted.terms === null,
        isOwner: ctx.principal.kind === "user" && ctx.principal.role === "owner",
        owners,
        history: acceptances,
        done: query.done,
        form,
        problems,
      });
    },
    acts: {
      accept: async ({ ctx, view, form }) => {
        const { principal } = ctx;
        if (principal.kind !== "user" || principal.role !== "owner") {
          throw new AppError("forbidden", "Only an owner can accept for the account");
        }
        const { accepted, left } = acceptedIn(form);
        if (accepted.length === 0) throw new AppError("invalid", view.t.legal.tickFirst, { field: left });
        try {
          await acceptNow(ctx, principal, accepted);
        } catch (error) {
          // The rule knows no boxes: the one that is missing is the one that was left out.
          if (error instanceof AppError && error.code === "invalid") {
            throw new AppError("invalid", error.message, { field: left });
          }
          throw error;
        }
        return "/accept?done=accepted";
      },
    },
  }),
  page({
    path: "/brand/{kind}",
    access: "public",
    summary: "The policy or terms of the brand whose hostname is asked for",
    params: v.object({ kind: LegalKindField }),
    show: async ({ ctx, view, params }) =>
      brandTextPage(view, await brandText(ctx, view.brand.id, params.kind, view.language)),
  }),
].flat();
