import type { Rows } from "./row.ts";

export const LEGAL_ROWS: Rows = {};
