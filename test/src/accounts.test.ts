import { afterEach, beforeEach, expect, test } from "vitest";
import {
  accountById,
  accountDetail,
  listAccounts,
  resetFactors,
  resumeAccount,
  suspendAccount,
  unmaskAccount,
} from "../../src/accounts.ts";
import { listActions } from "../../src/audit.ts";
import type { Principal } from "../../src/context.ts";
import { LIMITS } from "../../src/limits.ts";
import { changeSettings, settingsOf } from "../../src/settings.ts";
import { addresses, recoveryCodes } from "../../src/store/schema.ts";
import { userById } from "../../src/store/users.ts";
import {
  aBase,
  aContext,
  aDatabase,
  anAccount,
  aSession,
  aUser,
  NOON,
  type TestBase,
  type TestDatabase,
} from "../database.ts";

let database: TestDatabase;
let base: TestBase;
let id: number;
beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  id = await anAccount(base.db);
  const person = { email: "anna.muster@example.com", name: "Anna Muster", mobile: "+4366012345678" };
  await aUser(base.db, { role: "owner", accountId: id, ...person });
  await base.db
    .insert(addresses)
    .values({ accountId: id, kind: "billing", line1: "Ring 1", city: "Wien", country: "AT", updatedAt: NOON });
});
afterEach(() => database.close());

const as = (role: string, provedAt = NOON) =>
  aContext(base, { kind: "staff", role, trained: true, userId: 99, provedAt } as Principal);
const reason = "The customer called about it";

test("accountDetail() masks people, and shows addresses to finance only", async () => {
  const account = await accountById(as("support"), id);
  const seen = await accountDetail(as("support"), account);
  expect(seen.people).toEqual([
    expect.objectContaining({ email: "a***@e***.com", name: "A***", mobile: "***78", role: "owner" }),
  ]);
  expect(seen.addresses).toBeNull();
  const billed = await accountDetail(as("finance"), account);
  expect(billed.people).toBeNull();
  expect(billed.addresses).toEqual([expect.objectContaining({ line1: "Ring 1" })]);
  expect(await listActions(base, id, LIMITS.timeMs, 10)).toEqual([]);
});

test("the name of an account that signed up is its owner's, and masked; one that the operator gave is not", async () => {
  const nameSeen = async () => [
    (await accountDetail(as("support"), await accountById(as("support"), id))).name,
    (await accountDetail(as("finance"), await accountById(as("finance"), id))).name,
    (await listAccounts(as("privacy"), id - 1, 1))[0]!.name,
  ];
  const { name } = await accountById(as("support"), id);
  expect(await nameSeen()).toEqual([name, name, name]);
  await base.db.$client.execute({ sql: "UPDATE accounts SET privacy_accepted = 1 WHERE id = ?", args: [id] });
  const masked = `${name[0]}***`;
  expect(await nameSeen()).toEqual([masked, masked, masked]);
  expect((await unmaskAccount(as("support"), await accountById(as("support"), id), reason)).name).toBe(name);
});

test("unmaskAccount() wants a reason and a proof, and the customer finds both", async () => {
  const account = await accountById(as("support"), id);
  for (const bad of ["", "too short", "x".repeat(201), "two\nlines of it"]) {
    await expect(unmaskAccount(as("support"), account, bad)).rejects.toMatchObject({
      code: "invalid",
      field: "reason",
    });
  }
  const late = unmaskAccount(as("support", NOON - LIMITS.stepUpMs), account, reason);
  await expect(late).rejects.toMatchObject({ code: "step_up_required" });
  expect(await listActions(base, id, LIMITS.timeMs, 10)).toEqual([]);
  const seen = await unmaskAccount(as("support"), account, ` ${reason} `);
  expect(seen.people?.[0]).toMatchObject({ email: "anna.muster@example.com", mobile: "+4366012345678" });
  expect(await listActions(base, id, LIMITS.timeMs, 10)).toEqual([
    expect.objectContaining({ action: "account.unmasked", actor: "staff", actorId: 99, accountId: id, reason }),
  ]);
});

test("suspendAccount() keeps the reason for the customer, resumeAccount() forgets it", async () => {
  const account = await accountById(as("admin"), id);
  await expect(resumeAccount(as("admin"), account)).rejects.toMatchObject({ code: "conflict" });
  expect(await suspendAccount(as("admin"), account, reason)).toMatchObject({ state: "suspended", stateReason: reason });
  await expect(suspendAccount(as("admin"), account, reason)).rejects.toMatchObject({ code: "conflict" });
  expect(await resumeAccount(as("admin"), account)).toMatchObject({ state: "active", stateReason: null });
});

test("changeSettings() takes all or none, and records names only", async () => {
  const ctx = as("admin");
  const elsewhere = { ...base, config: { ...base.config, trackerPort: 6020 } };
  expect((await settingsOf(elsewhere)).bridgePort).toBe("6020");
  const wrong = changeSettings(ctx, { operatorName: "The yard", bridgePort: "0" });
  await expect(wrong).rejects.toMatchObject({ code: "invalid", field: "bridgePort" });
  expect((await settingsOf(base)).operatorName).not.toBe("The yard");
  await changeSettings(ctx, { operatorName: "The yard", bridgePort: "5020" });
  expect((await settingsOf(base)).operatorName).toBe("The yard");
  const rows = await listActions(base, null, LIMITS.timeMs, 10);
  expect(rows.map(({ action, subject }) => [action, subject])).toEqual([["setting.changed", "setting operatorName"]]);
  expect(JSON.stringify(rows)).not.toContain("The yard");
});

test("resetFactors() lets somebody back in with the password, tells them, and is recorded with its reason", async () => {
  const lost = await aUser(base.db, { role: "viewer", accountId: id, totpSecret: "sealed", totpSince: NOON });
  await base.db.insert(recoveryCodes).values({ userId: lost.id, hash: "h" });
  await aSession(base, lost);
  const ctx = aContext(base, { kind: "admin" });
  const account = await accountById(ctx, id);
  await expect(resetFactors(ctx, account, lost.id, "short")).rejects.toMatchObject({ field: "reason" });
  const stranger = await aUser(base.db, { role: "owner" });
  const reason = "Showed the contract in our office";
  await expect(resetFactors(ctx, account, stranger.id, reason)).rejects.toMatchObject({ code: "not_found" });
  await resetFactors(ctx, account, lost.id, reason);
  await base.settled();
  expect(await userById(base.db, lost.id)).toMatchObject({ totpSecret: null, totpSince: null });
  for (const table of ["recovery_codes", "passkeys", "sessions"]) {
    const { rows } = await base.db.$client.execute(`SELECT count(*) FROM ${table}`);
    expect([table, rows[0]![0]]).toEqual([table, 0]);
  }
  expect(base.sent.map(({ to }) => to)).toEqual([lost.email]);
  const [act] = await listActions(base, id, Number.MAX_SAFE_INTEGER, 1);
  expect(act).toMatchObject({ action: "factors.reset", actor: "admin_token", subject: `user ${lost.id}`, reason });
});
