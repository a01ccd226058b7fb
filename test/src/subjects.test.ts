import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { deadlineOf } from "../../src/business-time.ts";
import type { Ctx, UserPrincipal } from "../../src/context.ts";
import { carryOut } from "../../src/erasure.ts";
import { LIMITS } from "../../src/limits.ts";
import { cancelToken, requestOfCancel } from "../../src/request-mails.ts";
import { watchRequests } from "../../src/request-watch.ts";
import { cancelRequest, mayCancel, publicReceipt, requestOf } from "../../src/requests.ts";
import {
  linkOf,
  linkOfToken,
  linksOf,
  makeLink,
  revokeLink,
  summaryOf,
  trackOfSubject,
} from "../../src/subject-links.ts";
import {
  acceptSubject,
  askBySubject,
  escalatedRequest,
  escalatedRequests,
  receiptNameOf,
  refuseSubject,
  requestsOfLink,
  subjectRequestOf,
  subjectRequests,
} from "../../src/subject-requests.ts";
import {
  aBase,
  aContext,
  aDatabase,
  aDevice,
  asUser,
  aUser,
  NOON,
  type TestBase,
  type TestDatabase,
} from "../database.ts";
import { settled, stored } from "../stored.ts";
import { workOf } from "./work.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const NEWEST = Number.MAX_SAFE_INTEGER;

let database: TestDatabase;
let base: TestBase;
let device: Awaited<ReturnType<typeof aDevice>>;
let owner: { id: number; email: string };
beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  device = await aDevice(database.db, { createdAt: NOON - 90 * DAY });
  owner = await aUser(base.db, { role: "owner", accountId: device.accountId });
});
afterEach(async () => {
  await base.settled();
  database.close();
});

const sql = (text: string) => database.client.execute(text);
/** Signed in, and has just proved who they are. */
const me = (more: Partial<UserPrincipal> = {}, id = owner.id): Ctx =>
  aContext(base, asUser(device.accountId, id, { provedAt: base.now(), ...more }));
const nobody = () => aContext(base, { kind: "anonymous" });
async function staff(role: "privacy" | "admin" = "privacy"): Promise<Ctx & { email: string }> {
  const { id, email } = await aUser(base.db, { role });
  const person = { userId: id, sessionId: 9, provedAt: base.now(), secondFactor: true } as const;
  const taste = { language: "en", units: "metric", timeZone: "UTC" } as const;
  return { ...aContext(base, { kind: "staff", role, trained: true, ...person, ...taste }), email };
}
const tokenIn = (url: string) => /\/subject\/([\w-]{43})$/.exec(url)![1]!;

/** The day before yesterday, of which a link is. */
const FROM = NOON - 2 * DAY;
const TO = NOON - DAY;
async function aLink(more: Partial<Parameters<typeof makeLink>[2]> = {}) {
  const { url } = await makeLink(me(), device, { from: FROM, to: TO, ...more });
  const token = tokenIn(url);
  return { token, link: await linkOfToken(nobody(), token) };
}
const asked = async (more: Partial<Parameters<typeof askBySubject>[2]> = {}) => {
  const { token, link } = await aLink();
  return { token, link, row: await askBySubject(nobody(), link, { type: "erase", ...more }) };
};
const receive = (fixes: readonly number[]) =>
  stored(
    base,
    device,
    fixes.map((fixTime) => ({ fixTime, receivedAt: fixTime })),
  );
const hours = (from: number, to: number) => Array.from({ length: (to - from) / HOUR }, (_, i) => from + i * HOUR);

describe("a link", () => {
  test("makeLink() stores a hash, and nothing of who has it", async () => {
    const { token } = await aLink();
    const { rows } = await sql("SELECT * FROM subject_links");
    expect(rows).toHaveLength(1);
    expect(JSON.stringify(rows)).not.toContain(token);
    expect(Object.keys(rows[0]!).toSorted()).toEqual(
      [
        ...["account_id", "created_at", "device_id", "expires_at", "from_time", "hash", "id", "made_by", "revoked_at"],
        ...["shows_track", "to_time"],
      ].toSorted(),
    );
  });

  test("makeLink() refuses, naming the field", async () => {
    const make = (more: object) => makeLink(me(), device, { from: FROM, to: TO, ...more });
    const field = (name: string) => ({ code: "invalid", field: name });
    await expect(make({ to: FROM })).rejects.toMatchObject(field("to"));
    await expect(make({ from: TO - LIMITS.subjectPeriodMaxMs - 1 })).rejects.toMatchObject(field("to"));
    await expect(make({ expiresAt: NOON })).rejects.toMatchObject(field("expiresAt"));
    await expect(make({ expiresAt: NOON + LIMITS.subjectLinkMaxMs + 1 })).rejects.toMatchObject(field("expiresAt"));
    const seesOnly = me({ role: "manager", devices: [device.id], editable: [] });
    await expect(makeLink(seesOnly, device, { from: FROM, to: TO })).rejects.toMatchObject({ code: "forbidden" });
  });

  test("a device has so many in force at most; one that was ended makes room", async () => {
    for (let i = 0; i < LIMITS.subjectLinks; i++) await aLink();
    await expect(aLink()).rejects.toMatchObject({ code: "conflict" });
    const [newest] = await linksOf(me(), device);
    await revokeLink(me(), newest!);
    await aLink();
  });

  test("a token that is unknown, over or ended is not found, with the same work", async () => {
    const { token, link } = await aLink();
    const known = await workOf(nobody(), (ctx) => linkOfToken(ctx, token));
    const unknown = "x".repeat(43);
    const failed = (ctx: Ctx, which: string) => linkOfToken(ctx, which).catch(() => undefined);
    expect(await workOf(nobody(), (ctx) => failed(ctx, unknown))).toEqual(known);
    await expect(linkOfToken(nobody(), unknown)).rejects.toMatchObject({ code: "not_found" });
    await revokeLink(me(), link);
    expect(await workOf(nobody(), (ctx) => failed(ctx, token))).toEqual(known);
    await expect(linkOfToken(nobody(), token)).rejects.toMatchObject({ code: "not_found" });
    const other = await aLink();
    base.advance(LIMITS.subjectLinkMs);
    await expect(linkOfToken(nobody(), other.token)).rejects.toMatchObject({ code: "not_found" });
  });

  test("the links of another account and of another device are not found", async () => {
    const { link } = await aLink();
    const other = await aDevice(database.db);
    const own = await aDevice(database.db, { accountId: device.accountId });
    await expect(linkOf(me(), other, link.id)).rejects.toMatchObject({ code: "not_found" });
    await expect(linkOf(me(), own, link.id)).rejects.toMatchObject({ code: "not_found" });
    expect(await linksOf(me(), other)).toEqual([]);
  });

  test("it goes with its device, and with its account", async () => {
    const { token } = await asked();
    await sql(`UPDATE devices SET deleting_at = 1 WHERE id = ${device.id}`);
    await expect(linkOfToken(nobody(), token)).rejects.toMatchObject({ code: "not_found" });
    await sql(`DELETE FROM devices WHERE id = ${device.id}`);
    for (const table of ["subject_links", "subject_requests"]) {
      expect((await sql(`SELECT count(*) AS n FROM ${table}`)).rows[0]!.n).toBe(0);
    }
  });
});

describe("summaryOf()", () => {
  test("counts what is held of the time, settled or not, and says nothing of where", async () => {
    await receive(hours(FROM - 3 * HOUR, FROM + 5 * HOUR));
    await settled(base);
    await receive(hours(TO - 2 * HOUR, TO + 4 * HOUR));
    await sql(`INSERT INTO commands (device_id, account_id, code, arguments, identifier, frame, state, created_at, expires_at)
      VALUES (${device.id}, ${device.accountId}, 'A10', '', 'A', x'00', 'sent', ${FROM + 7}, ${FROM + 8})`);
    const { link } = await aLink();
    const held = await summaryOf(nobody(), link);
    const end = Date.UTC(2026, 4, 28, 11) + 1;
    expect(held).toEqual([
      {
        ...{ kind: "positions", category: "location", purpose: "tracking", records: 7 },
        ...{ oldest: FROM, newest: TO - HOUR, keptUntil: end },
      },
      {
        ...{ kind: "commands", category: "device", purpose: "control", records: 1 },
        ...{ oldest: FROM + 7, newest: FROM + 7, keptUntil: Date.UTC(2026, 4, 27, 12) + 8 },
      },
    ]);
    expect(JSON.stringify(held)).not.toMatch(/latitude|longitude/i);
  });

  test("of a link that is over nothing is said", async () => {
    const { link } = await asked();
    await revokeLink(me(), link);
    expect(await summaryOf(nobody(), (await linksOf(me(), device))[0]!)).toBeNull();
  });

  test("positions are a file only where the customer lets them be, and of the link's time only", async () => {
    await receive(hours(FROM - HOUR, FROM + 2 * HOUR));
    const closed = await aLink();
    await expect(trackOfSubject(nobody(), closed.link, "csv")).rejects.toMatchObject({ code: "forbidden" });
    const open = await aLink({ showsTrack: true });
    const { body, fileName } = await trackOfSubject(nobody(), open.link, "csv");
    expect(fileName).not.toContain("Van");
    expect((await new Response(body).text()).trim().split("\n")).toHaveLength(3);
    await revokeLink(me(), open.link);
    const [over] = await linksOf(me(), device);
    await expect(trackOfSubject(nobody(), over!, "csv")).rejects.toMatchObject({ code: "not_found" });
  });
});

describe("askBySubject()", () => {
  test("tells owners and those managers who may change the device, and records no person", async () => {
    const manager = await aUser(base.db, { role: "manager", accountId: device.accountId });
    await aUser(base.db, { role: "viewer", accountId: device.accountId });
    const { row } = await asked();
    await base.settled();
    expect(base.sent.map(({ to }) => to)).toEqual([owner.email, manager.email]);
    expect(base.sent[0]!.text).toContain(`/subject-requests/${row.name}`);
    expect(row).toMatchObject({ state: "open", answerBy: NOON + 10 * DAY, fromTime: FROM, toTime: TO });
    const { rows } = await sql("SELECT actor, actor_id FROM audit WHERE action = 'subject.asked'");
    expect(rows).toEqual([{ actor: "system", actor_id: null }]);
  });

  test("refuses a time that the link is not about, naming the field", async () => {
    const { link } = await aLink({ to: NOON + DAY });
    const ask = (from: number, to: number) => askBySubject(nobody(), link, { type: "erase", from, to });
    const field = (name: string) => ({ code: "invalid", field: name });
    await expect(ask(FROM - 1, TO)).rejects.toMatchObject(field("from"));
    await expect(ask(FROM, NOON + DAY + 1)).rejects.toMatchObject(field("to"));
    await expect(ask(TO, TO)).rejects.toMatchObject(field("to"));
    await expect(ask(NOON + 1, NOON + 2)).rejects.toMatchObject(field("from"));
    expect((await sql("SELECT count(*) AS n FROM subject_requests")).rows[0]!.n).toBe(0);
  });

  test("takes three a day with one link, and the same only once while it waits", async () => {
    const { link } = await aLink();
    const ask = (i: number) => askBySubject(nobody(), link, { type: "erase", from: FROM + i * HOUR });
    await ask(0);
    await expect(ask(0)).rejects.toMatchObject({ code: "conflict" });
    await ask(1);
    base.advance(HOUR);
    await ask(2);
    await expect(ask(3)).rejects.toMatchObject({ code: "rate_limited", retryAfterS: (DAY - HOUR) / 1000 });
    base.advance(DAY - HOUR);
    await ask(3);
    // Another link has a day of its own.
    await asked();
  });

  test("with a link that was ended nothing is asked, and what was asked before is still answered", async () => {
    const { token, link, row } = await asked();
    await revokeLink(me(), link);
    const over = await linkOfToken(nobody(), token);
    await expect(askBySubject(nobody(), over, { type: "object" })).rejects.toMatchObject({ code: "not_found" });
    await refuseSubject(me(), row, "They never drove this van");
    expect(await requestsOfLink(nobody(), over)).toMatchObject([
      { state: "refused", reason: "They never drove this van" },
    ]);
  });
});

describe("the customer's answer", () => {
  test("link, request, yes, erased, receipt under the same link", async () => {
    await receive(hours(FROM - 5 * HOUR, TO + 5 * HOUR));
    await settled(base);
    const { token, link, row } = await asked();
    base.advance(HOUR);
    await acceptSubject(me(), await subjectRequestOf(me(), row.name));
    await base.settled();
    // An owner hears of it as of a request of their own.
    expect(base.sent.at(-1)!.text).toMatch(/\/privacy\/cancel\//);
    const before = await requestsOfLink(nobody(), link);
    expect(before).toMatchObject([{ state: "accepted", answeredBy: "customer", carriedOut: "verified" }]);
    expect(receiptNameOf(before[0]!)).toBeNull();
    for (let i = 0; i < 20; i++) {
      await carryOut(base);
      base.advance(60_000);
    }
    const [after] = await requestsOfLink(nobody(), await linkOfToken(nobody(), token));
    expect(after).toMatchObject({ state: "accepted", carriedOut: "cleared" });
    const receipt = JSON.parse(await publicReceipt(nobody(), receiptNameOf(after!)!));
    expect(receipt).toMatchObject({ level: "VD", scopeClass: "range", result: "done", receivedAt: NOON });
    expect(await summaryOf(nobody(), link)).toMatchObject([{ records: 0 }, { records: 0 }]);
    const whole = await summaryOf(nobody(), { ...link, fromTime: 0, toTime: NOON });
    expect(whole![0]!.records).toBe(10);
    const { rows } = await sql("SELECT level, via_subject, user_id FROM requests");
    expect(rows).toEqual([{ level: "V0", via_subject: 1, user_id: null }]);
  });

  test("a no is read under the link, with its reason", async () => {
    const { link, row } = await asked();
    await expect(refuseSubject(me(), row, "no")).rejects.toMatchObject({ code: "invalid", field: "reason" });
    await refuseSubject(me(), row, "The van was not yours that day");
    const answer = { state: "refused", answeredBy: "customer", reason: "The van was not yours that day" };
    expect(await requestsOfLink(nobody(), link)).toMatchObject([answer]);
    await expect(acceptSubject(me(), row)).rejects.toMatchObject({ code: "conflict" });
    expect((await sql("SELECT count(*) AS n FROM requests")).rows[0]!.n).toBe(0);
  });

  test("an objection needs an answer in words, and makes no erasure", async () => {
    const { row } = await asked({ type: "object" });
    await expect(acceptSubject(me(), row)).rejects.toMatchObject({ code: "invalid", field: "reason" });
    await acceptSubject(me(), row, "We have taken the tracker out of the van");
    expect(await subjectRequestOf(me(), row.name)).toMatchObject({ state: "accepted", carriedOut: null });
    expect((await sql("SELECT count(*) AS n FROM requests")).rows[0]!.n).toBe(0);
  });

  test("two who say yes at once make one erasure", async () => {
    const { row } = await asked();
    const both = await Promise.allSettled([acceptSubject(me(), row), acceptSubject(me(), row)]);
    expect(both.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect((await sql("SELECT state FROM requests")).rows).toEqual([{ state: "verified" }]);
  });

  test("where the same is being erased already, a yes names that", async () => {
    const first = await asked();
    const second = await asked();
    await acceptSubject(me(), first.row);
    await acceptSubject(me(), second.row);
    expect((await sql("SELECT count(*) AS n FROM requests")).rows[0]!.n).toBe(1);
    expect((await requestsOfLink(nobody(), second.link))[0]).toMatchObject({ carriedOut: "verified" });
  });

  test("who stopped between the yes and its verification leaves that to the job", async () => {
    const { row } = await asked();
    const ctx = me();
    const broken: Ctx = { ...ctx, secrets: { ...ctx.secrets, copies: [] as never } };
    await expect(acceptSubject(broken, row)).rejects.toThrow();
    expect((await sql("SELECT state FROM requests")).rows).toEqual([{ state: "identity_pending" }]);
    base.advance(LIMITS.subjectVerifyMs);
    await watchRequests(base);
    expect((await sql("SELECT state, level FROM requests")).rows).toEqual([{ state: "verified", level: "V0" }]);
  });

  test("a yes that is cancelled puts the question again, in the time that is left", async () => {
    const { row } = await asked();
    await acceptSubject(me(), row);
    const { name } = (await sql("SELECT name FROM requests")).rows[0] as unknown as { name: string };
    await cancelRequest(nobody(), await requestOfCancel(nobody(), await cancelToken(nobody(), name)));
    expect(await subjectRequestOf(me(), row.name)).toMatchObject({
      state: "open",
      requestName: null,
      answerBy: row.answerBy,
    });
    await acceptSubject(me(), row);
    expect(await subjectRequestOf(me(), row.name)).toMatchObject({ carriedOut: "verified" });
  });

  test("viewers of the device and people of other accounts cannot", async () => {
    const { row } = await asked();
    const stranger = await aDevice(database.db);
    const foreign = aContext(base, asUser(stranger.accountId, 77, { provedAt: NOON }));
    await expect(subjectRequestOf(foreign, row.name)).rejects.toMatchObject({ code: "not_found" });
    expect(await subjectRequests(foreign, NEWEST, 10)).toEqual([]);
    const elsewhere = me({ role: "manager", devices: [device.id + 1000], editable: null });
    await expect(subjectRequestOf(elsewhere, row.name)).rejects.toMatchObject({ code: "not_found" });
    expect(await subjectRequests(elsewhere, NEWEST, 10)).toEqual([]);
    const seesOnly = me({ role: "manager", devices: [device.id], editable: [] });
    await expect(acceptSubject(seesOnly, row)).rejects.toMatchObject({ code: "forbidden" });
    await expect(acceptSubject(me({ provedAt: 0 }), row)).rejects.toMatchObject({ code: "step_up_required" });
  });
});

describe("ten days without an answer", () => {
  async function left(type: "erase" | "object" = "erase") {
    const clerk = await staff();
    const all = await asked({ type });
    await base.settled();
    base.sent.length = 0;
    base.advance(LIMITS.subjectAnswerMs - 1);
    await watchRequests(base);
    await expect(escalatedRequest(clerk, all.row.name)).rejects.toMatchObject({ code: "not_found" });
    base.advance(1);
    await watchRequests(base);
    await base.settled();
    return { ...all, clerk: { ...(await staff()), email: clerk.email } };
  }

  test("leave it to the staff, who hear of it, with a business day to decide", async () => {
    const { clerk, row, link } = await left();
    expect(base.sent.map(({ to }) => to)).toContain(clerk.email);
    expect(base.sent[0]!.text).toContain(`/admin/subject-requests/${row.name}`);
    const { deadline } = await deadlineOf(base, base.now());
    expect(await escalatedRequests(clerk, NEWEST, 10)).toMatchObject([{ name: row.name, staffBy: deadline }]);
    expect(await requestsOfLink(nobody(), link)).toMatchObject([{ state: "open", staffBy: deadline }]);
    const again = base.sent.length;
    await watchRequests(base);
    await base.settled();
    expect(base.sent).toHaveLength(again);
  });

  test("the staff say yes, and the customer cannot take it back", async () => {
    const { clerk, row } = await left();
    await expect(acceptSubject(clerk, row)).rejects.toMatchObject({ field: "reason" });
    base.sent.length = 0;
    await acceptSubject(clerk, row, "They showed the roster of that day");
    await base.settled();
    expect(base.sent.map(({ to }) => to)).toEqual([owner.email]);
    expect(base.sent[0]!.text).toContain("They showed the roster of that day");
    const { requestName } = await subjectRequestOf(me(), row.name);
    const request = await requestOf(me(), requestName!);
    expect(request).toMatchObject({ state: "verified", level: "V2", viaSubject: 1 });
    expect(mayCancel(request)).toBe(false);
    await expect(cancelRequest(me(), request)).rejects.toMatchObject({ code: "conflict" });
  });

  test("the staff say no; the customer may still be the first", async () => {
    const one = await left();
    await refuseSubject(one.clerk, one.row, "Nothing shows that it was them");
    expect(await requestsOfLink(nobody(), one.link)).toMatchObject([{ state: "refused", answeredBy: "staff" }]);
    const two = await left("object");
    await acceptSubject(me(), two.row, "We no longer use these positions");
    await expect(refuseSubject(two.clerk, two.row, "Too late for this one")).rejects.toMatchObject({
      code: "conflict",
    });
  });

  test("half, four fifths and all of the staff's day are told of, and a missed one is in the ledger", async () => {
    const { row } = await left();
    base.sent.length = 0;
    const { escalatedAt, staffBy } = await subjectRequestOf(me(), row.name);
    for (const [part, ledger] of [
      [0.5, 0],
      [0.8, 0],
      [1, 1],
    ] as const) {
      base.at(escalatedAt! + Math.ceil((staffBy! - escalatedAt!) * part));
      await watchRequests(base);
      await watchRequests(base);
      const { rows } = await sql("SELECT entry FROM ledger WHERE type = 'deadline_missed'");
      expect(rows).toHaveLength(ledger);
    }
    await base.settled();
    expect(base.sent.map(({ subject }) => subject)).toEqual([
      ...Array.from({ length: 2 }, () => "A request has used 50 % of its time"),
      ...Array.from({ length: 2 }, () => "A request has used 80 % of its time"),
      ...Array.from({ length: 2 }, () => "A request is late"),
    ]);
  });
});

test("links that are over go, and what was asked with them 90 days after its answer", async () => {
  const { link, row, token } = await asked();
  await aLink();
  await revokeLink(me(), link);
  const left = async () => (await sql("SELECT id FROM subject_links ORDER BY id")).rows.map(({ id }) => id);
  base.advance(LIMITS.subjectLinkMs);
  await watchRequests(base);
  expect(await left()).toEqual([link.id]);
  await refuseSubject(me(), row, "They never drove this van");
  base.advance(LIMITS.subjectAnsweredMs - 1);
  await watchRequests(base);
  expect(await left()).toEqual([link.id]);
  await linkOfToken(nobody(), token);
  base.advance(2);
  await watchRequests(base);
  expect(await left()).toEqual([]);
  await expect(linkOfToken(nobody(), token)).rejects.toMatchObject({ code: "not_found" });
});
