import type { Route } from "../route.ts";

export const PROFILE_PAGES: readonly Route[] = [];
