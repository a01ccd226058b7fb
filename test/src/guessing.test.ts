import { expect, test } from "vitest";
import { tokenHash } from "../../src/access.ts";
import { once } from "../../src/idempotency.ts";
import { signIn } from "../../src/signin.ts";
import { aBase, aContext, aDatabase, aDevice, anAccount, asKey, aUser } from "../database.ts";

// What a stranger, or who has a copy of the database, could find out by trying.

test("A request that may be repeated leaves no hash by which an IMEI could be found", async () => {
  const { db, client, close } = await aDatabase();
  const { accountId, imei } = await aDevice(db);
  const ctx = aContext(aBase(db), asKey(accountId, "write"));
  const hash = await tokenHash(`POST /v1/devices\n{"imei":"${imei}"}`);
  const work = async () => ({ status: 201, headers: {}, body: "{}" });
  expect((await once(ctx, "key", hash, work)).repeated).toBe(false);
  expect((await once(ctx, "key", hash, work)).repeated).toBe(true);
  const { rows } = await client.execute("SELECT request_hash FROM idempotency_keys");
  expect(rows.map((row) => row[0])).not.toContain(hash);
  close();
});

test("An address with a wrong password makes no other work for the key store than one that nobody has", async () => {
  const { db, close } = await aDatabase();
  const user = await aUser(db, { role: "owner", accountId: await anAccount(db) });
  const base = aBase(db);
  const asked: string[] = [];
  const copies = base.secrets.copies.map((copy) =>
    Object.assign(Object.create(copy), {
      get: (name: string) => {
        asked.push(name);
        return copy.get(name);
      },
    }),
  );
  Object.assign(base, { secrets: { ...base.secrets, copies } });
  const work = async (email: string) => {
    const deferred: Promise<unknown>[] = [];
    // An isolate with nothing in its memory.
    Object.assign(base, { config: { ...base.config } });
    const ctx = { ...aContext(base), defer: (later: Promise<unknown>) => deferred.push(later) };
    asked.length = 0;
    await expect(signIn(ctx, { email, password: "not the password" })).rejects.toThrow();
    const names = [...asked];
    await Promise.all(deferred);
    return names;
  };
  expect(await work(user.email)).toEqual(await work("nobody@example.org"));
  close();
});
