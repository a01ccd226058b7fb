import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { bytesOf } from "../../codec/bytes.ts";
import { decodePositions } from "../../codec/decode.ts";
import { PARTS, withParts } from "../../tools/readme.ts";

const README = readFileSync(new URL("../../README.md", import.meta.url), "utf8");

test("README.md says what the tables in the source say (node tools/readme.ts mends it)", () => {
  expect(README).toBe(withParts(README));
});

test("README.md shows every generated part", () => {
  for (const name of Object.keys(PARTS)) expect(README).toContain(`<!-- table: ${name} -->`);
});

test("README.md begins with the two commands that install and run, and install and test", () => {
  const commands = [...README.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, text]) => text.trim());
  expect(commands.slice(0, 2)).toEqual(["npm ci && npm start", "npm ci && npm test"]);
});

test("README.md shows the position that its frame decodes to", () => {
  const frame = /```\n(\$\$.*)\n```/.exec(README)?.[1] ?? "";
  const json = /```json\n([\s\S]*?)\n```/.exec(README)?.[1] ?? "";
  const [position] = decodePositions(bytesOf(`${frame}\r\n`), { model: "T366" });
  expect(JSON.parse(JSON.stringify(position))).toEqual(JSON.parse(json));
});

test("README.md names every setting that the bridge reads", () => {
  const source = readFileSync(new URL("../../bridge/config.ts", import.meta.url), "utf8");
  const names = new Set([...source.matchAll(/env, "([A-Z_]+)"/g)].map(([, name]) => name));
  expect(names.size).toBeGreaterThan(8);
  for (const name of names) expect(README).toContain(`\`${name}\``);
});
