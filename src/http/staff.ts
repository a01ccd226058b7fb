import type { Route } from "./route.ts";

export const STAFF: readonly Route[] = [];
