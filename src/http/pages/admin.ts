import type { Route } from "../route.ts";

export const ADMIN_PAGES: readonly Route[] = [];
