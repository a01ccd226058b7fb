import type { Route } from "../route.ts";

export const PEOPLE_PAGES: readonly Route[] = [];
