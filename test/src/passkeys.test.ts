import { afterEach, beforeEach, expect, test } from "vitest";
import { authenticateSession } from "../../src/access.ts";
import type { Ctx } from "../../src/context.ts";
import { LIMITS } from "../../src/limits.ts";
import {
  addPasskey,
  checkPasskey,
  listPasskeys,
  newPasskeyOptions,
  proofOptions,
  removePasskey,
  signInOptions,
  signInWithPasskey,
} from "../../src/passkeys.ts";
import { updateUser } from "../../src/store/users.ts";
import { aBase, aContext, aDatabase, aSession, aUser, type TestBase, type TestDatabase } from "../database.ts";
import { aSoftKey, type SoftKey, type Whims } from "./authenticator.ts";

let database: TestDatabase;
let base: TestBase;
let user: Awaited<ReturnType<typeof aUser>>;
let cookie: string;

beforeEach(async () => {
  database = await aDatabase();
  base = aBase(database.db);
  user = await aUser(database.db, { role: "owner" });
  cookie = (await aSession(base, user)).split("=")[1]!;
});
afterEach(async () => {
  await base.settled();
  database.close();
});

const signedIn = async (as = cookie): Promise<Ctx> => aContext(base, (await authenticateSession(base, as))!.principal);
const nobody = (): Ctx => aContext(base, { kind: "anonymous" });

/** A passkey that the person has added, and the handle under which its authenticator knows them. */
async function added(algorithm?: -7 | -8 | -257, whims: Whims = {}): Promise<SoftKey & { userHandle: string }> {
  const options = await newPasskeyOptions(await signedIn());
  const key = aSoftKey(algorithm);
  await addPasskey(await signedIn(), key.register(options.challenge, whims));
  return { ...key, userHandle: options.user.id };
}
const signIn = async (key: SoftKey & { userHandle?: string }, whims: Whims = {}) => {
  const { challenge } = await signInOptions(nobody());
  const handle = key.userHandle === undefined ? {} : { userHandle: key.userHandle };
  return signInWithPasskey(nobody(), key.assert(challenge, { ...handle, ...whims }));
};
const refused = { code: "invalid", field: "passkey" };

test.each([-7, -8, -257] as const)(
  "a passkey with algorithm %i is added, signs in as both factors and is removed",
  async (algorithm) => {
    const key = await added(algorithm);
    const { user: who, opened } = await signIn(key);
    expect(who.id).toBe(user.id);
    const caller = await authenticateSession(base, opened.cookie);
    expect(caller?.principal).toMatchObject({ kind: "user", userId: user.id, secondFactor: true });
    const [passkey] = await listPasskeys(await signedIn());
    expect(passkey).toMatchObject({ lastUsedAt: base.now() });
    await removePasskey(await signedIn(), passkey!.id);
    await expect(signIn(key)).rejects.toMatchObject(refused);
  },
);

test("the options name this host, every algorithm and no secret, and leave out nothing that is known", async () => {
  const key = await added();
  const options = await newPasskeyOptions(await signedIn());
  expect(options).toMatchObject({
    rp: { id: "edge.test" },
    attestation: "none",
    authenticatorSelection: { residentKey: "required", userVerification: "required" },
    excludeCredentials: [{ type: "public-key", id: key.id }],
  });
  expect(options.user.id).not.toContain(user.email);
  expect(Buffer.from(options.user.id, "base64url").length).toBeLessThanOrEqual(64);
  expect(Buffer.from(options.challenge, "base64url")).toHaveLength(32);
  expect(await proofOptions(await signedIn())).toMatchObject({ allowCredentials: [{ id: key.id }] });
  expect(await signInOptions(nobody())).toMatchObject({ allowCredentials: [], userVerification: "required" });
});

test("a challenge is answered once, for its own purpose, by its own person and in time", async () => {
  const key = await added();
  const { challenge } = await signInOptions(nobody());
  const answer = key.assert(challenge, { userHandle: key.userHandle });
  await signInWithPasskey(nobody(), answer);
  await expect(signInWithPasskey(nobody(), answer)).rejects.toMatchObject(refused);

  const proof = await proofOptions(await signedIn());
  const other = key.assert(proof.challenge, { userHandle: key.userHandle });
  await expect(signInWithPasskey(nobody(), other)).rejects.toMatchObject(refused);
  await expect(checkPasskey(await signedIn(), other)).rejects.toMatchObject(refused);

  const stranger = await aUser(base.db, { role: "owner" });
  const theirs = (await aSession(base, stranger)).split("=")[1]!;
  const { challenge: mine } = await proofOptions(await signedIn());
  await expect(checkPasskey(await signedIn(theirs), key.assert(mine))).rejects.toMatchObject(refused);
  const { challenge: registration } = await newPasskeyOptions(await signedIn());
  await expect(addPasskey(await signedIn(theirs), aSoftKey().register(registration))).rejects.toMatchObject(refused);

  const late = await signInOptions(nobody());
  base.advance(LIMITS.pendingMs);
  const tooLate = key.assert(late.challenge, { userHandle: key.userHandle });
  await expect(signInWithPasskey(nobody(), tooLate)).rejects.toMatchObject(refused);
});

test("a challenge that we never gave, or none, is refused", async () => {
  const key = await added();
  for (const challenge of ["", "A".repeat(43), "challenge"]) {
    const answer = key.assert(challenge, { userHandle: key.userHandle });
    await expect(signInWithPasskey(nobody(), answer)).rejects.toMatchObject(refused);
  }
});

test("checkPasskey() takes the caller's own passkeys only", async () => {
  const key = await added();
  const { challenge } = await proofOptions(await signedIn());
  await checkPasskey(await signedIn(), key.assert(challenge));
  const stranger = await aUser(base.db, { role: "owner" });
  const theirs = (await aSession(base, stranger)).split("=")[1]!;
  const options = await proofOptions(await signedIn(theirs));
  await expect(checkPasskey(await signedIn(theirs), key.assert(options.challenge))).rejects.toMatchObject(refused);
});

test("signInWithPasskey() refuses an unknown passkey, one that names another person, another key, and the disabled", async () => {
  const key = await added();
  await expect(signIn({ ...aSoftKey(), userHandle: key.userHandle })).rejects.toMatchObject(refused);
  await expect(signIn(aSoftKey())).rejects.toMatchObject(refused);
  await expect(signIn(key, { userHandle: "00" })).rejects.toMatchObject(refused);
  const { challenge } = await signInOptions(nobody());
  const forged = { ...aSoftKey().assert(challenge, { userHandle: key.userHandle }), id: key.id };
  await expect(signInWithPasskey(nobody(), forged)).rejects.toMatchObject(refused);
  for (const whims of [
    { origin: "https://evil.test" },
    { rpId: "evil.test" },
    { flags: 1 },
    { type: "webauthn.create" },
  ]) {
    await expect(signIn(key, whims)).rejects.toMatchObject(refused);
  }
  await signIn(key);
  await updateUser(base.db, user.id, { disabledAt: base.now() });
  await expect(signIn(key)).rejects.toMatchObject(refused);
});

test("a counter that does not go on is refused and recorded; one that stays at nought is none", async () => {
  const key = await added(-7, { signCount: 5 });
  await signIn(key, { signCount: 6 });
  for (const signCount of [6, 5, 0]) await expect(signIn(key, { signCount })).rejects.toMatchObject(refused);
  const { rows } = await database.client.execute("SELECT actor_id FROM audit WHERE action = 'passkey.refused'");
  expect(rows.map((row) => row.actor_id)).toEqual([user.id, user.id, user.id]);
  await signIn(key, { signCount: 7 });
  const without = await added();
  await signIn(without);
  await signIn(without);
});

test("addPasskey() refuses a credential that is known, and one too many", async () => {
  const key = await added();
  const again = await newPasskeyOptions(await signedIn());
  await expect(addPasskey(await signedIn(), key.register(again.challenge))).rejects.toMatchObject({ code: "conflict" });
  const { challenge } = await newPasskeyOptions(await signedIn());
  for (let i = 1; i < LIMITS.passkeysPerUser; i++) await added();
  await expect(newPasskeyOptions(await signedIn())).rejects.toMatchObject({ code: "conflict" });
  await expect(addPasskey(await signedIn(), aSoftKey().register(challenge))).rejects.toMatchObject({
    code: "conflict",
  });
});

test("a passkey is named by the browser's family, and adding or removing one is told by mail and recorded", async () => {
  await added();
  const [passkey] = await listPasskeys(await signedIn());
  expect(passkey!.name).toBe("Passkey");
  await removePasskey(await signedIn(), passkey!.id);
  await expect(removePasskey(await signedIn(), passkey!.id)).rejects.toMatchObject({ code: "not_found" });
  await base.settled();
  expect(base.sent.map(({ to }) => to)).toEqual([user.email, user.email]);
  const { rows } = await database.client.execute(
    "SELECT action, subject FROM audit WHERE action LIKE 'factor.%' ORDER BY id",
  );
  expect(rows.map((row) => [row.action, row.subject])).toEqual([
    ["factor.added", `passkey ${passkey!.id}`],
    ["factor.removed", `passkey ${passkey!.id}`],
  ]);
});
