import { existsSync, rmSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { parseArgs } from "node:util";
import { encodeAaa } from "../codec/encode.ts";
import { LIMITS } from "../src/limits.ts";
import { type DemoAccount, demoDir, removeDemo, startDemo } from "./demo.ts";
import type { Runtime } from "./edge.ts";
import { FIRST_IMEI } from "./imei.ts";
import { type Platform, startPlatform } from "./platform.ts";
import { writePrivateFile } from "./secrets.ts";
import { readSettings, SettingError } from "./settings.ts";

const USAGE = `Usage: npm start [-- --runtime deno]
       npm run demo [-- --remove]
The settings are environment variables; README.md lists them.`;

const TITLES = { workerd: "workerd", deno: "Deno" } as const;

/** The address for browsers on this machine: a passkey belongs to a name, and 127.0.0.1 is none. */
const forBrowsers = (url: string) => url.replace("//127.0.0.1:", "//localhost:");

/** Where everything is. */
function addresses({ url, bridgePort, metricsUrl, outboxUrl, dataDir, runtime }: Platform): string {
  const lines = [
    ["pages", forBrowsers(url)],
    ["API", `${url}/v1`],
    ["reference", `${url}/docs`],
    ["health", `${url}/healthz`],
    ["trackers", `port ${bridgePort}, TCP and UDP`],
    ["bridge metrics", metricsUrl],
    ["mails", outboxUrl ?? "sent by the server in SMTP_URL"],
    ["data", `${dataDir} (database, keys, spool, secrets, logs)`],
  ];
  return [
    `Ephemeris runs on this machine (${TITLES[runtime]}).`,
    "",
    ...lines.map(([what, where]) => `  ${what.padEnd(16)}${where}`),
  ].join("\n");
}

/** What an admin command needs in front of it to reach the platform of this data folder. */
function admin(dataDir: string): string {
  const folder = relative(process.cwd(), dataDir);
  if (folder === ".data") return "npm run -s admin --";
  const shown = folder === "" || folder.startsWith("..") ? dataDir : folder;
  return `DATA_DIR=${/^[\w./-]+$/.test(shown) ? shown : `'${shown.replaceAll("'", "'\\''")}'`} npm run -s admin --`;
}

/** A report of now, from a tracker that stands in Vienna. */
function sampleFrame(): string {
  const report = {
    event: { code: 35 },
    fixTime: Math.floor(Date.now() / 1000) * 1000,
    valid: true,
    latitude: 48.208354,
    longitude: 16.372504,
    satellites: 11,
    gsmSignal: 21,
    speedKmh: 0,
    courseDeg: 128,
    hdop: 0.9,
    altitudeM: 171,
    odometerM: 1234567,
    runtimeS: 86400,
    cell: { mcc: 232, mnc: 1, lac: 0x0fa0, cid: 0x1a2b3 },
    inputs: 0,
    outputs: 0,
    batteryV: 4.02,
    supplyV: 14.01,
  };
  const frame = encodeAaa({ identifier: "A", imei: FIRST_IMEI, report, model: "T366" });
  return String.fromCharCode(...frame).replace("\r\n", "\\r\\n");
}

/** The next lines to type on a new installation: from nothing to a position. */
function nextLines({ url, bridgePort, dataDir }: Platform): string {
  const cli = admin(dataDir);
  return `Next, in a second terminal (the key is shown once):

${cli} account create --name Acme
${cli} key create --account 1 --scope write
export KEY=eph_...
curl -s ${url}/v1/devices -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' -d '{"imei":"${FIRST_IMEI}","name":"Van 1","model":"T366"}'
printf '${sampleFrame()}' | nc -w 1 127.0.0.1 ${bridgePort}
curl -s ${url}/v1/positions/latest -H "Authorization: Bearer $KEY"`;
}

function demoLines({ url, dataDir }: Platform, { key }: DemoAccount): string {
  return `25 simulated trackers are on the road. Look at them, in a second terminal:

curl -s ${url}/v1/positions/latest -H 'Authorization: Bearer ${key}'
${admin(dataDir)} device list

npm run demo -- --remove deletes all of this again.`;
}

async function hasAccounts({ url, secrets }: Platform): Promise<boolean> {
  const headers = { authorization: `Bearer ${secrets.adminToken}` };
  const response = await fetch(`${url}/v1/admin/accounts?limit=1`, { headers });
  return response.ok && ((await response.json()) as { data: unknown[] }).data.length > 0;
}

const SETUP_FILE = "setup-link.txt";

/**
 * The link that makes the first administrator: made and shown once, and kept in the data folder while nobody has used
 * it. What is in the way is no reason not to start: `setup link` of the admin CLI makes another.
 * @returns lines to print, or null
 */
async function setupLines({ url, secrets, dataDir }: Platform): Promise<string | null> {
  const path = join(dataDir, SETUP_FILE);
  const headers = { authorization: `Bearer ${secrets.adminToken}` };
  if (existsSync(path)) {
    const known = await fetch(`${url}/v1/admin/staff?limit=1000`, { headers });
    const staff = known.ok ? ((await known.json()) as { data: { role: string; joined: boolean }[] }).data : [];
    const someone = staff.some(({ role, joined }) => role === "admin" && joined);
    const isOver = Date.now() - statSync(path).mtimeMs > LIMITS.setupLinkMs;
    if (!someone && !isOver) return null;
    rmSync(path, { force: true });
    if (someone) return null;
  }
  const made = await fetch(`${url}/v1/admin/setup-links`, { method: "POST", headers });
  if (!made.ok) return null;
  const link = forBrowsers(((await made.json()) as { link: string }).link);
  writePrivateFile(path, `${link}\n`);
  return `Make yourself the administrator, in a browser (works once, for seven days; also in ${path}):\n\n  ${link}`;
}

/** Resolves at the first request to stop. */
function stopRequested(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => resolve());
    // npm passes a signal to the shell in between, which may die of it without passing it on.
    if (process.env.npm_lifecycle_event === undefined) return;
    const parent = process.ppid;
    setInterval(() => {
      if (process.ppid !== parent) resolve();
    }, 500).unref();
  });
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      runtime: { type: "string", default: "workerd" },
      demo: { type: "boolean" },
      remove: { type: "boolean" },
      help: { type: "boolean" },
    },
  });
  if (values.help === true) return console.log(USAGE);
  if (!Object.hasOwn(TITLES, values.runtime)) throw new SettingError("--runtime must be workerd or deno.");
  const settings = readSettings(process.env);
  if (values.remove === true) {
    if (values.demo !== true) throw new SettingError("--remove belongs to npm run demo.");
    return console.log(removeDemo(settings.dataDir) ? "The demonstration is removed." : "There is no demonstration.");
  }
  const stop = stopRequested();
  const report = (line: string) => console.error(line);
  const dataDir = values.demo === true ? demoDir(settings.dataDir) : settings.dataDir;
  const platform = await startPlatform({ ...settings, dataDir, runtime: values.runtime as Runtime, report });
  let demo: Awaited<ReturnType<typeof startDemo>> | undefined;
  try {
    if (values.demo === true) demo = await startDemo(platform, report);
    const more = demo ? demoLines(platform, demo.account) : (await hasAccounts(platform)) ? null : nextLines(platform);
    const setup = demo ? null : await setupLines(platform);
    console.log(
      [addresses(platform), setup, more, "Ctrl-C stops everything; the data stays."].filter(Boolean).join("\n\n"),
    );
    await stop;
    console.log("Stopping.");
  } finally {
    await demo?.stop();
    await platform.stop();
  }
}

try {
  await main();
  process.exit(0);
} catch (error) {
  const known = error instanceof SettingError || (error as { code?: string }).code?.startsWith("ERR_PARSE_ARGS");
  console.error(known ? (error as Error).message : error);
  process.exit(1);
}
