import type { Base } from "./context.ts";
import { AppError } from "./errors.ts";
import { fromBase64Url, toBase64Url } from "./seal.ts";
import { type Fields, type IndexPurpose, SEALED, type SealedTable } from "./store/sealed.ts";
import { accountKey, accountKeys, blindKey } from "./vault-own.ts";

// Personal fields in the control database: AES-256-GCM under the secret of the account that they are about, which goes
// with the account. Associated data binds table, column and account, so that what is moved does not open.

/** The operator's own people, and what is no account's yet. */
const OPERATOR = 0;

/** Version of the form, and what tells a sealed value: no clear one begins with a control character. */
const MARK = 1;
const MARK_TEXT = String.fromCharCode(MARK);

const IV_BYTES = 12;
const text = new TextEncoder();

type Value = string | Uint8Array;

/** How a text is written before it is looked up. */
const NORMAL: Record<IndexPurpose, (text: string) => string> = {
  email: (email) => email.toLowerCase(),
  imei: (imei) => imei,
  accountName: (name) => name.normalize("NFKC").trim().replaceAll(/\s+/g, " ").toLowerCase(),
  reply: (reply) => reply,
};

/** Whether a stored value is sealed; one of before is not until its turn has come (src/seal-clear.ts). */
export function isSealed(value: Value): boolean {
  return typeof value === "string" ? value.startsWith(MARK_TEXT) : value[0] === MARK;
}

/** What seals and opens for a platform; it is the database's `$fields`. */
export function fieldsOf(base: Base): Fields {
  const keysOf = (account: number | null) => accountKeys(base, account ?? OPERATOR, "fields");

  async function sealingKey(account: number | null): Promise<CryptoKey> {
    const key = await accountKey(base, account ?? OPERATOR, "fields", { make: true });
    if (key === null) throw new AppError("not_found", "This account was erased");
    return key;
  }

  async function sealAll(table: SealedTable, account: number | null, rows: readonly object[]): Promise<object[]> {
    const key = await sealingKey(account);
    // Once for all: of many at a time that find no pepper each would try to make it.
    const pepper = columnsOf(table).some(([, { index }]) => index !== undefined) ? await blindKey(base) : null;
    return Promise.all(rows.map((row) => sealRow(table, account, { key, pepper }, row)));
  }

  async function sealRow(
    table: SealedTable,
    account: number | null,
    { key, pepper }: { key: CryptoKey; pepper: CryptoKey | null },
    row: object,
  ): Promise<object> {
    const sealed = { ...row } as Record<string, unknown>;
    for (const [column, { index, own }] of columnsOf(table)) {
      const value = sealed[column] as Value | null | undefined;
      if (own === true || value === undefined) continue;
      if (index !== undefined && pepper !== null) {
        sealed[`${column}Index`] = value === null ? null : await indexOf(pepper, index, String(value));
      }
      if (value !== null) sealed[column] = await encrypt(base, key, place(table, column, account), value);
    }
    return sealed;
  }

  async function openRow(table: SealedTable, account: number | null, keys: readonly CryptoKey[], row: object) {
    const clear = { ...row } as Record<string, unknown>;
    for (const column of sealedColumns(table, row)) {
      const value = clear[column] as Value;
      clear[column] = typeof value === "string" ? "" : new Uint8Array(0);
      if (keys.length === 0) continue;
      try {
        clear[column] = await decryptAny(keys, place(table, column, account), value);
      } catch (error) {
        base.log.error("field.refused", { table, column, account }, error);
      }
    }
    return clear;
  }

  return {
    seal: async (table, account, row) => (await sealAll(table, account, [row]))[0] as never,

    sealAll: (table, account, rows) => sealAll(table, account, rows) as never,

    async open(table, rows, owner) {
      const accounts = rows.map((row) => (typeof owner === "function" ? owner(row) : owner));
      const needed = new Set(accounts.filter((_, i) => sealedColumns(table, rows[i]!).length > 0));
      const keys = new Map(
        await Promise.all([...needed].map(async (account) => [account, await keysOf(account)] as const)),
      );
      return Promise.all(
        rows.map((row, i) => openRow(table, accounts[i]!, keys.get(accounts[i]!) ?? [], row)),
      ) as never;
    },

    async sealOwn(table, column, { account, id }, value) {
      const key = await sealingKey(account);
      return (await encrypt(base, key, place(table, column, account, id), value)) as string;
    },

    async openOwn(table, column, { account, id }, sealed) {
      const keys = await keysOf(account);
      if (keys.length === 0) throw new Error(`Cannot open ${table}.${column}: its secret was destroyed`);
      return (await decryptAny(keys, place(table, column, account, id), sealed)) as string;
    },

    index: async (purpose, given) => indexOf(await blindKey(base), purpose, given),

    async indexAll(purpose, texts) {
      const pepper = await blindKey(base);
      return Promise.all(texts.map((each) => indexOf(pepper, purpose, each)));
    },
  };
}

/** Columns of an account's row that are sealed and that nobody can open any more; those with a binding of their own aside. */
export async function unopened(base: Base, table: SealedTable, account: number, row: object): Promise<string[]> {
  const keys = await accountKeys(base, account, "fields");
  const columns: string[] = [];
  for (const column of sealedColumns(table, row)) {
    const value = (row as Record<string, Value>)[column]!;
    const opened = keys.length > 0 && decryptAny(keys, place(table, column, account), value);
    const fits =
      opened !== false &&
      (await opened.then(
        () => true,
        () => false,
      ));
    if (!fits) columns.push(column);
  }
  return columns;
}

/**
 * Values of an account's rows that are not under its newest secret, sealed anew under it: by column, one set for each row.
 * What does not open stays as it is. What they are looked up by stays the same.
 */
export async function underNewest(
  base: Base,
  table: SealedTable,
  account: number,
  rows: readonly { rowid: number; values: Readonly<Record<string, Value>> }[],
): Promise<Record<string, Value>[]> {
  const [newest, ...older] = await accountKeys(base, account, "fields");
  if (newest === undefined || older.length === 0) return rows.map(() => ({}));
  return Promise.all(
    rows.map(async ({ rowid, values }) => {
      const anew: Record<string, Value> = {};
      for (const [column, { own }] of columnsOf(table)) {
        const value = values[column];
        if (value === undefined || !isSealed(value)) continue;
        const at = place(table, column, account, own === true ? rowid : undefined);
        const isNewest = decrypt(newest, at, value).then(
          () => true,
          () => false,
        );
        if (await isNewest) continue;
        const plain = await decryptAny(older, at, value).catch(() => null);
        if (plain !== null) anew[column] = await encrypt(base, newest, at, plain);
      }
      return anew;
    }),
  );
}

async function indexOf(pepper: CryptoKey, purpose: IndexPurpose, given: string): Promise<string> {
  const data = text.encode(`${purpose}\0${NORMAL[purpose](given)}`);
  return toBase64Url(new Uint8Array(await crypto.subtle.sign("HMAC", pepper, data)));
}

/** Columns of a row that hold something sealed. */
function sealedColumns(table: SealedTable, row: object): string[] {
  return columnsOf(table).flatMap(([column, { own }]) => {
    const value = (row as Record<string, Value | null | undefined>)[column];
    return own === true || value == null || !isSealed(value) ? [] : [column];
  });
}

const columnsOf = (table: SealedTable) =>
  Object.entries(SEALED[table].columns) as [string, { index?: IndexPurpose; own?: true }][];

/** Where a value belongs: the associated data of its sealing. */
const place = (table: SealedTable, column: string, account: number | null, id?: number) =>
  text.encode(`${table}|${column}|${account ?? OPERATOR}${id === undefined ? "" : `|${id}`}`);

async function encrypt(base: Base, key: CryptoKey, additionalData: BufferSource, value: Value): Promise<Value> {
  const plain = typeof value === "string" ? text.encode(value) : (value as Uint8Array<ArrayBuffer>);
  const iv = base.random(IV_BYTES) as Uint8Array<ArrayBuffer>;
  const sealed = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv, additionalData }, key, plain));
  const whole = new Uint8Array(1 + IV_BYTES + sealed.length);
  whole[0] = MARK;
  whole.set(iv, 1);
  whole.set(sealed, 1 + IV_BYTES);
  return typeof value === "string" ? MARK_TEXT + toBase64Url(whole.subarray(1)) : whole;
}

/** While an account is sealed anew a value is under one of its secrets: the newest, mostly. */
async function decryptAny(keys: readonly CryptoKey[], additionalData: BufferSource, value: Value): Promise<Value> {
  for (const key of keys.slice(0, -1)) {
    try {
      return await decrypt(key, additionalData, value);
    } catch {
      // The next one may open it.
    }
  }
  return decrypt(keys.at(-1)!, additionalData, value);
}

async function decrypt(key: CryptoKey, additionalData: BufferSource, value: Value): Promise<Value> {
  const whole = typeof value === "string" ? fromBase64Url(value.slice(1)) : (value.slice(1) as Uint8Array<ArrayBuffer>);
  const algorithm = { name: "AES-GCM", iv: whole.subarray(0, IV_BYTES), additionalData };
  const plain = new Uint8Array(await crypto.subtle.decrypt(algorithm, key, whole.subarray(IV_BYTES)));
  return typeof value === "string" ? new TextDecoder().decode(plain) : plain;
}
