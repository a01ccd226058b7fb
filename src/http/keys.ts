import type { Route } from "./route.ts";

export const KEYS: readonly Route[] = [];
