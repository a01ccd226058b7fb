import { fromBase64 } from "../../../../client/base64.ts";
import { newKeyFile } from "../../../../client/key-file.ts";
import { insertCustomerKey } from "../../../../src/store/customer-keys.ts";
import { at, CUSTOMERS, type Rows, type Things } from "./row.ts";

/** The account has no key in use: what a row leaves behind keeps another from being made, and staff from looking. */
export async function withoutSealingKeys({ api }: Things): Promise<void> {
  await api.base.db.$client.execute("UPDATE customer_keys SET revoked_at = 1 WHERE revoked_at IS NULL");
}

async function aKey(things: Things) {
  await withoutSealingKeys(things);
  const { publicKey, check } = await newKeyFile(things.api.base.now());
  return { kind: "everyday", publicKey, check };
}

async function keyId(things: Things): Promise<number> {
  const { publicKey } = await aKey(things);
  const { base, accountId } = things.api;
  const key = { accountId, kind: "everyday", publicKey: fromBase64(publicKey), createdAt: base.now() } as const;
  return (await insertCustomerKey(base.db, key))!.id;
}

export const SEALING_ROWS: Rows = {
  "GET /v1/me/sealing-keys": { who: CUSTOMERS, path: at("/v1/me/sealing-keys"), status: 200 },
  "POST /v1/me/sealing-keys": {
    who: ["owner"],
    path: at("/v1/me/sealing-keys"),
    body: async (things) => ({ ...(await aKey(things)), lostKeyIsFinal: true }),
    status: 201,
  },
  "DELETE /v1/me/sealing-keys/{id}": {
    who: ["owner"],
    path: async (things) => `/v1/me/sealing-keys/${await keyId(things)}`,
    status: 204,
    owned: true,
  },
  "GET /profile/sealing": { who: CUSTOMERS, path: at("/profile/sealing"), status: 200 },
  "POST /profile/sealing": {
    // A page is for all of the account's people; this form of it is the owner's.
    who: ["owner"],
    path: at("/profile/sealing"),
    body: async (things) => ({ act: "revoke", id: String(await keyId(things)) }),
    status: 303,
  },
  "GET /profile/sealing/open": { who: CUSTOMERS, path: at("/profile/sealing/open"), status: 200 },
  "GET /profile/sealing/new": { who: ["owner"], path: at("/profile/sealing/new"), status: 200 },
  "POST /profile/sealing/new": {
    who: ["owner"],
    path: at("/profile/sealing/new"),
    body: async (things) => ({ act: "register", ...(await aKey(things)), lostKeyIsFinal: "on" }),
    status: 303,
  },
};
