import * as v from "valibot";
import type { Ctx } from "../context.ts";
import {
  acceptNow,
  type DocumentHead,
  type DocumentText,
  documentText,
  listDocuments,
  noticeFor,
  publishVersion,
  statementOfAccount,
  verifyDocuments,
} from "../documents.ts";
import { AppError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import { Id, iso, ListQuery, listOf, Name, page, Time } from "./fields.ts";
import { type Route, route } from "./route.ts";

const LANGUAGE = /^[a-z]{2,3}(-[A-Za-z]{2,4})?$/;
export const Language = v.pipe(v.string(), v.regex(LANGUAGE, "must be a language like en or zh"), v.examples(["en"]));
export const Kind = v.picklist(["privacy", "terms", "notice"]);
export const LegalKindField = v.picklist(["privacy", "terms"]);
const Version = v.pipe(v.number(), v.integer(), v.minValue(1));
const Sha256 = v.pipe(
  v.string(),
  v.regex(/^[0-9a-f]{64}$/, "must be 64 hexadecimal digits"),
  v.description("SHA-256 of the text's UTF-8 bytes"),
);
const Product = v.pipe(v.string(), v.regex(/^([a-z0-9][a-z0-9-]{0,39})?$/, "must be a short name like live-audio"));
const Region = v.pipe(v.string(), v.regex(/^([A-Z]{2})?$/, "must be two capital letters"));

const HEAD = {
  id: Id,
  kind: Kind,
  product: v.pipe(v.string(), v.description("Of a notice; empty: all")),
  region: v.pipe(v.string(), v.description("Of a notice; empty: wherever no other holds")),
  version: Version,
  language: Language,
  title: v.string(),
  sha256: Sha256,
  material: v.pipe(v.boolean(), v.description("Accounts that do not accept it can only read, export and erase")),
  template: v.pipe(v.boolean(), v.description("The text that the software ships, to be reviewed by the operator")),
  publishedAt: Time,
  effectiveAt: Time,
};
export const DocumentJson = v.object(HEAD);
const TextJson = v.object({
  ...HEAD,
  languages: v.array(Language),
  body: v.pipe(v.string(), v.description("Markdown")),
});

export const documentJson = (row: DocumentHead): v.InferOutput<typeof DocumentJson> => ({
  id: row.id,
  kind: row.kind,
  product: row.product,
  region: row.region,
  version: row.version,
  language: row.language,
  title: row.title,
  sha256: row.sha256,
  material: row.material === 1,
  template: row.template === 1,
  publishedAt: iso(row.publishedAt),
  effectiveAt: iso(row.effectiveAt),
});
const textJson = (row: DocumentText) => ({ ...documentJson(row), languages: row.languages, body: row.body });

/** A version in a path. What is no version names nothing: 404. */
export const VersionPath = v.object({
  kind: Kind,
  version: v.pipe(
    v.string(),
    v.regex(/^[1-9]\d{0,8}$/),
    v.metadata({ type: "integer", minimum: 1, pattern: undefined }),
    v.transform(Number),
  ),
});

const InLanguage = { lang: v.optional(Language, "en") };
const ofNotice = {
  product: v.optional(Product, ""),
  region: v.optional(Region, ""),
};

const Accepted = v.strictObject({ kind: LegalKindField, version: Version, sha256: Sha256, language: Language });
const AcceptedVersions = v.object({ privacy: v.nullable(Version), terms: v.nullable(Version) });
const StatementJson = v.object({
  accepted: v.pipe(
    AcceptedVersions,
    v.description("The account's newest accepted versions; null: the operator opened it, and nothing waits"),
  ),
  waiting: v.array(
    v.object({
      kind: LegalKindField,
      version: Version,
      language: Language,
      title: v.string(),
      sha256: Sha256,
      effectiveAt: Time,
      deadline: v.pipe(Time, v.description("From then on, until it is accepted: read, export and erase only")),
    }),
  ),
  owners: v.pipe(v.array(v.string()), v.description("Who can accept for the account")),
  acceptances: v.array(
    v.object({
      kind: Kind,
      version: Version,
      language: Language,
      sha256: Sha256,
      userId: v.nullable(Id),
      acceptedAt: Time,
    }),
  ),
});

async function statementJson(ctx: Ctx, language: string): Promise<v.InferOutput<typeof StatementJson>> {
  const { accepted, waiting, owners, acceptances } = await statementOfAccount(ctx, language);
  return {
    accepted,
    waiting: waiting.map(({ kind, version, language, title, sha256, effectiveAt, deadline }) => ({
      ...{ kind, version, language, title, sha256 },
      effectiveAt: iso(effectiveAt),
      deadline: iso(deadline),
    })),
    owners,
    acceptances: acceptances.map(({ kind, version, language, sha256, userId, acceptedAt }) => ({
      ...{ kind, version, language, sha256, userId },
      acceptedAt: iso(acceptedAt),
    })),
  };
}

const tag = "Statement";
const languageOf = ({ principal }: Ctx) => (principal.kind === "user" ? principal.language : "en");

export const DOCUMENTS: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/statements",
    access: "public",
    tag,
    summary: "List every published text",
    description: "Statement, terms and notices: each version in each language, with its hash.",
    query: ListQuery,
    answers: { 200: { description: "One page of texts without their bodies", schema: listOf(DocumentJson) } },
    handle: async ({ c, ctx, query }) =>
      c.json(page(await listDocuments(ctx, query.cursor ?? 0, query.limit + 1), query.limit, documentJson)),
  }),
  route({
    method: "GET",
    path: "/v1/statements/{kind}/{version}",
    access: "public",
    tag,
    summary: "Read a published text",
    description: "In English where the version does not have the language.",
    params: VersionPath,
    query: v.strictObject({ ...InLanguage, ...ofNotice }),
    answers: { 200: { description: "The text as it was published", schema: TextJson } },
    handle: async ({ c, ctx, params, query }) => {
      const { lang, product, region } = query;
      return c.json(textJson(await documentText(ctx, { kind: params.kind, product, region }, params.version, lang)));
    },
  }),
  route({
    method: "GET",
    path: "/v1/notices",
    access: "public",
    tag,
    summary: "Read the notice for a product in a region",
    description: "A region without a text of its own is given the one for every region, and never none.",
    query: v.strictObject({ ...ofNotice, ...InLanguage }),
    answers: { 200: { description: "The notice in force", schema: TextJson } },
    handle: async ({ c, ctx, query }) =>
      c.json(textJson(await noticeFor(ctx, query.product, query.region, query.lang))),
  }),
  route({
    method: "GET",
    path: "/v1/me/statement",
    access: "customer",
    tag,
    summary: "What the account accepted, and what waits",
    answers: { 200: { description: "Accepted versions, waiting ones with their deadline", schema: StatementJson } },
    handle: async ({ c, ctx }) => c.json(await statementJson(ctx, languageOf(ctx))),
  }),
  route({
    method: "POST",
    path: "/v1/statement/acceptances",
    access: "owner",
    tag,
    summary: "Accept the statement and the terms for the account",
    description: "Names the texts by the hash of what was read; a hash that is not the published text's is 409.",
    right: true,
    body: v.strictObject({ accept: v.pipe(v.array(Accepted), v.minLength(1), v.maxLength(2)) }),
    answers: { 200: { description: "What is accepted now, and what waits", schema: StatementJson } },
    handle: async ({ c, ctx, body }) => {
      const { principal } = ctx;
      if (principal.kind !== "user") throw new AppError("forbidden", "Only the account's owner can accept");
      await acceptNow(ctx, principal, body.accept);
      return c.json(await statementJson(ctx, languageOf(ctx)));
    },
  }),
  route({
    method: "POST",
    path: "/v1/admin/documents",
    access: "privacy",
    tag,
    summary: "Publish the next version of a text",
    description:
      "All languages at once, English among them. Placeholders such as {{operatorName}} are filled with the settings as they are now, and the hash is of the filled text. Owners are told of a material change of statement or terms by mail; it takes effect in 30 days unless effectiveAt says otherwise, any other change at once.",
    jsonBytes: LIMITS.publishingBytes,
    body: v.strictObject({
      kind: Kind,
      product: v.optional(Product),
      region: v.optional(Region),
      texts: v.pipe(
        v.array(
          v.strictObject({
            language: Language,
            title: Name,
            body: v.pipe(v.string(), v.minLength(1), v.description("Markdown")),
          }),
        ),
        v.minLength(1),
        v.maxLength(LIMITS.documentTexts),
      ),
      material: v.boolean(),
      effectiveAt: v.exactOptional(Time),
    }),
    answers: {
      201: { description: "The version in each language", schema: v.object({ data: v.array(DocumentJson) }) },
    },
    handle: async ({ c, ctx, body }) => {
      const effectiveAt = body.effectiveAt === undefined ? undefined : Date.parse(body.effectiveAt);
      const rows = await publishVersion(ctx, { ...body, effectiveAt });
      return c.json({ data: rows.map(documentJson) }, 201);
    },
  }),
  route({
    method: "GET",
    path: "/v1/admin/documents/verify",
    access: "privacy",
    tag,
    summary: "Compute every hash again",
    description: "A text that was altered cannot be accepted any more.",
    answers: {
      200: {
        description: "How many texts were checked, and those that are not what was published",
        schema: v.object({
          checked: v.pipe(v.number(), v.integer()),
          altered: v.array(
            v.object({
              kind: Kind,
              product: v.string(),
              region: v.string(),
              version: Version,
              language: Language,
            }),
          ),
        }),
      },
    },
    handle: async ({ c, ctx }) => c.json(await verifyDocuments(ctx)),
  }),
];
