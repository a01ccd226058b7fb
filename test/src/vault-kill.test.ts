import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { destroyDays, destroyDevice, openingKeys, rewrap } from "../../src/vault.ts";
import { unwrap } from "../../src/vault-object.ts";
import { keyBase } from "./key-loop.ts";

const KILLS = 36;
const folder = mkdtempSync(join(tmpdir(), "ephemeris-keys-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Line {
  what: "ready" | "made" | "days" | "days done" | "device" | "device done";
  account: number;
  day: number;
  before: number;
  deviceId: number;
  dayKid: number;
  deviceKid: number;
}

/** Runs the loop until it is killed, some time after it has said so many lines. Returns what it said. */
async function killed(args: string[], afterLines: number, afterMs: number): Promise<Line[]> {
  const child = spawn(process.execPath, [fileURLToPath(new URL("key-loop.ts", import.meta.url)), ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise((resolve) => child.once("close", resolve));
  const lines: Line[] = [];
  const began = new Promise<void>((resolve) => {
    createInterface(child.stdout).on("line", (text) => {
      lines.push(JSON.parse(text));
      if (lines.length >= afterLines) resolve();
    });
  });
  await Promise.race([began, ended]);
  await wait(afterMs);
  expect(child.exitCode).toBe(null);
  child.kill("SIGKILL");
  await ended;
  return lines;
}

const files = () => readdirSync(folder).map((name) => join(folder, name));
const COPIES = ["a", "b", "escrow"] as const;

test("kill -9 amid destructions and rotations: what survives opens, what is gone is gone, from the files too", async () => {
  const made: Line[] = [];
  const over = new Map<number, number>();
  const erased = new Set<string>();
  /** Bytes that must not be found once what they held is gone: secrets by kid, and objects as they were wrapped. */
  const secrets = new Map<number, Buffer>();
  const wrapped = new Map<string, Buffer>();
  let rootKeys = [randomBytes(32).toString("hex"), randomBytes(32).toString("hex")];
  let amid = 0;
  for (let n = 0; n < KILLS; n++) {
    const first = made.reduce((max, { day }) => Math.max(max, day), 10_000) + 2;
    const lines = await killed([folder, String(first), ...rootKeys], 1 + Math.random() * 14, Math.random() * 30);
    const last = lines.at(-1)!.what;
    if (last === "days" || last === "device") amid++;
    for (const line of lines) {
      if (line.what === "made") made.push(line);
      if (line.what === "days") over.set(line.account, Math.max(line.before, over.get(line.account) ?? 0));
      if (line.what === "device") erased.add(`${line.account} ${line.deviceId}`);
    }

    const base = keyBase(folder, rootKeys);
    const snapshot = async () => {
      for (const [i, copy] of [...base.secrets.copies, base.secrets.escrow].entries()) {
        for (const name of await copy.list("")) {
          const { bytes } = (await copy.get(name))!;
          wrapped.set(`${COPIES[i]} ${name} ${Buffer.from(bytes.subarray(8, 20)).toString("hex")}`, Buffer.from(bytes));
          const found = await unwrap(base, COPIES[i], name, bytes);
          if (found.state !== "good") throw new Error(`${COPIES[i]} ${name} is ${found.state}`);
          for (const { kid, bytes: secret } of found.object.secrets) secrets.set(kid, Buffer.from(secret));
        }
      }
    };
    await snapshot();
    // The next run.
    for (const [account, before] of over) await destroyDays(base, account, "account", before);
    for (const device of erased) {
      const [account, deviceId] = device.split(" ").map(Number);
      await destroyDevice(base, account, deviceId);
    }
    // A root key that is not needed any more goes, and another comes.
    rootKeys = [randomBytes(32).toString("hex"), ...rootKeys.slice(0, 2)];
    base.config.rootKey = rootKeys[0];
    base.config.oldRootKeys = rootKeys.slice(1);
    await rewrap(base);
    await snapshot();
    base.close();

    const reader = keyBase(folder, rootKeys.slice(0, 1));
    const gone = ({ account, day, deviceId }: Line) =>
      day < (over.get(account) ?? 0) || erased.has(`${account} ${deviceId}`);
    for (const account of new Set(made.map((line) => line.account))) {
      const its = made.filter((line) => line.account === account);
      const keys = await openingKeys(reader, account, its);
      expect(its.filter((line, i) => (keys[i] === null) !== gone(line))).toEqual([]);
    }
    const present = new Set<number>();
    const inForce: Buffer[] = [];
    for (const [i, copy] of [...reader.secrets.copies, reader.secrets.escrow].entries()) {
      for (const name of await copy.list("")) {
        const { bytes } = (await copy.get(name))!;
        inForce.push(Buffer.from(bytes.subarray(8, 32)));
        wrapped.delete(`${COPIES[i]} ${name} ${Buffer.from(bytes.subarray(8, 20)).toString("hex")}`);
        const found = await unwrap(reader, COPIES[i], name, bytes);
        if (found.state === "good") for (const { kid } of found.object.secrets) present.add(kid);
      }
    }
    reader.close();
    const kidsGone = made.filter(gone).filter(({ day, account }) => day < over.get(account)!);
    for (const { dayKid } of kidsGone) expect(present.has(dayKid)).toBe(false);

    const stored = files().map((path) => readFileSync(path));
    const found = (needle: Buffer) => stored.some((bytes) => bytes.includes(needle));
    // A journal that a kill left empty goes with the next change.
    const kept = files().map((path) => statSync(path));
    expect(kept.filter(({ size }) => size > 0)).toHaveLength(3);
    for (const { mode } of kept) expect((mode & 0o777).toString(8)).toBe("600");
    expect([...secrets.values()].filter(found)).toEqual([]);
    // Pieces of what was written over: any of them would be a page that kept its content.
    for (const bytes of wrapped.values()) {
      for (let at = 20; at + 24 <= bytes.length; at += 97) expect(found(bytes.subarray(at, at + 24))).toBe(false);
    }
    // The scanner finds what is there.
    expect(inForce.length).toBeGreaterThan(0);
    expect(inForce.filter((bytes) => !found(bytes))).toEqual([]);
    wrapped.clear();
  }
  expect(made.length).toBeGreaterThan(KILLS);
  expect(erased.size).toBeGreaterThan(KILLS / 2);
  console.log(`${KILLS} kills, ${amid} amid a destruction; ${made.length} keys made`);
}, 480_000);
