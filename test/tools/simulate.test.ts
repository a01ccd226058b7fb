import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FIRST_IMEI } from "../../tools/imei.ts";
import { OptionError, readOptions } from "../../tools/simulate-options.ts";
import { type FakePlatform, startFakePlatform } from "./fake-platform.ts";

const TOOL = fileURLToPath(new URL("../../tools/simulate.ts", import.meta.url));

let platform: FakePlatform;
beforeEach(async () => {
  platform = await startFakePlatform();
});
afterEach(() => platform.close());

describe("readOptions()", () => {
  test("reads what the README shows", () => {
    expect(readOptions(["--devices", "100", "--rate", "1/10s", "--model", "T366"])).toEqual({
      fleet: { devices: 100, rate: 0.1, model: "T366" },
      url: null,
      key: null,
      register: false,
      verify: false,
      json: false,
      help: false,
    });
  });

  test.each([
    ["--rate=5/s", { rate: 5 }],
    ["--rate=3/500ms", { rate: 6 }],
    ["--rate=max", { rate: Number.POSITIVE_INFINITY }],
    ["--gap=30s", { gap: { lastsS: 30, everyS: 300 } }],
    ["--gap=30s/10m", { gap: { lastsS: 30, everyS: 600 } }],
    ["--udp", { transport: "udp" }],
    ["--model=mvt380", { model: "MVT380" }],
    ["--duration=1.5h", { durationS: 5400 }],
    ["--bad-checksums=0.05", { badChecksums: 0.05 }],
    ["--ack-timeout=2s", { ackTimeoutMs: 2000 }],
    ["--split", { split: true }],
    [`--first-imei=${FIRST_IMEI}`, { firstImei: FIRST_IMEI }],
  ])("reads %s", (argument, fleet) => {
    expect(readOptions([argument]).fleet).toEqual(fleet);
  });

  test.each([
    [["--devices", "0"], "--devices must be a whole number from 1 to 100000"],
    [["--devices", "1e3"], "--devices must be"],
    [["--rate", "10"], "--rate must be a rate like 1/10s or 5/s, or max"],
    [["--rate", "0/s"], "--rate must be"],
    [["--rate", "1/0s"], "--rate must be"],
    [["--gap", "30"], "--gap must be a time like 30s, or two like 30s/10m"],
    [["--gap", "0s"], "--gap must be"],
    [["--duration", "0s"], "--duration must be a time like 90s, 5m or 2h"],
    [["--frames", "aab"], "--frames must be aaa, ccc, cce or mixed"],
    [["--port", "70000"], "--port must be a whole number from 1 to 65535"],
    [["--bad-checksums", "2"], "--bad-checksums must be a share from 0 to 1"],
    [["--first-imei", "359999990000011"], "--first-imei must be 15 digits of which the last is the check digit"],
    [["--split", "--udp"], "--split goes with TCP: a datagram is one frame"],
    [["--register"], "--register needs --url or --verify with the platform's URL"],
    [["--verify", "nowhere", "--key", "k"], "--verify must be a URL like http://127.0.0.1:8787"],
    [["--verify", "http://127.0.0.1:1"], "--verify and --register need --key with an API key"],
    [["--bogus"], "Unknown option '--bogus'; --help lists the options"],
  ])("refuses %j with a sentence", (args, sentence) => {
    expect(() => readOptions(args)).toThrow(OptionError);
    expect(() => readOptions(args)).toThrow(sentence);
  });

  test("takes the key from the environment", () => {
    expect(readOptions(["--verify", "http://127.0.0.1:1"], { EPHEMERIS_KEY: "k" })).toMatchObject({ key: "k" });
  });
});

describe("npm run simulate", () => {
  function run(args: string[]): Promise<{ code: number | null; out: string; err: string }> {
    return new Promise((resolve, reject) => {
      const child = spawn(process.execPath, [TOOL, "--port", String(platform.port), ...args]);
      let out = "";
      let err = "";
      child.stdout.on("data", (chunk) => {
        out += chunk;
      });
      child.stderr.on("data", (chunk) => {
        err += chunk;
      });
      child.on("error", reject);
      child.on("close", (code) => resolve({ code, out, err }));
    });
  }

  test("registers, reports, verifies and prints the result as JSON", async () => {
    const { url, key } = platform;
    const args = [
      "--devices",
      "3",
      "--rate",
      "50/s",
      "--count",
      "5",
      "--json",
      "--register",
      "--verify",
      url,
      "--key",
      key,
    ];
    const { code, out, err } = await run(args);
    expect(JSON.parse(out)).toMatchObject({ sent: 15, acknowledged: 5, verification: { found: 15, differences: [] } });
    expect(err).toContain("3 devices registered");
    expect(err).toContain("sent 15, acknowledged 5 of 5 that ask for it, refused 0");
    expect(code).toBe(0);
  });

  test("ends with 1 and a list when something is missing", async () => {
    const { url, key } = platform;
    const { code, out } = await run([
      "--devices",
      "1",
      "--rate",
      "50/s",
      "--count",
      "2",
      "--verify",
      url,
      "--key",
      key,
    ]);
    expect(out).toMatch(/verified: 0 of 0 sent reports of 1 devices are stored, 1 differences\n/);
    expect(out).toContain(`  not registered: ${FIRST_IMEI}`);
    expect(code).toBe(1);
  });

  test("refuses bad options with a sentence and ends with 2", async () => {
    expect(await run(["--devices", "x"])).toEqual({
      code: 2,
      out: "",
      err: "--devices must be a whole number from 1 to 100000\n",
    });
  });
});
