import type { Route } from "./route.ts";

export const AUDIT: readonly Route[] = [];
