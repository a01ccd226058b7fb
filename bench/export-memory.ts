// How much memory the app takes for exports of many positions. `npm run bench:memory`; a minute and a half, loopback only,
// `-- --runtime deno --positions 1000000` for another. On the platform as it runs: a reader who takes the export in sips,
// one who takes it as it comes, and how much more than while idle the process of the app holds in RAM meanwhile. workerd
// sets no limit of its own: here its heap has one, as on Workers, beyond which it ends (`-- --heap 48`, in MB; 16 is not enough).
import { createHash, randomBytes } from "node:crypto";
import { get, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import Database from "libsql";
import { SESSION_COOKIE } from "../src/http/browser.ts";
import { LIMITS } from "../src/limits.ts";
import { type Platform, startPlatform } from "../tools/platform.ts";
import { benchFolder, printTable } from "./bridge-run.ts";
import { rssMb } from "./cpu.ts";
import { importTracks, settleImported, tracksUntil } from "./imported.ts";
import { registerDevices } from "./prepared.ts";

const { values } = parseArgs({
  options: {
    positions: { type: "string", default: "200000" },
    runtime: { type: "string", default: "workerd" },
    heap: { type: "string", default: "96" },
  },
});
process.env.MINIFLARE_WORKERD_V8_FLAGS = `--max-heap-size=${Number(values.heap)}`;
const DEVICES = 5;
const STEP_S = 10;
const GOAL_MB = 128;
/** How often memory is looked at, and how one sips: so many bytes, then a pause, for so long. */
const LOOK_MS = 20;
const SIP = { bytes: 256 * 1024, pauseMs: 500, forMs: 20_000 } as const;

function aCookie(platform: Platform): string {
  const db = new Database(join(platform.dataDir, "main.db"));
  db.exec("PRAGMA busy_timeout = 10000");
  const now = Date.now();
  const { lastInsertRowid } = db
    .prepare("INSERT INTO users (account_id, role, email, created_at) VALUES (1, 'owner', 'bench@localhost', ?)")
    .run([now]);
  const cookie = `eps_${randomBytes(32).toString("base64url")}`;
  const hash = createHash("sha256").update(cookie).digest("hex");
  db.prepare(
    "INSERT INTO sessions (user_id, hash, created_at, last_seen_at, expires_at, proved_at) VALUES (?, ?, ?, ?, ?, ?)",
  ).run([lastInsertRowid as number, hash, now, now, now + LIMITS.sessionMs, now]);
  db.close();
  return `${SESSION_COOKIE}=${cookie}`;
}

async function begin(platform: Platform, cookie: string): Promise<IncomingMessage> {
  const headers = { cookie, "content-type": "application/json", origin: platform.url };
  const made = await fetch(`${platform.url}/v1/me/exports`, { method: "POST", headers, body: "{}" });
  const answer = (await made.json()) as { url: string };
  if (!made.ok) throw new Error(JSON.stringify(answer));
  const { pathname } = new URL(answer.url);
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    get(platform.url + pathname, { headers: { cookie } }, resolve).on("error", reject);
  });
  if (response.statusCode !== 200) throw new Error(`Cannot fetch the export: ${response.statusCode}`);
  return response;
}

/** Takes what comes, as it comes. @returns bytes */
async function gulp(response: IncomingMessage): Promise<number> {
  let bytes = 0;
  for await (const chunk of response) bytes += (chunk as Buffer).length;
  return bytes;
}

/** Takes a little, waits, takes a little: what the app makes meanwhile must wait with it. @returns bytes */
async function sip(response: IncomingMessage): Promise<number> {
  let bytes = 0;
  let taken = 0;
  const until = Date.now() + SIP.forMs;
  for await (const chunk of response) {
    bytes += (chunk as Buffer).length;
    if (Date.now() > until) break;
    if (bytes - taken < SIP.bytes) continue;
    taken = bytes;
    await sleep(SIP.pauseMs);
  }
  response.destroy();
  return bytes;
}

/** Of the app's process, in MB: before, and the most while something is done. */
async function watched(platform: Platform, what: () => Promise<number>) {
  const pid = platform.children.workerd ?? platform.children.edge!;
  // What was freed goes back to the system a moment later.
  await sleep(3000);
  const idle = rssMb(pid);
  let most = idle;
  const looking = setInterval(() => {
    most = Math.max(most, rssMb(pid));
  }, LOOK_MS);
  const began = performance.now();
  const bytes = await what();
  clearInterval(looking);
  return { bytes, idle, most, seconds: (performance.now() - began) / 1000 };
}

const folder = benchFolder();
try {
  const platform = await startPlatform({
    ...{ dataDir: folder.path, port: 0, bridgePort: 0, bridgeHost: "127.0.0.1", report: () => undefined },
    runtime: values.runtime === "deno" ? "deno" : "workerd",
  });
  try {
    const { ids } = await registerDevices(platform, Array<number>(DEVICES).fill(0));
    const until = Math.floor(Date.now() / 1000) * 1000 - 3_600_000;
    await importTracks(platform, 1, ids, tracksUntil(until, DEVICES, Number(values.positions) / DEVICES, STEP_S));
    await settleImported(platform);
    const cookie = aCookie(platform);
    const rows = [["reader", "seconds", "MiB", "idle, MB", "at most, MB", "more, MB", `goal ${GOAL_MB} MB more`]];
    const readers = { "in sips": sip, "as it comes": gulp, "once more": gulp };
    for (const [name, take] of Object.entries(readers)) {
      const { seconds, bytes, idle, most } = await watched(platform, async () => take(await begin(platform, cookie)));
      const numbers = [seconds, bytes / 2 ** 20, idle, most, most - idle].map((n) => n.toFixed(1));
      rows.push([name, ...numbers, most - idle < GOAL_MB ? "reached" : "missed"]);
    }
    console.log(
      `\nAn export of ${values.positions} positions from ${values.runtime}: memory of the app's process${values.runtime === "deno" ? "" : `, its heap limited to ${values.heap} MB`}.\n`,
    );
    printTable(rows);
  } finally {
    await platform.stop();
  }
} finally {
  folder.remove();
}
