import { readFileSync } from "node:fs";
import type { Client } from "@libsql/client";
import { getTableColumns } from "drizzle-orm";
import { getTableConfig } from "drizzle-orm/sqlite-core";
import { isAboutSomebody } from "../../../src/privacy.ts";
import { erasable } from "../../../src/store/erasable.ts";
import { CATEGORIES, describe, eraseOf, exportOf, type Mapped } from "../../../src/store/personal.ts";
import { SEALED } from "../../../src/store/sealed.ts";
import { nobodyTable, storedTable } from "../../../tools/readme.ts";
import { TABLES } from "../../canaries.ts";

// What a right data map is, as functions of one: each gives what is wrong with it. map.test.ts runs them on ours, and on
// copies in which one thing is wrong.

export type Check = (map: Mapped, facts: Facts) => string[];

/** What the migrated database says. */
export interface Facts {
  /** Tables whose rows go with a row of `accounts`, by ON DELETE CASCADE. */
  goWithAccounts: ReadonlySet<string>;
}

const sqlName = (name: string) => getTableConfig(TABLES[name]!).name;
const columnsOf = (name: string) => getTableConfig(TABLES[name]!).columns.map((column) => column.name);

export async function factsOf(client: Client): Promise<Facts> {
  const { rows } = await client.execute(`SELECT m.name AS t, f."table" AS r FROM sqlite_schema m
    JOIN pragma_foreign_key_list(m.name) f WHERE m.type = 'table' AND f.on_delete = 'CASCADE'`);
  const found = new Set(["accounts"]);
  for (let before = 0; before < found.size; ) {
    before = found.size;
    for (const row of rows) if (found.has(String(row.r))) found.add(String(row.t));
  }
  return { goWithAccounts: found };
}

/** What a column is by its name: the first row that fits says it. It is written without looking at the map. */
const CLASS_BY_NAME: readonly [RegExp, string][] = [
  // Tables about nobody.
  [/^(parts|settlement|brands|brandTexts|settings|bridgeSeen|residence|registry|broken|jobRuns|migrations)\./, "none"],
  [/^(ledger|ledgerHeads|calendarDays)\./, "none"],
  [/^documents\.publishedBy$/, "pseudonymous"],
  [/^documents\./, "none"],
  // What opens something, or is looked up by.
  [/\.requestHash$/, "pseudonymous"],
  [/\.(hash|\w+Hash|\w+Index|credentialId|totpSecret|chunks)$/, "secret"],
  [/^(passkeys\.publicKey|tokens\.sealed|mails\.sealed)$/, "secret"],
  [/^bridges\./, "none"],
  // Where somebody is or was.
  [/^(positions\.(fixTime|record)|segments\.(fromTime|toTime|sealed)|newest\.fixes|commands\.reply)$/, "sensitive"],
  // What the platform counts and remembers for itself.
  [/^(requestSteps|placements)\.id$/, "none"],
  [/\.(bridgeId|documentId|copiedId|placement)$/, "none"],
  [/^(inbox|runs)\.(?!id$)/, "none"],
  [/^requestSteps\.(?!requestId$)/, "none"],
  [/^heldParts\.until$/, "personal"],
  [/^heldParts\.(item|bytes)$/, "none"],
  [/^(rotations\.(kid|at)|silenced\.confirmCce|requests\.proofAfter)$/, "none"],
  [/\.(daysDestroyed|retentionVersion|retentionFloor|rescopedAt|deletingAt|totpLastStep|signCount|algorithm)$/, "none"],
  [
    /\.(attempts|failures|blockedUntil|dueAt|heldUntil|holder|alarmed|uncertain|calendar|seen|until|status|identifier)$/,
    "none",
  ],
  [/^((throttles|idempotencyKeys)\.expiresAt|(placements|residents)\.state|receipts\.at)$/, "none"],
  // Times, and which of two sides.
  [/^subjectRequests\.(answerBy|staffBy|answeredBy)$/, "personal"],
  // Numbers and hashes that stand for somebody or something of theirs.
  [/\.(id|\w+Id|\w+Kid|kid|\w+By|cause|reference|subject|digest|mark|key|wrapped)$/, "pseudonymous"],
  [
    /^(receipts\.body|(requests|legalHolds)\.(name|scope)|subjectRequests\.(name|requestName)|placements\.actor|customerKeys\.publicKey)$/,
    "pseudonymous",
  ],
  [/./, "personal"],
];

/** Each column has the class that its name asks for, and what people say is sealed. */
export const classes: Check = (map) =>
  Object.entries(map).flatMap(([table, { columns }]) =>
    Object.entries(columns).flatMap(([column, entry]) => {
      const name = `${table}.${column}`;
      const { class: cls } = describe(entry);
      const [, expected] = CLASS_BY_NAME.find(([pattern]) => pattern.test(name))!;
      const sealed = Object.hasOwn((SEALED as Record<string, { columns: object }>)[table]?.columns ?? {}, column);
      return [
        ...(cls === expected ? [] : [`${name} is ${cls} and should be ${expected}`]),
        ...(sealed && (cls === "none" || cls === "pseudonymous") ? [`${name} is sealed, and ${cls}`] : []),
      ];
    }),
  );

/** The rows are theirs whom a column or a reference names. */
export const owners: Check = (map) =>
  Object.entries(map).flatMap(([name, { of }]) => {
    const columns = columnsOf(name);
    const has = (column: string) => columns.includes(column);
    const expected = ["positions", "segments", "commands"].includes(name)
      ? "device"
      : name === "users" || (has("user_id") && !has("account_id"))
        ? "user"
        : name === "accounts" || has("account_id") || (has("key_id") && name !== "ledgerHeads")
          ? "account"
          : "platform";
    return of === expected ? [] : [`the rows of ${name} are of ${expected}, and not of ${of}`];
  });

/** Tables that no reference ties to an account, and what becomes of them. */
const UNTIED: Readonly<Record<string, string>> = {
  ...{ audit: "keep", requests: "keep", requestSteps: "keep", receipts: "keep", silenced: "keep", rotations: "keep" },
  requestConfirmations: "keep",
  ...{ legalHolds: "keep", heldParts: "keep" },
  ...{ goneAccounts: "time", throttles: "time", unclaimed: "time" },
  ...{
    inbox: "engine",
    runs: "engine",
    segments: "engine",
    newest: "engine",
    wrappedSecrets: "engine",
    residents: "engine",
  },
};

/** What an erasure does to a table is what the database does, or what somebody must do for it. */
export const erasures: Check = (map, { goWithAccounts }) =>
  Object.entries(map).flatMap(([name, entry]) => {
    const tied = goWithAccounts.has(sqlName(name)) ? (name === "accounts" ? "root" : "cascade") : null;
    const expected = tied ?? UNTIED[name] ?? "operator";
    const erase = eraseOf(entry);
    const reason = entry.erase.split(": ")[1];
    return [
      ...(erase === expected ? [] : [`an erasure does ${erase} to ${name}, and not ${expected}`]),
      ...((erase === "keep" || erase === "time") && (reason ?? "").length < 20
        ? [`${name} stays without a reason`]
        : []),
    ];
  });

/** What is about somebody is in an export, but where it would open something or names nobody; nothing else is. */
export const exports: Check = (map) => {
  const files = Object.values(map).flatMap((entry) => exportOf(entry) ?? []);
  const several = files.filter((file, i) => files.indexOf(file) !== i && file !== "positions");
  return [
    ...several.map((file) => `two tables are the file ${file}`),
    ...Object.entries(map).flatMap(([name, entry]) => {
      const file = exportOf(entry);
      const shown = Object.values(entry.columns).some((column) => /^(personal|sensitive)/.test(column));
      const owned = entry.of !== "platform" || ["inbox", "runs", "receipts"].includes(name);
      // Whose only columns are numbers: those that are a list of their own.
      const lists = ["wrappedSecrets", "keyDevices", "receipts", "inbox", "runs"];
      const expected = owned && (shown || lists.includes(name));
      if (file !== null && !/^[a-z]+(-[a-z]+)*$/.test(file)) return [`${file} is no name of a file`];
      return expected === (file !== null) ? [] : [`${name} is ${file === null ? "in no file" : "in a file"}`];
    }),
  ];
};

const README = readFileSync(new URL("../../../README.md", import.meta.url), "utf8");

/** README says of each table what the map says. */
export const published: Check = (map) =>
  [storedTable(map), nobodyTable(map)].flatMap((table, i) =>
    README.includes(table) ? [] : [`README.md has other words (table ${i}): node tools/readme.ts`],
  );

/** What a living account does without: it is written here once more, as a mistake in it would erase too much. */
const ERASABLE = [
  ...["accounts: paymentMode", "users: name mobile language units timeZone mobileVerifiedAt", "addresses", "commands"],
  ...["apiKeys: name lastUsedAt", "sessions", "passkeys: lastUsedAt", "mails", "idempotencyKeys", "searches"],
  ...["recentDevices", "exportLinks"],
];
export const parts: Check = (map) => {
  const found = erasable({ kind: "categories", categories: CATEGORIES }, map).map(({ name, rows, columns }) =>
    rows ? name : `${name}: ${columns.map((column) => column.name).join(" ")}`,
  );
  return ERASABLE.toSorted().join() === found.toSorted().join()
    ? []
    : [`other things can be erased: ${found.join(", ")}`];
};

/** Purposes and periods of what is about nobody are the operator's. */
export const nobodys: Check = (map) =>
  Object.entries(map).flatMap(([name, entry]) => {
    const about = isAboutSomebody(entry) && !["documents", "bridges"].includes(name);
    return about === (eraseOf(entry) === "operator")
      ? [`${name} is said to be ${about ? "" : "not "}the operator's`]
      : [];
  });

export const CHECKS: Readonly<Record<string, Check>> = {
  ...{ classes, owners, erasures, exports, published, parts, nobodys },
};

/** Triggers that write anything of a row elsewhere, and where to. */
const COPYING: Readonly<Record<string, string>> = { accounts_gone: "gone_accounts" };

/**
 * What the database has and the map does not, or the other way round: tables, views and what a full-text index keeps
 * beside itself, with their hidden columns; indexes that keep a value worked out of others; triggers that copy.
 */
export async function unmapped(client: Client, map: Mapped): Promise<string[]> {
  const { rows: stored } = await client.execute(`SELECT m.name AS t, x.name AS c FROM sqlite_schema m
    JOIN pragma_table_xinfo(m.name) x WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite_%'`);
  const { rows: worked } =
    await client.execute(`SELECT i.name AS i FROM sqlite_schema m JOIN pragma_index_list(m.name) i
    JOIN pragma_index_xinfo(i.name) x WHERE m.type = 'table' AND x.cid = -2`);
  const { rows: triggers } = await client.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'");
  const there = new Set(stored.map((row) => `${row.t}.${row.c}`));
  const mapped = new Set(
    Object.entries(map).flatMap(([name, { columns }]) => {
      const byName = getTableColumns(TABLES[name]!) as Record<string, { name: string }>;
      return Object.keys(columns).map((column) => `${sqlName(name)}.${byName[column]?.name ?? column}`);
    }),
  );
  const copies = triggers.flatMap((row) => {
    const written = [
      ...String(row.sql).matchAll(/\b(?:INSERT(?: OR \w+)? INTO|UPDATE(?! OF\b)|REPLACE INTO) (\w+)(?! ON\b)/g),
    ];
    const targets = written.map(([, table]) => table!).filter((table) => !["registry", "ON"].includes(table));
    return targets.filter((table) => COPYING[String(row.name)] !== table).map((table) => `${row.name} writes ${table}`);
  });
  return [
    ...[...there].filter((name) => !mapped.has(name)).map((name) => `${name} is not in the map`),
    ...[...mapped].filter((name) => !there.has(name)).map((name) => `${name} is not in the database`),
    ...worked.map((row) => `${row.i} keeps a value that no column of the map has`),
    ...copies,
  ];
}
