import type { Route } from "./route.ts";

export const OVERVIEW: readonly Route[] = [];
