// How long an account's erasure takes. `npm run bench:privacy`; three to four minutes, loopback only. On the whole
// platform as it runs, with its cron of every minute: ten accounts of 200,000 positions each ask for their erasure over
// HTTP, spread over a minute (`-- --seconds 20`: over less), while each of them, and two that stay, is read, written to and sent to without a pause.
// The trackers are connected and answer nothing: what waits for them is counted as work of the first that waits.
// `-- --runtime deno` instead of workerd, `-- --accounts 3 --positions 20000` for less.
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import Database from "libsql";
import { encodeAaa } from "../codec/encode.ts";
import { SESSION_COOKIE } from "../src/http/browser.ts";
import { LIMITS } from "../src/limits.ts";
import { type Platform, startPlatform } from "../tools/platform.ts";
import { benchFolder, openFleet, percentile, printTable, settleDisk } from "./bridge-run.ts";
import { importTracks, settleImported, tracksUntil } from "./imported.ts";
import { aReport, imeiOf, MODEL, type Registered, registerDevices } from "./prepared.ts";

const { values } = parseArgs({
  options: {
    runtime: { type: "string", default: "workerd" },
    accounts: { type: "string", default: "10" },
    positions: { type: "string", default: "200000" },
    seconds: { type: "string", default: "60" },
  },
});
const LEAVE = Number(values.accounts);
const STAY = 2;
const DEVICES = 5;
const PEOPLE = 3;
/** Of each account: links to exports that hold, mails that wait, sessions of each of its people. */
const OBJECTS = 40;
const MAILS = 40;
const SESSIONS = 4;
const EACH = Number(values.positions) / DEVICES;
const STEP_S = 30;
/** Between two frames, reads or writes of one account. */
const PAUSE_MS = 100;
const GOALS = { clearedS: 300, workS: 20, frozenS: 5 } as const;

const accountsAll = Array.from({ length: LEAVE + STAY }, (_, n) => n + 1);
const hash = (text: string) => createHash("sha256").update(text).digest("hex");
const firstDevice = (account: number) => (account - 1) * DEVICES;

/** People with sessions, links, mails that wait. @returns a session of the owner of each account */
function people(db: Database.Database): string[] {
  const now = Date.now();
  const user = db.prepare("INSERT INTO users (account_id, role, email, created_at) VALUES (?, ?, ?, ?)");
  const session = db.prepare(
    "INSERT INTO sessions (user_id, hash, created_at, last_seen_at, expires_at, proved_at) VALUES (?, ?, ?, ?, ?, ?)",
  );
  const link = db.prepare(
    "INSERT INTO export_links (account_id, user_id, hash, scope, created_at, expires_at) VALUES (?, ?, ?, '{}', ?, ?)",
  );
  const mail = db.prepare(
    "INSERT INTO mails (user_id, kind, sealed, attempts, created_at, due_at) VALUES (?, 'report', 'bench', 0, ?, ?)",
  );
  const soon = now + LIMITS.exportLinkMs;
  db.exec("BEGIN IMMEDIATE");
  const cookies = accountsAll.map((account) => {
    const users = Array.from({ length: PEOPLE }, (_, n) => {
      const email = `bench${account}-${n}@localhost`;
      return user.run([account, n === 0 ? "owner" : "viewer", email, now]).lastInsertRowid as number;
    });
    const own = users.map((id) =>
      Array.from({ length: SESSIONS }, () => {
        const cookie = `eps_${randomBytes(32).toString("base64url")}`;
        session.run([id, hash(cookie), now, now, now + LIMITS.sessionMs, now]);
        return cookie;
      }),
    );
    for (let n = 0; n < OBJECTS; n++) link.run([account, users[n % PEOPLE]!, hash(`${account} ${n}`), now, soon]);
    for (let n = 0; n < MAILS; n++) mail.run([users[n % PEOPLE]!, now, soon]);
    return own[0]![0]!;
  });
  db.exec("COMMIT");
  return cookies;
}

/** What an account's readers, writers and trackers met. */
interface Met {
  /** Unix ms of the answer: the last that was no refusal, of reads and of writes. */
  lastRead: number;
  lastWrite: number;
  /** Refused since; an account that is not erased has none. */
  refused: number;
  readMs: { at: number; ms: number }[];
}

/** Reads, writes and sends for all accounts until it is ended. */
async function hammer(platform: Platform, { ids, get }: Registered, cookies: string[]) {
  const met = accountsAll.map((): Met => ({ lastRead: 0, lastWrite: 0, refused: 0, readMs: [] }));
  let ended = false;
  const sockets = await openFleet(platform.bridgePort, accountsAll.length, accountsAll.length);
  for (const socket of sockets) socket.on("error", () => undefined).resume();
  const from = Math.floor(Date.now() / 1000) * 1000 - 1_800_000;
  const read = async (n: number, account: number) => {
    for (let turn = 0; !ended; turn++, await sleep(PAUSE_MS)) {
      const device = ids[firstDevice(account) + (turn % DEVICES)];
      const begun = performance.now();
      try {
        await get(account - 1, turn % 2 === 0 ? `/v1/devices/${device}/positions?limit=100` : "/v1/positions/latest");
        met[n]!.lastRead = Date.now();
        met[n]!.readMs.push({ at: Date.now(), ms: performance.now() - begun });
      } catch (error) {
        // Who asks too often is no stranger.
        if (!String(error).includes(": 429 ")) met[n]!.refused += 1;
      }
    }
  };
  const write = async (n: number, account: number) => {
    for (let turn = 0; !ended; turn++, await sleep(PAUSE_MS * 4)) {
      const response = await fetch(`${platform.url}/v1/devices/${ids[firstDevice(account)]}`, {
        method: "PATCH",
        headers: {
          cookie: `${SESSION_COOKIE}=${cookies[n]}`,
          "content-type": "application/json",
          origin: platform.url,
        },
        body: JSON.stringify({ name: `Bench ${turn}` }),
      });
      await response.arrayBuffer();
      if (response.ok) met[n]!.lastWrite = Date.now();
    }
  };
  const send = async (n: number, account: number) => {
    for (let turn = 0; !ended; turn++, await sleep(PAUSE_MS)) {
      const device = firstDevice(account) + (turn % DEVICES);
      const report = aReport(device, turn, from, 1);
      sockets[n]!.write(encodeAaa({ identifier: "A", imei: imeiOf(device), report, model: MODEL }));
    }
  };
  const all = accountsAll.flatMap((account, n) => [read(n, account), write(n, account), send(n, account)]);
  const end = async () => {
    ended = true;
    await Promise.all(all);
    for (const socket of sockets) socket.destroy();
  };
  return { met, end };
}

async function ask(platform: Platform, cookie: string): Promise<void> {
  const response = await fetch(`${platform.url}/v1/requests`, {
    method: "POST",
    headers: { cookie: `${SESSION_COOKIE}=${cookie}`, "content-type": "application/json", origin: platform.url },
    body: JSON.stringify({ type: "erase", scope: { kind: "account" } }),
  });
  if (response.status !== 201) throw new Error(await response.text());
}

/** Of each erasure, Unix ms. */
interface Erased {
  account: number;
  verified: number;
  taken: number;
  /** ms of the engine, which works on one after the other. */
  workMs: number;
  frozen: number;
  cleared: number | null;
  failures: number;
}

const ERASED = `SELECT name, account_id AS account, verified_at AS verified, frozen_at AS frozen, closed_at AS cleared,
  failures, (SELECT min(at) FROM request_steps WHERE request_id = requests.id) AS taken
  FROM requests WHERE type = 'erase' ORDER BY id`;

function erased(platform: Platform, db: Database.Database): Erased[] {
  const rows = db.prepare(ERASED).all([]) as (Omit<Erased, "workMs"> & { name: string })[];
  const work = workOf(platform, db, new Map(rows.map(({ name, taken }) => [name, taken])));
  return rows.map(({ name, ...row }) => ({ ...row, workMs: work.get(name) ?? 0 }));
}

/** What each change of a request's state took since the one before, whosever that was, or since the job began or took it up. */
function workOf({ dataDir }: Platform, db: Database.Database, taken: ReadonlyMap<string, number>): Map<string, number> {
  const runs = db.prepare("SELECT started_at AS at FROM job_runs WHERE name = 'erase' ORDER BY 1").all([]) as {
    at: number;
  }[];
  const work = new Map<string, number>();
  let before = 0;
  for (const line of readFileSync(join(dataDir, "logs", "edge.log"), "utf8").split("\n")) {
    if (!line.includes('"erasure.state"')) continue;
    const { time, request } = JSON.parse(line) as { time: string; request: string };
    const at = Date.parse(time);
    const began = runs.findLast((run) => run.at <= at)?.at ?? at;
    work.set(request, (work.get(request) ?? 0) + at - Math.max(before, began, taken.get(request) ?? at));
    before = at;
  }
  return work;
}

async function run(platform: Platform, db: Database.Database): Promise<void> {
  const registered = await registerDevices(
    platform,
    accountsAll.flatMap((account) => Array<number>(DEVICES).fill(account - 1)),
  );
  const tracks = tracksUntil(Math.floor(Date.now() / 1000) * 1000 - 3_600_000, DEVICES, EACH, STEP_S);
  for (const account of accountsAll) {
    const devices = registered.ids.slice(firstDevice(account), firstDevice(account) + DEVICES);
    await importTracks(platform, account, devices, tracks);
  }
  await settleImported(platform);
  const cookies = people(db);
  settleDisk();
  console.log(`${accountsAll.length} accounts are filled; ${LEAVE} of them leave.`);
  const { met, end } = await hammer(platform, registered, cookies);
  await sleep(5000);
  for (let n = 0; n < LEAVE; n++) {
    await ask(platform, cookies[n]!);
    await sleep((1000 * Number(values.seconds)) / LEAVE);
  }
  for (
    const until = Date.now() + 600_000;
    erased(platform, db).some(({ cleared }) => cleared === null);
    await sleep(500)
  )
    if (Date.now() > until) throw new Error(`Not everything is erased: ${JSON.stringify(erased(platform, db))}`);
  const over = Date.now();
  await sleep(2000);
  await end();
  report(erased(platform, db), met, over);
  check(platform, db, met);
}

function report(all: readonly Erased[], met: readonly Met[], over: number): void {
  const of = (name: string, values: number[], goalS: number) => {
    const sorted = values.toSorted((a, b) => a - b);
    const [p50, p95] = [percentile(sorted, 0.5), percentile(sorted, 0.95)];
    const verdict = p95 <= goalS * 1000 ? "reached" : "missed";
    return [name, ...[p50, p95, sorted.at(-1)!].map((ms) => (ms / 1000).toFixed(2)), String(goalS), verdict];
  };
  console.log(
    `\n${LEAVE} accounts in ${values.runtime}, each with ${values.positions} positions of ${DEVICES} devices, ${PEOPLE} people with` +
      ` ${SESSIONS} sessions each, ${OBJECTS} links and ${MAILS} waiting mails.\n`,
  );
  const lastOf = ({ account }: Erased) => Math.max(met[account - 1]!.lastRead, met[account - 1]!.lastWrite);
  printTable([
    ["seconds", "p50", "p95", "most", "goal", "p95"],
    of(
      "verified to cleared, by the clock",
      all.map(({ verified, cleared }) => cleared! - verified),
      GOALS.clearedS,
    ),
    of(
      "work of the engine",
      all.map(({ workMs }) => workMs),
      GOALS.workS,
    ),
    of(
      "taken up to frozen",
      all.map(({ taken, frozen }) => frozen - taken),
      GOALS.frozenS,
    ),
    of(
      "taken up to the last answer",
      all.map((one) => Math.max(0, lastOf(one) - one.taken)),
      GOALS.frozenS,
    ),
  ]);
  const begin = Math.min(...all.map(({ taken }) => taken));
  const reads = met.slice(LEAVE).flatMap(({ readMs }) => readMs);
  const felt = (name: string, within: (at: number) => boolean) => {
    const sorted = reads.flatMap(({ at, ms }) => (within(at) ? [ms] : [])).toSorted((a, b) => a - b);
    return [name, String(sorted.length), percentile(sorted, 0.5).toFixed(1), percentile(sorted, 0.99).toFixed(1)];
  };
  console.log("\nReads of those who stay:\n");
  printTable([
    ["when", "reads", "p50 ms", "p99 ms"],
    felt("before the first erasure", (at) => at < begin),
    felt("while accounts are erased", (at) => at >= begin && at <= over),
  ]);
  console.log(
    `\nErasures that had to begin again: ${all.filter(({ failures }) => failures > 0).length} of ${all.length}.`,
  );
}

/** Nothing of them is there, though their trackers have sent on; the others have met nothing of it. */
function check(platform: Platform, db: Database.Database, met: readonly Met[]): void {
  const left = db.prepare(`SELECT (SELECT count(*) FROM segments WHERE account_id <= ${LEAVE})
    + (SELECT count(*) FROM devices WHERE account_id <= ${LEAVE}) + (SELECT count(*) FROM accounts WHERE id <= ${LEAVE}) AS n`);
  const { n } = left.get([]) as { n: number };
  if (n !== 0) throw new Error(`${n} rows of those who left are there in ${platform.dataDir}`);
  const refused = met.slice(LEAVE).reduce((sum, { refused }) => sum + refused, 0);
  if (refused > 0) throw new Error(`${refused} reads of those who stay were refused`);
  if (met.slice(0, LEAVE).some(({ refused }) => refused === 0)) throw new Error("One who left is still answered");
}

const folder = benchFolder();
try {
  const platform = await startPlatform({
    ...{ dataDir: folder.path, port: 0, bridgePort: 0, bridgeHost: "127.0.0.1", report: () => undefined },
    runtime: values.runtime === "deno" ? "deno" : "workerd",
  });
  const db = new Database(join(platform.dataDir, "main.db"));
  db.exec("PRAGMA busy_timeout = 10000");
  try {
    await run(platform, db);
  } finally {
    db.close();
    await platform.stop();
  }
} finally {
  folder.remove();
}
