import type { Route } from "../route.ts";

export const SECURITY_PAGES: readonly Route[] = [];
