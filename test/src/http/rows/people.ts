import type { Rows } from "./row.ts";

export const PEOPLE_ROWS: Rows = {};
