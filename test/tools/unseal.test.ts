import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type KeyFile, readKeyFile } from "../../client/key-file.ts";
import { anAnswer, aSegment } from "../client/a-track.ts";
import { NOON } from "../database.ts";

const TOOL = fileURLToPath(new URL("../../tools/unseal.ts", import.meta.url));

/** Runs the tool as a person does. */
function run(args: string[], input = "") {
  const { status, stdout, stderr } = spawnSync(process.execPath, [TOOL, ...args], { input, encoding: "utf8" });
  return { code: status, out: stdout, err: stderr };
}

describe("unseal", () => {
  let folder: string;
  const at = (name: string) => join(folder, name);
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "ephemeris-unseal-"));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test("--new-key makes a file for the owner alone and prints what is to be registered", () => {
    const { code, out, err } = run(["--new-key", at("my.key")]);
    expect(code).toBe(0);
    expect(statSync(at("my.key")).mode & 0o777).toBe(0o600);
    const file = JSON.parse(readFileSync(at("my.key"), "utf8")) as KeyFile;
    expect(out).toBe(`publicKey ${file.publicKey}\ncheck     ${file.check}\n`);
    expect(out + err).not.toContain(file.privateKey);
    expect(err).toContain("a lost key is final");
  });

  test("--new-key never writes over a key", () => {
    const before = readFileSync(at("my.key"), "utf8");
    expect(run(["--new-key", at("my.key")])).toMatchObject({ code: 2, out: "" });
    expect(readFileSync(at("my.key"), "utf8")).toBe(before);
  });

  test("--key prints one position a line, from files and from standard input", async () => {
    const key = await readKeyFile(readFileSync(at("my.key"), "utf8"));
    const spec = (n: number) => ({ id: n, fixTime: NOON + n * 1000 });
    const [one, two] = [await aSegment(1, [spec(1), spec(2)]), await aSegment(2, [spec(3)])];
    writeFileSync(at("1.json"), JSON.stringify(await anAnswer([key], { segments: [one], nextCursor: "more" })));
    writeFileSync(at("2.json"), JSON.stringify(await anAnswer([key], { segments: [two] })));
    const both = run(["--key", at("my.key"), at("2.json"), at("1.json")]);
    const lines = both.out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { id: number; latitude: number });
    expect(lines.map(({ id, latitude }) => [id, latitude])).toEqual([
      [1, 48.25],
      [2, 48.25],
      [3, 48.25],
    ]);
    expect(both).toMatchObject({ code: 0, err: "3 positions; there are more pages (nextCursor)\n" });
    const piped = run(["--key", at("my.key")], readFileSync(at("2.json"), "utf8"));
    expect(piped).toMatchObject({ code: 0, err: "1 positions\n" });
  });

  test("ends with 1, and prints nothing, for another key: what is sealed to a lost key is lost", () => {
    expect(run(["--new-key", at("other.key")]).code).toBe(0);
    const { code, out, err } = run(["--key", at("other.key"), at("1.json")]);
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toContain("segment 1: Cannot open secret 12345: it was not wrapped to this key");
  });

  test("ends with 2 and a sentence for what cannot be used", () => {
    writeFileSync(at("bad.json"), "{}");
    for (const [args, why] of [
      [[], "--key FILE"],
      [["--key"], "--help lists the options"],
      [["--nonsense"], "--help lists the options"],
      [["--key", at("nothing.key"), at("1.json")], "Cannot read"],
      [["--key", at("1.json"), at("1.json")], "Cannot read key file"],
      [["--key", at("my.key"), at("bad.json")], "Cannot read answer"],
      [["--key", at("my.key"), at("nothing.json")], "Cannot read"],
    ] as const) {
      const { code, out, err } = run([...args]);
      expect({ args, code, out }).toEqual({ args, code: 2, out: "" });
      expect(err).toContain(why);
      expect(err).not.toContain("    at ");
    }
    expect(run(["--help"])).toMatchObject({ code: 0, err: "" });
  });
});
