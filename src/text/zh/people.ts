import type { people as en } from "../en/people.ts";

export const people: typeof en = {};
