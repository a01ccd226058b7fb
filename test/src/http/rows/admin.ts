import type { Rows } from "./row.ts";

export const ADMIN_ROWS: Rows = {};
