import type { Route } from "../route.ts";

export const AUTH_PAGES: readonly Route[] = [];
