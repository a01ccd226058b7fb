import type { devices as en } from "../en/devices.ts";

export const devices: typeof en = {};
