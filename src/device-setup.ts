import { encodeFrame } from "../codec/frame.ts";
import type { Ctx } from "./context.ts";
import type { Device } from "./devices.ts";
import { AppError } from "./errors.ts";
import { settingsOf } from "./settings.ts";

/** What the SIM card and the owner want; blank where the network needs nothing. */
export interface SetupWish {
  mode: "tcp" | "udp";
  apn: string;
  apnUser: string;
  apnPassword: string;
  /** Seconds between two reports while driving, in steps of 10. */
  intervalS: number;
  /** Of the tracker, four digits. */
  smsPassword: string;
}

export const SETUP_DEFAULTS: SetupWish = {
  mode: "tcp",
  apn: "",
  apnUser: "",
  apnPassword: "",
  intervalS: 60,
  smsPassword: "0000",
};

/** One thing to tell the tracker, in the two forms that it takes. */
export interface SetupLine {
  code: (typeof LINES)[number]["code"];
  /** The text of a message to the tracker's phone number. */
  sms: string;
  /** The same as a frame, for a USB cable or a connection that is open already; CR LF follows. */
  frame: string;
}

export interface DeviceSetup {
  /** Where trackers connect to. */
  host: string;
  port: number;
  lines: SetupLine[];
}

/** What a tracker must be told, in this order. */
const LINES = [
  // Meitrack GPRS protocol V1.8, A21: 1 is TCP, 2 is UDP; then host, port, APN, its user and its password.
  {
    code: "A21",
    values: (wish: SetupWish, host: string, port: number) => [
      wish.mode === "udp" ? 2 : 1,
      ...[host, port, wish.apn, wish.apnUser, wish.apnPassword],
    ],
  },
  // Meitrack GPRS protocol V1.8, A12: in tens of seconds.
  { code: "A12", values: (wish: SetupWish) => [wish.intervalS / 10] },
] as const;

/** Meitrack GPRS protocol V1.8, A21: the longest host name, APN, user and password. */
const MAX_CHARACTERS = 32;

/** There is no escape in a line: a comma ends a value, a star the frame. */
const PLAIN = /^[\x21-\x29\x2b\x2d-\x7e]*$/;

/** @throws {AppError} invalid, naming the field */
function requirePossible({ apn, apnUser, apnPassword, intervalS, smsPassword }: SetupWish): void {
  const refuse = (field: string, why: string) => new AppError("invalid", `${field} ${why}`, { field });
  for (const [field, text] of Object.entries({ apn, apnUser, apnPassword })) {
    if (text.length <= MAX_CHARACTERS && PLAIN.test(text)) continue;
    throw refuse(field, `must be at most ${MAX_CHARACTERS} plain letters, digits and signs, without blanks or commas`);
  }
  if (!Number.isInteger(intervalS / 10) || intervalS < 10 || intervalS > 655_350) {
    throw refuse("intervalS", "must be a multiple of 10 from 10 to 655350");
  }
  if (!/^\d{4}$/.test(smsPassword)) throw refuse("smsPassword", "must be four digits");
}

/**
 * The lines that make a tracker report here. Nothing of it is stored.
 * @throws {AppError} invalid, naming the field; conflict when the platform's host name is longer than trackers take
 */
export async function setupOf(ctx: Ctx, device: Device, wish: SetupWish = SETUP_DEFAULTS): Promise<DeviceSetup> {
  requirePossible(wish);
  const { bridgeHost, bridgePort } = await settingsOf(ctx);
  const host = bridgeHost === "" ? new URL(ctx.client.origin).hostname : bridgeHost;
  const port = Number(bridgePort);
  if (host.length > MAX_CHARACTERS) {
    const why = `more than the ${MAX_CHARACTERS} characters that a tracker takes`;
    throw new AppError("conflict", `The host name of the platform has ${why}: ask the operator for a shorter one`);
  }
  const lines = LINES.map(({ code, values }): SetupLine => {
    const content = values(wish, host, port).join(",");
    const frame = encodeFrame({ direction: "down", identifier: "A", imei: device.imei, type: code, content });
    return {
      code,
      // Meitrack SMS protocol V2.2, 1.1: the password, then the command as in a frame.
      sms: `${wish.smsPassword},${code},${content}`,
      frame: new TextDecoder().decode(frame).trimEnd(),
    };
  });
  return { host, port, lines };
}

/**
 * What a phone reads as a message that is ready to be sent; without the tracker's number the text alone.
 * @param number as it was typed. @throws {AppError} invalid
 */
export function smsQr(sms: string, number: string): string {
  const dialled = number.replaceAll(/[\s().-]/g, "");
  if (!/^(\+?\d{3,15})?$/.test(dialled)) {
    throw new AppError("invalid", "mobile must be a phone number like +43 660 1234567", { field: "mobile" });
  }
  return dialled === "" ? sms : `SMSTO:${dialled}:${sms}`;
}
