import type { Rows } from "./row.ts";

export const DEVICES_ROWS: Rows = {};
