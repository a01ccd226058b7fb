import { randomBytes, scryptSync } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Client, createClient } from "@libsql/client";
import { drizzle } from "drizzle-orm/libsql/node";
import type { Base, Ctx, Db, Mail, Principal, Role, Scope, Secrets, UserPrincipal } from "../src/context.ts";
import { SESSION_COOKIE } from "../src/http/browser.ts";
import { assetsInMemory } from "../src/http/files.ts";
import { nodeSha256 } from "../src/runtime/base.ts";
import { fileSecrets } from "../src/runtime/secrets-file.ts";
import { fieldsOf } from "../src/sealed-fields.ts";
import { openSession } from "../src/sessions.ts";
import { insertAccount } from "../src/store/accounts.ts";
import * as schema from "../src/store/schema.ts";
import { insertUser } from "../src/store/users.ts";
import { applyMigrations, nameDatabase, seedDocuments } from "../tools/migrate.ts";

/** 2026-03-01T12:00:00Z, the time of every test that does not set its own. */
export const NOON = Date.UTC(2026, 2, 1, 12);

export interface TestDatabase {
  db: Db;
  client: Client;
  close(): void;
}

async function prepared(client: Client, close: () => void): Promise<TestDatabase> {
  await client.execute("PRAGMA secure_delete = ON");
  await applyMigrations(client);
  await seedDocuments(client, { now: NOON - 86_400_000 });
  const db = drizzle(client, { schema }) as Db;
  // Gives it `$fields`, for what is stored before a test makes a base of its own.
  aBase(db);
  return { db, client, close };
}

/** A new database in memory with all migrations applied. It has one connection, as an in-memory database must. */
export async function aDatabase(): Promise<TestDatabase> {
  const client = createClient({ url: ":memory:" });
  return prepared(client, () => client.close());
}

/**
 * The same in a temporary file, for tests that need several connections. `close()` removes it.
 * @param of `concurrency` 1: of one connection, as the platform's own are: a pragma belongs to a connection
 */
export async function aDatabaseFile(of: { concurrency?: number } = {}): Promise<TestDatabase & { path: string }> {
  const folder = mkdtempSync(join(tmpdir(), "ephemeris-"));
  const path = join(folder, "test.db");
  const client = createClient({ url: `file:${path}`, ...of });
  await client.execute("PRAGMA journal_mode = WAL");
  const made = await prepared(client, () => {
    client.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return { ...made, path };
}

export interface TestBase extends Base {
  /** Sets the clock. */
  at(now: number): void;
  advance(ms: number): void;
  /** Waits for what was deferred. */
  settled(): Promise<void>;
  /** What was logged: level, event and fields as one line each. */
  logged: string[];
  /** Mails that were sent. */
  sent: Mail[];
}

/** The platform as tests see it: a clock that stands still at NOON, a log in memory, fixed secrets. */
export function aBase(db: Db, settings: { now?: number; retentionMonths?: number } = {}): TestBase {
  let now = settings.now ?? NOON;
  let deferred: Promise<unknown>[] = [];
  const logged: string[] = [];
  const sent: Mail[] = [];
  const line =
    (level: string) =>
    (event: string, fields: object = {}) => {
      logged.push(`${level} ${event} ${JSON.stringify(fields)}`);
    };
  const base: TestBase = {
    db,
    telemetry: { region: "default", others: elsewhereOf(db) },
    now: () => now,
    at: (time) => {
      now = time;
    },
    advance: (ms) => {
      now += ms;
    },
    log: { info: line("info"), warn: line("warn"), error: line("error") },
    logged,
    config: {
      adminToken: "admin-token-of-the-tests",
      bridgeToken: "bridge-token-of-the-tests",
      rootKey: "00".repeat(32),
      oldRootKeys: [],
      retentionMonths: settings.retentionMonths ?? 3,
      publicUrl: "https://edge.test",
      trackerPort: 5020,
      mailFrom: "Ephemeris <noreply@edge.test>",
    },
    defer: (work) => {
      deferred.push(work);
    },
    settled: async () => {
      while (deferred.length > 0) {
        const waiting = deferred;
        deferred = [];
        await Promise.all(waiting);
      }
    },
    random: (length) => new Uint8Array(randomBytes(length)),
    // As the platforms have it, at a hundredth of the cost.
    scrypt: async (password, salt, { r, p }) => new Uint8Array(scryptSync(password, salt, 32, { N: 256, r, p })),
    sha256: nodeSha256,
    asset: assetsInMemory(),
    sendMail: async (mail) => {
      sent.push(mail);
    },
    sent,
    secrets: secretsOf(db),
  };
  db.$fields = fieldsOf(base);
  return base;
}

const ELSEWHERE = new WeakMap<Db, Map<string, { db: Db; region: string }>>();

/** The other databases with tracks: every base of the same database has the same ones. */
function elsewhereOf(db: Db): Map<string, { db: Db; region: string }> {
  let others = ELSEWHERE.get(db);
  if (others === undefined) {
    others = new Map();
    ELSEWHERE.set(db, others);
  }
  return others;
}

/** Gives a database another one beside it for tracks: with its name, in the region of that name in capitals. */
export async function withElsewhere(db: Db, name: string, made = aDatabase()): Promise<TestDatabase> {
  const other = await made;
  const region = name.toUpperCase();
  await nameDatabase(other.client, name, region);
  elsewhereOf(db).set(name, { db: other.db, region });
  return other;
}

const SECRETS = new WeakMap<Db, Secrets>();

/** The key store beside a database, in memory: every base of the same database has the same one. */
export function secretsOf(db: Db): Secrets {
  let secrets = SECRETS.get(db);
  if (secrets === undefined) {
    secrets = fileSecrets(null);
    SECRETS.set(db, secrets);
  }
  return secrets;
}

export function aContext(base: Base, principal: Principal = { kind: "job" }): Ctx {
  const client = { origin: "https://edge.test", address: "192.0.2.7", userAgent: "Test" };
  return { ...base, requestId: "request-of-the-test", principal, client };
}

/** The principal of an API key of this account that may see all of its devices. */
export function asKey(accountId: number, scope: Scope = "read"): Principal {
  return { kind: "key", accountId, keyId: 1, scope, devices: null, standing: "good" };
}

/** The principal of a signed-in user, an owner unless `more` says otherwise, who has just proved who they are. */
export function asUser(accountId: number, userId: number, more: Partial<UserPrincipal> = {}): Principal {
  const person = { userId, sessionId: 1, provedAt: NOON, secondFactor: false } as const;
  const taste = { language: "en", units: "metric", timeZone: "UTC" } as const;
  const all = { devices: null, editable: null, standing: "good" } as const;
  return { kind: "user", accountId, role: "owner", ...person, ...taste, ...all, ...more };
}

/** An account. Returns its id. */
export async function anAccount(db: Db, { name = "Acme", createdAt = NOON } = {}): Promise<number> {
  return (await insertAccount(db, { name, createdAt })).id;
}

let nextImei = 0;

/** A new IMEI: 15 digits with the right check digit. */
export function anImei(): string {
  const body = `35335801${String(nextImei++).padStart(6, "0")}`;
  let sum = 0;
  for (let i = 0; i < body.length; i++) {
    const digit = Number(body[i]) * (i % 2 === 1 ? 2 : 1);
    sum += digit > 9 ? digit - 9 : digit;
  }
  return body + ((10 - (sum % 10)) % 10);
}

export interface DeviceSpec {
  accountId?: number;
  imei?: string;
  name?: string;
  model?: string | null;
  clockOffsetMinutes?: number;
  confirmCce?: number;
  createdAt?: number;
}

/** A device, in a new account unless one is named. */
export async function aDevice(
  db: Db,
  spec: DeviceSpec = {},
): Promise<{ id: number; accountId: number; imei: string; model: string | null }> {
  const accountId = spec.accountId ?? (await anAccount(db));
  const imei = spec.imei ?? anImei();
  const model = spec.model ?? null;
  const [row] = await db
    .insert(schema.devices)
    .values({
      accountId,
      ...(await db.$fields.seal("devices", accountId, { imei, name: spec.name ?? `Device ${imei.slice(-4)}` })),
      model,
      clockOffsetMinutes: spec.clockOffsetMinutes ?? 0,
      confirmCce: spec.confirmCce ?? 0,
      createdAt: spec.createdAt ?? NOON,
    })
    .returning({ id: schema.devices.id });
  return { id: row.id, accountId, imei, model };
}

let nextUser = 0;

/** A user; one of the operator's staff, trained, when the role is theirs. */
export async function aUser(
  db: Db,
  spec: Partial<typeof schema.users.$inferInsert> & { role: Role },
): Promise<{ id: number; accountId: number | null; email: string; role: Role }> {
  const isStaff = (schema.STAFF_ROLES as readonly string[]).includes(spec.role);
  const row = await insertUser(db, {
    accountId: isStaff ? null : (spec.accountId ?? (await anAccount(db))),
    email: `person${nextUser++}@edge.test`,
    emailVerifiedAt: NOON,
    createdAt: NOON,
    ...(isStaff && { trainingValidUntil: NOON + 365 * 86_400_000 }),
    ...spec,
  });
  if (row === null) throw new Error("This address is somebody's already");
  return { id: row.id, accountId: row.accountId, email: row.email, role: row.role };
}

/** The first session, which `asUser` names, without a cookie. */
export async function aSessionRow(db: Db, userId: number): Promise<void> {
  const times = { createdAt: NOON, lastSeenAt: NOON, provedAt: NOON, expiresAt: NOON + 86_400_000 };
  await db.insert(schema.sessions).values({ id: 1, userId, hash: "none", ...times });
}

/** The cookie of a new session of a user, as the browser sends it. */
export async function aSession(base: TestBase, user: { id: number; accountId: number | null }): Promise<string> {
  const { cookie } = await openSession(aContext(base), user, { secondFactor: false });
  return `${SESSION_COOKIE}=${cookie}`;
}
