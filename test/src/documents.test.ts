import { createHash } from "node:crypto";
import { eq } from "drizzle-orm";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Ctx } from "../../src/context.ts";
import {
  type AcceptedDocument,
  acceptNow,
  announceDocuments,
  changesOf,
  currentDocuments,
  documentText,
  type LegalDocument,
  noticeFor,
  publishVersion,
  statementOfAccount,
  verifyDocuments,
} from "../../src/documents.ts";
import { LIMITS } from "../../src/limits.ts";
import { changeSettings } from "../../src/settings.ts";
import { livingDocuments } from "../../src/store/documents.ts";
import { acceptances, accounts, audit, mails, users } from "../../src/store/schema.ts";
import { aBase, aContext, aDatabase, aUser, NOON, type TestBase, type TestDatabase } from "../database.ts";

const DAY = 86_400_000;
let database: TestDatabase;
let base: TestBase;
let ctx: Ctx;
beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  ctx = aContext(base, { kind: "admin" });
});
afterEach(async () => {
  await base.settled();
  database.close();
});

const text = (body: string, language = "en") => ({ language, title: `Title ${language}`, body });
const publish = (more: Partial<Parameters<typeof publishVersion>[1]> = {}) =>
  publishVersion(ctx, { kind: "privacy", texts: [text("# Two\n\nBody")], material: true, ...more });
const asAccepted = ({ kind, version, sha256, language }: LegalDocument): AcceptedDocument => ({
  kind,
  version,
  sha256,
  language,
});
/** What is published in English and not yet in force. */
const upcoming = async () =>
  (await livingDocuments(database.db, base.now()))
    .filter(({ effectiveAt, language }) => effectiveAt > base.now() && language === "en")
    .map((row) => asAccepted(row as unknown as LegalDocument));
const both = async (language = "en") => (await currentDocuments(base, language)).map(asAccepted);
const anOwner = async (accepted: number | null = 1) => {
  const user = await aUser(database.db, { role: "owner" });
  const accountId = user.accountId!;
  await database.db
    .update(accounts)
    .set({ privacyAccepted: accepted, termsAccepted: accepted })
    .where(eq(accounts.id, accountId));
  return { userId: user.id, accountId };
};
const acceptedBy = async (accountId: number) => {
  const [row] = await database.db.select().from(accounts).where(eq(accounts.id, accountId));
  return [row.privacyAccepted, row.termsAccepted];
};

describe("publishVersion()", () => {
  test("stores all languages of the next version with the hash of the filled text", async () => {
    await changeSettings(ctx, { operatorName: "Acme Tracking" });
    const rows = await publish({ texts: [text("We are {{operatorName}}"), text("{{governingLaw}}", "zh")] });
    expect(rows.map(({ version, language, material, template }) => [version, language, material, template])).toEqual([
      [2, "en", 1, 0],
      [2, "zh", 1, 0],
    ]);
    const stored = await documentText(base, rows[0], 2, "en");
    expect(stored.body).toBe("We are Acme Tracking\n");
    expect(stored.sha256).toBe(createHash("sha256").update(stored.body).digest("hex"));
    expect((await documentText(base, rows[0], 2, "zh")).body).toBe("中华人民共和国\n");
    expect((await documentText(base, rows[0], 2, "fr")).language).toBe("en");
    expect((await publish({ material: false }))[0].version).toBe(3);
  });

  test("a material version takes effect in 30 days or when the operator says, another at once, none before the last", async () => {
    expect((await publish())[0].effectiveAt).toBe(NOON + LIMITS.noticeMs);
    expect(await currentDocuments(base, "en")).toMatchObject([{ version: 1 }, { version: 1 }]);
    expect(await upcoming()).toMatchObject([{ kind: "privacy", version: 2 }]);
    expect((await publish({ material: false }))[0].effectiveAt).toBe(NOON + LIMITS.noticeMs);
    const terms = await publish({ kind: "terms", effectiveAt: NOON + DAY });
    expect(terms[0].effectiveAt).toBe(NOON + DAY);
    base.at(NOON + LIMITS.noticeMs);
    expect(await currentDocuments(base, "zh")).toMatchObject([
      { kind: "privacy", version: 3, language: "en" },
      { kind: "terms", version: 2, language: "en" },
    ]);
    expect(await upcoming()).toEqual([]);
  });

  test.each([
    [{ texts: [text("x", "zh")] }, "texts"],
    [{ texts: [text("x"), text("y")] }, "texts"],
    [{ texts: [text("x".repeat(LIMITS.documentBytes + 1))] }, "texts"],
    [{ effectiveAt: NOON - 1 }, "effectiveAt"],
    [{ effectiveAt: NOON + 1, material: false }, "effectiveAt"],
    [{ product: "audio" }, "product"],
    [{ kind: "notice" as const, region: "EU" }, "region"],
  ])("refuses what is wrong, %#", async (more, field) => {
    await expect(publish(more)).rejects.toMatchObject({ field });
    expect((await verifyDocuments(base)).checked).toBe(4);
  });

  test("is recorded, and a stored text is never changed", async () => {
    await publish();
    const rows = await database.db.select().from(audit).where(eq(audit.action, "document.published"));
    expect(rows).toMatchObject([{ actor: "admin_token", subject: "privacy 2" }]);
    await expect(database.client.execute("UPDATE documents SET title = 'x'")).rejects.toThrow("never changed");
  });

  test("two at once are two versions", async () => {
    const versions = await Promise.all([publish(), publish()]);
    expect(versions.map(([row]) => row.version).toSorted()).toEqual([2, 3]);
  });
});

describe("announceDocuments()", () => {
  test("tells every owner who can sign in once, in their language", async () => {
    const owner = await aUser(database.db, { role: "owner", language: "zh" });
    await aUser(database.db, { role: "manager" });
    await aUser(database.db, { role: "owner", disabledAt: NOON });
    await aUser(database.db, { role: "owner", accountId: owner.accountId!, emailVerifiedAt: null });
    const unverified = await aUser(database.db, { role: "owner" });
    await database.db.update(accounts).set({ state: "unverified" }).where(eq(accounts.id, unverified.accountId!));
    // It is their data, too.
    const suspended = await aUser(database.db, { role: "owner" });
    await database.db.update(accounts).set({ state: "suspended" }).where(eq(accounts.id, suspended.accountId!));
    await publish();
    await base.settled();
    expect(await database.db.select().from(mails)).toMatchObject([
      { userId: owner.id, kind: "statementChanged" },
      { userId: suspended.id, kind: "statementChanged" },
    ]);
    expect(await announceDocuments(base)).toBe(0);
    await publish({ material: false });
    await publish({ kind: "notice" });
    await base.settled();
    expect(await database.db.select().from(mails)).toHaveLength(2);
  });

  test.each([1, 2, 3])("500 owners get exactly one mail each, also when the job dies in step %i", async (step) => {
    const { accountId } = await anOwner();
    const owners = Array.from({ length: 499 }, (_, i) => ({
      ...{ accountId, role: "owner" as const, createdAt: NOON, emailVerifiedAt: NOON },
      email: `each${i}@edge.test`,
    }));
    await database.db.insert(users).values(owners);
    const { $client: client } = base.db;
    const { batch } = client;
    // Alternately before the step is written and after it.
    let steps = 0;
    client.batch = async (statements, mode) => {
      const isStep = JSON.stringify(statements, (_, value) => (value instanceof Uint8Array ? "" : value)).includes(
        "INSERT INTO mails",
      );
      if (isStep && ++steps === step) throw new Error("died before");
      const results = await batch.call(client, statements, mode);
      if (isStep && steps === step + 1) throw new Error("died after");
      return results;
    };
    await publish().catch(() => undefined);
    await base.settled().catch(() => undefined);
    for (let run = 0; run < 5; run++) await announceDocuments(base).catch(() => undefined);
    client.batch = batch;
    expect(steps).toBeGreaterThan(step);
    const queued = await database.db.select({ userId: mails.userId }).from(mails);
    expect(queued).toHaveLength(500);
    expect(new Set(queued.map(({ userId }) => userId)).size).toBe(500);
  });

  test("goes on in chunks, and two runners queue each mail once", async () => {
    const { accountId } = await anOwner();
    const owners = Array.from({ length: 450 }, (_, i) => ({
      accountId,
      role: "owner" as const,
      email: `many${i}@edge.test`,
      emailVerifiedAt: NOON,
      createdAt: NOON,
    }));
    await database.db.insert(users).values(owners);
    await publish();
    await Promise.all([announceDocuments(base), announceDocuments(base)]);
    await base.settled();
    const queued = await database.db.select({ userId: mails.userId }).from(mails);
    expect(queued).toHaveLength(451);
    expect(new Set(queued.map(({ userId }) => userId)).size).toBe(451);
  });
});

describe("acceptNow()", () => {
  test("records who accepted which text, and raises what the account accepted", async () => {
    const by = await anOwner(null);
    await acceptNow(ctx, by, await both("zh"));
    expect(await acceptedBy(by.accountId)).toEqual([1, 1]);
    const rows = await database.db.select().from(acceptances);
    expect(rows).toMatchObject([
      { ...by, kind: "privacy", version: 1, language: "zh", acceptedAt: NOON, brandTexts: null },
      { ...by, kind: "terms", version: 1, language: "zh" },
    ]);
    expect(rows[0].sha256).toMatch(/^[0-9a-f]{64}$/);
    const acts = await database.db.select().from(audit).where(eq(audit.action, "document.accepted"));
    expect(acts.map(({ actorId, accountId, subject }) => [actorId, accountId, subject])).toEqual([
      [by.userId, by.accountId, "privacy 1"],
      [by.userId, by.accountId, "terms 1"],
    ]);
  });

  test("a user who is no owner accepts for themself only, and a stranger not at all", async () => {
    const { accountId } = await anOwner(null);
    const manager = await aUser(database.db, { role: "manager", accountId });
    await acceptNow(ctx, { accountId, userId: manager.id }, await both());
    expect(await acceptedBy(accountId)).toEqual([null, null]);
    expect(await database.db.select().from(acceptances)).toHaveLength(2);
    const other = await anOwner(null);
    await expect(acceptNow(ctx, { accountId, userId: other.userId }, await both())).rejects.toMatchObject({
      code: "not_found",
    });
    expect(await acceptedBy(accountId)).toEqual([null, null]);
    expect(await database.db.select().from(acceptances)).toHaveLength(2);
  });

  test("a wrong hash, an old or unknown version, an unknown language and one kind twice conflict, and write nothing", async () => {
    const by = await anOwner();
    const [privacy, terms] = await both();
    await publish({ effectiveAt: NOON });
    const [now] = await both();
    for (const accept of [
      [{ ...now, sha256: "0".repeat(64) }],
      [privacy],
      [{ ...now, version: 3 }],
      [{ ...now, language: "fr" }],
      [now, now],
      [now, { ...terms, sha256: now.sha256 }],
    ]) {
      await expect(acceptNow(ctx, by, accept)).rejects.toMatchObject({ code: "conflict" });
    }
    expect(await acceptedBy(by.accountId)).toEqual([1, 1]);
    expect(await database.db.select().from(acceptances)).toEqual([]);
    await acceptNow(ctx, by, [now]);
    expect(await acceptedBy(by.accountId)).toEqual([2, 1]);
  });

  test("a required text that is missing is invalid; one that comes can be accepted before it is in force", async () => {
    const fresh = await anOwner(null);
    const [privacy] = await both();
    for (const accept of [[], [privacy]]) {
      await expect(acceptNow(ctx, fresh, accept)).rejects.toMatchObject({ code: "invalid", field: "accept" });
    }
    const by = await anOwner();
    await publish();
    await publish({ kind: "terms", effectiveAt: NOON });
    const [soon] = await upcoming();
    await expect(acceptNow(ctx, by, [soon])).rejects.toMatchObject({ code: "invalid", field: "accept" });
    await acceptNow(ctx, by, [soon, (await both())[1]]);
    expect(await acceptedBy(by.accountId)).toEqual([2, 2]);
    // The older one, still in force, takes nothing back.
    await acceptNow(ctx, by, await both());
    expect(await acceptedBy(by.accountId)).toEqual([2, 2]);
  });

  test("a text that is not what was published any more cannot be accepted, and is found", async () => {
    const by = await anOwner(null);
    const accept = await both();
    await database.client.execute("DROP TRIGGER documents_fixed");
    await database.client.execute("UPDATE documents SET body = body || '.' WHERE kind = 'terms' AND language = 'en'");
    await expect(acceptNow(ctx, by, accept)).rejects.toMatchObject({ code: "conflict" });
    expect(await acceptedBy(by.accountId)).toEqual([null, null]);
    expect(await verifyDocuments(base)).toEqual({
      checked: 4,
      altered: [{ kind: "terms", product: "", region: "", version: 1, language: "en" }],
    });
  });
});

test("statementOfAccount() says what waits until when, also where an editorial version followed; nothing for the operator's accounts", async () => {
  const by = await anOwner();
  const manager = await aUser(database.db, { role: "manager", accountId: by.accountId });
  const principalOf = (accountId: number) =>
    aContext(base, {
      kind: "user",
      accountId,
      role: "manager",
      userId: manager.id,
      devices: null,
      editable: null,
      standing: "good",
    } as never);
  const waiting = async (accountId: number) => (await statementOfAccount(principalOf(accountId), "en")).waiting;
  expect(await waiting(by.accountId)).toEqual([]);
  await publish({ effectiveAt: NOON + DAY });
  await publish({ material: false });
  expect(await waiting(by.accountId)).toMatchObject([
    { kind: "privacy", version: 3, deadline: NOON + DAY, accepted: 1 },
  ]);
  base.at(NOON + 2 * DAY);
  expect(await waiting(by.accountId)).toMatchObject([{ kind: "privacy", version: 3, deadline: NOON + DAY }]);
  expect(await waiting((await anOwner(null)).accountId)).toEqual([]);
  await acceptNow(ctx, by, [(await both())[0]]);
  expect(await waiting(by.accountId)).toEqual([]);
});

test("noticeFor() falls back to the notice for every region, then every product, then the statement, and never to none", async () => {
  const bodyOf = async (product: string, region: string) => (await noticeFor(base, product, region, "en")).body;
  expect(await bodyOf("audio", "EU")).toContain("Template");
  await publish({ kind: "notice", texts: [text("all")], material: false });
  await publish({ kind: "notice", product: "audio", texts: [text("audio")], material: false });
  await publish({ kind: "notice", product: "audio", region: "EU", texts: [text("audio EU")], material: false });
  expect(await bodyOf("audio", "EU")).toBe("audio EU\n");
  expect(await bodyOf("audio", "US")).toBe("audio\n");
  expect(await bodyOf("video", "US")).toBe("all\n");
});

describe("changesOf()", () => {
  test("shows changed words within a line, and gives both texts back", () => {
    const changes = changesOf("# A\n\nKept for three months.\n\nEnd\n", "# A\n\nKept for six months.\n\nEnd\n");
    expect(changes.filter(({ kind }) => kind !== "same")).toEqual([
      { kind: "removed", text: "three" },
      { kind: "added", text: "six" },
    ]);
    const side = (kind: string) => changes.filter((part) => part.kind !== kind).map((part) => part.text);
    expect(side("added").join("")).toBe("# A\n\nKept for three months.\n\nEnd\n");
    expect(side("removed").join("")).toBe("# A\n\nKept for six months.\n\nEnd\n");
  });

  test("stops comparing two large texts that have little in common", () => {
    const many = (of: (i: number) => string) => Array.from({ length: 10_000 }, (_, i) => of(i)).join("\n");
    const startedAt = performance.now();
    const before = many((i) => `a${i}`);
    const after = many((i) => `b${i}`);
    expect(changesOf(before, after)).toEqual([
      { kind: "removed", text: before },
      { kind: "added", text: after },
    ]);
    expect(performance.now() - startedAt).toBeLessThan(3000);
  });
});
