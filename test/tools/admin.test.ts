import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { app, ROUTES } from "../../src/http/app.ts";
import { appendLedger, signLedgerHead } from "../../src/ledger.ts";
import { LIMITS } from "../../src/limits.ts";
import { accountKey } from "../../src/vault.ts";
import { run } from "../../tools/admin.ts";
import { COMMANDS, WITHOUT_COMMAND } from "../../tools/admin-commands.ts";
import { clearRunning, writeRunning } from "../../tools/data-dir.ts";
import { makePrivateFolder, writePrivateFile } from "../../tools/secrets.ts";
import { aBase, aDatabase, aDevice, anImei, type TestDatabase } from "../database.ts";

const dataDir = join(mkdtempSync(join(tmpdir(), "ephemeris-admin-")), "data");
let database: TestDatabase;
let server: Server;
let url: string;

/** The app itself on a socket, with a database in memory. */
beforeAll(async () => {
  database = await aDatabase();
  const base = { ...aBase(database.db), now: () => Date.now() };
  server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const { method = "GET", headers } = request;
    const answer = await app.fetch(
      new Request(`http://localhost${request.url}`, {
        method,
        headers: headers as Record<string, string>,
        ...(chunks.length > 0 && { body: Buffer.concat(chunks) }),
      }),
      base,
    );
    response.writeHead(answer.status, Object.fromEntries(answer.headers));
    response.end(Buffer.from(await answer.arrayBuffer()));
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  makePrivateFolder(dataDir);
  const { adminToken, bridgeToken, rootKey } = base.config;
  const padded = { adminToken, bridgeToken: bridgeToken.padEnd(40, "x"), rootKey, databaseToken: "x".repeat(40) };
  writePrivateFile(
    join(dataDir, "secrets.json"),
    JSON.stringify({ ...padded, adminToken: adminToken.padEnd(32, "x") }),
  );
  base.config.adminToken = adminToken.padEnd(32, "x");
});
afterAll(() => {
  server.close();
  database.close();
  rmSync(join(dataDir, ".."), { recursive: true, force: true });
});

/** A command line against the running app; `env` null: without a running platform. */
async function admin(args: string, env: Record<string, string> = {}) {
  writeRunning(dataDir, { pid: process.pid, url, bridgePort: 1, metricsUrl: "", children: [] });
  return bare(args, env);
}
async function bare(args: string, env: Record<string, string> = {}) {
  const options = { env: { PATH: process.env.PATH, DATA_DIR: dataDir, ...env } };
  return promisify(execFile)(process.execPath, ["tools/admin.ts", ...args.split(" ")], options).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    ({ code, stdout, stderr }) => ({ code, stdout, stderr }) as { code: number; stdout: string; stderr: string },
  );
}

/** The same in this process, as many are slow to start. */
async function said(args: string): Promise<string> {
  process.env.DATA_DIR = dataDir;
  writeRunning(dataDir, { pid: process.pid, url, bridgePort: 1, metricsUrl: "", children: [] });
  return run(args.split(" ")).catch((error: Error) => error.message);
}

test("admin creates accounts, keys and bridges and prints what scripts need", async () => {
  expect(await admin("account create --name Acme --json")).toEqual({
    code: 0,
    stdout: '{"accountId":1}\n',
    stderr: "",
  });
  expect((await admin("account create --name Other")).stdout).toMatch(
    /^Account 2 \(Other\)\.\nNext: npm run -s admin -- key/,
  );
  const key = JSON.parse((await admin("key create --account 1 --scope write --json")).stdout);
  expect(key).toEqual({ keyId: 1, key: expect.any(String) });
  const answer = await fetch(`${url}/v1/devices`, { headers: { authorization: `Bearer ${key.key}` } });
  expect(answer.status).toBe(200);
  expect(JSON.parse((await admin("key revoke --id 1 --json")).stdout)).toEqual({ keyId: 1, revoked: true });
  const refused = await fetch(`${url}/v1/devices`, { headers: { authorization: `Bearer ${key.key}` } });
  expect(refused.status).toBe(401);
  expect(JSON.parse((await admin("bridge create --name north --json")).stdout)).toEqual({
    bridgeId: 1,
    token: expect.any(String),
  });
  expect((await admin("bridge list")).stdout).toMatch(/^id {2}name {3}createdAt .*\n1 {3}north /);
  expect((await admin("bridge revoke --id 1")).stdout).toBe("Bridge 1 is no longer let in.\n");
});

test("admin lists read every page, as a table and as JSON", async () => {
  for (let n = 0; n < 120; n++) await aDevice(database.db, { accountId: 1 });
  const { data, nextCursor } = JSON.parse((await admin("device list --json")).stdout);
  expect([data.length, nextCursor]).toEqual([120, null]);
  expect((await admin("device list")).stdout.trimEnd().split("\n")).toHaveLength(121);
  expect((await admin("unclaimed list")).stdout).toBe("None.\n");
  expect((await admin("key list --account 1")).stdout).toMatch(/^id +name +scope/);
});

test("admin runs a job and lists the jobs with their last run", async () => {
  expect((await admin("jobs run retention")).stdout).toBe("retention changed 0 rows.\n");
  expect(JSON.parse((await admin("jobs run retention --json")).stdout)).toEqual({ name: "retention", changed: 0 });
  expect((await admin("jobs list")).stdout).toMatch(/^retention +\*\/10 \* \* \* \* +done \d{4}-/m);
});

test("admin looks at the key store, wraps it anew and restores nothing that is there", async () => {
  const ctx = { ...aBase(database.db), now: () => Date.now() };
  for (let accountId = 1; accountId <= LIMITS.keyObjects + 1; accountId++) {
    await accountKey(ctx, accountId, "test", { make: true });
  }
  expect(JSON.parse((await admin("keys status --json")).stdout)).toMatchObject({
    // The pepper, and what other keyed hashes hang on.
    objects: LIMITS.keyObjects + 3,
    missing: 0,
    oldRootKey: 0,
    next: null,
  });
  expect((await admin("keys rewrap")).stdout).toMatch(/^changed +0$/m);
  expect((await admin("keys restore-escrow")).stdout).toBe("0 key objects restored.\n");
  expect((await admin("audit list --limit 2")).stdout).toMatch(/keys\.restored[\s\S]*keys\.rewrapped/);
});

test("every route of the operator has a command, or a reason why not", () => {
  const plain = (method: string, path: string) => `${method} ${path.replace(/:\w+|\{\w+\}/g, "*")}`;
  const commands = new Set(COMMANDS.map(({ method, path }) => plain(method, path)));
  const routes = ROUTES.filter(({ path }) => path.startsWith("/v1/admin")).map(({ method, path }) =>
    plain(method, path),
  );
  expect(routes.length).toBeGreaterThan(30);
  expect(routes.filter((route) => !commands.has(route)).toSorted()).toEqual(Object.keys(WITHOUT_COMMAND).toSorted());
  const known = new Set(ROUTES.map(({ method, path }) => plain(method, path)));
  expect([...commands].filter((command) => !known.has(command))).toEqual([]);
});

test("admin looks after accounts: shown masked, unmasked with a reason, suspended and resumed", async () => {
  expect(await said("account show --id 1")).toMatch(/^id +1\nname +Acme\n/);
  expect(await said("account unmask --id 1 --reason short")).toBe(
    "reason must have 10 to 200 characters on one line (reason)",
  );
  const reason = "--reason its_owner_asked_for_it";
  expect(JSON.parse(await said(`account unmask --id 1 --json ${reason}`))).toMatchObject({ people: [] });
  expect(await said(`account suspend --id 1 ${reason}`)).toBe("Account 1 is suspended.");
  expect(await said("account resume --id 1")).toBe("Account 1 is active.");
  expect(await said("audit list --limit 1")).toMatch(/ account\.resumed +1 +account 1 /);
  expect(await said("account positions --id 1")).toMatch(/window/);
  expect(await said("account track --id 1 --device 1x")).toBe("--device must be an id, a whole number.");
  expect(await said("overview")).toMatch(/^positionsPerS +0$/m);
});

test("admin lists holds, which people alone place, and writes down what is owed", async () => {
  expect(await said("holds list --open")).toBe("None.");
  const owed = "obligations add --account 1 --kind extension --basis contract --details Invoice_R-77";
  expect(await said(`${owed} --until 2099-01-01`)).toBe(
    "expiresAt must be in the future, at most 10 years ahead (expiresAt)",
  );
  const until = new Date(Date.now() + 400 * 86_400_000).toISOString();
  expect(await said(`${owed} --until ${until}`)).toMatch(/^Obligation \d+\. It keeps nothing before an owner/);
  expect(await said("obligations list --account 1")).toMatch(/ extension +contract +.* true +false +Invoice_R-77$/m);
});

test("admin says what retention would delete, why something is kept, and runs it", async () => {
  expect(await said("retention dry-run")).toBe("None.");
  const explained = await said("retention explain --account 1 --at 2026-01-31");
  expect(explained).toMatch(/^deviceId +scope +period +timeZone +floor +cutoff +oldest +endsAt +at$/m);
  expect(explained).toMatch(/^- +account +3 months +UTC +- +2\S+Z +- +- +past since 2026-05-01T00:00:00\.000Z/m);
  expect(JSON.parse(await said("retention explain --account 1 --json")).data[0]).toMatchObject({
    ...{ deviceId: null, scope: "account", period: { months: 3 }, at: null },
  });
  expect(await said("retention explain --account 1 --device 9999")).toBe("No such device");
  expect(await said("retention explain --account 1 --at soon")).toMatch(/^--at must be a date/);
  expect(await said("retention run")).toMatch(/^Deleted \d+ positions and commands\.$/);
  expect(await said("overview")).toMatch(/^retentionLate +false$/m);
});

test("admin explains a deadline without a platform where a zone is named, else by the platform's calendar", async () => {
  const verified = "--verified 2026-02-13T16:00:00+08:00";
  const alone = await bare(`sla explain ${verified} --zone Asia/Shanghai --json`, { DATA_DIR: "/nowhere" });
  expect([alone.code, alone.stderr]).toEqual([0, ""]);
  expect(JSON.parse(alone.stdout)).toEqual({
    deadline: "2026-02-14T08:00:00.000Z",
    rule: "same-time-next-working-day",
    calendarVersion: expect.stringMatching(/^CN-2026-[0-9a-f]{16}$/),
    uncertain: false,
  });
  // Without settings of its own, a platform says the same.
  expect(await said(`sla explain ${verified} --json`)).toBe(alone.stdout.trimEnd());
  expect(await said(`sla explain ${verified}`)).toMatch(/^statutoryDeadline +2026-02-14T16:00:00\.000Z$/m);
  const elsewhere = JSON.parse(await said("sla explain --verified 2026-03-27T16:00:00Z --zone Europe/Berlin --json"));
  expect(elsewhere).toMatchObject({ deadline: "2026-03-30T15:00:00.000Z", uncertain: true });
  const sunday = await said(`sla explain ${verified} --zone Asia/Dubai --country none --weekend 7 --json`);
  expect(JSON.parse(sunday)).toMatchObject({ deadline: "2026-02-14T08:00:00.000Z" });
  expect(await said("sla explain --verified 2026-02-30T16:00:00Z --zone UTC")).toMatch(/^--verified must be a time/);
  expect(await said(`sla explain ${verified} --zone Mars/Base`)).toBe(
    "--zone must be a time zone such as Asia/Shanghai.",
  );
  expect(await said(`sla explain ${verified} --weekend 7`)).toMatch(/^--country and --weekend need --zone/);
});

test("admin shows the calendar, sets days of it and loads years from a file", async () => {
  expect(await said("calendar show")).toMatch(/^zone +Asia\/Shanghai$[\s\S]*^years +2024, 2025, 2026$[\s\S]*None\.$/m);
  expect(await said("calendar set --date 2027-02-06 --kind work")).toMatch(/^2027-02-06 +work$/m);
  expect(await said("calendar set --date 2027-02-06 --kind half")).toMatch(/kind/);
  const path = join(dataDir, "days.csv");
  writeFileSync(path, "# The year to come\n2027-01-01,holiday # New Year\n\n2027-02-07, work\n");
  const loaded = JSON.parse(await said(`calendar load --file ${path} --years 2027 --json`));
  expect(loaded).toMatchObject({ years: [2024, 2025, 2026, 2027], days: [{ kind: "holiday" }, {}, { kind: "work" }] });
  writeFileSync(path, "2027-01-01,holiday\n1 January\n");
  expect(await said(`calendar load --file ${path}`)).toMatch(/^Line 2 must be a day/);
  for (const { date } of loaded.days) expect(await said(`calendar unset --date ${date}`)).not.toContain(date);
  expect(await said("setting set --name calendarYears --value 2099-2027")).toMatch(/\(calendarYears\)$/);
});

test("admin makes the setup link, invites staff, attests training and changes settings", async () => {
  expect(await said("setup link")).toMatch(/^Opens once, until .*:\nhttps:\/\/edge\.test\/setup\/[\w-]{43}$/);
  const { userId, link } = JSON.parse(await said("staff invite --email a@edge.test --role admin --json"));
  expect(link).toBeNull();
  const until = new Date(Date.now() + 300 * 86_400_000).toISOString().slice(0, 10);
  expect(await said(`training attest --id ${userId} --until ${until}`)).toContain(`trained until ${until}T`);
  expect(await said(`training attest --id ${userId} --until soon`)).toMatch(/^--until must be a date/);
  expect(await said(`staff change --id ${userId} --role support`)).toBe(`${userId} is support now.`);
  expect(await said(`staff disable --id ${userId}`)).toContain(`${userId} `);
  expect(await said(`staff enable --id ${userId}`)).toContain(`${userId} `);
  expect(await said("staff list")).toMatch(/a@edge\.test +support +false/);
  expect(await said(`staff remove --id ${userId} --json`)).toBe(`{"userId":${userId},"removed":true}`);
  expect(await said("setting set --name activation --value open")).toBe("activation is set.");
  expect(await said("setting set --name activation --value maybe")).toMatch(/\(activation\)$/);
  expect(await said("setting list")).toMatch(/^activation +open +How/m);
});

test("admin loads trackers, brands and texts from files", async () => {
  const file = (name: string, text: string) => {
    const path = join(dataDir, name);
    writeFileSync(path, text);
    return path;
  };
  const imei = anImei();
  const loaded = await said(`activation load --file ${file("list.csv", `imei,model\n${imei},T366\n`)}`);
  const code = new RegExp(`^${imei} +([0-9A-Z-]{11})$`, "m").exec(loaded)![1];
  expect(await said("activation list")).not.toContain(code);
  expect(await said(`activation label --imei ${imei} --code ${code}`)).toMatch(/^<svg /);
  expect(await said(`activation remove --imei ${imei}`)).toBe("Its code no longer works.");
  expect(await said("activation load --file nowhere.csv")).toMatch(/^nowhere\.csv cannot be read \(ENOENT\)\./);

  expect(await said("brand create --hostname yard.test --name Yard --json")).toBe('{"brandId":1}');
  const policy = file("policy.md", "# Policy");
  expect(await said(`brand set-text --id 1 --kind privacy --language en --body-file ${policy}`)).toMatch(
    /^privacy +en +- +[0-9a-f]{64}/m,
  );
  expect(await said("brand set --id 1 --accent #0b5f66")).toMatch(/^accent +#0b5f66$/m);
  expect(await said("brand set-text --id 1 --kind privacy --language en")).toMatch(/None\.$/);
  expect(await said("brand list")).toMatch(/yard\.test +Yard/);
  expect(await said("brand show --id 1")).toMatch(/^hostname +yard\.test$/m);
  expect(await said("brand remove --id 1 --json")).toBe('{"brandId":1,"removed":true}');

  const publish = `statement publish --kind privacy --title Statement --body-file ${policy} --title-zh 声明 --body-file-zh ${policy}`;
  expect(await said(publish)).toMatch(/^privacy +\d+ +zh /m);
  expect(await said("statement list")).toMatch(/^privacy +\d+ +en +Statement/m);
  expect(await said("statement verify")).toMatch(/^\d+ texts checked, 0 altered\.$/);
});

test.each([
  ["", "Unknown command"],
  ["account", "Unknown command"],
  ["account delete --id 1", "Unknown command"],
  ["account create", "account create needs --name."],
  ["account create --name A --scope read", "account create takes no --scope."],
  ["account create --nome A", "Unknown option '--nome'"],
  ["jobs run", "jobs run needs the name of a job."],
  ["account list --url nowhere", "--url must be a URL"],
  ["key create --account acme --scope read", "--account must be an id, a whole number"],
  ["key revoke --id 1x", "--id must be an id, a whole number"],
  ["jobs run nothing", "No such job. There are "],
])("admin %s is refused with the usage", async (args, message) => {
  const { code, stdout, stderr } = await admin(args, { ADMIN_TOKEN: "x" });
  expect([code, stdout]).toEqual([2, ""]);
  expect(stderr).toContain(message);
  expect(stderr).toContain("Usage: npm run -s admin");
});

test("admin answers a mistake with the commands that were meant, not with all", async () => {
  const shown = async (args: string) => (await admin(args)).stderr.split("\n").filter((line) => line.startsWith("  "));
  expect(await shown("account create --nome A")).toEqual(["  account create --name <name>"]);
  expect(await shown("jobs run nothing")).toEqual(["  jobs run <name>"]);
  expect(await shown("bridge delete")).toEqual([
    "  bridge create --name <name>",
    "  bridge list",
    "  bridge revoke --id <id>",
  ]);
  expect((await shown("nonsense")).length).toBeGreaterThan(30);
});

test("admin says what the platform refuses", async () => {
  expect(await admin("key create --account 99 --scope read")).toMatchObject({ code: 1, stderr: "No such account\n" });
  expect((await admin("key create --account 1 --scope all")).stderr).toMatch(/\(scope\)\n$/);
});

test("admin --url takes the token from ADMIN_TOKEN and says when it is missing or wrong", async () => {
  const token = "admin-token-of-the-tests".padEnd(32, "x");
  expect((await bare(`account list --url ${url}/ --json`, { ADMIN_TOKEN: token, DATA_DIR: "/nowhere" })).code).toBe(0);
  expect((await bare(`account list --url ${url}`)).stderr).toMatch(/^ADMIN_TOKEN must hold/);
  expect(await bare(`account list --url ${url}`, { ADMIN_TOKEN: "wrong" })).toMatchObject({ code: 1, stdout: "" });
});

test("admin says how to start the platform when it does not run or does not answer", async () => {
  writeRunning(dataDir, { pid: 1, url: "http://127.0.0.1:1", bridgePort: 1, metricsUrl: "", children: [] });
  expect((await bare("account list")).stderr).toMatch(/does not answer; is it running\? Start it with: npm start\n$/);
  // A supervisor that was killed leaves its state behind; by now another program may listen on its port.
  const gone = spawnSync(process.execPath, ["--version"]).pid;
  writeRunning(dataDir, { pid: gone, url, bridgePort: 1, metricsUrl: "", children: [] });
  expect((await bare("account list")).stderr).toMatch(/^No platform runs with DATA_DIR /);
  clearRunning(dataDir);
  expect((await bare("account list")).stderr).toMatch(/^No platform runs with DATA_DIR .*; start it with: DATA_DIR=/);
  expect((await bare("--help")).stdout).toMatch(/^Usage: /);
});

test("admin keeps the ledger's heads in a file, and finds out a ledger that was cut short and signed anew", async () => {
  const ctx = aBase(database.db, { now: Date.now() - 30 * 86_400_000 });
  const grow = async (type: "frozen" | "cleared", entries: number) => {
    for (let i = 0; i < entries; i++) {
      await appendLedger(ctx, type, {});
      ctx.advance(LIMITS.ledgerHeadMs);
      await signLedgerHead(ctx);
    }
  };
  const file = join(dataDir, "heads.jsonl");
  const lines = () => readFileSync(file, "utf8").trimEnd().split("\n");
  await grow("frozen", 3);
  expect(await said(`ledger heads --append ${file}`)).toBe(`3 heads added to ${file}.`);
  await grow("frozen", 2);
  expect(JSON.parse(await said(`ledger heads --append ${file} --json`))).toMatchObject({ added: 2, faults: [] });
  expect(await said(`ledger heads --append ${file}`)).toBe(`0 heads added to ${file}.`);
  expect(lines().map((line) => JSON.parse(line).size)).toEqual([1, 2, 3, 4, 5]);
  expect(await said(`ledger verify --heads ${file}`)).toContain("all fit");

  const rotated = JSON.parse(await said("ledger rotate-key --json"));
  expect(rotated).toMatchObject({ signedBy: JSON.parse(lines()[0]!).keyId, until: null });
  expect(await said(`ledger heads --append ${file}`)).toBe(`1 heads added to ${file}.`);

  ctx.at(Date.now());
  await database.client.execute("DELETE FROM ledger WHERE seq > 4");
  await database.client.execute("DELETE FROM ledger_heads WHERE size > 4");
  for (const place of [...ctx.secrets.copies, ctx.secrets.escrow]) {
    for (const name of ["ledger/head", "ledger/00000000"]) await place.delete(name);
  }
  await grow("cleared", 4);
  expect(await said("ledger verify")).toMatch(/: all fit\.$/);
  const before = lines();
  const said5 = "Entry 5 is where a head ends that was kept elsewhere";
  expect(await admin(`ledger heads --append ${file}`)).toMatchObject({
    code: 1,
    stdout: expect.stringContaining(said5),
  });
  expect(await said(`ledger verify --heads ${file}`)).toContain(said5);
  process.exitCode = 0;
  expect(lines()).toEqual(before);
  writeFileSync(file, "nonsense\n");
  expect(await said(`ledger verify --heads ${file}`)).toBe(`Line 1 of ${file} is no head of the ledger.`);
});
