import { afterEach, beforeEach, expect, test } from "vitest";
import { parseFrame } from "../../codec/frame.ts";
import { SETUP_DEFAULTS, setupOf, smsQr } from "../../src/device-setup.ts";
import type { Device } from "../../src/devices.ts";
import { AppError } from "../../src/errors.ts";
import { writeSetting } from "../../src/store/settings.ts";
import { aBase, aContext, aDatabase, anImei, asKey, NOON, type TestBase } from "../database.ts";

let base: TestBase;
let close: () => void;
beforeEach(async () => {
  const database = await aDatabase();
  base = aBase(database.db);
  close = database.close;
});
afterEach(() => close());

const device: Device = {
  id: 1,
  accountId: 1,
  imei: anImei(),
  name: "Van",
  model: "T366",
  clockOffsetMinutes: 0,
  confirmCce: false,
  suspendedSince: null,
  createdAt: NOON,
};
const setUp = (wish: Partial<typeof SETUP_DEFAULTS> = {}) =>
  setupOf(aContext(base, asKey(1)), device, { ...SETUP_DEFAULTS, ...wish });

test("setupOf() names the host of the request until the operator names another", async () => {
  expect(await setUp()).toMatchObject({ host: "edge.test", port: 5020 });
  await writeSetting(base.db, "bridgeHost", "bridge.example.com", NOON);
  await writeSetting(base.db, "bridgePort", "8800", NOON);
  expect(await setUp()).toMatchObject({ host: "bridge.example.com", port: 8800 });
});

test("setupOf() writes each line as a message and as a frame that a tracker takes", async () => {
  await writeSetting(base.db, "bridgeHost", "203.0.113.7", NOON);
  const { lines } = await setUp({ apn: "internet", apnUser: "web", apnPassword: "gprs", intervalS: 30, mode: "udp" });
  expect(lines.map(({ code, sms }) => [code, sms])).toEqual([
    ["A21", "0000,A21,2,203.0.113.7,5020,internet,web,gprs"],
    ["A12", "0000,A12,3"],
  ]);
  for (const { code, sms, frame } of lines) {
    const read = parseFrame(new TextEncoder().encode(`${frame}\r\n`));
    expect(read).toMatchObject({ direction: "down", imei: device.imei, type: code, checksumOk: true });
    expect(`0000,${code},${new TextDecoder().decode(read.content)}`).toBe(sms);
  }
});

test("setupOf() leaves blank what the SIM card does not need", async () => {
  const [line] = (await setUp()).lines;
  expect(line?.sms).toBe("0000,A21,1,edge.test,5020,,,");
});

test.each([
  [{ apn: "a,b" }, "apn"],
  [{ apn: "a b" }, "apn"],
  [{ apn: "a*b" }, "apn"],
  [{ apn: "a\r\nb" }, "apn"],
  [{ apn: "x".repeat(33) }, "apn"],
  [{ apnUser: "é" }, "apnUser"],
  [{ apnPassword: "," }, "apnPassword"],
  [{ intervalS: 15 }, "intervalS"],
  [{ intervalS: 0 }, "intervalS"],
  [{ intervalS: Number.NaN }, "intervalS"],
  [{ smsPassword: "123" }, "smsPassword"],
])("setupOf() refuses %j, which no line can carry", async (wish, field) => {
  const refused = await setUp(wish).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(AppError);
  expect(refused).toMatchObject({ code: "invalid", field });
});

test("setupOf() says when the platform's host name is longer than a tracker takes", async () => {
  await writeSetting(base.db, "bridgeHost", `${"x".repeat(30)}.test`, NOON);
  await expect(setUp()).rejects.toMatchObject({ code: "conflict" });
});

test("smsQr() makes a message for a number, and text without one", () => {
  expect(smsQr("0000,A12,6", "+43 660 (123) 45-67")).toBe("SMSTO:+436601234567:0000,A12,6");
  expect(smsQr("0000,A12,6", "")).toBe("0000,A12,6");
  expect(() => smsQr("0000,A12,6", "call me")).toThrow(AppError);
});
