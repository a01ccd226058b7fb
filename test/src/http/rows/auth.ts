import type { Rows } from "./row.ts";

export const AUTH_ROWS: Rows = {};
