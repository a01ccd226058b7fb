import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { byForm, type Canary, found, scan } from "../../tools/residue.ts";
import { needlesOf } from "../../tools/residue-forms.ts";

const folder = mkdtempSync(join(tmpdir(), "ephemeris-residue-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const CANARIES: Canary[] = [
  { name: "latitude", value: { coordinate: 22.513015 } },
  { name: "longitude", value: { coordinate: -114.057235 } },
  { name: "imei", value: { digits: "353358017784062" } },
  { name: "driver", value: { text: "DRV-Ωμ-77?>>" } },
  { name: "speed", value: { number: 121.7 } },
  { name: "sealed", value: { hex: "00ff9c3be2d15a6f4477" } },
];

test("needlesOf() knows each value in the forms that the engines and protocols here write", () => {
  const forms = Object.groupBy(needlesOf(CANARIES), ({ canary }) => canary);
  const hex = (canary: string) =>
    Object.fromEntries(forms[canary]!.map(({ form, bytes }) => [form, Buffer.from(bytes).toString("hex")]));
  expect(hex("latitude")).toMatchObject({
    f64le: "815b77f354833640",
    f64be: "40368354f3775b81",
    f32le: "a81ab441",
    "micro i32le": "77855701",
    "micro i32be": "01578577",
    "micro text utf-8": Buffer.from("22513015").toString("hex"),
    "decimal text utf-8": Buffer.from("22.513015").toString("hex"),
    "decimal text utf-16le": Buffer.from("22.513015", "utf16le").toString("hex"),
  });
  expect(hex("imei")["digits bcd"]).toBe("0353358017784062");
  const texts = forms.driver!.map(({ bytes }) => Buffer.from(bytes).toString("latin1"));
  for (const before of ["", "a", "ab"]) {
    const base64 = Buffer.from(`${before}DRV-Ωμ-77?>>behind`).toString("base64");
    expect(texts.some((needle) => base64.includes(needle))).toBe(true);
  }
});

test("scan() finds every form at every alignment, wherever the reads of a file end", () => {
  const needles = needlesOf(CANARIES);
  const file = join(folder, "control");
  for (let alignment = 0; alignment < 8; alignment++) {
    const parts: Buffer[] = [];
    const planted: { canary: string; form: string; offset: number }[] = [];
    let length = 0;
    const add = (bytes: Buffer) => {
      parts.push(bytes);
      length += bytes.length;
    };
    for (const { canary, form, bytes } of needles) {
      // Letters that begin no needle, so that each lies where it is put at this alignment.
      add(Buffer.alloc(8 - (length % 8) + alignment, 0x7e));
      planted.push({ canary, form, offset: length });
      add(Buffer.from(bytes));
    }
    writeFileSync(file, Buffer.concat(parts));
    for (const bufferBytes of [1, 2, 3, 7, 64, 4096, 1 << 20]) {
      const { hits, bytes } = scan([file], CANARIES, bufferBytes);
      expect(bytes).toBe(length);
      const missed = planted.filter(
        ({ canary, form, offset }) =>
          !hits.some((hit) => hit.canary === canary && hit.form === form && hit.offset === offset),
      );
      expect(missed).toEqual([]);
    }
  }
});

test("scan() looks into folders of folders, at the first and the last byte of a file, and finds nothing in noise", () => {
  const under = join(folder, "a", "b");
  mkdirSync(under, { recursive: true });
  const [needle] = needlesOf(CANARIES);
  writeFileSync(join(under, "begin"), Buffer.concat([needle!.bytes, randomBytes(100)]));
  writeFileSync(join(under, "end"), Buffer.concat([randomBytes(100), needle!.bytes]));
  writeFileSync(join(under, "empty"), "");
  expect(
    scan([join(folder, "a")], CANARIES)
      .hits.map(({ offset }) => offset)
      .sort(),
  ).toEqual([0, 100]);
  writeFileSync(join(folder, "noise"), randomBytes(4 << 20));
  const noise = scan([join(folder, "noise")], CANARIES);
  expect(found(noise, CANARIES)).toEqual([]);
});

test("found() leaves out what so short a form may be by chance, and nothing that is there twice", () => {
  const short = needlesOf(CANARIES).find(({ bytes }) => bytes.length === 4)!;
  const once = join(folder, "once");
  const twice = join(folder, "twice");
  writeFileSync(once, short.bytes);
  writeFileSync(twice, Buffer.concat([short.bytes, short.bytes]));
  expect(found(scan([once], CANARIES), CANARIES)).toEqual([]);
  expect(byForm(found(scan([twice], CANARIES), CANARIES))).toEqual({ [short.form]: 2 });
});

test("node tools/residue.ts tells forms and places, not values, and ends with 1 when it finds something", () => {
  const values = join(folder, "values.json");
  writeFileSync(values, JSON.stringify(CANARIES));
  const file = join(folder, "leak");
  writeFileSync(file, "name,imei\nvan,353358017784062\n");
  const run = (path: string) =>
    spawnSync(
      process.execPath,
      [fileURLToPath(new URL("../../tools/residue.ts", import.meta.url)), "--canaries", values, path],
      {
        encoding: "utf8",
      },
    );
  const leak = run(file);
  expect(leak.status).toBe(1);
  expect(leak.stdout).toContain("digits utf-8");
  expect(leak.stdout).toContain(`${file} 14: imei`);
  expect(leak.stdout).not.toContain("353358017784062");
  writeFileSync(file, "nothing");
  expect(run(file).status).toBe(0);
  expect(run(join(folder, "nowhere")).status).toBe(2);
});
