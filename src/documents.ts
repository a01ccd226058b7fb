import { diffLines, diffWordsWithSpace } from "diff";
import { accountOf } from "./access.ts";
import { record } from "./audit.ts";
import { brandFor, brandTextHashes } from "./brands.ts";
import type { Base, Ctx } from "./context.ts";
import { AppError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { linkTo, sealMail } from "./mail.ts";
import { fillPlaceholders, sha256Of } from "./publishing.ts";
import { sameText } from "./seal.ts";
import { settingsOf } from "./settings.ts";
import type { DocumentHead, DocumentKind, DocumentName } from "./store/documents.ts";
import * as store from "./store/documents.ts";

export type { AcceptanceRow, DocumentHead, DocumentKind, DocumentName } from "./store/documents.ts";

// The operator's statement, terms and notices. What is published is never changed: a new text is a new version, and
// every version can be read for ever. An acceptance names exactly the text that was served, by its hash.

export type LegalKind = "privacy" | "terms";
export const LEGAL_KINDS = ["privacy", "terms"] as const;

/** A version as pages and sign-up need it. Times are Unix ms. */
export interface LegalDocument {
  kind: LegalKind;
  version: number;
  language: string;
  title: string;
  sha256: string;
  effectiveAt: number;
  publishedAt: number;
  material: boolean;
  template: boolean;
}

/** A text that somebody accepts: exactly the one whose hash this is. */
export interface AcceptedDocument {
  kind: LegalKind;
  version: number;
  sha256: string;
  language: string;
}

/** The row in a language, else in English, in which every version exists. */
const inLanguage = <Row extends { language: string }>(rows: readonly Row[], language: string): Row | undefined =>
  rows.find((row) => row.language === language) ?? rows.find((row) => row.language === "en") ?? rows[0];

const shown = (row: DocumentHead): LegalDocument => ({
  kind: row.kind as LegalKind,
  version: row.version,
  language: row.language,
  title: row.title,
  sha256: row.sha256,
  effectiveAt: row.effectiveAt,
  publishedAt: row.publishedAt,
  material: row.material === 1,
  template: row.template === 1,
});

/** Of each kind, the newest version in force and those to come, oldest first, one language each. */
async function living(base: Base, language: string): Promise<LegalDocument[]> {
  const rows = await store.livingDocuments(base.db, base.now());
  const first = rows.filter((row, i) => rows[i - 1]?.kind !== row.kind || rows[i - 1]?.version !== row.version);
  const texts = ({ kind, version }: DocumentHead) => rows.filter((row) => row.kind === kind && row.version === version);
  return first.map((row) => shown(inLanguage(texts(row), language) ?? row));
}

/** What is in force now: the newest version of each kind, in this language or else in English. */
export async function currentDocuments(base: Base, language: string): Promise<LegalDocument[]> {
  const now = base.now();
  return (await living(base, language)).filter(({ effectiveAt }) => effectiveAt <= now);
}

/** What an account's owner has to accept still, and until when. */
export interface WaitingDocument extends LegalDocument {
  /** From then on the account can only read, export and erase; in the past: it can already. */
  deadline: number;
  /** The version accepted before; null: none. */
  accepted: number | null;
}

/** The newest version of each kind, where a change since what was accepted is material. */
async function waitingFor(base: Base, accepted: store.Accepted, language: string): Promise<WaitingDocument[]> {
  const rows = await living(base, language);
  const material = await store.materialVersions(base.db);
  return LEGAL_KINDS.flatMap((kind) => {
    const before = accepted[kind];
    const newest = rows.filter((row) => row.kind === kind).at(-1);
    if (before === null || newest === undefined) return [];
    const first = material.find((row) => row.kind === kind && row.version > before);
    return first === undefined ? [] : [{ ...newest, deadline: first.effectiveAt, accepted: before }];
  });
}

export interface StatementOfAccount {
  accepted: store.Accepted;
  waiting: WaitingDocument[];
  /** Names, else addresses, of the owners: only they can accept for the account. */
  owners: string[];
  acceptances: store.AcceptanceRow[];
}

/** What the caller's account accepted, what waits, and who can accept. */
export async function statementOfAccount(ctx: Ctx, language: string): Promise<StatementOfAccount> {
  const accountId = accountOf(ctx);
  const accepted = (await store.acceptedBy(ctx.db, accountId)) ?? { privacy: null, terms: null };
  return {
    accepted,
    waiting: await waitingFor(ctx, accepted, language),
    owners: await store.ownerNames(ctx.db, accountId),
    acceptances: await store.acceptancesOf(ctx.db, accountId, LIMITS.pageDefault),
  };
}

/**
 * Records that somebody accepts these texts: for themself and, as an owner, for the account, whose newest accepted
 * version it raises and never lowers. An account that the operator opened waits for nothing until its owner accepts.
 * @param accepted the version in force or a later one, by the hash of the text that was served
 * @throws {AppError} conflict when a text is not the one that is stored; invalid, field "accept", when one is missing
 */
export async function acceptNow(
  ctx: Ctx,
  by: { accountId: number; userId: number },
  accepted: readonly AcceptedDocument[],
): Promise<void> {
  const now = ctx.now();
  const before = await store.acceptedBy(ctx.db, by.accountId);
  if (before === null) throw new AppError("not_found", "No such account");
  const rows = await store.livingDocuments(ctx.db, now);
  const texts: store.AcceptedText[] = [];
  for (const { kind, version, language, sha256 } of accepted) {
    const row = rows.find((text) => text.kind === kind && text.version === version && text.language === language);
    if (row === undefined || texts.some((text) => text.kind === kind)) {
      throw new AppError("conflict", "This is not the text in force: read it again", { field: "accept" });
    }
    if (!sameText(row.sha256, sha256)) {
      throw new AppError("conflict", "The hash is not that of the published text: read it again", { field: "accept" });
    }
    const stored = await store.documentTexts(ctx.db, row, version);
    const body = stored.find((text) => text.language === language)?.body ?? "";
    if ((await sha256Of(body)) !== row.sha256) {
      ctx.log.error("document.altered", { document: row.id });
      throw new AppError("conflict", "The stored text is not the one that was published, so nobody can accept it now");
    }
    texts.push({ documentId: row.id, kind, version, language, sha256: row.sha256 });
  }
  const material = await store.materialVersions(ctx.db);
  for (const kind of LEGAL_KINDS) {
    const last = before[kind];
    const required =
      last === null
        ? rows.some((row) => row.kind === kind && row.effectiveAt <= now)
        : material.some((row) => row.kind === kind && row.version > last && row.effectiveAt <= now);
    if (required && !texts.some((text) => text.kind === kind)) {
      const name = kind === "privacy" ? "privacy statement" : "terms";
      throw new AppError("invalid", `Accept the ${name} to go on`, { field: "accept" });
    }
  }
  if (texts.length === 0) return;
  const brand = await brandFor(ctx, new URL(ctx.client.origin).hostname);
  const beside = await brandTextHashes(ctx, brand.id, texts[0]!.language);
  if (!(await store.insertAcceptances(ctx.db, by.accountId, by.userId, texts, beside, now))) {
    throw new AppError("not_found", "No such user");
  }
}

export interface NewVersion {
  kind: DocumentKind;
  product?: string | undefined;
  region?: string | undefined;
  texts: readonly { language: string; title: string; body: string }[];
  material: boolean;
  /** Unix ms; only for a material change. */
  effectiveAt?: number | undefined;
}

/**
 * Publishes the next version in all its languages. Placeholders are filled with the settings as they are now. A material
 * change of the statement or the terms takes effect a month later unless the operator says otherwise, and all owners are
 * told; another one is in force at once.
 * @throws {AppError} invalid with the field; conflict; unavailable when owners could not be given a link
 */
export async function publishVersion(ctx: Ctx, version: NewVersion): Promise<DocumentHead[]> {
  const { kind, product = "", region = "", material } = version;
  const now = ctx.now();
  const isNotice = kind === "notice";
  if (!isNotice && (product !== "" || region !== "")) {
    throw new AppError("invalid", "product and region are only for notices", { field: product ? "product" : "region" });
  }
  if (version.effectiveAt !== undefined && (!material || version.effectiveAt < now)) {
    const why = material ? "must not be in the past" : "is only for a material change; another is in force at once";
    throw new AppError("invalid", `effectiveAt ${why}`, { field: "effectiveAt" });
  }
  // Whoever asks about a region without a text of its own is given this one, never none.
  if (region !== "" && (await store.versionInForce(ctx.db, { kind, product, region: "" }, now)) === null) {
    throw new AppError("conflict", "Publish the notice without a region first: it holds wherever no other does", {
      field: "region",
    });
  }
  const settings = { ...(await settingsOf(ctx)), retentionMonths: ctx.config.retentionMonths };
  const texts = await Promise.all(
    checkedTexts(version.texts).map(async ({ language, title, body }) => {
      const filled = fillPlaceholders(body, language, settings);
      if (new TextEncoder().encode(filled).length > LIMITS.documentBytes) {
        throw new AppError("invalid", `A body must have at most ${LIMITS.documentBytes} bytes`, { field: "texts" });
      }
      return { language, title, body: filled, sha256: await sha256Of(filled) };
    }),
  );
  const announced = material && !isNotice;
  const work = announced ? { after: 0, link: await linkTo(ctx, "/accept") } : null;
  const rows = await store.insertVersion(
    ctx.db,
    {
      kind,
      product,
      region,
      texts,
      material,
      effectiveAt: material ? (version.effectiveAt ?? now + LIMITS.noticeMs) : now,
      publishedAt: now,
      publishedBy: ctx.principal.kind === "staff" ? ctx.principal.userId : null,
    },
    work === null ? null : { name: `${ANNOUNCE}${kind}`, value: JSON.stringify(work) },
  );
  await record(ctx, "document.published", { subject: `${kind} ${rows[0]!.version}` });
  if (work !== null) ctx.defer(announceDocuments(ctx));
  return rows;
}

function checkedTexts(texts: NewVersion["texts"]): NewVersion["texts"] {
  const languages = texts.map(({ language }) => language);
  if (!languages.includes("en")) {
    throw new AppError("invalid", "texts must hold one in English: it is shown where a language is missing", {
      field: "texts",
    });
  }
  if (new Set(languages).size !== languages.length) {
    throw new AppError("invalid", "texts must hold each language once", { field: "texts" });
  }
  return texts.map(({ language, title, body }) => ({
    language,
    title: title.trim(),
    body: `${body.replaceAll("\r\n", "\n").trim()}\n`,
  }));
}

const ANNOUNCE = "announce ";

/**
 * Goes on telling owners of material changes: by 200 a statement, up to 10,000 in one run, from where the last run
 * stopped. Publishing begins it and a job goes on; two at once do no harm, as each chunk is queued by the one that moves
 * the mark.
 * @returns mails queued
 */
export async function announceDocuments(base: Base): Promise<number> {
  let queued = 0;
  for (let chunk = 0; chunk < LIMITS.announceChunks; chunk++) {
    const [work] = await store.waitingWork(base.db, ANNOUNCE);
    if (work === undefined) break;
    const kind = work.name.slice(ANNOUNCE.length) as LegalKind;
    const { after, link } = JSON.parse(work.value) as { after: number; link: string };
    const owners = await store.ownersAfter(base.db, after, LIMITS.announceRows);
    const newest = new Map<string, LegalDocument | undefined>();
    for (const { language } of owners) {
      if (newest.has(language)) continue;
      newest.set(language, (await living(base, language)).filter((row) => row.kind === kind).at(-1));
    }
    const mails: { userId: number; kind: string; sealed: string }[] = [];
    for (const { id, accountId, email, language } of owners) {
      const document = newest.get(language);
      if (document === undefined) continue;
      const dates = new Intl.DateTimeFormat(language, { dateStyle: "long", timeZone: "UTC" });
      const data = { title: document.title, effective: `${dates.format(document.effectiveAt)} (UTC)`, link };
      const sealed = await sealMail(base, "statementChanged", { to: email, language, data, account: accountId });
      mails.push({ userId: id, kind: "statementChanged", sealed });
    }
    const last = owners.length < LIMITS.announceRows ? null : JSON.stringify({ after: owners.at(-1)!.id, link });
    queued += await store.queueChunk(base.db, work, last, mails, base.now());
  }
  return queued;
}

/** Every text that was ever published, by id. */
export const listDocuments = (base: Base, after: number, limit: number) => store.listDocuments(base.db, after, limit);

/** Every version of a kind, newest first, in this language or else in English. */
export async function versionsOf(base: Base, kind: DocumentKind, language: string): Promise<DocumentHead[]> {
  const rows = await store.versionsOf(base.db, kind, [language, "en"]);
  return rows.filter(
    (row) => row.language === language || !rows.some((other) => sameVersion(row, other) && other.language === language),
  );
}
const sameVersion = (a: DocumentHead, b: DocumentHead) =>
  a.kind === b.kind && a.product === b.product && a.region === b.region && a.version === b.version;

export interface DocumentText extends DocumentHead {
  body: string;
  /** Every language that this version has. */
  languages: string[];
}

/**
 * One version as it was published.
 * @param version null: the newest in force
 * @throws {AppError} not_found
 */
export async function documentText(
  base: Base,
  name: DocumentName,
  version: number | null,
  language: string,
): Promise<DocumentText> {
  const wanted = version ?? (await store.versionInForce(base.db, name, base.now()));
  const rows = wanted === null ? [] : await store.documentTexts(base.db, name, wanted);
  const row = inLanguage(rows, language);
  if (row === undefined) throw new AppError("not_found", "No such text");
  return { ...row, languages: rows.map((text) => text.language).sort() };
}

/** The notice for a product in a region: where that has no text, the one for every region, and never none. */
export async function noticeFor(base: Base, product: string, region: string, language: string): Promise<DocumentText> {
  const names: DocumentName[] = [
    { kind: "notice", product, region },
    { kind: "notice", product, region: "" },
    { kind: "notice", product: "", region },
    { kind: "notice", product: "", region: "" },
    { kind: "privacy", product: "", region: "" },
  ];
  for (const name of names) {
    const version = await store.versionInForce(base.db, name, base.now());
    if (version !== null) return documentText(base, name, version, language);
  }
  throw new AppError("not_found", "No such notice");
}

export interface Change {
  kind: "same" | "added" | "removed";
  text: string;
}

/** What changed from one version to a later one. @returns null when there is no earlier one */
export async function changesBetween(base: Base, to: DocumentText, from: number | null): Promise<Change[] | null> {
  if (from === null || from < 1 || from >= to.version) return null;
  const rows = await store.documentTexts(base.db, to, from);
  const before = inLanguage(rows, to.language);
  return before === undefined ? null : changesOf(before.body, to.body);
}

// Both comparisons take time with the square of what differs, so they stop: two texts that have little in common are
// shown as one that goes and one that comes.
const LINES = { maxEditLength: 1000 } as const;
const WORDS = { maxEditLength: 400 } as const;

/** The changes that make one text of another: by lines, and within a changed line by words. */
export function changesOf(before: string, after: string): Change[] {
  type Part = { value: string; added?: boolean; removed?: boolean };
  const whole: Part[] = [
    { value: before, removed: true },
    { value: after, added: true },
  ];
  const lines: Part[] = diffLines(before, after, LINES) ?? whole;
  const parts = lines.flatMap((part, i): Part[] => {
    const next = lines[i + 1];
    if (part.removed && next?.added) return diffWordsWithSpace(part.value, next.value, WORDS) ?? [part, next];
    return part.added && lines[i - 1]?.removed ? [] : [part];
  });
  return parts.map(({ value, added, removed }) => ({
    kind: added ? "added" : removed ? "removed" : "same",
    text: value,
  }));
}

/** A text whose hash is not the one that it was published with. */
export type Altered = Pick<DocumentHead, "kind" | "product" | "region" | "version" | "language">;

/** Computes every hash again. */
export async function verifyDocuments(base: Base): Promise<{ checked: number; altered: Altered[] }> {
  const altered: Altered[] = [];
  let checked = 0;
  for (let after = 0; ; ) {
    const rows = await store.documentsAfter(base.db, after, 50);
    for (const { kind, product, region, version, language, body, sha256 } of rows) {
      if ((await sha256Of(body)) !== sha256) altered.push({ kind, product, region, version, language });
    }
    checked += rows.length;
    if (rows.length < 50) return { checked, altered };
    after = rows.at(-1)!.id;
  }
}
