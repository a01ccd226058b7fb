// What finding out who calls costs. `npm run bench:api`; takes about a minute, loopback only.
import { createHash, randomBytes } from "node:crypto";
import { Agent, request } from "node:http";
import { join } from "node:path";
import Database from "libsql";
import { SESSION_COOKIE } from "../src/http/browser.ts";
import { LIMITS } from "../src/limits.ts";
import { type Platform, startPlatform } from "../tools/platform.ts";
import { benchFolder, percentile, printTable, settleDisk } from "./bridge-run.ts";
import { cpuMs } from "./cpu.ts";

const CONNECTIONS = 32;
const SECONDS = 8;
/** Enough that none reaches its rate limit. */
const CALLERS = 400;
/** Rows that the tables hold besides, so that an index must find the one. */
const OTHERS = 20_000;
const GOAL = 1000;

const token = (prefix: string) => prefix + randomBytes(32).toString("base64url");
const hash = (text: string) => createHash("sha256").update(text).digest("hex");

/** People with a session and a key each, straight in the database. */
function prepare(platform: Platform): { cookies: string[]; keys: string[] } {
  const db = new Database(join(platform.dataDir, "main.db"));
  db.exec("PRAGMA busy_timeout = 10000");
  const now = Date.now();
  const user = db.prepare("INSERT INTO users (account_id, role, email, created_at) VALUES (?, 'owner', ?, ?)");
  const session = db.prepare(
    "INSERT INTO sessions (user_id, hash, created_at, last_seen_at, expires_at, proved_at) VALUES (?, ?, ?, ?, ?, ?)",
  );
  const key = db.prepare(
    "INSERT INTO api_keys (account_id, scope, hash, created_at, last_used_at) VALUES (?, 'read', ?, ?, ?)",
  );
  const account = db.prepare(
    "INSERT INTO accounts (name, created_at, privacy_accepted, terms_accepted) VALUES ('Bench', ?, 1, 1)",
  );
  const cookies: string[] = [];
  const keys: string[] = [];
  db.exec("BEGIN IMMEDIATE");
  for (let n = 0; n < OTHERS; n++) {
    const accountId = account.run([now]).lastInsertRowid as number;
    const userId = user.run([accountId, `bench${n}@localhost`, now]).lastInsertRowid as number;
    const cookie = token("eps_");
    session.run([userId, hash(cookie), now, now, now + LIMITS.sessionMs, now]);
    const secret = token("eph_");
    key.run([accountId, hash(secret), now, now]);
    if (n % (OTHERS / CALLERS) !== 0) continue;
    cookies.push(cookie);
    keys.push(secret);
  }
  db.exec("COMMIT");
  db.close();
  return { cookies, keys };
}

const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });

function ask(platform: Platform, path: string, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(platform.url);
    request({ hostname, port, path, headers, agent }, (response) => {
      response.resume();
      response.on("end", () => resolve(response.statusCode ?? 0));
    })
      .on("error", reject)
      .end();
  });
}

interface Load {
  name: string;
  path: string;
  headers(n: number): Record<string, string>;
  status: number;
}

interface Measured {
  name: string;
  perS: number;
  times: number[];
  workerMs: number;
}

async function run(platform: Platform, { name, path, headers, status }: Load): Promise<Measured> {
  const times: number[] = [];
  let n = 0;
  const workerd = platform.children.workerd as number;
  const loop = async (until: number, keep: boolean) => {
    while (performance.now() < until) {
      const start = performance.now();
      const got = await ask(platform, path, headers(n++));
      if (got !== status) throw new Error(`${name}: ${got} instead of ${status}`);
      if (keep) times.push(performance.now() - start);
    }
  };
  const all = (seconds: number, keep: boolean) => {
    const until = performance.now() + seconds * 1000;
    return Promise.all(Array.from({ length: CONNECTIONS }, () => loop(until, keep)));
  };
  await all(2, false);
  const before = cpuMs(workerd);
  const start = performance.now();
  await all(SECONDS, true);
  const seconds = (performance.now() - start) / 1000;
  times.sort((a, b) => a - b);
  return { name, perS: times.length / seconds, times, workerMs: (cpuMs(workerd) - before) / times.length };
}

/** What must look the same for an address that somebody has and for one that nobody has. */
const SECRETS_KEPT = [
  { name: "sign-in", path: "/v1/sessions", body: (email: string) => ({ email, password: "not the password" }) },
  { name: "sign-up", path: "/v1/signups", body: (email: string) => ({ email }) },
  { name: "password reset", path: "/v1/password-resets", body: (email: string) => ({ email }) },
] as const;
const PAIRS = 100;
const GOAL_DIFFERENCE_MS = 15;

/** Time of each request, known and unknown addresses by turns, each address once. */
async function timesOf(platform: Platform, path: string, body: (email: string) => object) {
  const times = { known: [] as number[], unknown: [] as number[] };
  const answers = new Set<string>();
  for (let n = 0; n < 2 * PAIRS; n++) {
    const kind = n % 2 === 0 ? "known" : "unknown";
    const email = kind === "known" ? `bench${n}@localhost` : `nobody${n}@localhost`;
    const start = performance.now();
    const response = await fetch(platform.url + path, {
      method: "POST",
      headers: { "content-type": "application/json", "cf-connecting-ip": `198.51.100.${n % 250}` },
      body: JSON.stringify(body(email)),
    });
    const answer = `${response.status} ${(await response.text()).replace(/"requestId":"\w+"/, "")}`;
    times[kind].push(performance.now() - start);
    answers.add(answer);
    // What was put off until after the answer must not fall into the next measurement.
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  if (answers.size !== 1) throw new Error(`${path} answers in different ways: ${[...answers].join(" and ")}`);
  for (const list of Object.values(times)) list.sort((a, b) => a - b);
  return times;
}

const folder = benchFolder();
try {
  const platform = await startPlatform({ dataDir: folder.path, port: 0, bridgePort: 0, bridgeHost: "127.0.0.1" });
  try {
    const { cookies, keys } = prepare(platform);
    settleDisk();
    const cookie = (n: number) => ({ cookie: `${SESSION_COOKIE}=${cookies[n % CALLERS]}` });
    const loads: readonly Load[] = [
      { name: "answered without asking who", path: "/healthz", headers: () => ({}), status: 200 },
      {
        name: "API key",
        path: "/v1/models",
        headers: (n) => ({ authorization: `Bearer ${keys[n % CALLERS]}` }),
        status: 200,
      },
      { name: "session", path: "/v1/models", headers: cookie, status: 200 },
      {
        name: "session that is nobody's",
        path: "/v1/models",
        // Each address may be wrong so often only: counted apart.
        headers: (n) => ({
          cookie: `${SESSION_COOKIE}=eps_${n}`,
          "cf-connecting-ip": `192.0.${(n >> 8) & 255}.${n & 255}`,
        }),
        status: 401,
      },
    ];
    const measured: Measured[] = [];
    for (const load of loads) measured.push(await run(platform, load));
    const [bare] = measured;
    printTable([
      ["request", "a second", "of the first", "p50 ms", "p99 ms", "worker CPU ms"],
      ...measured.map(({ name, perS, times, workerMs }) => [
        name,
        String(Math.round(perS)),
        (perS / bare!.perS).toFixed(2),
        percentile(times, 0.5).toFixed(1),
        percentile(times, 0.99).toFixed(1),
        workerMs.toFixed(2),
      ]),
    ]);
    const session = measured[2]!;
    console.log(
      `Session check: ${Math.round(session.perS)} a second, goal at least ${GOAL}: ${session.perS >= GOAL ? "reached" : "missed"}.`,
    );
    const rows = [
      ["request", "known, median ms", "unknown, median ms", "difference", `goal < ${GOAL_DIFFERENCE_MS} ms`],
    ];
    for (const { name, path, body } of SECRETS_KEPT) {
      const { known, unknown } = await timesOf(platform, path, body);
      const [a, b] = [percentile(known, 0.5), percentile(unknown, 0.5)];
      const difference = Math.abs(a - b);
      const verdict = difference < GOAL_DIFFERENCE_MS ? "reached" : "missed";
      rows.push([name, a.toFixed(1), b.toFixed(1), difference.toFixed(1), verdict]);
    }
    console.log();
    printTable(rows);
  } finally {
    await platform.stop();
  }
} finally {
  agent.destroy();
  folder.remove();
}
