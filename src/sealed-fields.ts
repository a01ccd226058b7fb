import type { Base } from "./context.ts";
import { AppError } from "./errors.ts";
import { fromBase64Url, toBase64Url } from "./seal.ts";
import { type Fields, type IndexPurpose, type Owner, SEALED, type SealedTable } from "./store/sealed.ts";
import { accountKey, blindKey } from "./vault-own.ts";

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
  const keyOf = (account: number | null, make: boolean) => accountKey(base, account ?? OPERATOR, "fields", { make });

  async function sealingKey(account: number | null): Promise<CryptoKey> {
    const key = await keyOf(account, true);
    if (key === null) throw new AppError("not_found", "This account was erased");
    return key;
  }

  const fields: Fields = {
    async seal(table, account, row) {
      const sealed = { ...row } as Record<string, unknown>;
      const key = await sealingKey(account);
      for (const [column, { index, own }] of columnsOf(table)) {
        const value = sealed[column];
        if (own === true || value === undefined) continue;
        if (index !== undefined) {
          sealed[`${column}Index`] = value === null ? null : await fields.index(index, String(value));
        }
        if (value !== null) sealed[column] = await encrypt(base, key, place(table, column, account), value as Value);
      }
      return sealed as never;
    },

    open(table, rows, account) {
      return Promise.all(rows.map((row) => opened(table, row, account)));
    },

    async sealOwn(table, column, { account, id }, value) {
      const key = await sealingKey(account);
      return (await encrypt(base, key, place(table, column, account, id), value)) as string;
    },

    async openOwn(table, column, { account, id }, sealed) {
      const key = await keyOf(account, false);
      if (key === null) throw new Error(`Cannot open ${table}.${column}: its secret was destroyed`);
      return (await decrypt(key, place(table, column, account, id), sealed)) as string;
    },

    async index(purpose, given) {
      const data = text.encode(`${purpose}\0${NORMAL[purpose](given)}`);
      return toBase64Url(new Uint8Array(await crypto.subtle.sign("HMAC", await blindKey(base), data)));
    },
  };

  async function opened<R extends object>(table: SealedTable, row: R, owner: Owner<R>): Promise<R> {
    const clear = { ...row } as Record<string, unknown>;
    const account = typeof owner === "function" ? owner(row) : owner;
    for (const [column, { own }] of columnsOf(table)) {
      const value = clear[column] as Value | null | undefined;
      if (own === true || value == null || !isSealed(value)) continue;
      clear[column] = await attempt(table, column, account, value);
    }
    return clear as R;
  }

  async function attempt(table: SealedTable, column: string, account: number | null, value: Value): Promise<Value> {
    const nothing = typeof value === "string" ? "" : new Uint8Array(0);
    const key = await keyOf(account, false);
    if (key === null) return nothing;
    try {
      return await decrypt(key, place(table, column, account), value);
    } catch (error) {
      base.log.error("field.refused", { table, column, account }, error);
      return nothing;
    }
  }

  return fields;
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

async function decrypt(key: CryptoKey, additionalData: BufferSource, value: Value): Promise<Value> {
  const whole = typeof value === "string" ? fromBase64Url(value.slice(1)) : (value.slice(1) as Uint8Array<ArrayBuffer>);
  const algorithm = { name: "AES-GCM", iv: whole.subarray(0, IV_BYTES), additionalData };
  const plain = new Uint8Array(await crypto.subtle.decrypt(algorithm, key, whole.subarray(IV_BYTES)));
  return typeof value === "string" ? new TextDecoder().decode(plain) : plain;
}
