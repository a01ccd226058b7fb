import type { Route } from "./route.ts";

export const SETTINGS: readonly Route[] = [];
