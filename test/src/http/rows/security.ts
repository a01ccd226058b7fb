import type { Rows } from "./row.ts";

export const SECURITY_ROWS: Rows = {};
