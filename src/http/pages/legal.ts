import type { Route } from "../route.ts";

export const LEGAL_PAGES: readonly Route[] = [];
