import type { Rows } from "./row.ts";

export const PROFILE_ROWS: Rows = {};
