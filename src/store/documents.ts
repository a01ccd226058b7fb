import { and, asc, desc, eq, gt, gte, inArray, isNotNull, isNull, lte, ne, sql } from "drizzle-orm";
import type { Db, Statement } from "./db.ts";
import { acceptances, accounts, documents, users } from "./schema.ts";

export type DocumentRow = typeof documents.$inferSelect;
/** A published text without its body. */
export type DocumentHead = Omit<DocumentRow, "body">;
export type DocumentKind = DocumentRow["kind"];
/** Which text it is, whatever its version: product and region are "" except in notices. */
export interface DocumentName {
  kind: DocumentKind;
  product: string;
  region: string;
}

const { body: _, ...HEAD } = {
  id: documents.id,
  kind: documents.kind,
  product: documents.product,
  region: documents.region,
  version: documents.version,
  language: documents.language,
  title: documents.title,
  body: documents.body,
  sha256: documents.sha256,
  material: documents.material,
  template: documents.template,
  publishedAt: documents.publishedAt,
  effectiveAt: documents.effectiveAt,
  publishedBy: documents.publishedBy,
};

const named = ({ kind, product, region }: DocumentName) =>
  and(eq(documents.kind, kind), eq(documents.product, product), eq(documents.region, region));

/** Of privacy and terms: the newest version in force and every later one, in all languages, oldest first. */
export function livingDocuments(db: Db, now: number): Promise<DocumentHead[]> {
  const inForce = sql`(SELECT max(version) FROM documents d WHERE d.kind = ${documents.kind} AND d.effective_at <= ${now})`;
  return db
    .select(HEAD)
    .from(documents)
    .where(and(inArray(documents.kind, ["privacy", "terms"]), gte(documents.version, sql`coalesce(${inForce}, 1)`)))
    .orderBy(asc(documents.kind), asc(documents.version), asc(documents.language));
}

/** Every version of privacy and terms that asks for acceptance, oldest first. */
export function materialVersions(db: Db): Promise<{ kind: DocumentKind; version: number; effectiveAt: number }[]> {
  return db
    .selectDistinct({ kind: documents.kind, version: documents.version, effectiveAt: documents.effectiveAt })
    .from(documents)
    .where(and(inArray(documents.kind, ["privacy", "terms"]), eq(documents.material, 1)))
    .orderBy(asc(documents.version));
}

/** One version in all its languages, with the bodies. */
export function documentTexts(db: Db, name: DocumentName, version: number): Promise<DocumentRow[]> {
  return db
    .select()
    .from(documents)
    .where(and(named(name), eq(documents.version, version)));
}

/** Its newest version that is in force. @returns null when there is none */
export async function versionInForce(db: Db, name: DocumentName, now: number): Promise<number | null> {
  const [row] = await db
    .select({ version: sql<number | null>`max(${documents.version})` })
    .from(documents)
    .where(and(named(name), lte(documents.effectiveAt, now)));
  return row?.version ?? null;
}

/** Every text that was ever published, by id. */
export function listDocuments(db: Db, after: number, limit: number): Promise<DocumentHead[]> {
  return db.select(HEAD).from(documents).where(gt(documents.id, after)).orderBy(asc(documents.id)).limit(limit);
}

/** All versions of one text in one language, newest first. */
export function versionsOf(db: Db, kind: DocumentKind, languages: readonly string[]): Promise<DocumentHead[]> {
  return db
    .select(HEAD)
    .from(documents)
    .where(and(eq(documents.kind, kind), inArray(documents.language, [...languages])))
    .orderBy(asc(documents.product), asc(documents.region), desc(documents.version))
    .limit(200);
}

/** The same with the bodies, for whoever checks them. */
export function documentsAfter(db: Db, after: number, limit: number): Promise<DocumentRow[]> {
  return db.select().from(documents).where(gt(documents.id, after)).orderBy(asc(documents.id)).limit(limit);
}

export interface Publication extends DocumentName {
  texts: readonly { language: string; title: string; body: string; sha256: string }[];
  material: boolean;
  effectiveAt: number;
  publishedAt: number;
  publishedBy: number | null;
}

/**
 * Stores all languages of the next version at once. Versions come into force in their order: none before the one before
 * it. With `announce`, the work of telling the owners is noted in the same transaction.
 */
export async function insertVersion(
  db: Db,
  { kind, product, region, texts, material, effectiveAt, publishedAt, publishedBy }: Publication,
  announce: { name: string; value: string } | null,
): Promise<DocumentHead[]> {
  const before = "FROM documents WHERE kind = ?1 AND product = ?2 AND region = ?3";
  const statements: Statement[] = [
    {
      sql: `INSERT INTO documents (kind, product, region, version, language, title, body, sha256, material, published_at,
              effective_at, published_by)
            SELECT ?1, ?2, ?3, (SELECT coalesce(max(version), 0) + 1 ${before}),
              value ->> 'language', value ->> 'title', value ->> 'body', value ->> 'sha256', ?4, ?5,
              max(?6, (SELECT coalesce(max(effective_at), 0) ${before})), ?7
            FROM json_each(?8) RETURNING id`,
      args: [kind, product, region, material ? 1 : 0, publishedAt, effectiveAt, publishedBy, JSON.stringify(texts)],
    },
  ];
  if (announce !== null) statements.push(workStatement(announce.name, announce.value, publishedAt));
  const [inserted] = await db.$client.batch(statements, "write");
  const ids = inserted!.rows.map((row) => Number(row.id));
  return db.select(HEAD).from(documents).where(inArray(documents.id, ids)).orderBy(asc(documents.id));
}

// Work that goes on over several runs is a row of `settings` whose name no setting can have.

const workStatement = (name: string, value: string, now: number): Statement => ({
  sql: "INSERT INTO settings (name, value, updated_at) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
  args: [name, value, now],
});

/** Work that waits. @param prefix of its name */
export async function waitingWork(db: Db, prefix: string): Promise<{ name: string; value: string }[]> {
  const { rows } = await db.$client.execute({
    sql: "SELECT name, value FROM settings WHERE name >= ? AND name < ? ORDER BY name",
    args: [prefix, `${prefix}~`],
  });
  return rows.map((row) => ({ name: String(row.name), value: String(row.value) }));
}

export interface Owner {
  id: number;
  accountId: number | null;
  email: string;
  language: string;
}

/** Owners that can sign in, by id; to a suspended account, too. */
export async function ownersAfter(db: Db, after: number, limit: number): Promise<Owner[]> {
  const rows = await db
    .select({ id: users.id, accountId: users.accountId, email: users.email, language: users.language })
    .from(users)
    .innerJoin(accounts, eq(accounts.id, users.accountId))
    .where(
      and(
        gt(users.id, after),
        eq(users.role, "owner"),
        isNull(users.disabledAt),
        isNotNull(users.emailVerifiedAt),
        ne(accounts.state, "unverified"),
      ),
    )
    .orderBy(asc(users.id))
    .limit(limit);
  return db.$fields.open("users", rows, (row) => row.accountId);
}

/**
 * Queues one chunk of mails and moves the work on, in one transaction; does nothing when somebody else moved it since.
 * @param next null: the work is done
 * @returns mails queued
 */
export async function queueChunk(
  db: Db,
  work: { name: string; value: string },
  next: string | null,
  mails: readonly { userId: number; kind: string; sealed: string }[],
  now: number,
): Promise<number> {
  const moved: Statement =
    next === null
      ? { sql: "DELETE FROM settings WHERE name = ? AND value = ?", args: [work.name, work.value] }
      : {
          sql: "UPDATE settings SET value = ?3 WHERE name = ?1 AND value = ?2",
          args: [work.name, work.value, next],
        };
  const [queued] = await db.$client.batch(
    [
      {
        sql: `INSERT INTO mails (user_id, kind, sealed, created_at, due_at)
              SELECT value ->> 'userId', value ->> 'kind', value ->> 'sealed', ?3, ?3 FROM json_each(?4)
              WHERE EXISTS (SELECT 1 FROM settings WHERE name = ?1 AND value = ?2)`,
        args: [work.name, work.value, now, JSON.stringify(mails)],
      },
      moved,
    ],
    "write",
  );
  return queued!.rowsAffected;
}

export interface Accepted {
  privacy: number | null;
  terms: number | null;
}

/** The newest versions that an account accepted. @returns null when there is no such account */
export async function acceptedBy(db: Db, accountId: number): Promise<Accepted | null> {
  const [row] = await db
    .select({ privacy: accounts.privacyAccepted, terms: accounts.termsAccepted })
    .from(accounts)
    .where(eq(accounts.id, accountId));
  return row ?? null;
}

export interface AcceptedText {
  documentId: number;
  kind: "privacy" | "terms";
  version: number;
  language: string;
  sha256: string;
}

/**
 * Records what a user accepted and, when it is an owner, that the account did: all of it or nothing.
 * @returns false when the account has no such user
 */
export async function insertAcceptances(
  db: Db,
  accountId: number,
  userId: number,
  texts: readonly AcceptedText[],
  brandTexts: string | null,
  now: number,
): Promise<boolean> {
  const raise = (kind: "privacy" | "terms"): Statement | null => {
    const version = texts.find((text) => text.kind === kind)?.version;
    if (version === undefined) return null;
    return {
      sql: `UPDATE accounts SET ${kind}_accepted = max(coalesce(${kind}_accepted, 0), ?) WHERE id = ?
            AND EXISTS (SELECT 1 FROM users WHERE id = ? AND account_id = accounts.id AND role = 'owner')`,
      args: [version, accountId, userId],
    };
  };
  const [inserted] = await db.$client.batch(
    [
      {
        sql: `INSERT INTO acceptances (account_id, user_id, document_id, kind, version, language, sha256, brand_texts, accepted_at)
              SELECT u.account_id, u.id, value ->> 'documentId', value ->> 'kind', value ->> 'version',
                value ->> 'language', value ->> 'sha256', ?3, ?4
              FROM json_each(?5) JOIN users u ON u.id = ?2 AND u.account_id = ?1`,
        args: [accountId, userId, brandTexts, now, JSON.stringify(texts)],
      },
      ...[raise("privacy"), raise("terms")].filter((statement) => statement !== null),
      {
        sql: `INSERT INTO audit (at, actor, actor_id, action, account_id, subject)
              SELECT ?3, 'user', u.id, 'document.accepted', u.account_id, value
              FROM json_each(?4) JOIN users u ON u.id = ?2 AND u.account_id = ?1`,
        args: [accountId, userId, now, JSON.stringify(texts.map(({ kind, version }) => `${kind} ${version}`))],
      },
    ],
    "write",
  );
  return inserted!.rowsAffected === texts.length;
}

export type AcceptanceRow = typeof acceptances.$inferSelect;

/** What an account's people accepted, newest first. */
export function acceptancesOf(db: Db, accountId: number, limit: number): Promise<AcceptanceRow[]> {
  return db
    .select()
    .from(acceptances)
    .where(eq(acceptances.accountId, accountId))
    .orderBy(desc(acceptances.id))
    .limit(limit);
}

/** Who can accept for an account, by name, else by address. */
export async function ownerNames(db: Db, accountId: number): Promise<string[]> {
  const rows = await db
    .select({ name: users.name, email: users.email })
    .from(users)
    .where(and(eq(users.accountId, accountId), eq(users.role, "owner"), isNull(users.disabledAt)))
    .orderBy(asc(users.id))
    .limit(20);
  return (await db.$fields.open("users", rows, accountId)).map(({ name, email }) => name ?? email);
}
