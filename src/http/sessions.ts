import type { Route } from "./route.ts";

export const SESSIONS: readonly Route[] = [];
